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
from firstlight.given_frames import Given
from library.combine import combine
from library.coverage import Coverage, Match, Verdict
from library.cutting import Extent
from library.defects import to_mend
from library.errors import LibraryError
from library.fitness import temperature_c
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.importing.judge import frames_in_history
from library.keywords import kind_text, says_master
from library.matching import already_done, judge
from library.mosaics import RGB
from library.reading import open_image, read_frame, read_meta
from livestack.masters import Masters, prepare

_WORSE = tuple(Coverage)
_MOST_REASONS, _MOST_KEPT = 6, 3
_NAMES = {FrameKind.DEFECTS: "defect map"}
_PARTS = (FrameKind.DARK, FrameKind.BIAS, FrameKind.FLAT)

Picked = Mapping[FrameKind, Given]
"""What of each kind a light is calibrated with, of what the user gave."""


def pick(given: Mapping[FrameKind, Sequence[Given]], light: FrameMeta) -> Picked:
    """Of each kind what fits the light best, whether or not it fits.

    Where flats of several filters were given and none is the light's, it gets none.
    """
    found: dict[FrameKind, Given] = {}
    for kind, named in given.items():
        several = list(named)
        if kind is FrameKind.FLAT and len({each.meta.filter for each in several}) > 1:
            several = [each for each in several if each.meta.filter == light.filter]
        if several:
            found[kind] = (
                several[0] if len(several) == 1 else min(several, key=lambda each: _off(each, light))
            )
    return found


def not_again(picked: Picked, light: FrameMeta) -> dict[FrameKind, str]:
    """What is not applied to a light, as its header says that it was calibrated already; and why."""
    reasons = {}
    for kind in _PARTS:
        done = already_done(light, kind)
        if done is not None:
            reasons[kind] = done.reasons[0]
    dark = picked.get(FrameKind.DARK)
    if dark is not None and "B" in light.calibrated and not set("BD") & set(dark.meta.calibrated):
        reason = "its header says that its bias was taken off already, and the dark would take it off again"
        reasons.setdefault(FrameKind.DARK, reason)
    return reasons


def _off(given: Given, light: FrameMeta) -> tuple[float, ...]:
    """How far what was given is from what the light needs: less is better."""
    answer = judge(_record(given.paths[0], given.meta, len(given.paths)), light)
    against = sum(field.verdict is Verdict.DIFFERS for field in answer.fields)
    exposures = abs((given.meta.exposure_s or 0.0) - (light.exposure_s or 0.0))
    temperatures = abs((temperature_c(given.meta) or 0.0) - (temperature_c(light) or 0.0))
    misplaced = not _is_on(Extent.of(given.meta), Extent.of(light))
    return misplaced, _WORSE.index(answer.coverage), against, exposures, temperatures, -len(given.paths)


def judge_masters(
    picked: Picked, lights: Mapping[Path, FrameMeta], defects: Path | None = None
) -> tuple[Choices, list[str]]:
    """How what the user gave fits lights that are calibrated with it, and a warning for each that does not.

    What can be applied is applied, fit or not: the user has asked for it. What the lights' headers say was
    done is not done again. Raises FirstlightError for files of another size than all the lights that cover
    none of them.
    """
    choices, warnings = [], []
    path, light = next(iter(lights.items()))
    done = not_again(picked, light)
    for kind in _PARTS:
        given = picked.get(kind)
        if kind in done:
            choices.append(_choice(kind, Coverage.NOT_NEEDED, None, None, (done[kind],)))
            if given is not None:
                warnings.append(f"{path.name}: no {kind.value} is applied: {done[kind]}")
        elif kind is FrameKind.BIAS and FrameKind.DARK in picked:
            reason = "the dark contains the bias" + ("; it is taken off the flats alone" if given else "")
            choices.append(_choice(kind, Coverage.NOT_NEEDED, None, None, (reason,)))
        elif given is None:
            choices.append(_choice(kind, Coverage.MISSING, None, None, (f"no {kind.value} was given",)))
        else:
            choice, warning = _judged(kind, given, lights)
            choices.append(choice)
            warnings += warning
    if defects is not None:
        alone = Given(kind=FrameKind.DEFECTS, paths=(defects,), metas=(read_meta(defects),))
        choice, warning = _judged(FrameKind.DEFECTS, alone, lights)
        choices.append(choice)
        warnings += warning
    return tuple(choices), warnings


def _judged(
    kind: FrameKind, given: Given, lights: Mapping[Path, FrameMeta]
) -> tuple[MasterChoice, list[str]]:
    worst, reasons = _judge(kind, given, lights)
    lone = len(given.paths) == 1
    choice = _choice(
        *(kind, worst.coverage, given.paths[0], worst.residual_noise_adu if lone else None),
        (worst.reasons[0] if lone else given.name, *given.notes, *reasons),
    )
    warnings = [f"{given.name}: {note}" for note in given.notes]
    if worst.coverage.value in UNFIT:
        what = f"the {_NAMES.get(kind, kind.value)} does not fit and is applied all the same"
        warnings.append(f"{what}: {'; '.join(reasons)}")
    return choice, warnings


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


