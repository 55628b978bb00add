"""A small true sky and a camera that looks at it, with everything that happens to a night's subs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from library.frames import FrameKind, FrameMeta
from livestack.engine import Sub
from livestack.geometry import Matrix, apply

READ_NOISE_ADU = 12.0
SKY_ADU = 400.0


@dataclass(frozen=True)
class Sky:
    """Stars at (N, 2) reference positions with fluxes in ADU, on frames of ``shape``."""

    shape: tuple[int, int] = (360, 480)
    n_stars: int = 120
    seed: int = 1
    flux_range: tuple[float, float] = (800.0, 60_000.0)
    positions: NDArray[np.float64] = field(init=False)
    fluxes: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        height, width = self.shape
        margin = 0.4 * max(self.shape)
        low, high = (-margin, -margin), (width + margin, height + margin)
        n = round(self.n_stars * (width + 2 * margin) * (height + 2 * margin) / (width * height))
        object.__setattr__(self, "positions", rng.uniform(low, high, (n, 2)))
        faint, bright = np.log(self.flux_range)
        fluxes = np.exp(faint + (bright - faint) * rng.power(0.8, n))
        object.__setattr__(self, "fluxes", fluxes)

    def expose(
        self,
        to_reference: Matrix,
        rng: np.random.Generator,
        *,
        fwhm_px: float = 2.6,
        transparency: float = 1.0,
        sky_adu: float = SKY_ADU,
        noise_adu: float = READ_NOISE_ADU,
    ) -> NDArray[np.float64]:
        """A frame (H, W) whose pixels lie on the reference by ``to_reference``; stars are Gaussian."""
        frame = np.full(self.shape, sky_adu)
        seen = apply(np.asarray(np.linalg.inv(to_reference), dtype=np.float64), self.positions)
        draw_stars(frame, seen, transparency * self.fluxes, fwhm_px)
        return frame + rng.normal(0.0, noise_adu, self.shape)


def draw_stars(
    frame: NDArray[np.float64], positions: NDArray[np.float64], fluxes: NDArray[np.float64], fwhm_px: float
) -> None:
    """Add Gaussian stars in place."""
    sigma = fwhm_px / 2.3548
    half = int(np.ceil(5 * sigma))
    offsets = np.arange(-half, half + 1)
    height, width = frame.shape
    for (x, y), flux in zip(positions, fluxes, strict=True):
        column, row = round(x), round(y)
        if not (-half <= column < width + half and -half <= row < height + half):
            continue
        gx = np.exp(-0.5 * ((column + offsets - x) / sigma) ** 2)
        gy = np.exp(-0.5 * ((row + offsets - y) / sigma) ** 2)
        stamp = flux / (2 * np.pi * sigma**2) * np.outer(gy, gx)
        top, left = max(0, row - half), max(0, column - half)
        bottom, right = min(height, row + half + 1), min(width, column + half + 1)
        if top >= bottom or left >= right:
            continue
        cut = stamp[top - row + half : bottom - row + half, left - column + half : right - column + half]
        frame[top:bottom, left:right] += cut


def motion(
    dx: float = 0.0, dy: float = 0.0, rotation_deg: float = 0.0, shape: tuple[int, int] = (360, 480)
) -> Matrix:
    """Rotation about the frame's centre, then a shift."""
    c, s = np.cos(np.radians(rotation_deg)), np.sin(np.radians(rotation_deg))
    centre = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    matrix = np.eye(3)
    matrix[:2, :2] = [[c, -s], [s, c]]
    matrix[:2, 2] = centre - matrix[:2, :2] @ centre + (dx, dy)
    return matrix


def spoil(
    frame: NDArray[np.float64], rng: np.random.Generator, *, trail: bool, cosmic_rays: int = 60
) -> None:
    """Cosmic rays, and perhaps a satellite right across, in place."""
    height, width = frame.shape
    rows, columns = rng.integers(0, height, cosmic_rays), rng.integers(0, width, cosmic_rays)
    frame[rows, columns] += rng.uniform(500, 5000, cosmic_rays)
    if trail:
        x = np.arange(width)
        y = rng.uniform(0, height) + np.tan(rng.uniform(-0.6, 0.6)) * (x - width / 2)
        for offset in (-1, 0, 1):
            row = np.rint(y).astype(int) + offset
            inside = (row >= 0) & (row < height)
            frame[row[inside], x[inside]] += 600.0 if offset == 0 else 200.0


def quantised(frame: NDArray[np.float64]) -> NDArray[np.uint16]:
    """What a 16-bit camera makes of it."""
    return np.clip(np.rint(frame), 0, 65535).astype(np.uint16)


def sub(
    frame: NDArray[np.float64],
    frame_id: str = "a",
    *,
    filter_name: str | None = "L",
    bayer: str | None = None,
) -> Sub:
    meta = FrameMeta(
        kind=FrameKind.LIGHT,
        width=frame.shape[1],
        height=frame.shape[0],
        filter=filter_name,
        exposure_s=30.0,
        bayer_pattern=bayer,
    )
    return Sub(frame_id=frame_id, pixels=quantised(frame), meta=meta)
