"""How dark signal grows with time and temperature, camera-wide: fitted on block means of ordinary pixels.

A block's mean in a frame of exposure t at temperature T is

    B + D·g + G·h + s·(T − T₀) + δ·[exposed] + the frame's own level,
    g = t·exp(κ·(T − T₀) + q·(T − T₀)²/2),   h = (t / t₀)^p

with B, D and G the block's bias, dark rate and amp glow. κ is ln 2 over the doubling temperature; q lets
an Arrhenius law (q ≈ −2κ/T in kelvin) and a plain doubling (q = 0) both be found. s is the drift of
the bias, δ the step by which an exposed frame lies above a bias.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DOUBLING_C = 6.0
DOUBLING_ERROR_C = 1.0
"""What is believed before any frame is seen; see docs/library/dark-model.md for where it comes from."""

OWN_SLOPE_SPREAD = 0.2
"""How much a single pixel's κ may differ from the camera's (1 σ, as a share)."""

_KELVIN = 273.15
_DRIFT_PER_C = 0.05
_STEP = 0.3
"""Priors (1 σ) of s per °C and of δ, in units of the read noise."""

_EXPONENT_ERROR = 0.5
_GLOW_EXPONENTS = (0.3, 2.5)
_GLOW_SIGMA = 8.0
_STEPS_FOR_GLOW = 4
_LEAST_APART = 2e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposures:
    """What is known of N frames before a pixel is looked at; each array is (N,)."""

    exposure_s: Floats
    temp_c: Floats
    exposed: NDArray[np.bool_]
    """False for biases."""

    frames: Floats
    """How many subs each is the mean of."""

    def conditions(self) -> int:
        """How many different settings of exposure and temperature there are."""
        pairs = np.column_stack([np.round(self.exposure_s * self.exposed, 3), np.round(self.temp_c)])
        return len(np.unique(pairs, axis=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """The camera's own figures; errors are 1 σ."""

    reference_c: float
    slope: float
    slope_error: float
    slope_spread: float = 0.1
    """How much κ of a pixel whose own is not known may differ from the camera's, as a share."""

    curvature: float = 0.0
    curvature_error: float = 0.0
    drift_adu_per_c: float = 0.0
    exposed_adu: float = 0.0
    jitter_adu: float = 0.0
    glow_exponent: float | None = None
    glow_reference_s: float = 1.0
    level_covariance: Floats = field(default_factory=lambda: np.zeros((5, 5)))
    """Of what all pixels have in common, over (1, g, h, T − T₀, exposed)."""

    @property
    def doubling_c(self) -> float:
        """The step that doubles the dark rate, at the reference temperature."""
        return float(np.log(2) / self.slope)

    @property
    def doubling_error_c(self) -> float:
        """Its error."""
        return self.doubling_c * self.slope_error / self.slope

    @property
    def is_prior(self) -> bool:
        """Whether the doubling temperature is the prior's rather than the frames'."""
        return self.slope_error > 0.5 * PRIOR_SLOPE_ERROR

    def growth(self, temp_c: Floats | float) -> Floats:
        """How many times the rate at the reference temperature the rate is."""
        away = np.asarray(temp_c, np.float64) - self.reference_c
        return np.asarray(np.exp(self.slope * away + self.curvature * away**2 / 2))

    def glow_growth(self, exposure_s: Floats | float) -> Floats:
        """How many times the glow map an exposure gathers."""
        if self.glow_exponent is None:
            return np.zeros_like(np.asarray(exposure_s, np.float64))
        return np.asarray((np.asarray(exposure_s) / self.glow_reference_s) ** self.glow_exponent)

    def level_adu(self, temp_c: Floats | float, exposed: NDArray[np.bool_] | bool) -> Floats:
        """What lies on all pixels alike, above their bias at the reference temperature."""
        return np.asarray(
            self.drift_adu_per_c * (np.asarray(temp_c) - self.reference_c)
            + self.exposed_adu * np.asarray(exposed)
        )

    def level_variance(self, exposure_s: float, temp_c: float) -> float:
        """How uncertain the mean of a synthesised dark is, ADU²."""
        exposed = float(exposure_s > 0)
        terms = np.array(
            [
                1.0,
                exposure_s * float(self.growth(temp_c)),
                float(self.glow_growth(exposure_s)),
                temp_c - self.reference_c,
                exposed,
            ]
        )
        return float(max(terms @ self.level_covariance @ terms, 0.0))


