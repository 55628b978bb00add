"""A true sky behind real optics: every star's place on every sub is known, and so is the ideal stack.

Stars are directions in space, so that a mount that moves does what it does to a wide field; the telescope
distorts what comes through (:meth:`simulators.optics.Telescope.distort`), the sensor counts photons.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import sep
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from livestack.engine import LiveStack, Outcome
from livestack.events import SubAccepted
from livestack.geometry import Points
from livestack.warp import Warp
from simulators.optics import TELESCOPES, Telescope
from simulators.render import PointSources, StarShape, render
from tests.livestack.sky import sub

Frame = NDArray[np.float32]

PINHOLE = Telescope(distortion_per_mm2=0.0)
BARREL = Telescope(distortion_per_mm2=-6e-5)
READ_NOISE_E = 3.0


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the sub's pixels lie: what the axis is off the reference's, in pixels, and the turn around it."""

    dx: float = 0.0
    dy: float = 0.0
    turn_deg: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observatory:
    """A camera of one electron an ADU; ``pixel_um`` is large, so that a small frame sees a wide field."""

    shape: tuple[int, int] = (480, 720)
    telescope: Telescope = PINHOLE
    pixel_um: float = 30.0
    n_stars: int = 250
    flux_range_e: tuple[float, float] = (3e3, 3e5)
    sky_e: float = 400.0
    seed: int = 1
    _directions: Points = field(init=False)
    fluxes_e: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        height, width = self.shape
        reach = 1.5 * np.hypot(height, width) / 2
        n = round(self.n_stars * 4 * reach**2 / (height * width))
        u, v = rng.uniform(-reach, reach, (2, n))
        faint, bright = np.log(self.flux_range_e)
        object.__setattr__(self, "_directions", np.column_stack((u, v, np.full(n, self.focal_px))))
        object.__setattr__(self, "fluxes_e", np.exp(rng.uniform(faint, bright, n)))

    @property
    def focal_px(self) -> float:
        """Focal length in pixels."""
        return 1000.0 * self.telescope.focal_mm / self.pixel_um

    def places(self, pose: Pose = Pose()) -> Points:
        """Where all stars (N, 2) fall, some of them beyond the frame's edges."""
        off = np.array([pose.dx, pose.dy]) / self.focal_px
        u, v, w = (self._directions @ _turned(off[0], off[1], np.radians(pose.turn_deg)).T).T
        u, v = self.telescope.distort(self.focal_px * u / w, self.focal_px * v / w, self.pixel_um)
        return np.column_stack((u, v)) + self.centre

    @property
    def centre(self) -> NDArray[np.float64]:
        """The middle of the frame, where the axis is."""
        return (np.array(self.shape[::-1]) - 1) / 2

    def inside(self, places: Points, margin: float = 15.0) -> NDArray[np.bool_]:
        """Which places are on the frame."""
        return np.asarray(
            ((places > margin) & (places < np.array(self.shape[::-1]) - 1 - margin)).all(axis=1)
        )

    def light(self, pose: Pose = Pose(), *, fwhm_px: float = 2.8, blur_px: float = 0.0) -> Frame:
        """Electrons (H, W) of the stars alone, without noise; ``blur_px`` is how far out of focus it is."""
        x, y = self.places(pose).T
        stars = PointSources(x, y, self.fluxes_e, np.full(len(x), blur_px))
        return render(self.shape[1], self.shape[0], stars, StarShape(fwhm_px=fwhm_px))

    def expose(
        self,
        rng: np.random.Generator,
        pose: Pose = Pose(),
        *,
        fwhm_px: float = 2.8,
        blur_px: float = 0.0,
        transparency: float = 1.0,
        sky_e: float | None = None,
    ) -> Frame:
        """One sub with its photon and read noise."""
        light = transparency * self.light(pose, fwhm_px=fwhm_px, blur_px=blur_px)
        light += np.float32(self.sky_e if sky_e is None else sky_e)
        noise = rng.standard_normal(self.shape, np.float32)
        return np.asarray(light + noise * np.sqrt(light + READ_NOISE_E**2))


