"""Masters out of the library's own frames: grouped by what must be equal, and built once."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from statistics import fmean

from library.cards import Card
from library.combine import Master, Plane, combine
from library.errors import DiskFullError, LibraryError
from library.fitness import temperature_c
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.headers import SOFTWARE
from library.keywords import FRAME_ID
from library.matching import match
from library.naming import master_path
from library.reading import read_frame
from library.store import Library
from library.writing import encode_image

RECIPE = "mean clipped at 4 sigma (MAD)"
"""What is done to the frames; a master made another way is built anew."""

_IMAGE_TYPES = {
    FrameKind.BIAS: "Master Bias",
    FrameKind.DARK: "Master Dark",
    FrameKind.FLAT_DARK: "Master Dark Flat",
    FrameKind.FLAT: "Master Flat",
}
_SETTLED_C = 1.0
_Key = tuple[object, ...]


def build_masters(
    library: Library,
    *,
    plan_id: str | None = None,
    on_refused: Callable[[str], None] = lambda _reason: None,
) -> list[FrameRecord]:
    """Build every master that is missing or has other frames now, and return those that were built.

    Of one plan's frames, or of all. Biases and darks come first, so that flats find theirs. What cannot be
    built is told to ``on_refused``, with its reason. The same frames give the same bytes, and a second
    call builds nothing. Raises :class:`DiskFullError`.
    """
    built = []
    for kind in _IMAGE_TYPES:
        groups: dict[_Key, list[FrameRecord]] = defaultdict(list)
        for record in library.find(kind=kind, plan_id=plan_id, master=False):
            groups[_group_key(record.meta)].append(record)
        for key in sorted(groups, key=repr):
            try:
                master = _build(library, sorted(groups[key], key=lambda record: record.path.name))
            except DiskFullError:
                raise
            except LibraryError as error:
                on_refused(str(error))
                continue
            if master is not None:
                built.append(master)
    return built


def nominal_temp_c(meta: FrameMeta) -> int | None:
    """The whole degree that a frame counts as: its set point if the sensor was there, else the sensor's."""
    temp_c = temperature_c(meta)
    if temp_c is None:
        return None
    at_set_point = meta.set_temp_c is not None and abs(meta.set_temp_c - temp_c) <= _SETTLED_C
    return round(meta.set_temp_c if at_set_point and meta.set_temp_c is not None else temp_c)


def _group_key(meta: FrameMeta) -> _Key:
    key: _Key = (
        meta.kind.value,
        meta.camera,
        meta.width,
        meta.height,
        meta.binning,
        meta.gain,
        meta.offset,
        meta.read_mode,
        meta.bayer_pattern,
    )
    if meta.kind is FrameKind.FLAT:
        return (*key, meta.filter)
    exposure_s = None if meta.kind is FrameKind.BIAS or meta.exposure_s is None else round(meta.exposure_s, 3)
    return (*key, exposure_s, nominal_temp_c(meta))


def _build(library: Library, group: list[FrameRecord]) -> FrameRecord | None:
    """Build the group's master unless it is there already."""
    first = group[0].meta
    pedestal = _pedestal(library, group) if first.kind is FrameKind.FLAT else None
    master_id = _identity(group, pedestal)
    if library.get(master_id):
        return None
    pixels = None if pedestal is None else _plane(pedestal)
    master = combine(
        [record.path for record in group], first.kind, dark=pixels, bayer_pattern=first.bayer_pattern
    )
    path = master_path(first, nominal_temp_c(first))
    taken = next((r for r in library.find(master=True) if r.path == library.folder / path), None)
    if taken and _group_key(taken.meta)[:9] != _group_key(first)[:9]:
        mark = hashlib.sha256(repr(_group_key(first)).encode()).hexdigest()[:6]
        path = path.with_name(f"{path.stem}_{mark}.fits")
    cards = _cards(group, master, master_id, pedestal)
    return library.put_master(path, encode_image(master.pixels, cards))


def _pedestal(library: Library, flats: list[FrameRecord]) -> FrameRecord | None:
    """The flat-dark that fits every flat of the group, or else the bias."""
    calibrations = [match(library, flat.meta) for flat in flats]
    flat_darks = {c.flat_dark.fitting for c in calibrations}
    if len(flat_darks) == 1 and (flat_dark := flat_darks.pop()):
        return flat_dark
    return next((c.bias.fitting for c in calibrations if c.bias.fitting), None)


def _plane(record: FrameRecord) -> Plane:
    return read_frame(record.path).pixels.astype("f4", copy=False)


def _identity(group: list[FrameRecord], pedestal: FrameRecord | None) -> str:
    """A name for exactly these frames, combined in exactly this way."""
    parts = [RECIPE, group[0].meta.kind.value, pedestal.sha256 if pedestal else ""]
    parts += sorted(record.sha256 for record in group)
    return f"master-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:24]}"


def _cards(
    group: list[FrameRecord], master: Master, master_id: str, pedestal: FrameRecord | None
) -> list[Card]:
    """A header that makes the master match again, and tells what it is made of."""
    metas = [record.meta for record in group]
    first = metas[0]
    dates: list[datetime] = [meta.date_obs for meta in metas if meta.date_obs]
    newest = max(dates).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] if dates else None
    known: list[Card] = [
        ("IMAGETYP", _IMAGE_TYPES[first.kind], "kind of frame"),
        ("NCOMBINE", master.n_frames, "frames combined"),
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
        ("FILTER", first.filter if first.kind is FrameKind.FLAT else None, "filter"),
        ("BAYERPAT", first.bayer_pattern, "Bayer pattern at the first stored pixel"),
        ("ROWORDER", "TOP-DOWN", "first stored row is the top"),
        ("DATE-OBS", newest, "UTC of the newest frame"),
        ("CLIPFRAC", master.clipped_fraction, "fraction of samples clipped"),
        (FRAME_ID, master_id, "identity of this master"),
        ("SWCREATE", SOFTWARE, "software that made this master"),
        ("HISTORY", f" {RECIPE}", ""),
    ]
    if pedestal is not None:
        known.append(("HISTORY", f" less {pedestal.path.name}", ""))
    known += [("HISTORY", f" of {name}", "") for name in sorted(r.path.name for r in group)]
    return [card for card in known if card[1] is not None]


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(fmean(known), 4) if known else None
