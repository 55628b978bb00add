"""The stack itself: a mean that grows, and can tell at any time which values don't belong to it.

Each pixel keeps five numbers: how many values it has, their mean, their summed squared deviations (Welford),
and the two largest. That is enough to test the two largest against all the others when a picture is wanted,
however many subs there are and in whatever order they came.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from livestack.resample import Registered

_REJECT_SIGMA = 3.0
_PRIOR_VALUES = 4.0
_STAR_SCATTER = 0.15
_LOWEST = np.float32(np.finfo(np.float32).min)


@dataclass(frozen=True, slots=True, eq=False)
class Integrated:
    """``pixels`` (H, W[, 3]): the mean less outliers, 0 where unseen; ``coverage`` (H, W): subs seen."""

    pixels: NDArray[np.float32]
    coverage: NDArray[np.float32]
    rejected_fraction: float


class Accumulator:
    """Five float32 planes for each channel, one set for each filter."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.subs = 0
        self._count = np.zeros(shape[:2], dtype=np.float32)
        self._mean = np.zeros(shape, dtype=np.float32)
        self._m2 = np.zeros(shape, dtype=np.float32)
        self._largest = np.full(shape, _LOWEST, dtype=np.float32)
        self._second = np.full(shape, _LOWEST, dtype=np.float32)
        self._variance_sum = np.zeros(shape[2:], dtype=np.float64)

    def add(self, sub: Registered, noise_adu: NDArray[np.float64] | float) -> None:
        """Take in a sub at the stack's scale, whose background noise (of each channel) is ``noise_adu``."""
        covered = sub.covered
        self._count += covered
        with np.errstate(divide="ignore"):
            share = np.where(covered, np.float32(1) / self._count, np.float32(0))
        values = sub.pixels
        if values.ndim == 3:
            covered, share = covered[..., None], share[..., None]
        step = values - self._mean
        step *= covered
        self._mean += step * share
        # Welford: (x − old mean)(x − new mean) = (x − old mean)² (1 − 1/n).
        step *= step
        step *= np.float32(1) - share
        self._m2 += step
        seen = np.where(covered, values, _LOWEST)
        np.maximum(self._second, np.minimum(self._largest, seen), out=self._second)
        np.maximum(self._largest, seen, out=self._largest)
        self._variance_sum += np.square(noise_adu)
        self.subs += 1

    def snapshot(self) -> Integrated:
        """Return the mean without the values that don't belong; the accumulator goes on unchanged.

        The scatter that a value is tested against is that of the others, drawn towards what is known
        beforehand as though that were four more values: the subs' background noise, and 15 % of the signal
        for what seeing does to stars. It is never below the background noise. The second largest is tested
        first, against the rest without both, so that two hits cannot hide each other; for that at least four
        values are needed.
        """
        count = self._count if self._mean.ndim == 2 else self._count[..., None]
        noise2 = (self._variance_sum / max(self.subs, 1)).astype(np.float32)
        sky = self._sky()
        seen = np.maximum(count, 1)

        total = self._mean * seen
        one = np.maximum(seen - 1, 1)
        largest = np.where(count >= 1, self._largest, self._mean)
        mean_one = (total - largest) / one
        m2_one = np.maximum(self._m2 - (largest - mean_one) ** 2 * (one / seen), 0)
        reject_one = (count >= 2) & self._beyond(largest, mean_one, m2_one, one, noise2, sky)

        second = np.where(count >= 2, self._second, mean_one)
        two = np.maximum(seen - 2, 1)
        mean_two = (mean_one * one - second) / two
        m2_two = np.maximum(m2_one - (second - mean_two) ** 2 * (two / one), 0)
        reject_two = (count >= 4) & self._beyond(second, mean_two, m2_two, two, noise2, sky)

        pixels = np.where(reject_two, mean_two, np.where(reject_one, mean_one, self._mean))
        pixels *= count > 0
        values = max(float(self._count.sum()) * (pixels.size / self._count.size), 1.0)
        rejected = int((reject_one | reject_two).sum()) + int(reject_two.sum())
        return Integrated(pixels.astype(np.float32, copy=False), self._count.copy(), rejected / values)

    def _sky(self) -> NDArray[np.float32]:
        """Background level of each channel, from a sample of the covered pixels."""
        rows, columns = (slice(None, None, max(1, n // 256)) for n in self._count.shape)
        sample, seen = self._mean[rows, columns], self._count[rows, columns] > 0
        if not seen.any():
            return np.zeros(self._mean.shape[2:], dtype=np.float32)
        return np.asarray(np.median(sample[seen], axis=0), dtype=np.float32)

    @staticmethod
    def _beyond(
        value: NDArray[np.float32],
        mean: NDArray[np.float32],
        m2: NDArray[np.float32],
        n: NDArray[np.float32],
        noise2: NDArray[np.float32],
        sky: NDArray[np.float32],
    ) -> NDArray[np.bool_]:
        """Whether ``value`` is over 3σ above the ``mean`` of ``n`` others, that mean's own error included."""
        known = noise2 + (np.float32(_STAR_SCATTER) * (mean - sky)) ** 2
        scatter = (m2 + np.float32(_PRIOR_VALUES) * known) / (n - 1 + np.float32(_PRIOR_VALUES))
        scatter = np.maximum(scatter, noise2) * (1 + 1 / n)
        excess = value - mean
        beyond: NDArray[np.bool_] = (excess > 0) & (excess * excess > np.float32(_REJECT_SIGMA**2) * scatter)
        return beyond
