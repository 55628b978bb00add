"""From the field's many spellings to one :class:`FrameMeta`: read tolerantly, never guess."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from library.cards import Card, CardValue
from library.filter_names import filter_name
from library.frames import FrameKind, FrameMeta
from library.mosaics import RGB, flipped, pattern_of, shifted
from library.numeric_cards import (
    CELSIUS,
    COUNT,
    DEGREES,
    ELECTRONS_PER_ADU,
    GAIN,
    LEVEL,
    MICROMETRES,
    MILLIMETRES,
    SECONDS,
    Quantity,
    number,
)
from library.sections import sections_of

FRAME_ID, PLAN_ID, STEP_ID = "FRAMEID", "PLANID", "STEPID"
"""Our own keywords: what the frame is, which plan asked for it, and as which of its steps."""

KIND = ("IMAGETYP", "FRAME", "OBSTYPE", "CALFRAME")
"""CALFRAME is Astro Pixel Processor's."""

READINGS: Mapping[str, tuple[tuple[str, ...], Quantity, str]] = {
    "exposure_s": (("EXPTIME", "EXPOSURE", "EXP_TIME", "EXP"), SECONDS, "exposure"),
    "sensor_temp_c": (
        ("CCD-TEMP", "CCDTEMP", "CCD_TEMP", "TEMPERAT", "CAMTEMP", "DET-TEMP"),
        CELSIUS,
        "sensor temperature",
    ),
    "set_temp_c": (("SET-TEMP", "SETTEMP", "CCD-SETT"), CELSIUS, "set point"),
    # SBFITSEXT has no gain; a DSLR's ISO is the same dial.
    "gain": (("GAIN", "ISOSPEED", "ISO"), GAIN, "gain"),
    "offset": (("OFFSET", "BLKLEVEL", "BLACKLEV"), LEVEL, "offset"),
    "focal_length_mm": (("FOCALLEN",), MILLIMETRES, "focal length"),
    "rotator_deg": (("ROTATANG", "ROTATOR", "ROTPOS", "POSANGLE"), DEGREES, "rotator angle"),
    "egain_e_per_adu": (("EGAIN", "E-GAIN"), ELECTRONS_PER_ADU, "gain in electrons"),
}
"""A header's numbers by the field that they become: keywords, best first, what they measure, and a name."""

_LENGTHS = {"FOCALLEN": MILLIMETRES, "XPIXSZ": MICROMETRES, "YPIXSZ": MICROMETRES}
_BINNINGS = (("XBINNING", "CCDXBIN", "BINNING"), ("YBINNING", "CCDYBIN"))
_SUBFRAME = ("XORGSUBF", "YORGSUBF")
_BAYER_OFFSETS = ("XBAYROFF", "YBAYROFF")

BAYER = ("BAYERPAT", "COLORTYP")
READ_MODE = ("READOUTM", "READMODE", "READ-MODE")
N_COMBINED = ("NCOMBINE", "STACKCNT", "NCOMBINED", "NUMFRAME")
"""STACKCNT is Siril's and the Seestar's, NUMFRAME Astro Pixel Processor's."""

ROW_ORDER, ROWS_KEPT = "ROWORDER", "ROWSKEPT"
"""Where a file's first row lies, and our own word in what we build that it is that of the frames: what was
built before said TOP-DOWN of any."""

UNIT = "BUNIT"
METHOD, NOISE, SPREAD = "COMBMETH", "NOISEADU", "SPRDADU"
"""Our own keywords of a master: how it was combined, the random noise of a pixel, the pixels' spread."""

OVERSCAN = "OSCANADU"
"""Our own keyword of a master: the mean level of its frames' overscans."""

TEMP_RANGE, EXPOSURE_RANGE = ("TEMPMIN", "TEMPMAX"), ("EXPMIN", "EXPMAX")
"""Our own keywords of a dark model: what it was fitted to."""

