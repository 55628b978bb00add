"""Every pixel's bias and dark rate from all frames at once: weighted, robust, compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numerics.compiling import kernel
from numerics.threads import in_parallel

Plane = NDArray[np.float32]
Floats = NDArray[np.float64]

UNSTEADY, OWN_SLOPE, SATURATED = 1, 2, 4
"""Bits of the flags: scatters more than its noise, has its own doubling temperature, clips."""

NONLINEAR = 0.01
"""Share of a pixel's dark signal that it may stray from the model (1 σ)."""

_CLIP = 5.0
_ROUNDS = 6
_WELL_TOLD = 25.0
_WELL_TOLD_SIGMA, _OTHER_SIGMA = 2.0, 3.0
"""A slope known five times better than by its prior is kept if it is 2 σ from the camera's, others if 3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Pixels' parameters; each plane is (h, W)."""

    bias: Plane
    rate: Plane
    bias_variance: Plane
    covariance: Plane
    rate_variance: Plane
    slope: Plane
    """By how much κ differs from the camera's; 0 where the frames do not tell."""

    slope_variance: Plane
    bias_slope: Plane
    rate_slope: Plane
    """Covariances of the slope."""

    told_slope: Plane
    """The same as it was found, kept or not, where the frames tell it well; its variance is 0 elsewhere."""

    told_variance: Plane
    flags: NDArray[np.uint8]


def fit_strip(
    stack: Plane,
    *,
    levels_adu: Floats,
    growth_s: Floats,
    away_c: Floats,
    glow: Plane,
    glow_growth: Floats,
    frames: Floats,
    read_adu: float,
    adu_per_e: float,
    saturation_adu: float,
    slope_spread: float,
) -> Strip:
    """Fit frames (N, h, W) with y = level + glow + bias + rate·g·exp(θ·away); ``growth_s`` is g (N,).

    Weights are from read noise, shot noise and a one-percent stray; samples that clip are left out, as are
    up to a tenth of the samples beyond 5 σ (particles), one at a time. θ is fitted where the frames tell
    more of it than its prior 0 ± ``slope_spread``, and kept where it clearly differs from 0.
    and their variances scaled up.
    """
    _, height, width = stack.shape
    planes = np.zeros((11, height, width), np.float32)
    flags = np.zeros((height, width), np.uint8)
    in_parallel(
        *(
            _fit,
            height,
            stack,
            levels_adu,
            growth_s,
            away_c,
            glow,
            glow_growth,
            1.0 / frames,
            read_adu**2,
            adu_per_e,
        ),
        *(saturation_adu, slope_spread**2, planes, flags),
    )
    return Strip(
        bias=planes[0],
        rate=planes[1],
        bias_variance=planes[2],
        covariance=planes[3],
        rate_variance=planes[4],
        slope=planes[5],
        slope_variance=planes[6],
        bias_slope=planes[7],
        rate_slope=planes[8],
        told_slope=planes[9],
        told_variance=planes[10],
        flags=flags,
    )


