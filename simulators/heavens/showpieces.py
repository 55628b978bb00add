"""The showpieces on a sensor: extended light per filter, and the stars of clusters."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

from simulators.catalogue import Stars, concatenate
from simulators.coordinates import separation_deg, tangent_plane
from simulators.heavens import clusters, galaxies, nebulae
from simulators.heavens.spectra import response
from simulators.heavens.textures import Layer, Plane

Floats = NDArray[np.float64]
ToPixels = Callable[[Floats, Floats], tuple[Floats, Floats]]
"""Tangent-plane arcseconds (ξ, η) to pixels (x, y): the telescope's whole geometry, distortion too."""

_TABLE = Path(__file__).with_name("showpieces.csv")
_SAMPLE_ARCSEC = 1.0
_LEAST_SAMPLES, _MOST_SAMPLES = 192, 768
_STEP_DEG = 0.01
_COARSE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Showpiece:
    """A row of the table."""

    name: str
    kind: str
    ra_deg: float
    dec_deg: float
    mag: float
    size_arcmin: float
    axis_ratio: float
    angle_deg: float
    shape: str
    more: Mapping[str, float]


@lru_cache(maxsize=1)
def showpieces() -> tuple[Showpiece, ...]:
    """The whole table."""
    with _TABLE.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return tuple(_showpiece(row) for row in rows)


def _showpiece(row: Mapping[str, str]) -> Showpiece:
    hours, minutes = row["ra"].split()
    degrees, arcminutes = row["dec"].split()
    sign = -1.0 if degrees.startswith("-") else 1.0
    words = dict(word.split("=") for word in row["more"].split())
    return Showpiece(
        name=row["name"],
        kind=row["kind"],
        ra_deg=15.0 * (int(hours) + float(minutes) / 60.0),
        dec_deg=sign * (abs(int(degrees)) + int(arcminutes) / 60.0),
        mag=float(row["mag"]),
        size_arcmin=float(row["size"]),
        axis_ratio=float(row["q"]),
        angle_deg=float(row["pa"]),
        shape=words.pop("shape", ""),
        more=MappingProxyType({key: float(value) for key, value in words.items()}),
    )


def find(name: str) -> Showpiece:
    """The showpiece of that name, as the table spells it."""
    for piece in showpieces():
        if piece.name == name:
            return piece
    raise KeyError(f"no showpiece is called {name!r}")


def near(ra_deg: float, dec_deg: float, radius_deg: float) -> list[Showpiece]:
    """The showpieces that reach into a cone."""
    return [
        piece
        for piece in showpieces()
        if separation_deg(piece.ra_deg, piece.dec_deg, ra_deg, dec_deg)
        < radius_deg + piece.size_arcmin / 60.0
    ]


@lru_cache(maxsize=12)
def layers(name: str) -> tuple[Layer, ...]:
    """What a showpiece is drawn with; always the same for a name. An open cluster has no layers."""
    piece = find(name)
    rng = np.random.default_rng([crc32(name.encode()), 1])
    wanted = 1.5 * piece.size_arcmin * 60.0 / _SAMPLE_ARCSEC
    samples = int(np.clip(np.ceil(wanted / 64) * 64, _LEAST_SAMPLES, _MOST_SAMPLES))
    place = (piece.size_arcmin, piece.axis_ratio, piece.angle_deg)
    match piece.kind:
        case "spiral":
            return tuple(galaxies.spiral(*place, piece.more, rng, samples))
        case "elliptical":
            return tuple(galaxies.elliptical(*place, piece.more, rng, samples))
        case "irregular":
            return tuple(galaxies.irregular(*place, piece.more, piece.shape, rng, samples))
        case "planetary" | "emission" | "remnant":
            return tuple(nebulae.nebula(*place, piece.more, piece.shape, rng, samples))
        case "reflection":
            return tuple(nebulae.reflection(*place, piece.more, piece.shape, rng, samples))
        case "globular":
            return tuple(clusters.globular_glow(*place, piece.more, samples))
        case "open":
            return ()
    raise ValueError(f"{_TABLE.name}: {name} has an unknown kind {piece.kind!r}")


def members(ra_deg: float, dec_deg: float, radius_deg: float, limit_mag: float = np.inf) -> Stars:
    """The stars of the clusters that reach into a cone, beyond those that the catalogues have."""
    parts = [_members(p.name) for p in near(ra_deg, dec_deg, radius_deg) if p.kind in ("open", "globular")]
    none = np.zeros(0)
    stars = concatenate([Stars(none, none, none, none), *parts])
    return stars.take(stars.g_mag < limit_mag)


@lru_cache(maxsize=64)
def _members(name: str) -> Stars:
    piece = find(name)
    rng = np.random.default_rng([crc32(name.encode()), 2])
    if piece.kind == "globular":
        u, w, mag, colour = clusters.globular_members(
            piece.size_arcmin, piece.mag, piece.axis_ratio, piece.more, rng
        )
    else:
        count = int(piece.more["members"])
        u, w, mag, colour = clusters.open_members(piece.size_arcmin, piece.axis_ratio, count, rng)
    cos, sin = np.cos(np.radians(piece.angle_deg)), np.sin(np.radians(piece.angle_deg))
    dec = np.clip(piece.dec_deg + (u * cos - w * sin) / 60.0, -90.0, 90.0)
    ra = piece.ra_deg + (u * sin + w * cos) / 60.0 / np.maximum(np.cos(np.radians(dec)), 0.01)
    return Stars(ra % 360.0, dec, mag, colour)


