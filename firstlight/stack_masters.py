"""Calibration files given on the command line become masters, and are told where they do not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firstlight.applying import defects_of
from firstlight.choices import UNFIT, Choices
from firstlight.errors import FirstlightError
from firstlight.events import MasterChoice
from library.combine import combine
from library.coverage import Coverage, Match
from library.cutting import Extent
from library.defects import to_mend
from library.errors import LibraryError
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.matching import judge
from library.mosaics import RGB
from library.reading import read_frame, read_meta
from livestack.masters import Masters, prepare

_WORSE = tuple(Coverage)
_MOST_REASONS = 6
_NAMES = {FrameKind.DEFECTS: "defect map"}


def judge_masters(
    given: Mapping[FrameKind, Sequence[Path]], lights: Mapping[Path, FrameMeta]
) -> tuple[Choices, list[str]]:
    """How the calibration files that the user chose fit the lights, and a warning for each that does not.

    What can be applied is applied, fit or not: the user has asked for it. Raises FirstlightError for files
    of another size than all the lights that cover none of them.
    """
    choices, warnings = [], []
    kinds = [FrameKind.DARK, FrameKind.BIAS, FrameKind.FLAT]
    for kind in [*kinds, FrameKind.DEFECTS] if given.get(FrameKind.DEFECTS) else kinds:
        paths = given.get(kind, ())
        if kind is FrameKind.BIAS and given.get(FrameKind.DARK):
            reason = "the dark contains the bias" + ("; it is taken off the flats alone" if paths else "")
            choices.append(_choice(kind, Coverage.NOT_NEEDED, None, None, (reason,)))
            continue
        if not paths:
            choices.append(_choice(kind, Coverage.MISSING, None, None, (f"no {kind.value} was given",)))
            continue
        worst, reasons = _judge(kind, paths, lights)
        noise = worst.residual_noise_adu if len(paths) == 1 else None
        about = (
            worst.reasons[0] if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more, combined"
        )
        choices.append(_choice(kind, worst.coverage, paths[0], noise, (about, *reasons)))
        if worst.coverage.value in UNFIT:
            what = f"the {_NAMES.get(kind, kind.value)} does not fit and is applied all the same"
            warnings.append(f"{what}: {'; '.join(reasons)}")
    return tuple(choices), warnings


def _choice(
    kind: FrameKind, coverage: Coverage, path: Path | None, noise_adu: float | None, reasons: tuple[str, ...]
) -> MasterChoice:
    return MasterChoice(
        kind=kind.value,
        coverage=coverage.value,
        path=None if path is None else str(path),
        residual_noise_adu=noise_adu,
        reasons=reasons,
    )


def _judge(
    kind: FrameKind, paths: Sequence[Path], lights: Mapping[Path, FrameMeta]
) -> tuple[Match, tuple[str, ...]]:
    """The worst match of these files with the lights, and in which fields they differ, each told once."""
    extents = {Extent.of(meta) for meta in lights.values()}
    different: dict[FrameMeta, Path] = {}
    for path, meta in lights.items():
        different.setdefault(_alike(meta), path)
    worst: Match | None = None
    told: dict[str, None] = {}
    for path in paths:
        meta = read_meta(path)
        if not any(_is_on(Extent.of(meta), light) for light in extents):
            raise FirstlightError(_misplaced(path, kind, Extent.of(meta), next(iter(extents))))
        record = FrameRecord(id=0, path=path, sha256="", size_bytes=0, meta=replace(meta, kind=kind))
        for light, name in different.items():
            answer = judge(record, light)
            told |= {f"{path.name} for {name.name}: {reason}": None for reason in answer.reasons[1:]}
            if worst is None or _WORSE.index(answer.coverage) > _WORSE.index(worst.coverage):
                worst = answer
    assert worst is not None, "there are lights and files"
    reasons = tuple(told)
    more = len(reasons) - _MOST_REASONS
    return worst, (*reasons[:_MOST_REASONS], f"and {more} more") if more > 0 else reasons


def _is_on(master: Extent, light: Extent) -> bool:
    """Whether a master can be applied to a light: it is of its planes and size, or a piece is."""
    if (master.bayer_pattern == RGB) != (light.bayer_pattern == RGB):
        return False
    same = (master.width, master.height) == (light.width, light.height)
    return same or light.within(master) is not None


def _misplaced(path: Path, kind: FrameKind, master: Extent, light: Extent) -> str:
    """Why a master that is of another size than the lights cannot be cut to theirs."""
    name = _NAMES.get(kind, kind.value)
    if (master.bayer_pattern == RGB) != (light.bayer_pattern == RGB):
        planes = ("three planes", "one") if master.bayer_pattern == RGB else ("one plane", "three")
        return f"{path}: the {name} has {planes[0]}, the lights have {planes[1]}; it cannot be applied"
    silent = [who for who, each in ((name, master), ("light", light)) if each.origin is None]
    if silent:
        whose = " and the ".join(silent)
        why = f"XORGSUBF and YORGSUBF, which say where on the sensor, are missing from the {whose}"
    else:
        why = "it does not cover their place on the sensor"
    sizes = f"the {name} is {master.width}×{master.height}, the lights are {light.width}×{light.height}"
    return f"{path}: {sizes}; it cannot be applied: {why}"


def _alike(meta: FrameMeta) -> FrameMeta:
    """What matters to matching, so that a night's lights are judged once and not one by one."""
    return replace(
        meta,
        date_obs=None
        if meta.date_obs is None
        else meta.date_obs.replace(hour=12, minute=0, second=0, microsecond=0),
        sensor_temp_c=None if meta.sensor_temp_c is None else round(meta.sensor_temp_c, 1),
        frame_id=None,
        step_id=None,
        object_name=None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A master (H, W), what of the sensor it shows, and the level of its overscan."""

    pixels: NDArray[np.float32]
    extent: Extent
    overscan_adu: float | None

    def on(self, light: Extent) -> NDArray[np.float32]:
        """So much of it as lies on a light."""
        return light.piece(self.pixels, self.extent)


def load_masters(
    darks: Sequence[Path],
    flats: Sequence[Path],
    biases: Sequence[Path],
    *,
    light: Extent,
    defects: Path | None = None,
    optimise_dark: bool = False,
    uncalibrated_flats: bool = False,
    made: dict[FrameKind, Made] | None = None,
) -> Masters:
    """Combine raw frames of each kind; a master is used as it is, and of a larger one what lies on the light.

    A master is a lone file that says NCOMBINE (or STACKCNT) > 1, or that holds floats. Raw flats need biases,
    whose level is taken off before they are scaled, unless ``uncalibrated_flats`` will do. ``made`` keeps
    bias and dark for the next filter. Raises FirstlightError for frames that don't fit together.
    """
    made = {} if made is None else made
    try:
        for kind, paths in ((FrameKind.BIAS, biases), (FrameKind.DARK, darks)):
            master = None if kind in made else _master(paths, kind)
            if master is not None:
                made[kind] = master
        bias, dark = made.get(FrameKind.BIAS), made.get(FrameKind.DARK)
        flat = _master(
            *(flats, FrameKind.FLAT),
            bias=bias,
            bayer_pattern=light.bayer_pattern,
            uncalibrated=uncalibrated_flats,
        )
        mended = None if defects is None else to_mend(defects_of(defects, light), dark=dark is not None)
    except LibraryError as error:
        raise FirstlightError(str(error)) from error
    return prepare(
        bias=None if bias is None else bias.on(light),
        dark=None if dark is None else dark.on(light),
        flat=None if flat is None else flat.on(light),
        defects=mended,
        bayer_pattern=light.bayer_pattern,
        optimise_dark=optimise_dark,
        dark_overscan_adu=None if dark is None else dark.overscan_adu,
        bias_overscan_adu=None if bias is None else bias.overscan_adu,
    )


def _master(
    paths: Sequence[Path],
    kind: FrameKind,
    *,
    bias: Made | None = None,
    bayer_pattern: str | None = None,
    uncalibrated: bool = False,
) -> Made | None:
    if not paths:
        return None
    extent = Extent.of(read_meta(paths[0]))
    if len(paths) == 1:
        frame = read_frame(paths[0])
        lone = frame.pixels.ndim == 3 and kind is not FrameKind.FLAT  # of planes only masters are taken
        if frame.meta.n_combined > 1 or frame.pixels.dtype.kind == "f" or lone:
            return Made(frame.pixels.astype(np.float32, copy=False), extent, frame.overscan_adu)
    for path in paths:
        if read_meta(path).n_combined > 1:
            raise FirstlightError(
                f"{path} is a master {kind.value} already; give it alone, or give the frames it was made of"
            )
    made = combine(
        list(paths),
        kind,
        bias=None if bias is None else bias.on(extent),
        pedestal_overscan_adu=None if bias is None else bias.overscan_adu,
        bayer_pattern=bayer_pattern,
        allow_uncalibrated_flat=uncalibrated,
    )
    return Made(made.pixels, extent, made.overscan_adu)