_KINDS = (
    (re.compile(r"^(master|integrated|stacked)?(light|object|science|target|tricolor)"), FrameKind.LIGHT),
    (re.compile(r"defectmap|badpixelmap"), FrameKind.DEFECTS),
    (re.compile(r"darkmodel"), FrameKind.DARK_MODEL),
    (re.compile(r"dark.*flat|flat.*dark"), FrameKind.FLAT_DARK),
    (re.compile(r"flat"), FrameKind.FLAT),
    (re.compile(r"dark"), FrameKind.DARK),
    (re.compile(r"bias|zero|offset"), FrameKind.BIAS),
)
_UNITS = {
    "adu": re.compile(r"adus?|dn|counts?|"),
    "electron": re.compile(r"e-?|electrons?|photoelectrons?"),
}
_STEPS = {
    "B": ("ZEROCOR", "BIASCOR", "SUBBIAS", "L1STATBI"),
    "D": ("DARKCOR", "SUBDARK", "L1STATDA"),
    "F": ("FLATCOR", "L1STATFL"),
}
_ROW_ORDERS = {"TOPDOWN": "TOP-DOWN", "BOTTOMUP": "BOTTOM-UP"}
_DERIVED = {FrameKind.DEFECTS, FrameKind.DARK_MODEL}
_TWO = r"(\d{1,9})\s*[xX*,]\s*(\d{1,9})"
_ABSOLUTE_ZERO_C = -273.15
_SURELY_KELVIN = 150.0
_LARGEST, _LONGEST_S, _MOST = 1e12, 1e9, 10**9
"""No number of a frame is larger, no exposure longer, no count higher: such a card is damaged."""

_YEARS = range(1800, 2200)
"""Dates of other years are a clock's that was not set, or a damaged card's."""


def frame_meta(header: Mapping[str, CardValue], width: int, height: int, planes: int = 1) -> FrameMeta:
    """What the header says of a frame of the given stored size; what it does not say is ``None``.

    Size, origin and Bayer pattern are those of the picture within, where there is an overscan beside it.
    """
    x_binning, y_binning = _binning(header)
    picture = sections_of(header, height, width).picture
    pattern = bayer_pattern(header, height) if planes == 1 else RGB
    return FrameMeta(
        kind=frame_kind(kind_text(header)),
        width=picture.right - picture.left,
        height=picture.bottom - picture.top,
        camera=_text(header, "INSTRUME", "CAMERA") or "",
        exposure_s=_duration_s(reading(header, "exposure_s")),
        sensor_temp_c=temperature_c(reading(header, "sensor_temp_c")),
        set_temp_c=temperature_c(reading(header, "set_temp_c")),
        gain=reading(header, "gain"),
        offset=reading(header, "offset"),
        binning=(x_binning, y_binning),
        origin=_origin(header, picture.left, picture.top),
        filter=filter_name(header),
        bayer_pattern=None if pattern is None else shifted(pattern, picture.left, picture.top),
        read_mode=_text(header, *READ_MODE),
        object_name=_text(header, "OBJECT"),
        telescope=_text(header, "TELESCOP"),
        focal_length_mm=_not_negative(reading(header, "focal_length_mm")) or None,
        rotator_deg=reading(header, "rotator_deg"),
        date_obs=_date_obs(header),
        frame_id=_text(header, FRAME_ID),
        plan_id=_text(header, PLAN_ID),
        step_id=_text(header, STEP_ID),
        n_combined=max(1, _whole(header, *N_COMBINED) or 1),
        egain_e_per_adu=reading(header, "egain_e_per_adu"),
        method=_text(header, METHOD),
        noise_adu=_not_negative(_number(header, NOISE)),
        temp_range_c=_range(header, *TEMP_RANGE),
        exposure_range_s=_range(header, *EXPOSURE_RANGE),
        spread_adu=_not_negative(_number(header, SPREAD)),
        row_order=row_order(header),
        unit=_unit(header),
        calibrated=calibrated(header),
    )


def reading(header: Mapping[str, CardValue], field: str) -> float | None:
    """One of the :data:`READINGS`, in the field's unit; ``None`` if it is not there or cannot be read."""
    keywords, quantity, _ = READINGS[field]
    return _number(header, *keywords, quantity=quantity)


