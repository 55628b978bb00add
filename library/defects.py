"""Defect maps: which pixels of a camera not to trust, from its own darks, biases and flats.

A map is made for each camera, geometry, binning, gain, offset, read mode and temperature that has darks. Its
pixels are sums of the bits of :class:`Defect`. Definitions and figures: docs/library/defects.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import astuple, fields, replace
from pathlib import Path, PurePosixPath
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from library.cards import Card
from library.config import config_error, config_section
from library.defect_frames import Sources, Survey, survey, with_flats
from library.defect_tests import Defect, Flags, Limits
from library.errors import DiskFullError, LibraryError
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.headers import SOFTWARE
from library.keywords import FRAME_ID, row_order_cards
from library.master_groups import groups_of, unusual
from library.naming import master_path
from library.places import free_path, identity, rows_in_identity
from library.reading import read_frame
from library.store import Library
from library.writing import encode_image

__all__ = ["Defect", "Limits", "build_defect_maps", "read_defects", "sources_of", "to_mend"]

RECIPE = "defects 1"
"""What is done to the frames; a map made another way is built anew."""

_OURS = "defects-"
_CARDS = {
    Defect.HOT: "NHOT",
    Defect.COLD: "NCOLD",
    Defect.WARM: "NWARM",
    Defect.UNSTABLE: "NUNSTAB",
    Defect.TELEGRAPH: "NTELEGR",
    Defect.COLUMN: "NCOLUMN",
    Defect.ROW: "NROW",
}


def build_defect_maps(
    library: Library,
    *,
    limits: Limits | None = None,
    on_refused: Callable[[str], None] = lambda _reason: None,
) -> list[FrameRecord]:
    """Build every defect map that is missing or has other frames now, and return those that were built.

    ``limits`` None are those of ``[defects]`` in the library's configuration. What cannot be built is told to
    ``on_refused``, with its reason. The same frames give the same bytes, and a second call builds nothing.
    Raises :class:`DiskFullError`, and :class:`LibraryError` for a faulty configuration.
    """
    limits = limits or _configured(library)
    built = []
    for temp_c, sources in sources_of(library.find(master=False)):
        try:
            record = _build(library, sources, temp_c, limits)
        except DiskFullError:
            raise
        except LibraryError as error:
            on_refused(f"{_path(sources.darks[0].meta, temp_c).stem}: {error}")
            continue
        if record is not None:
            built.append(record)
    return built


def read_defects(path: Path) -> Flags:
    """A map's bits (H, W). Raises :class:`NotAFitsFileError`, :class:`LibraryError` for any other image."""
    frame = read_frame(path)
    if frame.meta.kind is not FrameKind.DEFECTS or frame.pixels.dtype != np.uint8:
        raise LibraryError(f"{path}: is a {frame.meta.kind} of {frame.pixels.dtype}, not a defect map")
    return frame.pixels


def to_mend(flags: Flags, *, dark: bool) -> NDArray[np.bool_]:
    """Pixels better drawn from their neighbours than kept, with or without a dark applied.

    A dark takes a warm pixel's excess away. Telegraph pixels that are not unstable besides are kept: what
    masking loses in a sharp star's core is more than their noise (Layden et al. 2026, arXiv:2605.19022).
    """
    bits = Defect.HOT | Defect.COLD | Defect.UNSTABLE | Defect.COLUMN | Defect.ROW
    if not dark:
        bits |= Defect.WARM
    return np.asarray((flags & np.uint8(bits)) != 0)


def sources_of(records: Iterable[FrameRecord]) -> list[tuple[int | None, Sources]]:
    """What each map is made from, with its temperature in whole degrees; in a fixed order."""
    by_kind: dict[FrameKind, list[FrameRecord]] = defaultdict(list)
    for record in sorted(records, key=lambda r: (r.path.name, r.sha256)):
        by_kind[record.meta.kind].append(record)
    darks: dict[tuple[object, ...], list[FrameRecord]] = defaultdict(list)
    for group in groups_of(r for r in by_kind[FrameKind.DARK] if r.meta.exposure_s):
        darks[*settings_of(group.meta), group.temp_c].extend(group.records)
    found = []
    for key in sorted(darks, key=repr):
        *settings, temp_c = key
        same = {
            kind: [r for r in by_kind[kind] if settings_of(r.meta) == tuple(settings)]
            for kind in (FrameKind.BIAS, FrameKind.FLAT)
        }
        biases = sorted(
            same[FrameKind.BIAS], key=lambda r: abs((r.meta.sensor_temp_c or 0) - _number(temp_c))
        )
        sources = Sources(darks=tuple(darks[key]), biases=tuple(biases))
        found.append((temp_c if isinstance(temp_c, int) else None, with_flats(sources, same[FrameKind.FLAT])))
    return found


def _build(library: Library, sources: Sources, temp_c: int | None, limits: Limits) -> FrameRecord | None:
    parts = [RECIPE, repr(astuple(limits)), *sorted(record.sha256 for record in sources.records)]
    parts += rows_in_identity(sources.darks[0].meta)
    map_id = f"{_OURS}{identity(parts)}"
    if library.get(map_id):
        return None
    found = survey(sources, limits)
    path = _free_path(library, sources.darks[0].meta, temp_c)
    return library.put_master(
        path, encode_image(found.flags, _cards(sources, found, limits, map_id), exact=True)
    )