PRIOR_SLOPE = float(np.log(2) / DOUBLING_C)
PRIOR_SLOPE_ERROR = PRIOR_SLOPE * DOUBLING_ERROR_C / DOUBLING_C


@dataclass(frozen=True, slots=True, kw_only=True)
class LawFit:
    """The law, each frame's own level above it (N,), and the blocks' glow at the reference exposure."""

    law: Law
    levels_adu: Floats
    glow_adu: Floats | None
    glow_error_adu: float


def fit_law(blocks: Floats, shots: Exposures, block_noise_adu: Floats, *, read_noise_adu: float) -> LawFit:
    """Fit block means (N, blocks) whose random errors are ``block_noise_adu`` (N,).

    The differences between blocks are free of any level a frame may have of its own; the mean of all blocks
    is not, and the scatter of those levels is estimated. Glow is believed when leaving it out is worse by far
    more than chance, with at least four different settings. The prior of κ always has its say.
    """
    fit = _Fit(blocks, shots, block_noise_adu, read_noise_adu)
    with_glow = None
    may_glow = shots.conditions() >= _STEPS_FOR_GLOW and blocks.shape[1] > 1
    fit.widen(fit.best(glow=may_glow))
    plain = fit.best(glow=False)
    if may_glow:
        glowing = fit.best(glow=True)
        gained = (fit.cost(plain, tempered=False) - fit.cost(glowing, tempered=False)) / fit.excess(glowing)
        wanted = blocks.shape[1] + _GLOW_SIGMA * np.sqrt(2 * blocks.shape[1])
        if gained > wanted and fit.apart(glowing) > _LEAST_APART:
            with_glow = glowing
    return fit.result(plain if with_glow is None else with_glow)


