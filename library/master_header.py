"""A master's header: what makes it match again, what it is worth, and what it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import fmean

from library.cards import Card
from library.combine import Master
from library.frames import FrameKind, FrameRecord
from library.headers import SOFTWARE
from library.keywords import FRAME_ID, NOISE, OVERSCAN, SPREAD, row_order_cards

IMAGE_TYPES = {
    FrameKind.BIAS: "Master Bias",
    FrameKind.DARK: "Master Dark",
    FrameKind.FLAT_DARK: "Master Dark Flat",
    FrameKind.FLAT: "Master Flat",
}


def master_cards(
    records: Sequence[FrameRecord], master: Master, master_id: str, pedestal: FrameRecord | None
) -> list[Card]:
    """Cards of a master of these frames, of which it uses some; nothing in them depends on the clock."""
    used = [record for record in records if record.path in set(master.used)]
    metas = [record.meta for record in used]
    first = metas[0]
    is_flat = first.kind is FrameKind.FLAT
    unit = "[1]" if is_flat else "[adu]"
    dates: list[datetime] = sorted(meta.date_obs for meta in metas if meta.date_obs)
    oldest, newest = (_date(dates[0]), _date(dates[-1])) if dates else (None, None)
    of_flat: list[Card] = [
        ("FILTER", first.filter, "filter"),
        ("TELESCOP", first.telescope, "telescope"),
        ("FOCALLEN", first.focal_length_mm, "[mm] focal length"),
        ("ROTATANG", _mean([meta.rotator_deg for meta in metas]), "[deg] rotator angle"),
    ]
    known: list[Card] = [
        ("IMAGETYP", IMAGE_TYPES[first.kind], "kind of frame"),
        ("BUNIT", None if is_flat else first.unit or "adu", "unit of the pixels"),
        ("CALSTAT", first.calibrated or None, "what was done to the frames before"),
        ("NCOMBINE", master.n_frames, "frames combined"),
        ("NLEFTOUT", len(master.left_out), "frames left out, see HISTORY"),
        *master.method.cards(),
        ("REJFRAC", master.rejected_fraction, "fraction of samples rejected"),
        (NOISE, master.noise_adu, f"{unit} random noise in one pixel, 1 sigma"),
        ("UNCERT", master.uncertainty_adu, f"{unit} 1 sigma of a pixel, with the common level"),
        (SPREAD, master.spread_adu, f"{unit} spread of the pixels, 1.4826 MAD"),
        (OVERSCAN, None if is_flat else _mean([master.overscan_adu]), "[adu] mean level of the overscans"),
        ("EXPTIME", _mean([meta.exposure_s for meta in metas]), "[s] exposure of one frame"),
        ("INSTRUME", first.camera or None, "camera"),
        ("GAIN", first.gain, "camera gain setting"),
        ("OFFSET", first.offset, "camera offset setting"),
        ("EGAIN", first.egain_e_per_adu, "[electron/adu]"),
        ("READOUTM", first.read_mode, "read mode"),
        ("SET-TEMP", first.set_temp_c, "[degC] sensor set point"),
        ("CCD-TEMP", _mean([meta.sensor_temp_c for meta in metas]), "[degC] mean sensor temperature"),
        ("XBINNING", first.binning[0], "binning in width"),
        ("YBINNING", first.binning[1], "binning in height"),
        ("XORGSUBF", first.origin[0] if first.origin else None, "first column, in binned pixels"),
        ("YORGSUBF", first.origin[1] if first.origin else None, "first row, in binned pixels"),
        *(of_flat if is_flat else []),
        *row_order_cards(first.row_order, first.bayer_pattern, first.height),
        ("DATE-OBS", newest, "UTC of the newest frame"),
        ("DATE-BEG", oldest, "UTC of the oldest frame"),
        ("DATE-END", newest, "UTC of the newest frame"),
        (FRAME_ID, master_id, "identity of this master"),
        ("SWCREATE", SOFTWARE, "software that made this master"),
        ("HISTORY", f" combined by {master.method}", ""),
    ]
    if pedestal is not None:
        known += _history(f" less {pedestal.path.name}")
    for record in used:
        known += _history(f" of {record.path.name} sha256 {record.sha256[:16]}")
    for left in master.left_out:
        known += _history(f" left out {left.path.name}: {left.reason}")
    return [card for card in known if card[1] is not None]


def _history(text: str) -> list[Card]:
    """HISTORY cards, of 72 characters each; lines after the first are indented."""
    lines, rest = [text[:72]], text[72:]
    while rest:
        lines.append(f"   {rest[:69]}")
        rest = rest[69:]
    return [("HISTORY", line, "") for line in lines]


def _date(date: datetime) -> str:
    return date.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(fmean(known), 4) if known else None
