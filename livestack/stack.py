"""The stack of one filter: its planes, and what it is measured by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from livestack.dark_scaling import Scaling
from livestack.demosaics import DEFAULT, Demosaic
from livestack.geometry import size
from livestack.kernels.keys import Coding
from livestack.look import Look
from livestack.masters import Masters
from livestack.normalise import Mesh, level_surface
from livestack.placing import Interpolation, Placed
from livestack.planes import Light, Planes
from livestack.survey import Raw, picture_shape
from livestack.warp import Warp
from measure.detection.picture import detect
from measure.noise import background_noise
from measure.stars import Stars, typical_fwhm_px

_WELL_COVERED = 0.9
_FLOAT_HEADROOM = 4.0
_LARGEST_INTEGER = 65_535.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StackImage:
    """One filter's picture so far, in ADU at the scale of its first sub.

    ``pixels`` (H, W) or (H, W, 3) float32, 0 where ``coverage`` (H, W, subs seen by each pixel) is 0.
    ``noise_adu`` is its background noise where at least 90 % of the subs overlap, ``sub_noise_adu`` the
    median of that of one calibrated, registered, normalised sub; for colour, the mean of the channels.
    """

    filter: str | None
    pixels: NDArray[np.float32]
    coverage: NDArray[np.uint16]
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibrating:
    """A raw frame with what calibrates it; three planes lie one below the other (3 H, W)."""

    raw: Raw
    masters: Masters
    bayer_pattern: str | None
    exposure_s: float | None
    dark_scaling: Scaling | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of what it shows."""
        return picture_shape(self.raw.shape, self.bayer_pattern)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Founding:
    """What the first sub of a filter settles for all that follow, be it taken out again or not.

    ``reference_flux`` is that of the reference's stars in this filter, NaN where unknown. ``mesh`` is the
    sky on the reference's pixels; ``noise_adu`` that of light spread over one of these, ``fwhm_px`` in them.
    """

    frame_id: str
    filter: str | None
    shape: tuple[int, int]
    coding: Coding
    reference_flux: NDArray[np.float64]
    mesh: Mesh
    noise_adu: float
    fwhm_px: float

    @classmethod
    def by(
        cls,
        frame_id: str,
        name: str | None,
        sub: Calibrating,
        seen: Look,
        warp: Warp,
        *,
        shape: tuple[int, int],
        reference_flux: NDArray[np.float64],
    ) -> Founding:
        """What a sub settles that ``warp`` takes onto a reference of ``shape``."""
        return cls(
            frame_id=frame_id,
            filter=name,
            shape=shape,
            coding=_coding(seen, sub.raw),
            reference_flux=reference_flux,
            mesh=seen.mesh.moved(warp, shape),
            noise_adu=size(warp.matrix) * seen.noise_adu,
            fwhm_px=size(warp.matrix) * typical_fwhm_px(seen.stars),
        )


class FilterStack:
    """Grows by subs, at the level, photometric scale and unit of weight of its founding."""

    def __init__(self, founding: Founding) -> None:
        self.founding = founding
        self.planes = Planes(founding.shape, founding.mesh.levels.shape[0], founding.coding)
        self.noises_adu: list[float] = []
        self.exposures_s: list[float | None] = []
        self.widths_px: list[float] = []

    @property
    def subs(self) -> int:
        """How many subs are in it."""
        return self.planes.subs

    def clear(self) -> None:
        """Take all subs out; what was founded stays."""
        self.planes.clear(self.planes.tiles)
        self.planes.retell([], [])
        self.noises_adu.clear()
        self.exposures_s.clear()
        self.widths_px.clear()

    def place(
        self,
        sub: Calibrating,
        seen: Look,
        warp: Warp,
        scale: float | None,
        *,
        fwhm_power: float,
        demosaic: Demosaic = DEFAULT,
        interpolation: Interpolation | None = None,
    ) -> Placed:
        """How a sub goes in that is to be multiplied by ``scale``; None leaves the founding one as it is."""
        founding = self.founding
        mesh = None if scale is None else founding.mesh
        scale = 1.0 if scale is None else scale
        pixel = size(warp.matrix)
        width = pixel * typical_fwhm_px(seen.stars)
        noise, weight = scale * pixel * seen.noise_adu, 1.0
        if noise > 0 and founding.noise_adu > 0:
            weight *= (founding.noise_adu / noise) ** 2
        if width > 0 and founding.fwhm_px > 0:
            weight *= (founding.fwhm_px / width) ** fwhm_power
        return Placed(
            bayer_pattern=sub.bayer_pattern,
            warp=warp,
            scale=scale,
            surface=level_surface(mesh, seen.mesh, warp, scale, founding.shape),
            weight=weight,
            noise_adu=seen.noise_adu,
            patches=seen.patches,
            demosaic=demosaic,
            interpolation=interpolation,
            dark_factor=None if sub.dark_scaling is None else sub.dark_scaling.factor,
            shift_adu=sub.masters.shift_adu,
            fwhm_px=width,
        )

    def add(self, sub: Calibrating, placed: Placed) -> float:
        """Take in a sub; returns its noise at the stack's scale, the mean of its channels.

        Raises ValueError for one whose weight is too far from those of the subs that are in.
        """
        if not self.planes.takes(placed.weight_class):
            raise ValueError(f"a sub of weight {placed.weight:g} is not for this stack")
        noise = self.planes.add(Light(sub.raw, sub.masters, placed))
        self.noises_adu.append(float(np.mean(noise)))
        self.exposures_s.append(sub.exposure_s)
        self.widths_px.append(placed.fwhm_px)
        return self.noises_adu[-1]

    def snapshot(self) -> StackImage:
        """Reject, measure and freeze."""
        known = [width for width in self.widths_px if width > 0]
        integrated = self.planes.picture(max(known) / min(known) if known else 1.0)
        return stack_image(
            self.founding.filter,
            integrated.pixels,
            integrated.coverage,
            exposures_s=self.exposures_s,
            noises_adu=self.noises_adu,
            rejected_fraction=integrated.rejected_fraction,
        )