class _Fit:
    """The linear terms are eliminated: what is searched is (κ, q) or (κ, q, p), in units of their priors."""

    def __init__(self, blocks: Floats, shots: Exposures, noise: Floats, read_noise: float) -> None:
        self.shots, self.noise, self.read_noise = shots, noise, read_noise
        warm = np.where(shots.exposed, shots.exposure_s * shots.frames, 0.0)
        weight = warm * np.exp(PRIOR_SLOPE * (shots.temp_c - shots.temp_c.max()))
        self.reference_c = round(float(np.average(shots.temp_c, weights=weight)), 2)
        self.away = shots.temp_c - self.reference_c
        self.reference_s = float(shots.exposure_s.max())
        self.mean = blocks.mean(axis=1)
        self.differences = blocks - self.mean[:, None]
        self.blocks = blocks.shape[1]
        self.weigh()
        self.jitter = 0.0
        self.temper = 1.0

    def weigh(self) -> None:
        """Take the frames' noise into what the searches need of the contrasts."""
        self.contrast = self.differences / self.noise[:, None]
        self.gram = self.contrast @ self.contrast.T

    def widen(self, x: Floats) -> None:
        """Frames whose blocks scatter more than their noise get more of it; robust, so that glow does not."""
        q, _ = np.linalg.qr(self._design(x) / self.noise[:, None])
        rest = self.contrast - q @ (q.T @ self.contrast)
        left = np.sqrt(np.maximum(1 - (q**2).sum(axis=1), 0.05))
        self.noise = self.noise * np.maximum(1.4826 * np.median(np.abs(rest), axis=1) / left, 1.0)
        self.weigh()

    def terms(self, x: Floats) -> tuple[Floats, Floats]:
        """g and h of every frame, for parameters in units of the priors."""
        slope, curvature = _physical(x, self.reference_c)
        shots = self.shots
        g = shots.exposure_s * shots.exposed * np.exp(slope * self.away + curvature * self.away**2 / 2)
        if len(x) < 3:
            return g, np.zeros_like(g)
        exponent = 1 + _EXPONENT_ERROR * x[2]
        return g, np.where(shots.exposed, (shots.exposure_s / self.reference_s) ** exponent, 0.0)

    def cost(self, x: Floats, *, tempered: bool = True) -> float:
        """χ² of the contrasts, of the common level, and of the priors."""
        if len(x) > 2 and not _GLOW_EXPONENTS[0] <= 1 + _EXPONENT_ERROR * x[2] <= _GLOW_EXPONENTS[1]:
            return np.inf
        temper = self.temper if tempered else 1.0
        return self._contrast_cost(x) / temper + self._common(x)[1] + float(x @ x)

    def _contrast_cost(self, x: Floats) -> float:
        q, _ = np.linalg.qr(self._design(x) / self.noise[:, None])
        return float(np.trace(self.gram) - np.einsum("ij,ik,kj->", q, self.gram, q))

    def _design(self, x: Floats) -> Floats:
        g, h = self.terms(x)
        columns = [np.ones_like(g), g / max(g.max(), 1e-30)]
        if len(x) > 2:
            columns.append(h)
        return np.column_stack(columns)

    def _common(self, x: Floats) -> tuple[Floats, float, Floats, Floats]:
        """The mean level's five coefficients, χ², covariance, and each frame's residual."""
        g, h = self.terms(x)
        used = np.array([0, 1, 2, 3, 4] if len(x) > 2 else [0, 1, 3, 4])
        scale = np.array([1.0, max(float(g.max()), 1e-30), 1.0, 1.0, 1.0])[used]
        width = self.read_noise * np.array([np.inf, np.inf, np.inf, _DRIFT_PER_C, _STEP])[used]
        design = np.column_stack([np.ones_like(g), g, h, self.away, self.shots.exposed])[:, used] / scale
        error = np.hypot(self.noise / np.sqrt(self.blocks), max(self.jitter, 1e-3 * self.read_noise))
        rows = np.vstack([design / error[:, None], np.diag(1 / width)])
        wanted = np.concatenate([self.mean / error, np.zeros(len(used))])
        found, *_ = np.linalg.lstsq(rows, wanted, rcond=1e-12)
        rest = wanted - rows @ found
        solution, covariance = np.zeros(5), np.zeros((5, 5))
        solution[used] = found / scale
        inverse = np.linalg.pinv(rows.T @ rows, rcond=1e-14, hermitian=True)
        covariance[np.ix_(used, used)] = inverse / np.outer(scale, scale)
        return solution, float(rest @ rest), covariance, rest[: len(g)] * error

    def apart(self, x: Floats) -> float:
        """How far g and h are from growing alike over these frames: 1 − their correlation²."""
        g, h = self.terms(x)
        w = 1 / self.noise**2
        g, h = g - np.average(g, weights=w), h - np.average(h, weights=w)
        return 1.0 - float(w @ (g * h)) ** 2 / max(float(w @ g**2) * float(w @ h**2), 1e-300)

    def excess(self, x: Floats) -> float:
        """By how much the contrasts scatter more than their noise."""
        freedom = (len(self.mean) - len(x)) * (self.blocks - 1)
        return max(1.0, self._contrast_cost(x) / freedom) if freedom > 0 else 1.0

    def best(self, *, glow: bool) -> Floats:
        """The parameters that fit best, with the frames' jitter as it then turns out."""
        from scipy.optimize import minimize

        starts = [np.zeros(2)] if not glow else [np.array([0.0, 0.0, p]) for p in (-0.6, 0.0, 0.6)]
        self.jitter, self.temper = self._scatter(), 1.0
        best = starts[0]
        for _ in range(3):
            found = [
                minimize(
                    self.cost, start, method="Nelder-Mead",
                    options={"xatol": 1e-5, "fatol": 1e-4, "maxiter": 2000},
                )
                for start in starts
            ]  # fmt: skip
            best = np.asarray(min(found, key=lambda one: float(one.fun)).x)
            starts = [best]
            freedom = max(len(self.mean) - 4, 1)
            rest = self._common(best)[3]
            self.jitter = float(np.sqrt(max(rest @ rest / freedom - np.mean(self.noise**2) / self.blocks, 0)))
            self.jitter = max(self.jitter, self._scatter() if len(self.mean) < 8 else 0.0)
            self.temper = self.excess(best)
        return best

    def _scatter(self) -> float:
        """How much frames of equal settings differ in level."""
        shots = self.shots
        keys = np.column_stack([np.round(shots.exposure_s * shots.exposed, 3), np.round(shots.temp_c)])
        _, group = np.unique(keys, axis=0, return_inverse=True)
        squares, freedom = 0.0, 0
        for n in range(group.max() + 1):
            members = self.mean[group == n]
            squares += float(((members - members.mean()) ** 2).sum())
            freedom += len(members) - 1
        noise = float(np.mean(self.noise**2)) / self.blocks
        return float(np.sqrt(max(squares / freedom - noise, 0.0))) if freedom else 0.0

    def result(self, x: Floats) -> LawFit:
        """The law and what goes with it."""
        slope, curvature = _physical(x, self.reference_c)
        errors = self._errors(x)
        level, _, covariance, rest = self._common(x)
        shrink = self.jitter**2 / (self.jitter**2 + self.noise**2 / self.blocks)
        law = Law(
            reference_c=self.reference_c,
            slope=slope,
            slope_error=PRIOR_SLOPE_ERROR * float(errors[0]),
            curvature=curvature,
            curvature_error=_curvature_error(self.reference_c) * float(errors[1]),
            drift_adu_per_c=float(level[3]),
            exposed_adu=float(level[4]),
            jitter_adu=self.jitter,
            glow_exponent=1 + _EXPONENT_ERROR * float(x[2]) if len(x) > 2 else None,
            glow_reference_s=self.reference_s,
            level_covariance=covariance,
        )
        levels = law.level_adu(self.shots.temp_c, self.shots.exposed) + shrink * rest
        if len(x) < 3:
            return LawFit(law=law, levels_adu=levels, glow_adu=None, glow_error_adu=0.0)
        design = self._design(x) / self.noise[:, None]
        inverse = np.linalg.inv(design.T @ design)
        glow = (inverse @ design.T @ self.contrast)[2] + level[2]
        return LawFit(law=law, levels_adu=levels, glow_adu=glow, glow_error_adu=float(np.sqrt(inverse[2, 2])))

    def _errors(self, x: Floats) -> Floats:
        """From the curvature of χ²; never wider than the priors, which are 1 in these units."""
        step = 1e-2
        n = len(x)
        hessian = np.empty((n, n))
        unit = np.eye(n) * step
        if n > 2:  # where the exponent ends up at one of its limits, there is no χ² beyond
            low, high = ((limit - 1) / _EXPONENT_ERROR for limit in _GLOW_EXPONENTS)
            x = np.array([x[0], x[1], np.clip(x[2], low + 3 * step, high - 3 * step)])
        for i in range(n):
            for j in range(i, n):
                corners = [
                    sign * self.cost(x + a * unit[i] + b * unit[j])
                    for a, b, sign in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
                ]
                hessian[i, j] = hessian[j, i] = sum(corners) / (4 * step**2)
        variance = np.diag(np.linalg.pinv(hessian / 2))
        return np.asarray(np.sqrt(np.clip(variance, 1e-10, 1.0)))


def _physical(x: Floats, reference_c: float) -> tuple[float, float]:
    slope = PRIOR_SLOPE + PRIOR_SLOPE_ERROR * float(x[0])
    return max(slope, 0.2 * PRIOR_SLOPE), _curvature_error(reference_c) * float(x[1])


def _curvature_error(reference_c: float) -> float:
    return 2 * PRIOR_SLOPE / (reference_c + _KELVIN)
