"""The masters of one light out of a library: what matching finds, with darks of models made real."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from firstlight.choices import Choices
from firstlight.events import MasterChoice
from library.config import config_error, config_section
from library.coverage import Calibration, Coverage, Match
from library.errors import LibraryError
from library.fitness import temperature_c
from library.frames import FrameKind, FrameMeta
from library.matching import match
from library.reading import adu_notes
from library.store import Library
from library.tolerances import read_tolerances

SYNTHETIC = "synthetic"
"""Darks made of models lie here below the library's folder; they are not in its catalogue."""

SETTLED_C = 0.5
"""A sensor this near to its set point is taken to be there."""

_SECTION, _KEY = "calibration", "optimise_dark"


class OptimiseDark(StrEnum):
    """Which darks are scaled to each light; ``[calibration] optimise_dark`` in library.toml."""

    MODELLED = "modelled"
    """Those of dark models, whose temperature and law are never quite the light's."""

    ALWAYS = "always"
    NEVER = "never"


def read_optimise_dark(root: Path) -> OptimiseDark:
    """What the library's owner wants. Raises :class:`LibraryError` for what makes no sense."""
    value = config_section(root, _SECTION).get(_KEY, OptimiseDark.MODELLED)
    try:
        return OptimiseDark(value)
    except ValueError:
        known = ", ".join(OptimiseDark)
        raise config_error(root, f"{_SECTION}.{_KEY}", f"is {value!r}, none of {known}") from None


def choose(
    library: Library, light: FrameMeta, optimise: OptimiseDark | None = None
) -> tuple[Calibration, Choices]:
    """What a light is calibrated with; ``optimise`` None is as the library's owner wants it.

    Where a model stands in, its dark is made, and kept for the next light. Raises :class:`LibraryError`.
    """
    if optimise is None:
        optimise = read_optimise_dark(library.folder.parent)
    found = match(library, light)
    dark = _choice("dark", found.dark)
    if dark.path is not None and found.dark.coverage is Coverage.MODELLED:
        dark, bias = _synthesised(dark, light, library.folder / SYNTHETIC)
        if optimise is not OptimiseDark.NEVER:
            dark = _above(dark, bias)
    elif dark.path is not None and optimise is OptimiseDark.ALWAYS:
        dark = _above(dark, _bias(library, light))
    others = {"bias": found.bias, "flat": found.flat, "defects": found.defects}
    return found, (dark, *(_choice(kind, answer) for kind, answer in others.items()))


def told_of(choice: MasterChoice) -> list[str]:
    """What is done to have a master's pixels in ADU, in words."""
    return [] if choice.path is None else [f"{Path(choice.path).name}: {x}" for x in _notes(choice.path)]


def _notes(path: str | Path) -> tuple[str, ...]:
    try:
        return adu_notes(Path(path))
    except LibraryError:
        return ()  # loading it says what is wrong


def _choice(kind: str, answer: Match) -> MasterChoice:
    master = answer.fitting
    notes = () if master is None else _notes(master.path)
    return MasterChoice(
        kind=kind,
        coverage=answer.coverage.value,
        path=None if master is None else str(master.path),
        residual_noise_adu=answer.residual_noise_adu,
        reasons=(*answer.reasons, *notes),
        sha256s=() if master is None else (master.sha256,),
    )


def _synthesised(dark: MasterChoice, light: FrameMeta, folder: Path) -> tuple[MasterChoice, MasterChoice]:
    """A model's dark for the light, and the bias that is within it."""
    from library.dark_model import synthesise_dark

    temp_c = model_temp_c(light)
    assert dark.path is not None
    assert light.exposure_s is not None, "no model fits a light without an exposure"
    assert temp_c is not None, "no model fits a light without a temperature"
    model = Path(dark.path)
    paths = (synthesise_dark(model, exposure_s, temp_c, folder) for exposure_s in (light.exposure_s, 0.0))
    made, within = (replace(dark, path=str(path)) for path in paths)
    return made, within


def _bias(library: Library, light: FrameMeta) -> MasterChoice:
    """The bias that fits the light, though it has a dark."""
    biases = library.find(kind=FrameKind.BIAS, master=True)
    return _choice("bias", match(biases, light, tolerances=read_tolerances(library.folder.parent)).bias)


def _above(dark: MasterChoice, bias: MasterChoice) -> MasterChoice:
    """The dark, to be scaled above that bias."""
    if bias.path is None:
        return replace(dark, reasons=(*dark.reasons, "not scaled to the lights: no bias fits"))
    return replace(
        dark,
        scaled_above=bias.path,
        sha256s=tuple(dict.fromkeys((*dark.sha256s, *bias.sha256s))),
        reasons=(*dark.reasons, f"scaled to each light above {Path(bias.path).name}"),
    )


def model_temp_c(light: FrameMeta) -> float | None:
    """The temperature to synthesise a dark for: the set point where the sensor is at it, else half degrees.

    So that a sensor's jitter of a tenth of a degree does not make a dark for every light.
    """
    temp_c = temperature_c(light)
    if temp_c is None:
        return None
    if light.set_temp_c is not None and abs(temp_c - light.set_temp_c) <= SETTLED_C:
        return light.set_temp_c
    return round(2 * temp_c) / 2
