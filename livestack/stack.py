"""The stack of one filter: its accumulator, and what it is measured by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from livestack.debayer import luminance
from livestack.integrate import Accumulator
from livestack.normalise import Level
from livestack.resample import Registered
from measure.noise import background_noise
from measure.stars import detect, typical_fwhm_px

_WELL_COVERED = 0.9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StackImage:
    """One filter's picture so far, in ADU at the scale of its first sub.

    ``pixels`` (H, W) or (H, W, 3) float32, 0 where ``coverage`` (H, W, subs seen by each pixel) is 0.
    ``noise_adu`` is its background noise where at least 90 % of the subs overlap, ``sub_noise_adu`` the
    median of that of one calibrated, registered, normalised sub; for colour, the mean of the channels.
    """

    filter: str | None
    pixels: NDArray[np.float32]
    coverage: NDArray[np.float32]
    subs: int
    exposure_s: float
    sub_exposure_s: float | None
    fwhm_px: float
    noise_adu: float
    sub_noise_adu: float
    background_adu: float
    rejected_fraction: float

    @property
    def snr_gain(self) -> float:
        """Noise of one sub over noise of the stack: √N is what N subs can give."""
        return self.sub_noise_adu / self.noise_adu if self.noise_adu > 0 else float("nan")


class FilterStack:
    """Grows by normalised subs; the first sets level and photometric scale."""

    def __init__(self, name: str | None, first: Registered, reference_flux: NDArray[np.float64]) -> None:
        self.reference_flux = reference_flux
        self.level = Level(first)
        self._name = name
        self._accumulator = Accumulator(first.pixels.shape)
        self._noises: list[float] = []
        self._exposures: list[float | None] = []

    @property
    def subs(self) -> int:
        """How many subs are in it."""
        return self._accumulator.subs

    def add(self, sub: Registered, noise_adu: NDArray[np.float64], exposure_s: float | None) -> None:
        """Take in a sub that is at the stack's scale and level already."""
        self._accumulator.add(sub, noise_adu)
        self._noises.append(float(np.mean(noise_adu)))
        self._exposures.append(exposure_s)

    def snapshot(self) -> StackImage:
        """Reject, measure and freeze."""
        integrated = self._accumulator.snapshot()
        coverage = integrated.coverage
        seen = coverage > 0
        image = luminance(integrated.pixels)
        stars = detect(image, invalid=None if seen.all() else ~seen)
        best = coverage >= _WELL_COVERED * self.subs
        well = best if best.mean() > 0.02 else coverage >= _WELL_COVERED * coverage.max()
        known = [seconds for seconds in self._exposures if seconds is not None]
        return StackImage(
            filter=self._name,
            pixels=integrated.pixels,
            coverage=coverage,
            subs=self.subs,
            exposure_s=float(sum(known)),
            sub_exposure_s=float(np.median(known)) if known else None,
            fwhm_px=typical_fwhm_px(stars),
            noise_adu=float(np.mean(channel_noise(integrated.pixels, well))),
            sub_noise_adu=float(np.median(self._noises)),
            background_adu=float(np.median(image[well])),
            rejected_fraction=integrated.rejected_fraction,
        )


def channel_noise(pixels: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Background noise of each channel of (H, W[, 3]): a 0-d or (3,) array."""
    if pixels.ndim == 2:
        return np.asarray(background_noise(pixels, valid))
    return np.array([background_noise(pixels[..., channel], valid) for channel in range(pixels.shape[2])])
