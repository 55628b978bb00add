"""Stamping what INDI leaves out into a frame's header; the pixel bytes stay the very bytes that came."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

from library.cards import Card, HeaderError, HeaderUnit, format_header, with_cards
from library.errors import NotAFitsFileError
from library.formats.image import Data
from library.formats.stream import ForeignStream
from library.formats.table import open_foreign, suffix_of
from library.frames import FrameKind, FrameMeta, Stamp
from library.keywords import FRAME_ID, PLAN_ID, STEP_ID
from library.reading import find_image, meta_of
from library.writing import Buffer

SOFTWARE = "firstlight"

IMAGE_TYPES = {
    FrameKind.LIGHT: "Light Frame",
    FrameKind.BIAS: "Bias Frame",
    FrameKind.DARK: "Dark Frame",
    FrameKind.FLAT: "Flat Frame",
    FrameKind.FLAT_DARK: "Dark Flat Frame",
    FrameKind.DEFECTS: "Defect Map",
    FrameKind.DARK_MODEL: "Dark Model",
}
"""SBFITSEXT has no flat-dark; this spelling names both halves, for readers that look for either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StampedFits:
    """A stamped file as buffers to be written one after another, and what its header now says."""

    buffers: list[Buffer]
    meta: FrameMeta


def stamp_fits(data: bytes, stamp: Stamp) -> StampedFits:
    """Put the stamp's cards into the header of the (first, perhaps compressed) image.

    Cards that are there are replaced where they stand, others come at the end. What the stamp knows
    stands; the device's own CCD-TEMP and INSTRUME are kept. Text is made legal ASCII. Everything but the
    one header is passed on as views of ``data``, nothing is copied.

    Raises :class:`NotAFitsFileError` if the bytes are no FITS image or are cut short.
    """
    what = f"the frame from {stamp.camera}"
    unit = image_unit(data, what)
    here = {keyword for keyword, value in unit.values.items() if value not in {None, ""}}
    stamped = with_cards(unit, stamp_cards(stamp, here))
    whole = memoryview(data)
    return StampedFits(
        buffers=[whole[: unit.start], format_header(stamped.raw_cards), whole[unit.data_start :]],
        meta=meta_of(stamped),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StampedForeign:
    """A stamped file of another format: its bytes as they came, and the cards that go beside them."""

    stamped: StampedFits
    cards: list[Card]
    suffix: str


def stamp_foreign(data: bytes, stamp: Stamp) -> StampedForeign | None:
    """Stamp a file that is no FITS; None for one that may be. What it is is told by its content.

    Raises :class:`NotAFitsFileError` if it is cut short, or no frame at all, such as a JPEG.
    """
    source = Data.of_bytes(bytes(data), f"the frame from {stamp.camera}")
    image = open_foreign(source)
    if image is None:
        return None
    unit = ForeignStream(image).unit()
    here = {keyword for keyword, value in unit.values.items() if value not in {None, ""}}
    cards = stamp_cards(stamp, here)
    return StampedForeign(
        stamped=StampedFits(buffers=[data], meta=meta_of(with_cards(unit, cards))),
        cards=cards,
        suffix=suffix_of(source) or ".raw",
    )


def stamp_cards(stamp: Stamp, here: set[str]) -> list[Card]:
    """The cards that a stamp makes, given the keywords that the device has filled ``here``."""
    known: list[Card] = [
        ("IMAGETYP", IMAGE_TYPES[stamp.kind], "kind of frame"),
        ("EXPTIME", stamp.exposure_s, "[s] exposure"),
        ("GAIN", stamp.gain, "camera gain setting"),
        ("OFFSET", stamp.offset, "camera offset setting"),
        ("SET-TEMP", stamp.set_temp_c, "[degC] sensor set point"),
        ("READOUTM", stamp.read_mode, "read mode"),
        ("FILTER", stamp.filter, "filter"),
        ("OBJECT", stamp.object_name, "object"),
        (FRAME_ID, stamp.frame_id, "identity of this frame"),
        (PLAN_ID, stamp.plan_id, "plan that asked for it"),
        (STEP_ID, stamp.step_id, "step of the plan"),
        ("SWCREATE", SOFTWARE, "software that took this frame"),
    ]
    if "CCD-TEMP" not in here:
        known.append(("CCD-TEMP", stamp.sensor_temp_c, "[degC] sensor temperature"))
    if "INSTRUME" not in here:
        known.append(("INSTRUME", stamp.camera, "camera"))
    return [card for card in known if card[1] is not None]


def image_unit(data: bytes, what: str) -> HeaderUnit:
    """The header unit of the first image in these bytes, its pixels known to be all there."""
    remedy = "it has to be taken again"
    try:
        unit = find_image(BytesIO(data))
        expected = unit.data_start + unit.data_size
    except HeaderError as error:
        raise NotAFitsFileError(f"{what} is not a FITS image: {error}; {remedy}") from error
    if len(data) < expected:
        raise NotAFitsFileError(f"{what} is cut short: {len(data)} of {expected} bytes; {remedy}")
    return unit
