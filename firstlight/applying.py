"""From what was chosen to what is applied: masters read once for many lights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from firstlight.choices import Used, history
from library.cards import Card
from library.cutting import Extent
from library.defects import read_defects, to_mend
from library.reading import Frame, read_frame, read_meta, read_overscan_adu
from livestack.dark_scaling import Scaling
from livestack.engine import Sub
from livestack.masters import Masters, prepare
from livestack.placing import Placed


def load(used: tuple[Used, ...], light: Extent) -> Masters:
    """Read the masters of a light, or the pieces of larger ones that lie on it.

    Raises :class:`LibraryError` for a file that cannot be read.
    """
    paths = {each.kind: each.path for each in used}
    scaled_above = next((each.scaled_above for each in used if each.kind == "dark"), None)
    bias = scaled_above or paths.get("bias")
    dark_plane = _plane(paths.get("dark"), light)
    defects = None if "defects" not in paths else defects_of(Path(paths["defects"]), light)
    return prepare(
        dark=dark_plane,
        bias=_plane(bias, light),
        flat=_plane(paths.get("flat"), light),
        defects=None if defects is None else to_mend(defects, dark=dark_plane is not None),
        bayer_pattern=light.bayer_pattern,
        optimise_dark=scaled_above is not None,
        dark_overscan_adu=_overscan_adu(paths.get("dark")),
        bias_overscan_adu=_overscan_adu(bias),
    )


def sub_of(frame_id: str, frame: Frame, masters: Masters) -> Sub:
    """A light that was read, with what calibrates it."""
    return Sub(
        frame_id=frame_id,
        pixels=frame.pixels,
        meta=frame.meta,
        masters=masters,
        overscan_adu=frame.overscan_adu,
    )


def defects_of(path: Path, light: Extent) -> NDArray[np.uint8]:
    """A defect map's bits on a light. Raises :class:`LibraryError`."""
    return light.piece(read_defects(path), Extent.of(read_meta(path)))


_planes: WeakValueDictionary[tuple[str, int, Extent], NDArray[np.float32]] = WeakValueDictionary()
"""Planes in use, by file, when it was written, and what they are for: the filters of a night share a dark."""


def _overscan_adu(path: str | None) -> float | None:
    return None if path is None else read_overscan_adu(path, in_adu=True)


def _plane(path: str | None, light: Extent) -> NDArray[np.float32] | None:
    if path is None:
        return None
    try:
        key = path, Path(path).stat().st_mtime_ns, light
    except OSError:
        key = path, 0, light  # reading it will say what is wrong
    plane = _planes.get(key)
    if plane is None:
        frame = read_frame(path, in_adu=True)
        piece = light.piece(frame.pixels, Extent.of(frame.meta))
        plane = _planes[key] = np.ascontiguousarray(piece, dtype=np.float32)
    return plane


def scaling_cards(scalings: Sequence[Scaling]) -> Iterator[Card]:
    """What a stack's header says of the factors of its subs' darks."""
    if not scalings:
        return
    told = [each for each in scalings if each.from_light]
    yield "DARKK", round(median(each.factor for each in scalings), 4), "median factor of the scaled dark"
    if told:
        yield "DARKKERR", round(median(each.error for each in told), 4), "its error in one sub, 1 sigma"
        low, high = min(each.factor for each in told), max(each.factor for each in told)
        yield from history(f"dark scaled to {len(told)} of {len(scalings)} subs: x{low:.3f} to x{high:.3f}")
    for reason, number in _counted(each.reason for each in scalings if not each.from_light):
        yield from history(f"dark not scaled to {number} of {len(scalings)} subs: {reason}")


def shift_cards(places: Iterable[Placed | None]) -> Iterator[Card]:
    """What a stack's header says of how far the bias level of its subs had moved, by their overscans."""
    all_of_them = [0.0 if each is None else each.shift_adu for each in places]
    shifts = [shift for shift in all_of_them if shift]
    if shifts:
        yield "BIASSHFT", round(median(shifts), 3), "[adu] median shift of the subs' bias level"
        yield from history(
            f"bias level of {len(shifts)} of {len(all_of_them)} subs moved by {min(shifts):+.1f} to "
            f"{max(shifts):+.1f} ADU since the master's, by their overscans"
        )


def _counted(reasons: Iterator[str]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for reason in reasons:
        counts[reason] = counts.get(reason, 0) + 1
    return sorted(counts.items(), key=lambda each: -each[1])