def stack_image(
    name: str | None,
    pixels: NDArray[np.float32],
    coverage: NDArray[np.uint16],
    *,
    exposures_s: Sequence[float | None],
    noises_adu: Sequence[float],
    rejected_fraction: float,
) -> StackImage:
    """Measure a picture (H, W[, 3]) of subs of such exposures and noises, and freeze it."""
    subs = len(noises_adu)
    image = pixels if pixels.ndim == 2 else _grey(pixels)
    stars = _stars(image, coverage)
    most = int(coverage.max())
    well = math.ceil(min(_WELL_COVERED * subs, most))
    if _share(coverage, well) <= 0.02:
        well = math.ceil(_WELL_COVERED * most)
    known = [seconds for seconds in exposures_s if seconds is not None]
    return StackImage(
        filter=name,
        pixels=pixels,
        coverage=coverage,
        subs=subs,
        exposure_s=float(sum(known)),
        sub_exposure_s=float(np.median(known)) if known else None,
        fwhm_px=typical_fwhm_px(stars),
        noise_adu=float(np.mean(channel_noise(pixels, coverage, well))),
        sub_noise_adu=float(np.median(noises_adu)),
        background_adu=_median(image, coverage, well),
        rejected_fraction=rejected_fraction,
    )


def _grey(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of three channels; numpy's own, over a last axis of three, takes four times as long."""
    image: NDArray[np.float32] = pixels[..., 0] + pixels[..., 1]
    image += pixels[..., 2]
    image /= np.float32(3)
    return image


def _stars(image: NDArray[np.float32], coverage: NDArray[np.uint16]) -> Stars:
    """Those of a picture, in place: a copy of it is what a small machine may not have."""
    _where_unseen(image, coverage, np.nan)
    stars = detect(image).stars
    _where_unseen(image, coverage, 0.0)
    return stars


def _where_unseen(image: NDArray[np.float32], coverage: NDArray[np.uint16], value: float) -> None:
    """Row by row: a mask of the whole picture would be a quarter of it again."""
    for row, seen in zip(image, coverage, strict=True):
        if not seen.all():
            row[seen == 0] = value


def _share(coverage: NDArray[np.uint16], least: int) -> float:
    """Of pixels that so many subs cover; no mask of the whole picture is made."""
    return sum(np.count_nonzero(row >= least) for row in coverage) / coverage.size


def channel_noise(
    pixels: NDArray[np.float32], coverage: NDArray[np.uint16], least: int
) -> NDArray[np.float64]:
    """Background noise of each channel of (H, W[, 3]) where ``least`` subs are: a 0-d or (3,) array."""
    if pixels.ndim == 2:
        return np.asarray(background_noise(pixels, coverage, least=least))
    return np.array([background_noise(each, coverage, least=least) for each in np.moveaxis(pixels, 2, 0)])


def _median(image: NDArray[np.float32], coverage: NDArray[np.uint16], least: int) -> float:
    step = max(1, int(np.sqrt(image.size / 500_000)))
    every = (slice(None, None, step), slice(None, None, step))
    sample = image[every][coverage[every] >= least]
    return float(np.median(sample if len(sample) else image[coverage >= least]))


def _coding(first: Look, raw: Raw) -> Coding:
    """Codes for what later subs may hold: any integer of the sensor's, floats somewhat beyond the first's."""
    levels = np.nanmedian(first.mesh.levels, axis=(1, 2))
    sky = np.where(np.isfinite(levels), levels, 0.0)
    if raw.dtype.kind in "iu":
        return Coding.over(sky, _LARGEST_INTEGER)
    brightest = float(np.fmax.reduce(raw, axis=None))
    above = max(brightest - float(sky.min()), 100 * first.noise_adu)
    return Coding.over(sky, float(sky.min()) + _FLOAT_HEADROOM * above)