def _path(meta: FrameMeta, temp_c: int | None) -> PurePosixPath:
    return master_path(replace(meta, kind=FrameKind.DEFECTS), temp_c)


def _free_path(library: Library, meta: FrameMeta, temp_c: int | None) -> PurePosixPath:
    """The map's name; one that a map of other settings has gets a mark."""
    path = _path(meta, temp_c)
    settings = settings_of(meta)
    return free_path(library, path, settings, lambda taken: settings_of(taken.meta) == settings)


def _cards(sources: Sources, found: Survey, limits: Limits, map_id: str) -> list[Card]:
    """What the map is for, where its limits lie, what was found, and what could not be told."""
    first = sources.darks[0].meta
    temps = [r.meta.sensor_temp_c for r in sources.darks if r.meta.sensor_temp_c is not None]
    dates = [r.meta.date_obs for r in sources.darks if r.meta.date_obs]
    counts: list[Card] = [
        (
            keyword,
            int(np.count_nonzero(found.flags & np.uint8(bit))),
            f"pixels with bit {bit.value}: {_name(bit)}",
        )
        for bit, keyword in _CARDS.items()
    ]
    known: list[Card] = [
        ("IMAGETYP", "Defect Map", "kind of frame"),
        ("NCOMBINE", len(sources.records), "frames that were looked at"),
        ("NDARKS", len(sources.darks), "darks among them"),
        ("NBIAS", len(sources.biases), "biases among them"),
        ("NFLATS", len(sources.flats), "flats among them"),
        ("NEQUAL", len(sources.repeated), "equal frames that tell unsteady pixels"),
        ("EXPTIME", sources.longest_s, "[s] longest dark"),
        ("INSTRUME", first.camera or None, "camera"),
        ("GAIN", first.gain, "camera gain setting"),
        ("OFFSET", first.offset, "camera offset setting"),
        ("EGAIN", first.egain_e_per_adu, "[electron/adu]"),
        ("READOUTM", first.read_mode, "read mode"),
        ("SET-TEMP", first.set_temp_c, "[degC] sensor set point"),
        ("CCD-TEMP", round(fmean(temps), 4) if temps else None, "[degC] mean sensor temperature"),
        ("XBINNING", first.binning[0], "binning in width"),
        ("YBINNING", first.binning[1], "binning in height"),
        ("XORGSUBF", first.origin[0] if first.origin else None, "first column, in binned pixels"),
        ("YORGSUBF", first.origin[1] if first.origin else None, "first row, in binned pixels"),
        *row_order_cards(first.row_order, first.bayer_pattern, first.height),
        (
            "DATE-OBS",
            max(dates).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] if dates else None,
            "UTC of newest dark",
        ),
        *counts,
        ("FRMNOISE", round(found.noise_adu, 4), "[adu] noise of one frame"),
        ("ADUPERE", round(found.adu_per_e, 6), f"adu an electron makes, from: {found.gain_from}"),
        ("RATESIG", round(found.rate_sigma_adu_s, 7), "[adu/s] sigma of the ordinary dark rate"),
        ("WARMRATE", round(found.warm_adu_s, 6), "[adu/s] warm from this excess on"),
        ("HOTRATE", round(found.hot_adu_s, 6), "[adu/s] hot from this excess on"),
        ("LIMWARM", limits.warm_sigma, "[sigma] warm (cold: below)"),
        ("LIMHOT", limits.hot_noise, "[read noises] hot, shot noise of the excess"),
        ("LIMCOLD", limits.cold_response, "cold below this share of response"),
        ("LIMLINE", limits.line_sigma, "[sigma] bad column or row"),
        ("LIMLINER", limits.line_response, "bad column or row, share of response"),
        ("LIMFALSE", limits.false_alarms, "unstable, odds of a steady pixel"),
        ("LIMUNST", limits.unstable_noise, "unstable, times the expected noise"),
        ("LIMTELE", limits.telegraph_evidence, "telegraph, log likelihood ratio"),
        (FRAME_ID, map_id, "identity of this map"),
        ("SWCREATE", SOFTWARE, "software that made this map"),
        *(("HISTORY", f" {note}"[:72], "") for note in found.notes),
        *(("HISTORY", f" of {name}"[:72], "") for name in sorted(r.path.name for r in sources.records)),
    ]
    return [card for card in known if card[1] is not None]


def _configured(library: Library) -> Limits:
    root = library.folder.parent
    given = config_section(root, "defects")
    names = {field.name for field in fields(Limits)}
    for name, value in given.items():
        if name not in names:
            raise config_error(root, f"defects.{name}", f"is unknown; there are {', '.join(sorted(names))}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise config_error(root, f"defects.{name}", f"is {value!r}, not a number above 0")
    return replace(Limits(), **{name: float(str(value)) for name, value in given.items()})


def settings_of(meta: FrameMeta) -> tuple[object, ...]:
    """What must be equal for a map to hold."""
    return (
        *(meta.camera, meta.width, meta.height, meta.origin, meta.binning),
        *(meta.gain, meta.offset, meta.read_mode, meta.bayer_pattern),
        *unusual(meta),
    )


def _name(bit: Defect) -> str:
    return (bit.name or "").lower()


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
