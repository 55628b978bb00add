"""From what was chosen to what is applied: masters read once for many lights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from firstlight.choices import Used, history
from library.cards import Card
from library.defects import read_defects, to_mend
from library.reading import read_frame
from livestack.dark_scaling import Scaling
from livestack.masters import Masters, prepare


def load(used: tuple[Used, ...], bayer_pattern: str | None) -> Masters:
    """Read the masters. Raises :class:`LibraryError` for a file that cannot be read."""
    paths = {each.kind: each.path for each in used}
    scaled_above = next((each.scaled_above for each in used if each.kind == "dark"), None)
    dark, flat = _plane(paths.get("dark")), _plane(paths.get("flat"))
    defects = paths.get("defects")
    return prepare(
        dark=dark,
        bias=_plane(scaled_above or paths.get("bias")),
        flat=flat,
        defects=None if defects is None else to_mend(read_defects(Path(defects)), dark=dark is not None),
        bayer_pattern=bayer_pattern,
        optimise_dark=scaled_above is not None,
    )


_planes: WeakValueDictionary[tuple[str, int], NDArray[np.float32]] = WeakValueDictionary()
"""Planes in use, by file and when it was written: the filters of a night share one dark."""


def _plane(path: str | None) -> NDArray[np.float32] | None:
    if path is None:
        return None
    try:
        key = path, Path(path).stat().st_mtime_ns
    except OSError:
        key = path, 0  # reading it will say what is wrong
    plane = _planes.get(key)
    if plane is None:
        plane = _planes[key] = np.ascontiguousarray(read_frame(path).pixels, dtype=np.float32)
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


def _counted(reasons: Iterator[str]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for reason in reasons:
        counts[reason] = counts.get(reason, 0) + 1
    return sorted(counts.items(), key=lambda each: -each[1])
