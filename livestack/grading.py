"""How good a sub is, against the night's own subs of its kind; every verdict with its numbers.

Pure functions: the verdicts on a set of subs depend on the set, never on the order in which they came.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

_MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """What was measured of a sub that could be aligned; NaN: not measured.

    ``roundness`` is the median b/a of its stars, 1 for round ones. ``transparency`` is 1 for that of its
    filter's first sub, and ``noise_adu`` the background noise of a pixel at that one's scale. ``rms_px`` is
    what the alignment leaves, ``overlap`` the share of the reference that it covers.
    """

    fwhm_px: float
    roundness: float
    stars: int
    background_adu: float
    transparency: float
    rms_px: float
    noise_adu: float
    overlap: float
    saturated: float = math.nan
    """The share of its stars; no grade, but the advice on the next subs' length hangs on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What is too much of one measure: more than ``sigmas`` off the night's median, *and* by more than
    ``share`` of that median, *and* by more than ``least`` in its own unit. So a very steady night, whose
    σ is tiny, rejects nothing good. ``sigmas`` of None leaves the night out of it; beyond ``absolute`` a sub
    falls whatever the night is like.
    """

    sigmas: float | None = None
    share: float = 0.0
    least: float = 0.0
    absolute: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Limits by measure, on its bad side alone; by default only what is clearly bad falls.

    ``least_subs`` of a kind are needed before the night judges; the early ones are then judged, too.
    """

    fwhm_px: Limit = Limit(sigmas=5.0, share=0.3)
    roundness: Limit = Limit(sigmas=5.0, share=0.2)
    stars: Limit = Limit(sigmas=5.0, share=0.6)
    background_adu: Limit = Limit(sigmas=8.0, share=1.0)
    transparency: Limit = Limit(sigmas=5.0, share=0.4)
    rms_px: Limit = Limit(sigmas=6.0, share=1.0, least=0.3)
    noise_adu: Limit = Limit(sigmas=6.0, share=0.7)
    overlap: Limit = Limit()
    least_subs: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median and robust standard deviation (1.4826 MAD) of one measure over a night."""

    median: float
    sigma: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What subs of one kind are like: how many there are, and their spreads by measure."""

    subs: int = 0
    spreads: Mapping[str, Spread] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One measure that is beyond its limit, and the sentence that says so."""

    measure: str
    value: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``findings`` names all that is against a sub; ``night_known``: there were enough subs to compare."""

    findings: tuple[Finding, ...] = ()
    night_known: bool = False

    @property
    def good(self) -> bool:
        """Nothing is against it."""
        return not self.findings

    @property
    def text(self) -> str:
        """All findings in a line; empty for a good sub."""
        return "; ".join(finding.text for finding in self.findings)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A measure's name and unit as people read them, whether much of it is bad, and its digits."""

    name: str
    unit: str
    high_is_bad: bool
    digits: int


_KINDS = {
    "fwhm_px": _Kind("FWHM", " px", True, 1),
    "roundness": _Kind("roundness", "", False, 2),
    "stars": _Kind("stars", "", False, 0),
    "background_adu": _Kind("background", " ADU", True, 0),
    "transparency": _Kind("transparency", "", False, 2),
    "rms_px": _Kind("alignment", " px", True, 2),
    "noise_adu": _Kind("noise", " ADU", True, 1),
    "overlap": _Kind("overlap", "", False, 2),
}


def night_of(subs: Iterable[Measures]) -> Night:
    """The spreads of all subs of one kind, good and bad: a median bears with nearly half of them bad."""
    every = list(subs)
    return Night(
        subs=len(every), spreads={name: _spread([getattr(sub, name) for sub in every]) for name in _KINDS}
    )


def judge(sub: Measures, night: Night, rules: Rules) -> Verdict:
    """Hold a sub against the night and the absolute limits; every measure beyond its limit is named."""
    known = night.subs >= rules.least_subs
    spreads = night.spreads if known else {}
    found = (
        _finding(name, kind, getattr(sub, name), spreads.get(name), getattr(rules, name))
        for name, kind in _KINDS.items()
    )
    return Verdict(findings=tuple(each for each in found if each is not None), night_known=known)


def _spread(values: list[float]) -> Spread:
    known = np.array([value for value in values if math.isfinite(value)], np.float64)
    if not len(known):
        return Spread(median=math.nan, sigma=math.nan)
    median = float(np.median(known))
    return Spread(median=median, sigma=_MAD_TO_SIGMA * float(np.median(np.abs(known - median))))


def _finding(name: str, kind: _Kind, value: float, spread: Spread | None, limit: Limit) -> Finding | None:
    if not math.isfinite(value):
        return None
    sign = 1 if kind.high_is_bad else -1
    beyond = limit.absolute is not None and sign * (value - limit.absolute) > 0
    reasons = [f"limit {_shown(limit.absolute, kind)}"] if beyond and limit.absolute is not None else []
    if spread is not None and limit.sigmas is not None:
        off = sign * (value - spread.median)
        by_night, by_share = limit.sigmas * spread.sigma, limit.share * abs(spread.median)
        if off > max(by_night, by_share, limit.least):  # False for an unknown night, whose spread is NaN
            reasons.append(_against(off, spread, limit, kind))
    if not reasons:
        return None
    return Finding(measure=name, value=value, text=f"{kind.name} {_shown(value, kind)}, {', '.join(reasons)}")


def _against(off: float, spread: Spread, limit: Limit, kind: _Kind) -> str:
    """How far off the night a value is, in the terms of the limit that is the widest here."""
    assert limit.sigmas is not None
    night = f"this night {_shown(spread.median, kind, unit=False)} ± {_shown(spread.sigma, kind, unit=False)}"
    by_share = limit.share * abs(spread.median)
    if limit.sigmas * spread.sigma >= max(by_share, limit.least):
        return f"{night}: {off / spread.sigma:.1f}σ, limit {limit.sigmas:g}σ"
    if by_share >= limit.least:
        return f"{night}: {off / abs(spread.median):.0%} off, limit {limit.share:.0%}"
    return f"{night}: {_shown(off, kind)} off, limit {_shown(limit.least, kind)}"


def _shown(value: float, kind: _Kind, *, unit: bool = True) -> str:
    return f"{value:.{kind.digits}f}{kind.unit if unit else ''}"