@kernel()
def _fit(  # noqa: PLR0912, PLR0915, PLR0917 - one compiled loop
    first: int, last: int,
    stack: Any, levels: Any, growth: Any, away: Any, glow: Any, glow_growth: Any, shares: Any,
    read_variance: float, adu_per_e: float, saturation: float, slope_prior: float, planes: Any, flags: Any,
) -> None:  # fmt: skip
    n, _, width = stack.shape
    for row in range(first, last):
        y = np.empty(n)
        use = np.empty(n, np.bool_)
        weight = np.empty(n)
        for column in range(width):
            exposed, clipped = 0, 0
            for f in range(n):
                raw = stack[f, row, column]
                y[f] = raw - levels[f] - glow[row, column] * glow_growth[f]
                use[f] = raw < saturation
                if growth[f] > 0:
                    exposed += use[f]
                    clipped += not use[f]
            flag = 0
            if clipped > 0:
                flag |= SATURATED
                if exposed == 0:
                    # a lower limit is all that is known: from the shortest exposure
                    best = -1
                    for f in range(n):
                        if growth[f] > 0 and (best < 0 or growth[f] < growth[best]):
                            best = f
                    use[best] = True
            bias, rate, slope = 0.0, 0.0, 0.0
            vb, cbr, vr, vs, cbs, crs = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            chi2, used, removed, told = 0.0, 0, 0, 0.0
            own = False
            for turn in range(_ROUNDS + n // 10 + 2):
                # normal equations of (bias, rate[, slope]) at the present parameters
                a00 = a01 = a02 = a11 = a12 = a22 = 0.0
                r0 = r1 = r2 = 0.0
                for f in range(n):
                    if not use[f]:
                        continue
                    grown = growth[f] * np.exp(slope * away[f]) if own else growth[f]
                    signal = max(rate * grown, 0.0) if turn > 0 else 0.0
                    gathered = signal + max(glow[row, column] * glow_growth[f], 0.0)
                    variance = (read_variance + adu_per_e * gathered) * shares[f] + (NONLINEAR * signal) ** 2
                    w = 1.0 / variance
                    weight[f] = w
                    slant = rate * grown * away[f] if own else 0.0
                    target = y[f] + slant * slope  # linearised about the present slope
                    a00 += w
                    a01 += w * grown
                    a11 += w * grown * grown
                    r0 += w * target
                    r1 += w * grown * target
                    if own:
                        a02 += w * slant
                        a12 += w * grown * slant
                        a22 += w * slant * slant
                        r2 += w * slant * target
                a11 += 1e-30
                det = a00 * a11 - a01 * a01
                vb, cbr, vr = a11 / det, -a01 / det, a00 / det
                if own:
                    # slope eliminated last: Schur complement
                    k0 = vb * a02 + cbr * a12
                    k1 = cbr * a02 + vr * a12
                    rest = a22 + 1.0 / slope_prior - (a02 * k0 + a12 * k1)
                    vs = 1.0 / rest
                    wanted = (r2 - (k0 * r0 + k1 * r1)) * vs
                    limit = 3.0 * np.sqrt(slope_prior)
                    slope = min(max(wanted, -limit), limit)
                    bias = vb * r0 + cbr * r1 - k0 * slope
                    rate = cbr * r0 + vr * r1 - k1 * slope
                    cbs, crs = -k0 * vs, -k1 * vs
                    vb, cbr, vr = vb + k0 * k0 * vs, cbr + k0 * k1 * vs, vr + k1 * k1 * vs
                else:
                    bias = vb * r0 + cbr * r1
                    rate = cbr * r0 + vr * r1
                # how well it fits, and what fits worst
                chi2, used, worst, where = 0.0, 0, 0.0, -1
                for f in range(n):
                    if not use[f]:
                        continue
                    grown = growth[f] * np.exp(slope * away[f]) if own else growth[f]
                    off = (y[f] - bias - rate * grown) ** 2 * weight[f]
                    chi2 += off
                    used += 1
                    # by how much leaving it out would lower chi2: a long dark pulls the line to itself
                    lever = weight[f] * (vb + 2 * cbr * grown + vr * grown * grown)
                    if own:
                        slant = rate * grown * away[f]
                        lever += weight[f] * slant * (vs * slant + 2 * (cbs + crs * grown))
                    off /= max(1.0 - lever, 0.05)
                    if off > worst:
                        worst, where = off, f
                if turn == 2 and rate > 0:
                    s02 = s12 = s22 = 0.0
                    for f in range(n):
                        if use[f]:
                            slant = rate * growth[f] * away[f]
                            s02 += weight[f] * slant
                            s12 += weight[f] * growth[f] * slant
                            s22 += weight[f] * slant * slant
                    told = (s22 - (vb * s02 * s02 + 2 * cbr * s02 * s12 + vr * s12 * s12)) * slope_prior
                    if told > 1.0:
                        own = True
                        continue
                if turn == 5 and own:
                    sigmas = _WELL_TOLD_SIGMA if told > _WELL_TOLD else _OTHER_SIGMA
                    if slope * slope < sigmas**2 * vs:
                        own = False
                        if told > _WELL_TOLD:
                            planes[9, row, column], planes[10, row, column] = slope, vs
                        slope, vs, cbs, crs = 0.0, 0.0, 0.0, 0.0
                        continue
                if turn >= 2 and worst > _CLIP**2 and removed <= n // 10 and used > 4:
                    use[where] = False
                    removed += 1
                elif turn >= (5 if own else 2):
                    break
            spare = used - (3 if own else 2)
            if spare >= 3:
                reduced = chi2 / spare
                if reduced > 1 + 5 * np.sqrt(2.0 / spare):
                    flag |= UNSTEADY
                    vb, cbr, vr = vb * reduced, cbr * reduced, vr * reduced
                    vs, cbs, crs = vs * reduced, cbs * reduced, crs * reduced
            if own:
                flag |= OWN_SLOPE
                if told > _WELL_TOLD:
                    planes[9, row, column], planes[10, row, column] = slope, vs
            if clipped > 0 and exposed == 0:
                vr = rate * rate
            planes[0, row, column], planes[1, row, column] = bias, rate
            planes[2, row, column], planes[3, row, column], planes[4, row, column] = vb, cbr, vr
            planes[5, row, column], planes[6, row, column] = slope, vs
            planes[7, row, column], planes[8, row, column] = cbs, crs
            flags[row, column] = flag
