"""Which masters lights are calibrated with, and why: for the screen, for the stack's header, for a report."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath

from firstlight.events import MasterChoice
from library.cards import Card
from library.coverage import Calibration, Coverage, Match
from library.fitness import temperature_c
from library.frames import FrameMeta

Choices = tuple[MasterChoice, ...]

UNFIT = frozenset({Coverage.TEMPERATURE.value, Coverage.INCOMPATIBLE.value})
"""Coverages to be warned of: there is something, and it does not fit."""

SETTLED_C = 0.5
"""A sensor this near to its set point is taken to be there."""

_KEYWORDS = {"dark": "DARK", "bias": "BIAS", "flat": "FLAT", "defects": "DEFS"}
_HISTORY_LENGTH = 70
_ASCII = str.maketrans({"°": "deg", "±": "+-", "×": "x", "−": "-", "σ": "sigma"})


def choices_of(found: Calibration, light: FrameMeta, synthetic: Path) -> Choices:
    """What a match comes to for one light; where a model stands in, its dark is made in ``synthetic``.

    Raises :class:`LibraryError`.
    """
    answers = {"dark": found.dark, "bias": found.bias, "flat": found.flat, "defects": found.defects}
    return tuple(_choice(kind, answer, light, synthetic) for kind, answer in answers.items())


def _choice(kind: str, answer: Match, light: FrameMeta, synthetic: Path) -> MasterChoice:
    path = None if answer.fitting is None else answer.fitting.path
    if path is not None and answer.coverage is Coverage.MODELLED:
        from library.dark_model import synthesise_dark

        temp_c = model_temp_c(light)
        assert light.exposure_s is not None, "no model fits a light without an exposure"
        assert temp_c is not None, "no model fits a light without a temperature"
        path = synthesise_dark(path, light.exposure_s, temp_c, synthetic)
    return MasterChoice(
        kind=kind,
        coverage=answer.coverage.value,
        path=None if path is None else str(path),
        residual_noise_adu=answer.residual_noise_adu,
        reasons=answer.reasons,
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


def gist(choices: Choices) -> tuple[tuple[str, str, str | None], ...]:
    """What of the choices is worth telling when it changes."""
    return tuple((choice.kind, choice.coverage, choice.path) for choice in choices)


def in_a_line(choices: Choices) -> str:
    """All choices in one line for the log; of what is not needed nothing is said."""
    return "; ".join(_in_words(each) for each in choices if each.coverage != Coverage.NOT_NEEDED.value)


def _in_words(choice: MasterChoice) -> str:
    kind = "defect map" if choice.kind == "defects" else choice.kind
    if choice.coverage == Coverage.MISSING.value:
        return f"no {kind}"
    adds = (
        "" if choice.residual_noise_adu is None else f", leaves {choice.residual_noise_adu:.2g} ADU of noise"
    )
    if choice.path is None:
        return f"no {kind} applied ({choice.coverage}: {' | '.join(choice.reasons[:2])}{adds})"
    notes = "".join(f", {note}" for note in choice.reasons[1:])
    return f"{kind} {choice.coverage} ({PurePath(choice.path).name}{adds}{notes})"


def choice_cards(told: Sequence[tuple[Choices, int]]) -> Iterator[Card]:
    """What a stack's header says of its calibration: the choices and how many subs were calibrated so.

    The first are in cards, all are in HISTORY with their reasons.
    """
    if not told:
        return
    for choice in told[0][0]:
        keyword = _KEYWORDS[choice.kind]
        name = "none" if choice.path is None else PurePath(choice.path).name
        yield f"{keyword}FILE", name, "master applied"
        yield f"{keyword}COV", choice.coverage, "how well it fits"
        if choice.residual_noise_adu is not None:
            yield f"{keyword}RES", choice.residual_noise_adu, "[adu] noise it leaves in a sub, expected"
    for choices, n_subs in told:
        yield from _history(f"calibration of {n_subs} {'sub' if n_subs == 1 else 'subs'}:")
        for choice in choices:
            for reason in choice.reasons:
                yield from _history(f"{choice.kind}: {choice.coverage}: {reason}")


def _history(text: str) -> Iterable[Card]:
    plain = text.translate(_ASCII)
    return (("HISTORY", f" {line}", "") for line in textwrap.wrap(plain, _HISTORY_LENGTH))
