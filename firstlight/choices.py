"""Which masters lights are calibrated with, and why: for the screen, for the stack's header, for a report."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from firstlight.events import MasterChoice
from library.cards import Card
from library.coverage import Coverage

Choices = tuple[MasterChoice, ...]

UNFIT = frozenset({Coverage.TEMPERATURE.value, Coverage.INCOMPATIBLE.value})
"""Coverages to be warned of: there is something, and it does not fit."""

_KEYWORDS = {"dark": "DARK", "bias": "BIAS", "flat": "FLAT", "defects": "DEFS"}
_HISTORY_LENGTH = 70
_ASCII = str.maketrans({"°": "deg", "±": "+-", "×": "x", "−": "-", "σ": "sigma"})


@dataclass(frozen=True, slots=True)
class Used:
    """A master that is applied: the same files are the same master, a file written anew is another one."""

    kind: str
    path: str
    sha256s: tuple[str, ...]
    scaled_above: str | None


def used(choices: Choices) -> tuple[Used, ...]:
    """What is done to a light that is calibrated so."""
    return tuple(
        Used(each.kind, each.path, each.sha256s, each.scaled_above)
        for each in choices
        if each.path is not None
    )


def gist(choices: Choices) -> tuple[object, ...]:
    """What of the choices is worth telling when it changes."""
    return (used(choices), *((choice.kind, choice.coverage) for choice in choices))


class Tally:
    """How many subs were calibrated with which masters."""

    def __init__(self) -> None:
        self._told: dict[tuple[object, ...], tuple[Choices, int]] = {}

    def add(self, choices: Choices) -> None:
        """Count a sub."""
        first, n_subs = self._told.get(gist(choices), (choices, 0))
        self._told[gist(choices)] = (first, n_subs + 1)

    def most_first(self) -> list[tuple[Choices, int]]:
        """The choices, with the reasons of the first sub, and the number of subs."""
        return sorted(self._told.values(), key=lambda each: -each[1])


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
        yield from history(f"calibration of {n_subs} {'sub' if n_subs == 1 else 'subs'}:")
        for choice in choices:
            for reason in choice.reasons:
                yield from history(f"{choice.kind}: {choice.coverage}: {reason}")


def history(text: str) -> Iterable[Card]:
    """HISTORY cards that hold a sentence."""
    plain = text.translate(_ASCII)
    return (("HISTORY", f" {line}", "") for line in textwrap.wrap(plain, _HISTORY_LENGTH))