def unread(header: Mapping[str, CardValue]) -> list[str]:
    """What the header says and cannot be understood, and what is taken instead, in words."""
    told = []
    for field, (keywords, _, name) in READINGS.items():
        if reading(header, field) is None:
            told += [f"{card}: its {name} is unknown" for card in _illegible(header, keywords)]
    exposure_s = reading(header, "exposure_s")
    if exposure_s is not None and not 0 <= exposure_s <= _LONGEST_S:
        told.append(f"an exposure of {exposure_s:g} s: it is unknown")
    if not re.fullmatch(_TWO, _text(header, "BINNING") or ""):
        for keywords in _BINNINGS:
            if _number(header, *keywords) is None:
                told += [f"{card}: a binning of 1 is taken" for card in _illegible(header, keywords)]
    for keyword in (*_SUBFRAME, *_BAYER_OFFSETS):
        told += [
            f"{card}: where it lies on the sensor is unknown"
            for card in _illegible(header, (keyword,))
            if _number(header, keyword) is None
        ]
    return told


def _illegible(header: Mapping[str, CardValue], keywords: Sequence[str]) -> list[str]:
    """The first of these cards that is there, as it is told."""
    here = next((keyword for keyword in keywords if keyword in header), None)
    if here is None:
        return []
    value = header[here]
    empty = value is None or (isinstance(value, str) and not value.strip())
    return [f"{here} is empty" if empty else f"{here} {value!r} cannot be read"]


def kept_value(header: Mapping[str, CardValue], keyword: str) -> CardValue:
    """A card to be kept in another header: a number is written as one; ``None`` if it is not there."""
    value = header.get(keyword)
    if keyword not in _LENGTHS or not isinstance(value, str):
        return value
    return number(value, _LENGTHS[keyword])


def row_order(header: Mapping[str, CardValue]) -> str | None:
    """``TOP-DOWN`` or ``BOTTOM-UP``; ``None`` if the header does not say, or is not to be believed."""
    built = _text(header, "SWCREATE") == "firstlight" and (
        says_master(kind_text(header)) or frame_kind(kind_text(header)) in _DERIVED
    )
    if built and header.get(ROWS_KEPT) is not True:
        return None
    return _ROW_ORDERS.get(re.sub(r"[^A-Z]", "", (_text(header, ROW_ORDER) or "").upper()))


def calibrated(header: Mapping[str, CardValue]) -> str:
    """What the header says was done to the frame: letters of BDF, for bias, dark and flat; empty for nothing.

    MaxIm and its followers write CALSTAT, IRAF and ccdproc one keyword for each step, LCO's pipeline another.
    """
    status = (_text(header, "CALSTAT") or "").upper()
    done = {letter for letter in "BDF" if re.fullmatch(r"[A-Z]{1,6}", status) and letter in status}
    for letter, keywords in _STEPS.items():
        done |= {letter for keyword in keywords if _is_done(header.get(keyword))}
    return "".join(letter for letter in "BDF" if letter in done)


def _is_done(value: CardValue) -> bool:
    """Whether a step's card says that it was done: IRAF writes a sentence with its date, others T or 1."""
    if isinstance(value, str):
        text = value.strip().lower()
        return bool(text) and text not in {"f", "n", "no", "0", "false", "none", "omit", "perform"}
    return value is not None and value == 1


def _unit(header: Mapping[str, CardValue]) -> str | None:
    text = re.sub(r"\s", "", _text(header, UNIT) or "").lower()
    if not text:
        return None
    return next((name for name, spelling in _UNITS.items() if spelling.fullmatch(text)), text)


def frame_kind(text: str) -> FrameKind:
    """The kind that IMAGETYP or FRAME names, in any spelling; what is no calibration is a light."""
    return known_kind(text) or FrameKind.LIGHT


def known_kind(text: str) -> FrameKind | None:
    """The kind that a text names, or ``None`` where it names none that is known."""
    letters = re.sub(r"[^a-z]", "", text.lower())
    return next((kind for pattern, kind in _KINDS if pattern.search(letters)), None)


def says_master(text: str) -> bool:
    """Whether IMAGETYP speaks of a master ('Master Dark', 'masterDark', 'Integrated Flat')."""
    return re.search(r"master|integrated|stacked", text.lower()) is not None


def kind_text(header: Mapping[str, CardValue]) -> str:
    """What the header calls the kind, empty if it does not say."""
    return _text(header, *KIND) or ""


def temperature_c(value: float | None) -> float | None:
    """Degrees Celsius; beyond 150 it is kelvin, and absolute zero means that there is no sensor."""
    if value is None:
        return None
    celsius = value + _ABSOLUTE_ZERO_C if value > _SURELY_KELVIN else value
    return None if celsius < _ABSOLUTE_ZERO_C + 1 or celsius > _SURELY_KELVIN else round(celsius, 6)


