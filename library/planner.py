"""How many frames a master should hold, and how long they take.

M subs of noise σ_l that all have the same master taken off, a mean of N frames of noise σ_d, give a stack
of variance σ_l²/M + σ_d²/N: the master's noise does not average away, since every sub has the same. Subs
dithered over k places divide the second term by k. The master's share is at most ε of the first term when

    N ≥ M · σ_d² / (ε · k · σ_l²)

which widens the stack's noise by a factor of at most √(1 + ε), half of ε for a small one. A flat scales
what it corrects: at a background of B its noise counts B/S times, S being the flat's own level, and that of
its flat-dark or bias likewise.

All noises are those of a median pixel, in ADU: read noise and the shot noise of dark current, sky and flat.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from library.frames import FrameKind

EPSILON = 0.01
FEWEST = 10
"""Of any master, however little noise asks for: with fewer, one cosmic ray cannot be told from the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """What the noise comes from, at one gain, binning and temperature."""

    read_noise_adu: float
    e_per_adu: float
    dark_adu_s: float

    def dark_variance(self, exposure_s: float) -> float:
        """ADU² of one dark; of a bias at 0 s."""
        return self.read_noise_adu**2 + max(self.dark_adu_s, 0.0) * exposure_s / self.e_per_adu

    def lit_variance(self, exposure_s: float, light_adu: float) -> float:
        """ADU² of one frame with that much light in it."""
        return self.dark_variance(exposure_s) + max(light_adu, 0.0) / self.e_per_adu


@dataclass(frozen=True, slots=True, kw_only=True)
class Subs:
    """One stack to be: so many subs of one filter and exposure under one sky."""

    filter: str | None
    exposure_s: float
    count: int
    sky_adu_s: float

    @property
    def background_adu(self) -> float:
        """The sky's light in one sub."""
        return self.sky_adu_s * self.exposure_s


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatLight:
    """How flats are shot: their exposure and their level above the bias."""

    exposure_s: float
    level_adu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One master's frames: how many the subs ask for, dithered at every sub, and not dithered at all."""

    kind: FrameKind
    exposure_s: float
    filter: str | None
    dithered: int
    undithered: int

    def frames(self, positions: int | None) -> int:
        """For subs dithered over so many places; ``None``: each sub has its own."""
        if positions is None:
            return self.dithered
        return max(self.dithered, math.ceil(self.undithered / positions))

    def takes_s(self, count: int, overhead_s: float) -> float:
        """Seconds for so many, each with its readout and download."""
        return count * (self.exposure_s + overhead_s)


def frames_needed(
    n_subs: int, master_variance: float, sub_variance: float, *, epsilon: float = EPSILON, positions: int = 1
) -> int:
    """Smallest N with σ_d²/(N·k) ≤ ε·σ_l²/M, and at least :data:`FEWEST`."""
    if not (epsilon > 0 and sub_variance > 0 and positions >= 1):
        raise ValueError("epsilon, the subs' variance and the dither positions must be above 0")
    exact = n_subs * master_variance / (epsilon * positions * sub_variance)
    return max(FEWEST, math.ceil(exact * (1 - 1e-12)))


def master_share(
    n_subs: int, n_frames: int, master_variance: float, sub_variance: float, positions: int = 1
) -> float:
    """What a master of N frames adds to the stack's variance, as a fraction of the subs' own."""
    return n_subs * master_variance / (positions * n_frames * sub_variance)


def stack_sigma(
    n_subs: int, n_frames: int, master_variance: float, sub_variance: float, positions: int = 1
) -> float:
    """Noise of the stack, its master's included."""
    own = sub_variance / n_subs
    return math.sqrt(own * (1 + master_share(n_subs, n_frames, master_variance, sub_variance, positions)))


def needs(
    subs: Iterable[Subs], sensor: Sensor, flat: FlatLight | None, *, epsilon: float = EPSILON
) -> list[Need]:
    """Every master that the subs want: darks for each exposure, flats for each filter, and what flats want.

    Where several stacks share a master, the one that asks for most counts. Flats want flat-darks; biases
    take their place for short flats and are what a dark model is fitted from. Each has an ε of its own.
    """
    asked: dict[tuple[FrameKind, float, str | None], tuple[int, int]] = {}

    def ask(kind: FrameKind, exposure_s: float, filter_name: str | None, variance: float, for_: Subs) -> None:
        own = sensor.lit_variance(for_.exposure_s, for_.background_adu)
        n = [frames_needed(for_.count, variance, own, epsilon=epsilon, positions=k) for k in (for_.count, 1)]
        old = asked.get((kind, exposure_s, filter_name), (0, 0))
        asked[kind, exposure_s, filter_name] = (max(old[0], n[0]), max(old[1], n[1]))

    for line in subs:
        ask(FrameKind.DARK, line.exposure_s, None, sensor.dark_variance(line.exposure_s), line)
        if flat is None:
            continue
        scale = (line.background_adu / flat.level_adu) ** 2
        lit = sensor.lit_variance(flat.exposure_s, flat.level_adu)
        unlit = sensor.dark_variance(flat.exposure_s)
        ask(FrameKind.FLAT, flat.exposure_s, line.filter, scale * lit, line)
        ask(FrameKind.FLAT_DARK, flat.exposure_s, None, scale * unlit, line)
        ask(FrameKind.BIAS, 0.0, None, scale * sensor.dark_variance(0.0), line)
    order = {kind: place for place, kind in enumerate(FrameKind)}
    return [
        Need(kind=kind, exposure_s=exposure_s, filter=name, dithered=dithered, undithered=undithered)
        for (kind, exposure_s, name), (dithered, undithered) in sorted(
            asked.items(), key=lambda item: (order[item[0][0]], item[0][1], item[0][2] or "")
        )
    ]
