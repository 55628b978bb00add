"""From the field's many spellings to one :class:`FrameMeta`: read tolerantly, never guess."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from library.cards import CardValue
from library.frames import FrameKind, FrameMeta
from library.mosaics import RGB, pattern_of, shifted
from library.sections import sections_of

FRAME_ID, PLAN_ID, STEP_ID = "FRAMEID", "PLANID", "STEPID"
"""Our own keywords: what the frame is, which plan asked for it, and as which of its steps."""

KIND = ("IMAGETYP", "FRAME", "OBSTYPE", "CALFRAME")
"""CALFRAME is Astro Pixel Processor's."""

EXPOSURE = ("EXPTIME", "EXPOSURE", "EXP_TIME", "EXP")
SENSOR_TEMP = ("CCD-TEMP", "CCDTEMP", "CCD_TEMP", "TEMPERAT", "CAMTEMP", "DET-TEMP")
SET_TEMP = ("SET-TEMP", "SETTEMP", "CCD-SETT")
GAIN = ("GAIN", "ISOSPEED", "ISO")
"""SBFITSEXT has no gain; a DSLR's ISO is the same dial."""

OFFSET = ("OFFSET", "BLKLEVEL", "BLACKLEV")
BAYER = ("BAYERPAT", "COLORTYP")
READ_MODE = ("READOUTM", "READMODE", "READ-MODE")
N_COMBINED = ("NCOMBINE", "STACKCNT", "NCOMBINED", "NUMFRAME")
"""STACKCNT is Siril's and the Seestar's, NUMFRAME Astro Pixel Processor's."""

EGAIN = ("EGAIN", "E-GAIN")
ROTATOR = ("ROTATANG", "ROTATOR", "ROTPOS", "POSANGLE")
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
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?")
_ABSOLUTE_ZERO_C = -273.15
_SURELY_KELVIN = 150.0


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
        exposure_s=_not_negative(_number(header, *EXPOSURE)),
        sensor_temp_c=temperature_c(_number(header, *SENSOR_TEMP)),
        set_temp_c=temperature_c(_number(header, *SET_TEMP)),
        gain=_number(header, *GAIN),
        offset=_number(header, *OFFSET),
        binning=(x_binning, y_binning),
        origin=_origin(header, picture.left, picture.top),
        filter=_text(header, "FILTER", "FILT"),
        bayer_pattern=None if pattern is None else shifted(pattern, picture.left, picture.top),
        read_mode=_text(header, *READ_MODE),
        object_name=_text(header, "OBJECT"),
        telescope=_text(header, "TELESCOP"),
        focal_length_mm=_not_negative(_number(header, "FOCALLEN")) or None,
        rotator_deg=_number(header, *ROTATOR),
        date_obs=_date_obs(header),
        frame_id=_text(header, FRAME_ID),
        plan_id=_text(header, PLAN_ID),
        step_id=_text(header, STEP_ID),
        n_combined=max(1, int(_number(header, *N_COMBINED) or 1)),
        egain_e_per_adu=_number(header, *EGAIN),
        method=_text(header, METHOD),
        noise_adu=_not_negative(_number(header, NOISE)),
        temp_range_c=_range(header, *TEMP_RANGE),
        exposure_range_s=_range(header, *EXPOSURE_RANGE),
        spread_adu=_not_negative(_number(header, SPREAD)),
    )


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
    x, y = (int(_number(header, keyword) or 0) for keyword in ("XBAYROFF", "YBAYROFF"))
    return pattern_of(header, _text(header, *BAYER), height, x, y)


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
    try:
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except OverflowError:
        return None


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
    x, y = _number(header, "XORGSUBF"), _number(header, "YORGSUBF")
    if x is None or y is None:
        return (left, top) if left or top else None
    return int(x) + left, int(y) + top


def _binning(header: Mapping[str, CardValue]) -> tuple[int, int]:
    both = _text(header, "BINNING") or ""
    if match := re.fullmatch(r"(\d+)\s*[xX*,]\s*(\d+)", both):
        return int(match[1]), int(match[2])
    x = int(_number(header, "XBINNING", "CCDXBIN", "BINNING") or 1)
    return max(1, x), max(1, int(_number(header, "YBINNING", "CCDYBIN") or x))


def _text(header: Mapping[str, CardValue], *keywords: str) -> str | None:
    for keyword in keywords:
        value = header.get(keyword)
        if value is not None and not isinstance(value, bool) and (text := str(value).strip()):
            return text
    return None


def _number(header: Mapping[str, CardValue], *keywords: str) -> float | None:
    for keyword in keywords:
        value = header.get(keyword)
        if isinstance(value, str):
            match = _NUMBER.match(value.strip())
            value = float(match[0].upper().replace("D", "E")) if match else None
        if isinstance(value, int | float) and not isinstance(value, bool) and value - value == 0:
            return float(value)
    return None


def _range(header: Mapping[str, CardValue], low: str, high: str) -> tuple[float, float] | None:
    first, last = _number(header, low), _number(header, high)
    return None if first is None or last is None or first > last else (first, last)


def _not_negative(value: float | None) -> float | None:
    return None if value is None or value < 0 else value
