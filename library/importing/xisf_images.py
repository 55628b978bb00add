"""XISF as pixels and FITS cards: PixInsight's and N.I.N.A.'s other format (XISF 1.0 specification)."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from library.cards import Card, CardValue, parse_card, to_ascii
from library.errors import NotAFitsFileError

_NAMESPACE = "{http://www.pixinsight.com/xisf}"
_STRUCTURE = re.compile(
    r"SIMPLE|BITPIX|NAXIS\d*|EXTEND|BZERO|BSCALE|END|[PG]COUNT|XTENSION|ROWORDER|CHECKSUM|DATASUM"
)

_PROPERTIES: dict[str, tuple[str, float]] = {
    "Instrument:Camera:Name": ("INSTRUME", 1),
    "Instrument:Camera:Gain": ("EGAIN", 1),
    "Instrument:Camera:ISOSpeed": ("ISOSPEED", 1),
    "Instrument:Camera:XBinning": ("XBINNING", 1),
    "Instrument:Camera:YBinning": ("YBINNING", 1),
    "Instrument:ExposureTime": ("EXPTIME", 1),
    "Instrument:Filter:Name": ("FILTER", 1),
    "Instrument:Sensor:Temperature": ("CCD-TEMP", 1),
    "Instrument:Sensor:TargetTemperature": ("SET-TEMP", 1),
    "Instrument:Telescope:Name": ("TELESCOP", 1),
    "Instrument:Telescope:FocalLength": ("FOCALLEN", 1000),  # metres
    "Observation:Object:Name": ("OBJECT", 1),
    "Observation:Time:Start": ("DATE-OBS", 1),
}
"""XISF's own properties that stand for a keyword where the keyword is missing, and the factor to its unit."""


def read_xisf(path: Path) -> tuple[NDArray[Any], list[Card], tuple[str, ...]]:
    """The first image of a file: pixels in their own type, the cards of its header, and what to tell of it.

    Rows are stored from the top. Raises :class:`NotAFitsFileError`.
    """
    from xisf import XISF

    try:
        file = XISF(str(path))
        pixels = np.asarray(file.read_image(0))
        image = file.get_metadata_xml().find(f"{_NAMESPACE}Image")
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, AssertionError,
        NotImplementedError, RuntimeError, ET.ParseError, zlib.error,
    ) as error:  # fmt: skip
        raise NotAFitsFileError(f"{path}: is no XISF image that can be read: {error!r}") from error
    if image is None or pixels.ndim != 3 or pixels.shape[2] not in {1, 3} or pixels.dtype.kind not in "uif":
        raise NotAFitsFileError(
            f"{path}: holds {pixels.dtype} of {pixels.shape}, neither one plane nor three"
        )
    notes: list[str] = []
    cards = list(_keywords(image, notes))
    cards += _from_properties(image, {card[0] for card in cards})
    cards.append(("ROWORDER", "TOP-DOWN", "XISF stores rows from the top"))
    if pixels.dtype.kind == "f" and image.get("bounds", "").replace(" ", "") == "0:1":
        notes.append("pixels are 0…1")
    return (pixels[..., 0] if pixels.shape[2] == 1 else pixels), cards, tuple(notes)


def _keywords(image: ET.Element, notes: list[str]) -> Iterator[Card]:
    for element in image.findall(f"{_NAMESPACE}FITSKeyword"):
        name = element.get("name", "").strip().upper()
        text, comment = element.get("value", ""), element.get("comment", "")
        if _STRUCTURE.fullmatch(name):
            continue
        if name in {"HISTORY", "COMMENT"}:
            yield name, text.strip().strip("'") or comment, ""
        elif re.fullmatch(r"[A-Z0-9_-]{1,8}", name):
            value = parse_card(f"{name:8}= {text}".encode("latin-1", "replace"))[1]
            if isinstance(value, str) and len(to_ascii(value)) > 68:
                notes.append(f"{name} is cut to the 68 characters of a card")
            yield name, value, comment
        elif name:
            yield "COMMENT", f"{name} = {text}", ""


def _from_properties(image: ET.Element, here: set[str]) -> Iterator[Card]:
    for element in image.findall(f"{_NAMESPACE}Property"):
        keyword, factor = _PROPERTIES.get(element.get("id", ""), ("", 1.0))
        text = (element.get("value") or element.text or "").strip()
        if not keyword or keyword in here or not text:
            continue
        value: CardValue = text.removesuffix("Z") if keyword == "DATE-OBS" else text
        if element.get("type", "").startswith(("Float", "Int", "UInt")):
            value = parse_card(f"{keyword:8}= {text}".encode())[1]
            value = value * factor if isinstance(value, float | int) and factor != 1 else value
        yield keyword, value, "from the XISF property"
    if "IMAGETYP" not in here and (kind := image.get("imageType")):
        yield "IMAGETYP", kind, "from XISF's imageType"
    cfa = image.find(f"{_NAMESPACE}ColorFilterArray")
    if cfa is not None and "BAYERPAT" not in here and (cfa.get("width"), cfa.get("height")) == ("2", "2"):
        yield "BAYERPAT", cfa.get("pattern", ""), "from XISF's ColorFilterArray"
