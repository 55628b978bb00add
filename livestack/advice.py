"""Advice from measured numbers: how far the stack is, how long subs should be, what the next hour buys.

Pure functions; docs/livestack/advice.md has the formulas and what the tests measure of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from livestack.noise_budget import Budget, Camera, Night, budget, known
from numerics.counting import counted

EXTRA_NOISE = 0.05
"""What read noise may add for it to "stop mattering"."""

_LONG = 4.0
"""Times the exposure that is enough: beyond, all there is to win is a hundredth of the noise."""

_MANY_SATURATED = 0.1
_ALIKE = 0.03
"""How far subs' best gain may be off √N for them to be called alike."""

_HALF_MAGNITUDE = 10 ** (0.4 * 0.5)
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snr:
    """How much better than one sub, and what the noise of a sub is made of, as shares of its variance.

    ``over_sky_limit`` is the noise over that of the sky's light alone, 1 when nothing else matters. What is
    None wants what ``missing`` names; ``derived`` names what was not given but worked out.
    """

    subs: int
    gain: float | None
    ideal_gain: float
    efficiency: float | None
    sky_share: float | None
    dark_share: float | None
    read_share: float | None
    over_sky_limit: float | None
    derived: tuple[str, ...]
    missing: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubLength:
    """The exposure at which read noise adds ``extra_noise``, and what it adds now; None: not known.

    ``verdict`` is "short", "fine", "long" or "unknown".
    """

    extra_noise: float
    enough_s: float | None
    now_s: float | None
    now_extra_noise: float | None
    verdict: str
    saturating: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NextHour:
    """What more subs like those so far bring; the time between subs counts. None: exposure not known."""

    hours: float
    subs_added: int | None
    snr_factor: float | None
    magnitudes: float | None
    hours_to_half_magnitude: float | None
    hours_to_double_snr: float | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How subs on disk are best combined when it comes to that; ``name`` as ``--method`` takes it."""

    subs: int
    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """All there is to say of one filter."""

    snr: Snr
    sub_length: SubLength
    next_hour: NextHour
    method: Method


def advise(night: Night, camera: Camera, *, extra_noise: float = EXTRA_NOISE, hours: float = 1.0) -> Advice:
    """Everything at once. Raises ValueError without subs, or for a limit or hours not above 0."""
    return Advice(
        snr=advise_snr(night, camera),
        sub_length=advise_sub_length(night, camera, extra_noise=extra_noise),
        next_hour=advise_next_hour(night, hours=hours),
        method=advise_method(night.subs),
    )


def advise_snr(night: Night, camera: Camera) -> Snr:
    """SNR against one sub, against the best that these subs can give, and against the sky limit."""
    alike = math.sqrt(_at_least_one(night.subs))
    ideal = known(night.ideal_gain) or alike
    sub, stack = known(night.sub_noise_adu), known(night.stack_noise_adu)
    gain = sub / stack if sub and stack else None
    best = ideal_in_words(night.subs, ideal)
    text = counted(night.subs, "sub")
    if gain is not None:
        text += f": {gain:.1f} times the SNR of one ({best}: {gain / ideal:.0%} of it)"
    else:
        text += f"; {best}"
    parts = budget(night, camera)
    sky = dark = read = over = None
    if isinstance(parts, Budget):
        if parts.total > 0:
            sky, dark, read = (each / parts.total for each in (parts.sky, parts.dark, parts.read))
            text += f". Variance: {sky:.0%} sky, {dark:.0%} dark current, {read:.0%} read noise"
        if parts.sky > 0:
            over = math.sqrt(parts.total / parts.sky)
            text += f"; the noise is {over - 1:.0%} above the sky limit"
    else:
        text += f". How much of it is the sky's is not known without {'; '.join(parts)}"
    return Snr(
        subs=night.subs,
        gain=gain,
        ideal_gain=ideal,
        efficiency=None if gain is None else gain / ideal,
        sky_share=sky,
        dark_share=dark,
        read_share=read,
        over_sky_limit=over,
        derived=parts.derived if isinstance(parts, Budget) else (),
        missing=() if isinstance(parts, Budget) else parts,
        text=text + ".",
    )


def ideal_in_words(subs: int, ideal: float) -> str:
    """The best that so many subs can give: √N for alike ones, else by their noises."""
    if abs(ideal / math.sqrt(subs) - 1) < _ALIKE:
        return f"√{subs} is {ideal:.1f}"
    return f"the most that these unlike subs can give is {ideal:.1f}"


def advise_sub_length(night: Night, camera: Camera, *, extra_noise: float = EXTRA_NOISE) -> SubLength:
    """The exposure from which on read noise adds no more than ``extra_noise`` to that of sky and dark."""
    if not 0 < extra_noise < math.inf:
        raise ValueError("the noise that read-out may add must be above 0")
    saturating = (known(night.saturated_share) or 0.0) > _MANY_SATURATED
    parts = budget(night, camera)
    enough_s = parts.enough_s(extra_noise) if isinstance(parts, Budget) else math.inf
    if not isinstance(parts, Budget) or not math.isfinite(enough_s):
        why = "some light of the sky" if isinstance(parts, Budget) else "; ".join(parts)
        verdict, now = "unknown", None
        text = f"How long subs should be is not known without {why}."
    else:
        now = parts.extra_noise(parts.exposure_s)
        share = parts.exposure_s / enough_s if enough_s > 0 else math.inf
        verdict = "short" if share < 1 - 1e-9 else "long" if share > _LONG else "fine"
        text = f"Read noise adds {now:.1%} at {_seconds(parts.exposure_s)}, {extra_noise:.0%} at "
        text += (
            _seconds(enough_s)
            + {
                "short": ": longer subs win.",
                "fine": ": long enough.",
                "long": ": shorter subs lose nothing but the time between them.",
            }[verdict]
        )
    if saturating:
        text += " Many stars are saturated: "
        text += (
            "shorten the subs." if verdict == "long" else "less gain, or a few short subs for their cores."
        )
    return SubLength(
        extra_noise=extra_noise,
        enough_s=enough_s if math.isfinite(enough_s) else None,
        now_s=known(night.exposure_s),
        now_extra_noise=now,
        verdict=verdict,
        saturating=saturating,
        text=text,
    )


def advise_next_hour(night: Night, *, hours: float = 1.0) -> NextHour:
    """What so many hours more bring, as SNR grows with the root of the number of alike subs."""
    subs = _at_least_one(night.subs)
    if not 0 < hours < math.inf:
        raise ValueError("the hours to come must be above 0")
    cadence_s = max(known(night.cadence_s) or 0.0, known(night.exposure_s) or 0.0)
    if cadence_s == 0:
        return NextHour(
            hours=hours,
            subs_added=None,
            snr_factor=None,
            magnitudes=None,
            hours_to_half_magnitude=None,
            hours_to_double_snr=None,
            text="What more time brings is not known without the exposure (s).",
        )
    added = int(hours * _HOUR_S / cadence_s + 1e-9)
    factor = math.sqrt(1 + added / subs)
    magnitudes = 2.5 * math.log10(factor)

    def hours_to(snr_factor: float) -> float:
        return math.ceil(subs * (snr_factor**2 - 1) - 1e-9) * cadence_s / _HOUR_S

    half, double = hours_to(_HALF_MAGNITUDE), hours_to(2.0)
    return NextHour(
        hours=hours,
        subs_added=added,
        snr_factor=factor,
        magnitudes=magnitudes,
        hours_to_half_magnitude=half,
        hours_to_double_snr=double,
        text=f"{hours:g} h more: {counted(added, 'sub')}, SNR × {factor:.2f}, {magnitudes:.2f} mag deeper. "
        f"Half a magnitude takes {half:.1f} h, twice the SNR {double:.1f} h.",
    )


def advise_method(subs: int) -> Method:
    """Which of the exact methods suits so many subs, by what docs/livestack/methods.md measures."""
    if _at_least_one(subs) < 3:
        name, why = "mean", "two values that differ do not tell which is wrong"
    elif subs < 5:
        name, why = (
            "percentile",
            "it takes trails out of so few best; stars that change lose 2–3 % of their flux",
        )
    else:
        name, why = "winsorized", "an outlier is drawn in before sigma is measured, and so cannot hide itself"
    return Method(
        subs=subs,
        name=name,
        text=f"{counted(subs, 'sub')}: the live picture needs nothing; of the exact methods, {name}: {why}.",
    )


def _at_least_one(subs: int) -> int:
    if subs < 1:
        raise ValueError("advice starts with the first sub")
    return subs


def _seconds(value_s: float) -> str:
    return f"{value_s:.0f} s" if value_s >= 10 else f"{value_s:.2g} s"