def bayer_pattern(header: Mapping[str, CardValue], height: int) -> str | None:
    """The mosaic at row 0, column 0 as stored, see :func:`library.mosaics.pattern_of`."""
    x, y = (int(_number(header, keyword) or 0) for keyword in _BAYER_OFFSETS)
    bottom_up = row_order(header) == "BOTTOM-UP"
    return pattern_of(_text(header, *BAYER), height, x, y, bottom_up=bottom_up)


def row_order_cards(row_order: str | None, bayer_pattern: str | None, height: int) -> list[Card]:
    """How the rows of a picture lie, for what we build: as those of the frames it is made of.

    BAYERPAT is what any reader takes for the picture's top left; ours is that at the first stored pixel.
    """
    if bayer_pattern is not None and row_order == "BOTTOM-UP":
        bayer_pattern = flipped(bayer_pattern, height)
    return [
        ("BAYERPAT", bayer_pattern, "Bayer pattern at the top left"),
        (ROW_ORDER, row_order, "where the first stored row lies"),
        (ROWS_KEPT, True, "rows lie as those of the frames"),
    ]


def overscan_adu(header: Mapping[str, CardValue]) -> float | None:
    """The level of the overscans that a master was made of, as its header tells it."""
    return _number(header, OVERSCAN)


def parse_date(text: str) -> datetime | None:
    """An ISO 8601 date, with or without a zone (then UTC, as FITS has it), or the old DD/MM/YY."""
    text = text.strip()
    if old := re.fullmatch(r"(\d\d)/(\d\d)/(\d\d)(T.*)?", text):
        text = f"19{old[3]}-{old[2]}-{old[1]}{old[4] or ''}"
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    if date.year not in _YEARS:
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)


def night_of(moment: datetime) -> str:
    """The date of the evening: local time minus 12 hours, so that a night keeps one date."""
    return (moment.astimezone() - timedelta(hours=12)).date().isoformat()


def _date_obs(header: Mapping[str, CardValue]) -> datetime | None:
    date = _text(header, "DATE-OBS")
    if date is None:
        return None
    time = _text(header, "TIME-OBS", "UT")
    return parse_date(f"{date}T{time}" if time and "T" not in date else date)


def _origin(header: Mapping[str, CardValue], left: int, top: int) -> tuple[int, int] | None:
    """Where a picture begins that lies so far within the stored array."""
    x, y = (_whole(header, keyword) for keyword in _SUBFRAME)
    if x is None or y is None:
        return (left, top) if left or top else None
    return x + left, y + top


def _binning(header: Mapping[str, CardValue]) -> tuple[int, int]:
    both = _text(header, "BINNING") or ""
    if match := re.fullmatch(_TWO, both):
        return max(1, int(match[1])), max(1, int(match[2]))
    x = max(1, _whole(header, *_BINNINGS[0]) or 1)
    return x, max(1, _whole(header, *_BINNINGS[1]) or x)


def _text(header: Mapping[str, CardValue], *keywords: str) -> str | None:
    for keyword in keywords:
        value = header.get(keyword)
        if value is not None and not isinstance(value, bool) and (text := str(value).strip()):
            return text
    return None


def _number(header: Mapping[str, CardValue], *keywords: str, quantity: Quantity = COUNT) -> float | None:
    found = (number(header.get(keyword), quantity) for keyword in keywords)
    return next((value for value in found if value is not None and abs(value) <= _LARGEST), None)


def _whole(header: Mapping[str, CardValue], *keywords: str) -> int | None:
    """A count or a place in pixels; ``None`` for what is none, or too large to be one."""
    value = _number(header, *keywords)
    return None if value is None or abs(value) > _MOST else int(value)


def _duration_s(value: float | None) -> float | None:
    return None if value is None or not 0 <= value <= _LONGEST_S else value


def _range(header: Mapping[str, CardValue], low: str, high: str) -> tuple[float, float] | None:
    first, last = _number(header, low), _number(header, high)
    return None if first is None or last is None or first > last else (first, last)


def _not_negative(value: float | None) -> float | None:
    return None if value is None or value < 0 else value
