"""Ways to combine frames, with their parameters, as a user writes them and a header keeps them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from library.cards import Card
from library.errors import LibraryError
from library.keywords import METHOD


class Rule(StrEnum):
    """What becomes of the samples of one pixel; docs/library/masters.md has the formulas."""

    AVERAGE = "average"
    MEDIAN = "median"
    SIGMA_CLIP = "sigma_clip"
    WINSORIZED = "winsorized"
    PERCENTILE = "percentile"
    LINEAR_FIT = "linear_fit"


_CUTS = {
    Rule.SIGMA_CLIP: (4.0, 4.0),
    Rule.WINSORIZED: (4.0, 4.0),
    Rule.PERCENTILE: (0.2, 0.2),
    Rule.LINEAR_FIT: (5.0, 3.5),
}
"""Default limits of each rule that rejects: the same on both sides, so that a master is not biased. Those of
the linear fit, which nobody gets unasked, are PixInsight's."""

_UNITS = {Rule.PERCENTILE: "fraction of the median", Rule.LINEAR_FIT: "mean absolute residuals"}
_OF_SIGMA_CLIP = ("centre", "spread")
_FLOORED = frozenset({Rule.SIGMA_CLIP, Rule.WINSORIZED})
_ROUNDED = _FLOORED | {Rule.LINEAR_FIT}
_MOST_ROUNDS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How to combine; what a rule does not use has its default and is not told.

    ``low`` and ``high``: limits below and above the centre, in sigmas (percentile: in fractions of the
    median; linear fit: in mean absolute residuals). ``rounds``: how often at most. ``centre``: "median" or
    "mean"; ``spread``: "mad" (1.4826 times the median absolute deviation) or "std" (of the population).
    ``floor``: sigma is at least that of the typical pixel of the frames, so that few samples that happen
    to agree do not reject a good one.
    """

    rule: Rule
    low: float = 0.0
    high: float = 0.0
    rounds: int = _MOST_ROUNDS
    centre: str = "median"
    spread: str = "mad"
    floor: bool = True

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            limit = getattr(self, name)
            least = 1.0 if self.rule in _FLOORED else 1e-3
            if self.rule in _CUTS and not least <= limit < float("inf"):
                raise LibraryError(f"{self.rule}: {name} is {limit:g}; give at least {least:g}")
        if not 1 <= self.rounds <= _MOST_ROUNDS:
            raise LibraryError(f"{self.rule}: rounds is {self.rounds}; give 1 to {_MOST_ROUNDS}")
        if self.centre not in {"median", "mean"} or self.spread not in {"mad", "std"}:
            raise LibraryError(f"{self.rule}: centre is median or mean, spread is mad or std")

    @classmethod
    def parse(cls, text: str) -> Self:
        """From "sigma_clip" or "sigma_clip:low=3,high=3,centre=mean,spread=std,rounds=5,floor=off".

        Raises :class:`LibraryError` for what is no method, and says what there is.
        """
        name, _, rest = text.strip().lower().replace("-", "_").partition(":")
        try:
            rule = Rule(name)
        except ValueError as error:
            raise LibraryError(
                f"there is no method {name!r}; choose of {', '.join(each.value for each in Rule)}"
            ) from error
        low, high = _CUTS.get(rule, (0.0, 0.0))
        given: dict[str, str] = {}
        for part in filter(None, rest.split(",")):
            key, equals, value = part.partition("=")
            if not equals or key.strip() not in parameters_of(rule):
                known = ", ".join(parameters_of(rule)) or "none"
                raise LibraryError(f"{rule} has no parameter {part.strip()!r}; it has: {known}")
            given[key.strip()] = value.strip()
        try:
            return cls(
                rule=rule,
                low=float(given.get("low", low)),
                high=float(given.get("high", high)),
                rounds=int(given.get("rounds", _MOST_ROUNDS)),
                centre=given.get("centre", "median"),
                spread=given.get("spread", "mad"),
                floor={"on": True, "off": False}[given.get("floor", "on")],
            )
        except (ValueError, KeyError) as error:
            raise LibraryError(f"{text}: {error} is no value for it") from error

    @property
    def number(self) -> int:
        """The rule's, as the kernels know it."""
        return list(Rule).index(self.rule)

    @property
    def limits(self) -> tuple[float, float, float, float, float]:
        """For the kernels: low, high, rounds, centre is the mean, spread is the standard deviation."""
        return (
            self.low,
            self.high,
            float(self.rounds),
            float(self.centre == "mean"),
            float(self.spread == "std"),
        )

    def __str__(self) -> str:
        told = ",".join(f"{key}={_told(getattr(self, key))}" for key in parameters_of(self.rule))
        return f"{self.rule}:{told}" if told else self.rule.value

    def cards(self) -> list[Card]:
        """COMBMETH and the parameters that the rule has."""
        unit = _UNITS.get(self.rule, "sigma")
        of_all: dict[str, Card] = {
            "low": ("COMBLOW", self.low, f"[{unit}] limit below the centre"),
            "high": ("COMBHIGH", self.high, f"[{unit}] limit above the centre"),
            "rounds": ("COMBITER", self.rounds, "rejection is repeated at most so often"),
            "centre": ("COMBCENT", self.centre, "centre of the samples"),
            "spread": ("COMBSPRD", self.spread, "measure of their spread"),
            "floor": ("COMBFLOR", self.floor, "sigma is at least the typical pixel's"),
        }
        return [
            (METHOD, self.rule.value, "how the frames were combined"),
            *(of_all[name] for name in parameters_of(self.rule)),
        ]


def parameters_of(rule: Rule) -> tuple[str, ...]:
    """The parameters that a rule has."""
    if rule not in _CUTS:
        return ()
    return (
        "low",
        "high",
        *(("rounds",) if rule in _ROUNDED else ()),
        *(_OF_SIGMA_CLIP if rule is Rule.SIGMA_CLIP else ()),
        *(("floor",) if rule in _FLOORED else ()),
    )


def default_method(n_frames: int) -> Method:
    """The average of one or two frames; from three on, a sigma clip about the median by the MAD.

    Two frames that differ do not say which is wrong. From three on the median is right about a single hit,
    the floor keeps few samples from rejecting each other, and with many the MAD resists several hits; see
    the measured table in docs/library/masters.md.
    """
    return Method.parse("average" if n_frames < 3 else "sigma_clip")


def efficiency(method: Method, n_frames: int) -> float:
    """Variance of the mean over that of this method, for clean normal samples.

    Of the median of n samples about n·2/π·(1 + (π/2 − 1)/n)/n, which is 1 for one and 2/π for many.
    What a rejecting method loses, its rejected fraction tells.
    """
    if method.rule is not Rule.MEDIAN or n_frames <= 2:
        return 1.0
    half_pi = 1.5707963267948966
    return (n_frames + half_pi - 1) / (half_pi * n_frames)


def _told(value: float | str | bool) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return value if isinstance(value, str) else f"{value:g}"


assert {field.name for field in dataclasses.fields(Method)} == {
    "rule",
    *parameters_of(Rule.SIGMA_CLIP),
}  # what is told is all there is: a changed parameter always rebuilds a master