def _turned(right: float, down: float, turn: float) -> NDArray[np.float64]:
    """The rotation (3, 3) that moves the axis by angles and turns the field around it, in radians."""
    a, b, c = (np.array([np.cos(angle), np.sin(angle)]) for angle in (right, down, turn))
    about_y = np.array([[a[0], 0, -a[1]], [0, 1, 0], [a[1], 0, a[0]]])
    about_x = np.array([[1, 0, 0], [0, b[0], -b[1]], [0, b[1], b[0]]])
    about_z = np.array([[c[0], -c[1], 0], [c[1], c[0], 0], [0, 0, 1]])
    return np.asarray(about_z @ about_x @ about_y)


def optics(name: str) -> Telescope:
    """A telescope of the simulators', no distortion at all, or 1 % of it in the corners."""
    return {"pinhole": PINHOLE, "barrel": BARREL, **TELESCOPES}[name]


def taken(
    stack: LiveStack, frame: NDArray[np.floating], *, bayer: str | None = None, name: str = "a"
) -> Outcome:
    """Add a sub that must be accepted."""
    outcome = stack.process(sub(frame.astype(np.float64), name, bayer=bayer))
    assert isinstance(outcome.event, SubAccepted), outcome.event
    return outcome


def warp_of(outcome: Outcome) -> Warp:
    assert outcome.transform is not None
    return outcome.transform.warp


def resampled(frame: NDArray[np.floating], warp: Warp, shape: tuple[int, int]) -> NDArray[np.float64]:
    """A sub on the reference by Lanczos-4, pixel by pixel as the formula says; NaN beyond its edges."""
    y, x = np.indices(shape)
    places = warp.backwards(np.column_stack((x.ravel(), y.ravel())).astype(np.float64))
    whole = np.floor(places).astype(np.int64)
    taps = np.arange(-3, 5)
    distance = (places - whole)[:, :, None] - taps
    weights = np.sinc(distance) * np.sinc(distance / 4)
    weights /= weights.sum(axis=2, keepdims=True)
    height, width = frame.shape
    columns = np.clip(whole[:, :1] + taps, 0, width - 1)
    rows = np.clip(whole[:, 1:] + taps, 0, height - 1)
    total = np.zeros(len(places))
    for j in range(8):
        total += weights[:, 1, j] * (weights[:, 0] * frame[rows[:, j, None], columns]).sum(axis=1)
    beyond = ((places < 0) | (places > np.array([width - 1, height - 1]))).any(axis=1)
    return np.where(beyond, np.nan, total).reshape(shape)


def apart(places: Points, distance: float) -> NDArray[np.bool_]:
    """Which places have no other within ``distance``."""
    gaps = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    np.fill_diagonal(gaps, np.inf)
    return np.asarray(gaps.min(axis=1) > distance)


def photometry(image: NDArray[np.floating], places: Points, radius: float) -> NDArray[np.float64]:
    """Aperture fluxes (N), the sky taken from a ring around each star."""
    pixels = np.ascontiguousarray(image, dtype=np.float64)
    flux, _, _ = sep.sum_circle(pixels, *places.T, radius, bkgann=(radius + 3, radius + 10), subpix=0)
    return np.asarray(flux)


def fwhm_px(image: NDArray[np.floating], places: Points, reach: int = 6) -> float:
    """One Moffat profile through all pixels of all these stars, each around its own true place."""
    step = np.arange(-reach, reach + 1)
    whole = np.rint(places).astype(np.int64)
    rows, columns = whole[:, 1, None, None] + step[:, None], whole[:, 0, None, None] + step
    radius = np.hypot(columns - places[:, 0, None, None], rows - places[:, 1, None, None])
    stars = image[rows, columns] - np.median(image)
    stars = stars / stars.sum(axis=(1, 2), keepdims=True)

    def moffat(r: NDArray[np.float64], peak: float, alpha: float, beta: float) -> NDArray[np.float64]:
        return np.asarray(peak * (1 + (r / alpha) ** 2) ** -beta)

    (_, alpha, beta), _ = curve_fit(moffat, radius.ravel(), stars.ravel(), (0.1, 2.5, 3.0))
    return float(2 * abs(alpha) * np.sqrt(2 ** (1 / beta) - 1))