def extended_light(
    ra_deg: float,
    dec_deg: float,
    radius_deg: float,
    to_pixels: ToPixels,
    width: int,
    height: int,
    filter_name: str,
    fwhm_px: float = 0.0,
) -> NDArray[np.float32] | None:
    """All showpieces' light on a sensor that looks there, ``(height, width)``; ``None`` where there is none.

    A pixel holds what reaches it as a share of the light that a star of magnitude 0 gives in L: times
    10^(0.4·zero point) it is electrons a second. ``radius_deg`` must reach the sensor's corners. Each piece
    is laid down by the geometry's linear part at its centre, blurred by the seeing where that matters.
    """
    fine = np.zeros((height, width), dtype=np.float32)
    # What is coarser than some pixels anyway is drawn on fewer, together, and enlarged once.
    coarse = np.zeros((-(-height // _COARSE), -(-width // _COARSE)), dtype=np.float32)
    drawn_fine = drawn_coarse = False
    for piece in near(ra_deg, dec_deg, radius_deg):
        linear = _linear_part(piece, ra_deg, dec_deg, to_pixels)
        for half_arcsec, plane in _planes(piece, filter_name).items():
            sample_px = _sample_px(linear, half_arcsec, len(plane))
            if sample_px < 1.5 * _COARSE:
                drawn_fine |= _lay_down(fine, plane, half_arcsec, linear, fwhm_px)
            else:
                smaller = linear / _COARSE
                smaller[:, 2] = (linear[:, 2] + 0.5) / _COARSE - 0.5
                drawn_coarse |= _lay_down(coarse, plane, half_arcsec, smaller, 0.0)
    if drawn_coarse:
        size = coarse.shape[1] * _COARSE, coarse.shape[0] * _COARSE
        coarse *= np.float32(_COARSE**-2)
        fine += cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)[:height, :width]
    return fine if drawn_fine or drawn_coarse else None


def _planes(piece: Showpiece, filter_name: str) -> dict[float, Plane]:
    """A piece's light through a filter, by the half width of the grid that it lies on."""
    flux = 10.0 ** (-0.4 * piece.mag)
    planes: dict[float, Plane] = {}
    for layer in layers(piece.name):
        plane = layer.texture * np.float32(flux * layer.share * response(layer.spectrum, filter_name))
        half = layer.half_arcsec
        planes[half] = planes[half] + plane if half in planes else plane
    return planes


def _sample_px(linear: Floats, half_arcsec: float, samples: int) -> float:
    """Pixels to a texture's sample."""
    return float(np.sqrt(abs(np.linalg.det(linear[:, :2]))) * 2.0 * half_arcsec / (samples - 1))


def _linear_part(piece: Showpiece, ra_deg: float, dec_deg: float, to_pixels: ToPixels) -> Floats:
    """``(2, 3)``: pixels = A·(arcseconds east, arcseconds north, 1) about the piece's centre."""
    d_ra = _STEP_DEG / np.cos(np.radians(piece.dec_deg))
    ra = piece.ra_deg + np.array([0.0, d_ra, -d_ra, 0.0, 0.0])
    dec = piece.dec_deg + np.array([0.0, 0.0, 0.0, _STEP_DEG, -_STEP_DEG])
    points = np.stack(to_pixels(*tangent_plane(ra, dec, ra_deg, dec_deg)))
    two_steps = 2.0 * 3600.0 * _STEP_DEG
    return np.stack(
        [(points[:, 1] - points[:, 2]) / two_steps, (points[:, 3] - points[:, 4]) / two_steps, points[:, 0]],
        axis=1,
    )


def _lay_down(
    light: NDArray[np.float32],
    plane: Plane,
    half_arcsec: float,
    linear: Floats,
    fwhm_px: float,
) -> bool:
    """Add a texture's light to the sensor's; whether any of it falls there."""
    height, width = light.shape
    reach = np.abs(linear[:, :2]).sum(axis=1) * half_arcsec + 2.0 * fwhm_px + 2.0
    low = np.maximum(np.floor(linear[:, 2] - reach), 0).astype(int)
    high = np.minimum(np.ceil(linear[:, 2] + reach) + 1, (width, height)).astype(int)
    if np.any(high <= low):
        return False
    # A texture finer than the pixels is averaged first, so that no light slips between samples.
    sample_px = _sample_px(linear, half_arcsec, len(plane))
    if sample_px < 0.7:
        old, count = len(plane), max(round(len(plane) * sample_px), 3)
        averaged = cv2.resize(plane, (count, count), interpolation=cv2.INTER_AREA)
        plane = np.asarray(averaged, dtype=np.float32) * np.float32((old / count) ** 2)
        # Samples are centres of cells: from the old outermost centre to the edge, and back to the new one.
        half_arcsec *= old / (old - 1) * (1.0 - 1.0 / count)
    samples = len(plane)
    scale = 2.0 * half_arcsec / (samples - 1)
    forward = np.empty((2, 3))
    forward[:, :2] = linear[:, :2] * scale
    forward[:, 2] = linear[:, 2] - linear[:, :2] @ (half_arcsec, half_arcsec) - low
    box = cv2.warpAffine(plane, forward, tuple(high - low), flags=cv2.INTER_LINEAR)
    box = box * np.float32(1.0 / abs(np.linalg.det(forward[:, :2])))
    if fwhm_px / 2.355 > 0.5 * np.sqrt(abs(np.linalg.det(forward[:, :2]))):
        box = cv2.GaussianBlur(box, (0, 0), fwhm_px / 2.355, borderType=cv2.BORDER_REPLICATE)
    light[low[1] : high[1], low[0] : high[0]] += box
    return True
