"""Placed subs in memory, and the exact methods written out pixel by pixel as their formulas say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livestack.kernels.keys import Coding
from livestack.masters import Masters
from livestack.placing import Placed
from livestack.planes import Light, Planes
from livestack.restack import Restacked, exact
from livestack.restack_methods import stacking_method
from tests.livestack.dithered import Shot

MAD = 1.482602218505602
Values = NDArray[np.float64]


@dataclass(eq=False)
class Kept:
    """A source in memory."""

    raw: NDArray[Any]
    placed: Placed
    masters: Masters = field(default_factory=Masters)
    name: str = "kept"

    @property
    def shape(self) -> tuple[int, int]:
        return self.raw.shape[0], self.raw.shape[1]

    def window(self, rows: slice, columns: slice) -> NDArray[Any]:
        return self.raw[rows, columns].copy()

    def light(self) -> Light:
        return Light(self.raw, self.masters, self.placed)


def kept(one: Shot) -> Kept:
    return Kept(one.raw, one.placed)


def restacked(subs: Sequence[Kept], method: str, level: float, **more: Any) -> Restacked:
    channels = 1 if subs[0].placed.bayer_pattern is None else 3
    return exact(subs, subs[0].shape, channels, [level], stacking_method(method), **more)


def live(subs: Sequence[Kept], level: float) -> Planes:
    channels = 1 if subs[0].placed.bayer_pattern is None else 3
    planes = Planes(subs[0].shape, channels, Coding.over([level] * channels, 65_535))
    for one in subs:
        planes.add(one.light())
    return planes


def cube(subs: Sequence[Kept], level: float) -> NDArray[np.float32]:
    """The registered subs (N, H, W[, 3]), NaN where they have seen nothing."""
    layers = []
    for one in subs:
        done = restacked([one], "mean", level)
        done.pixels[done.coverage == 0] = np.nan
        layers.append(done.pixels)
    return np.array(layers)


def combined(values: Values, weights: Values, method: str, least_sigma: float) -> float:
    """One pixel's values (N), all known, by the default limits of a method."""
    if method == "median":
        return float(np.median(values))
    rule = {
        "mean": lambda v: np.ones(len(v), bool),
        "sigma": lambda v: _sigma(v, least_sigma),
        "winsorized": lambda v: _winsorized(v, least_sigma),
        "percentile": _percentile,
        "linear-fit": _linear_fit,
    }[method]
    keep = rule(values)
    return float(np.average(values[keep], weights=weights[keep]))


def _sigma(values: Values, least: float) -> NDArray[np.bool_]:
    keep = np.ones(len(values), bool)
    while keep.sum() >= 3:
        middle = np.median(values[keep])
        sigma = max(MAD * np.median(np.abs(values[keep] - middle)), least)
        closer = keep & (np.abs(values - middle) <= 3 * sigma)
        if (closer == keep).all():
            break
        keep = closer
    return keep


def _winsorized(values: Values, least: float) -> NDArray[np.bool_]:
    keep, first = np.ones(len(values), bool), True
    while keep.sum() >= 3:
        centre, sigma = _huber(values[keep], least, first)
        closer = keep & (np.abs(values - centre) <= 3 * max(sigma, least))
        if (closer == keep).all():
            break
        keep, first = closer, False
    return keep


def _huber(values: Values, least: float, first: bool) -> tuple[float, float]:
    clamped, centre = values.copy(), float(np.median(values))
    sigma = max(MAD * float(np.median(np.abs(values - centre))), least)
    while True:
        low, high = centre - 1.5 * sigma, centre + 1.5 * sigma
        fluke = (np.abs(clamped - centre) >= 5 * sigma) & first
        clamped = np.where(fluke, centre, np.clip(clamped, low, high))
        before, sigma, centre = sigma, 1.134 * float(np.std(clamped, ddof=1)), float(np.mean(clamped))
        if abs(before - sigma) < 0.0005 * before:
            return centre, sigma


def _percentile(values: Values) -> NDArray[np.bool_]:
    middle = np.median(values)
    if len(values) < 3:
        return np.ones(len(values), bool)
    return np.asarray((values >= 0.8 * middle) & (values <= 1.1 * middle))


def _linear_fit(values: Values) -> NDArray[np.bool_]:
    order = np.argsort(values, kind="stable")
    low, high = 0, len(values)
    while high - low > 3:
        rank = np.arange(high - low)
        line = np.polyval(np.polyfit(rank, values[order[low:high]], 1), rank)
        off = values[order[low:high]] - line
        spread = np.abs(off).mean()
        good = np.flatnonzero((off >= -5 * spread) & (off <= 3.5 * spread))
        first, last = low + good[0], low + good[-1] + 1
        if (first, last) == (low, high):
            break
        low, high = first, last
    keep = np.zeros(len(values), bool)
    keep[order[low:high]] = True
    return keep
