"""Where a frame and a master lie in the library; whatever a device says becomes a safe name first."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import datetime
from pathlib import PurePath, PurePosixPath
from typing import TYPE_CHECKING

from library.frames import FrameKind, FrameMeta
from library.keywords import night_of

if TYPE_CHECKING:
    from library.templates import Template

_LONGEST = 48


def safe_name(text: str, *, fallback: str = "unnamed") -> str:
    """Letters, digits, ``+``, ``-`` and inner dots; anything else becomes one underscore."""
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    plain = re.sub(r"[^A-Za-z0-9.+-]+", "_", plain)[:_LONGEST].strip("._")
    return plain or fallback


def frame_path(
    meta: FrameMeta, frame_id: str, now: datetime, template: Template | None = None, number: int = 1
) -> PurePosixPath:
    """Where a frame lies: below ``frames/``, as the library's template says.

    Without one it is ``<night>/<object or kind>/<kind>_<filter>_<exposure>_<step>_<frame id>.fits``.
    ``number`` counts the frames that would have one name; a template's sequence token takes it up.
    """
    if template is not None:
        path = PurePosixPath("frames", *template.expand(meta, now, number))
        return path.with_name(f"{numbered(path.name, 1 if template.has_sequence else number)}.fits")
    night = night_of(meta.date_obs or now)
    is_light = meta.kind is FrameKind.LIGHT
    folder = safe_name(meta.object_name, fallback="light") if is_light and meta.object_name else meta.kind
    filter_name = meta.filter if meta.kind in {FrameKind.LIGHT, FrameKind.FLAT} else None
    exposure = None if meta.exposure_s is None else f"{meta.exposure_s:g}s"
    parts = [meta.kind, filter_name, exposure, meta.step_id, frame_id]
    name = "_".join(safe_name(part) for part in parts if part)
    return PurePosixPath("frames", night, folder, f"{numbered(name, number)}.fits")


def told_name(path: PurePath) -> str:
    """A frame's file name as a person is told it: without the 32 digits of its id."""
    return re.sub(r"_[0-9a-f]{32}(?=[._]|$)", "", path.name)


def numbered(name: str, number: int) -> str:
    """The name itself, then with _2, _3 … after it."""
    return name if number == 1 else f"{name}_{number}"


def first_free(is_taken: Callable[[int], bool]) -> int:
    """A number from 1 that is free while the one before it is taken; asks about log₂ of how many are."""
    above = 1
    while is_taken(above):
        above *= 2
    taken = above // 2
    while above - taken > 1:
        middle = (above + taken) // 2
        taken, above = (middle, above) if is_taken(middle) else (taken, middle)
    return above


def master_path(meta: FrameMeta, temp_c: int | None) -> PurePosixPath:
    """``masters/<camera>/DARK_120s_G120_O30_T-10C_bin1.fits``, for tools that read a path.

    What is not known is left out. Flats have their filter where darks have their exposure.
    """
    parts = [meta.kind.replace("_", "").upper()]
    if meta.kind in {FrameKind.DARK, FrameKind.FLAT_DARK} and meta.exposure_s is not None:
        parts.append(f"{meta.exposure_s:g}s")
    if meta.kind is FrameKind.FLAT:
        parts.append(safe_name(meta.filter or "nofilter"))
    if meta.gain is not None:
        parts.append(f"G{meta.gain:g}")
    if meta.offset is not None:
        parts.append(f"O{meta.offset:g}")
    if meta.kind is not FrameKind.FLAT and temp_c is not None:
        parts.append(f"T{temp_c}C")
    x, y = meta.binning
    parts.append(f"bin{x}" if x == y else f"bin{x}x{y}")
    return PurePosixPath("masters", safe_name(meta.camera, fallback="camera"), f"{'_'.join(parts)}.fits")