def _judge(kind: FrameKind, given: Given, lights: Mapping[Path, FrameMeta]) -> tuple[Match, tuple[str, ...]]:
    """The worst match of these files with the lights, and in which fields they differ, each told once."""
    extents = {Extent.of(meta) for meta in lights.values()}
    different: dict[FrameMeta, Path] = {}
    for path, meta in lights.items():
        different.setdefault(alike(meta), path)
    worst: Match | None = None
    told: dict[str, None] = {}
    for path, meta in zip(given.paths, given.metas, strict=True):
        if not any(_is_on(Extent.of(meta), light) for light in extents):
            raise FirstlightError(_misplaced(path, kind, Extent.of(meta), next(iter(extents))))
        record = _record(path, replace(meta, kind=kind))
        for light, name in different.items():
            answer = judge(record, light)
            told |= {f"{path.name} for {name.name}: {reason}": None for reason in answer.reasons[1:]}
            if worst is None or _WORSE.index(answer.coverage) > _WORSE.index(worst.coverage):
                worst = answer
    assert worst is not None, "there are lights and files"
    reasons = tuple(told)
    more = len(reasons) - _MOST_REASONS
    return worst, (*reasons[:_MOST_REASONS], f"and {more} more") if more > 0 else reasons


def _record(path: Path, meta: FrameMeta, n_frames: int = 1) -> FrameRecord:
    """A file as matching knows masters."""
    meta = replace(meta, n_combined=max(meta.n_combined, n_frames))
    return FrameRecord(id=0, path=path, sha256="", size_bytes=0, meta=meta)


def _is_on(master: Extent, light: Extent) -> bool:
    """Whether a master can be applied to a light: it is of its planes and size, or a piece of it is."""
    if (master.bayer_pattern == RGB) != (light.bayer_pattern == RGB):
        return False
    if (master.width, master.height) != (light.width, light.height):
        return light.within(master) is not None
    first_rows = {0 if each.origin is None else each.origin[1] for each in (master, light)}
    return not master.is_turned(light) or first_rows == {0}


def _misplaced(path: Path, kind: FrameKind, master: Extent, light: Extent) -> str:
    """Why a master that is of another size than the lights cannot be cut to theirs."""
    name = _NAMES.get(kind, kind.value)
    if (master.bayer_pattern == RGB) != (light.bayer_pattern == RGB):
        planes = ("three planes", "one") if master.bayer_pattern == RGB else ("one plane", "three")
        return f"{path}: the {name} has {planes[0]}, the lights have {planes[1]}; it cannot be applied"
    if master.is_turned(light):
        return (
            f"{path}: the rows of the {name} are {master.row_order}, the lights' {light.row_order}, and one "
            "is a piece of the sensor; it cannot be applied: from which end its rows count is not told"
        )
    silent = [who for who, each in ((name, master), ("light", light)) if each.origin is None]
    if silent:
        whose = " and the ".join(silent)
        why = f"XORGSUBF and YORGSUBF, which say where on the sensor, are missing from the {whose}"
    else:
        why = "it does not cover their place on the sensor"
    sizes = f"the {name} is {master.width}×{master.height}, the lights are {light.width}×{light.height}"
    return f"{path}: {sizes}; it cannot be applied: {why}"


def alike(meta: FrameMeta) -> FrameMeta:
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
    flat_biases: Sequence[Path] | None = None,
    made: dict[tuple[Path, ...], Made] | None = None,
) -> Masters:
    """Combine raw frames of each kind; a master is used as it is, and of a larger one what lies on the light.

    A master is a lone file that says NCOMBINE (or STACKCNT) > 1, or that holds floats. Raw flats need biases,
    whose level is taken off before they are scaled, unless ``uncalibrated_flats`` will do: ``flat_biases``,
    or else ``biases``. ``made`` keeps bias and dark for the next filter. Raises FirstlightError for frames
    that don't fit together.
    """
    made = {} if made is None else made
    try:
        bias, dark = _kept(made, biases, FrameKind.BIAS), _kept(made, darks, FrameKind.DARK)
        flat_bias = bias if flat_biases is None else _kept(made, flat_biases, FrameKind.BIAS)
        flat = _master(
            *(flats, FrameKind.FLAT),
            bias=flat_bias,
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


def _kept(made: dict[tuple[Path, ...], Made], paths: Sequence[Path], kind: FrameKind) -> Made | None:
    """A master that was made before, or is made now; the oldest of several makes room."""
    key = tuple(paths)
    if key and key not in made:
        master = _master(paths, kind)
        assert master is not None
        while len(made) >= _MOST_KEPT:
            del made[next(iter(made))]
        made[key] = master
    return made.get(key)


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
        frame = read_frame(paths[0], in_adu=True)
        lone = frame.pixels.ndim == 3 and kind is not FrameKind.FLAT  # of planes only masters are taken
        if frame.meta.n_combined > 1 or frame.pixels.dtype.kind == "f" or lone or _is_master(paths[0]):
            return Made(frame.pixels.astype(np.float32, copy=False), extent, frame.overscan_adu)
    less_bias = all(set("BD") & set(read_meta(path).calibrated) for path in paths)
    made = combine(
        list(paths),
        kind,
        bias=None if bias is None or less_bias else bias.on(extent),
        pedestal_overscan_adu=None if bias is None else bias.overscan_adu,
        bayer_pattern=bayer_pattern,
        allow_uncalibrated_flat=uncalibrated or less_bias,
    )
    return Made(made.pixels, extent, made.overscan_adu)


def _is_master(path: Path) -> bool:
    with open_image(path) as (_, unit):
        return says_master(kind_text(unit.values)) or frames_in_history(unit) is not None
