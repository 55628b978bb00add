"""The camera without its wire: one exposure from the sky to ADU, and the truth about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulators.coordinates import tangent_plane
from simulators.cover import FULL_PANEL_E_S, Cover
from simulators.flat import FlatField
from simulators.focus import FocusState
from simulators.heavens.atmosphere import Conditions, Overhead
from simulators.heavens.passers import draw_trail
from simulators.heavens.view import Look, SkyAbove
from simulators.mosaic import passbands, tiled
from simulators.night import Night, Pose
from simulators.optics import CLEAR, PASSBANDS, Passband, Telescope
from simulators.render import Light, PointSources, StarShape, Surface, render
from simulators.sensor import ADU, Readout, Sensor, SensorProfile
from simulators.sky import satellite_trail, to_pixels

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

TRAIL_PROBABILITY = 0.08


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """Everything an exposure depends on; the pointing is ICRS degrees of the sensor's centre."""

    number: int
    kind: str
    """LIGHT, BIAS, DARK or FLAT."""

    exposure_s: float
    started: datetime
    started_elapsed_s: float
    temperature_c: float
    readout: Readout
    filter_name: str
    ra_deg: float
    dec_deg: float
    camera_angle_deg: float = 0.0
    """Position angle of the camera's top: 180° when the mount looks from the other side of its pier."""

    rotator_deg: float = 0.0
    """How far the rotator has turned the camera against the tube; the field's turn is in the angle above."""

    focus: FocusState | None = None
    """``None``: always in focus."""

    cover: Cover | None = None
    """``None``: no panel; then FLAT is lit evenly to suit the filter."""

    leak_e_s: float = 0.0
    """Light past cover and shutter: e⁻/s at the corner where it comes in; half of that at the far one."""

    @property
    def sees_sky(self) -> bool:
        """Whether the sky's light comes in, were the shutter open."""
        return self.kind == "LIGHT" if self.cover is None else not self.cover.closed


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What was put into a frame; times are simulated, places are unbinned pixels of the whole sensor."""

    number: int
    date_obs: str
    kind: str
    exposure_s: float
    temperature_c: float
    filter: str
    ra_deg: float
    dec_deg: float
    scale_arcsec_px: float
    dx_px: float
    dy_px: float
    rotation_deg: float
    fwhm_px: float
    """Of a star in focus, before the pixels."""

    defocus_um: float
    """How far the sensor's middle lies behind the focus."""

    distortion_per_mm2: float
    tilt_um_per_mm: tuple[float, float]
    rotator_deg: float
    cover: Cover | None
    stars: int
    cosmic_rays: int
    satellite_trail: bool
    overhead: Overhead | None
    """Where field, sun and moon stood; ``None`` under a sky without conditions."""


class Camera:
    """A telescope with a sensor under one seeded night; without ``conditions`` always clear and dark."""

    def __init__(
        self,
        seed: int,
        telescope: Telescope | None = None,
        profile: SensorProfile | None = None,
        conditions: Conditions | None = None,
    ) -> None:
        self.telescope = telescope or Telescope()
        self.profile = profile or SensorProfile()
        self.sensor = Sensor(self.profile, seed)
        self.night = Night(seed)
        self.above = SkyAbove(seed, conditions)
        self._seed = seed
        self._last: tuple[Any, NDArray[np.float32], int] | None = None

    @property
    def scale_arcsec_px(self) -> float:
        """Arcseconds that one unbinned pixel sees."""
        return self.telescope.scale_arcsec_px(self.profile.pixel_um)

    def expose(self, shot: Shot) -> tuple[ADU, Truth]:
        """The frame that the camera reads out, and what was put into it.

        Pose and seeing are those at the middle of the exposure; the drift within it smears nothing.
        """
        rng = np.random.default_rng([self._seed, 6, shot.number])
        exposure_s = 0.0 if shot.kind == "BIAS" else shot.exposure_s
        middle_s = shot.started_elapsed_s + exposure_s / 2
        pose = self.night.pose(middle_s)
        fwhm_px = self.telescope.fwhm_px(self.profile.pixel_um, self.night.seeing(middle_s))
        pose = Pose(pose.dx_px, pose.dy_px, pose.rotation_deg + shot.camera_angle_deg)
        light, n_stars = self._light(shot, exposure_s, pose, fwhm_px)
        if shot.leak_e_s > 0 and exposure_s > 0:
            light = self._leaked(light, shot.leak_e_s * exposure_s)
        hits, n_cosmic = self.sensor.cosmic_rays(rng, exposure_s)
        trail = False
        if light is not None and shot.sees_sky and exposure_s > 1:
            light, trail = self._crossed(shot, light, pose, fwhm_px, rng)
        frame = self.sensor.read(rng, light, exposure_s, shot.temperature_c, shot.readout, hits)
        return frame, Truth(
            number=shot.number,
            date_obs=date_obs(shot.started),
            kind=shot.kind,
            exposure_s=exposure_s,
            temperature_c=shot.temperature_c,
            filter=shot.filter_name,
            ra_deg=shot.ra_deg,
            dec_deg=shot.dec_deg,
            scale_arcsec_px=self.scale_arcsec_px,
            dx_px=pose.dx_px,
            dy_px=pose.dy_px,
            rotation_deg=pose.rotation_deg,
            fwhm_px=fwhm_px,
            defocus_um=self._defocus_um(shot),
            distortion_per_mm2=self.telescope.distortion_per_mm2,
            tilt_um_per_mm=self.telescope.tilt_um_per_mm,
            rotator_deg=shot.rotator_deg,
            cover=shot.cover,
            stars=n_stars,
            cosmic_rays=n_cosmic,
            satellite_trail=trail,
            overhead=None
            if self.above.atmosphere is None
            else self.above.atmosphere.overhead(shot.ra_deg, shot.dec_deg, shot.started),
        )

    def _leaked(self, light: Light | None, electrons: float) -> Light:
        p = self.profile
        away = np.linspace(0, 0.25, p.height, dtype=np.float32)[:, None]
        away = away + np.linspace(0, 0.25, p.width, dtype=np.float32)
        leak = np.float32(electrons) * (1 - away)
        return np.asarray(leak if light is None else light + leak, np.float32)

    def _defocus_um(self, shot: Shot) -> float:
        focuser = self.telescope.focuser
        return 0.0 if shot.focus is None else focuser.defocus_um(shot.focus, shot.filter_name)

    def _light(self, shot: Shot, exposure_s: float, pose: Pose, fwhm_px: float) -> tuple[Light | None, int]:
        """Expected photoelectrons over the exposure, through vignetting and dust; ``None`` is darkness.

        The last one is kept, read-only: frames of the same field in the same seeing differ by noise alone.
        """
        dark = shot.cover is not None and shot.cover.closed and shot.cover.light == 0
        if shot.kind not in ("LIGHT", "FLAT") or dark:
            return None, 0
        where = (shot.ra_deg, shot.dec_deg, pose, fwhm_px) if shot.sees_sky else None
        when = None if self.above.atmosphere is None else shot.started
        key = (when, exposure_s, shot.filter_name, shot.rotator_deg, shot.focus, shot.cover, where)
        if self._last is None or self._last[0] != key:
            self._last = None  # a large sensor's memory holds one
            light, n_stars = (
                self._sky(shot, exposure_s, pose, fwhm_px) if shot.sees_sky else self._panel(shot, exposure_s)
            )
            light.setflags(write=False)
            self._last = (key, light, n_stars)
        return self._last[1:]

    def _panel(self, shot: Shot, exposure_s: float) -> tuple[Light, int]:
        p = self.profile
        if shot.cover is None:
            level_e = exposure_s * self._per_pixel(shot.filter_name, lambda band: band.panel_e_s)
        else:
            light_e = exposure_s * shot.cover.light * FULL_PANEL_E_S
            level_e = light_e * self._per_pixel(shot.filter_name, lambda band: band.share)
        nothing = PointSources(*np.zeros((4, 0)))
        even = partial(tiled, level_e, width=p.width)
        return render(p.width, p.height, nothing, StarShape(fwhm_px=1.0), [even], self._flat(shot)), 0

    def _sky(self, shot: Shot, exposure_s: float, pose: Pose, fwhm_px: float) -> tuple[Light, int]:
        p, telescope = self.profile, self.telescope
        look = self._look(shot, pose)
        stars = self.above.stars(look)
        mag0_e = exposure_s * 10 ** (0.4 * telescope.zero_point_mag)
        share = self._per_pixel(shot.filter_name, lambda band: band.share)
        colour = self._per_pixel(shot.filter_name, lambda band: band.colour_term)
        arriving, lifted = self.above.seen(look, stars)
        flux_e = np.multiply.outer(mag0_e * 10 ** (-0.4 * stars.g_mag) * arriving, share)
        flux_e *= 10 ** (-0.4 * np.multiply.outer(stars.colour - 0.8, colour))
        xi, eta = tangent_plane(stars.ra_deg, stars.dec_deg, shot.ra_deg, shot.dec_deg)
        if lifted is not None:
            xi, eta = xi + lifted[0], eta + lifted[1]
        x, y = look.to_pixels(xi, eta)
        middle_x, middle_y = (p.width - 1) / 2, (p.height - 1) / 2
        blur_px = telescope.blur_px(x - middle_x, y - middle_y, p.pixel_um, shot.focus, shot.filter_name)
        light = render(
            p.width,
            p.height,
            PointSources(x, y, flux_e, blur_px),
            StarShape(fwhm_px=fwhm_px, obstruction=telescope.obstruction),
            self._surfaces(look, exposure_s, fwhm_px),
            self._flat(shot),
        )
        inside = (x > -0.5) & (x < p.width - 0.5) & (y > -0.5) & (y < p.height - 0.5)
        return light, int(inside.sum())

    def _look(self, shot: Shot, pose: Pose) -> Look:
        p = self.profile
        middle_x, middle_y = (p.width - 1) / 2, (p.height - 1) / 2

        def geometry(
            xi: NDArray[np.float64], eta: NDArray[np.float64]
        ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            x, y = to_pixels(xi, eta, pose, self.scale_arcsec_px, p.width, p.height)
            u, v = self.telescope.distort(x - middle_x, y - middle_y, p.pixel_um)
            return u + middle_x, v + middle_y

        return Look(
            ra_deg=shot.ra_deg,
            dec_deg=shot.dec_deg,
            radius_deg=float(np.hypot(p.width, p.height)) / 2 * self.scale_arcsec_px / 3600 + 0.05,
            to_pixels=geometry,
            width=p.width,
            height=p.height,
            filter_name=shot.filter_name,
            bayer=p.bayer,
            utc=shot.started,
            elapsed_s=shot.started_elapsed_s,
            exposure_s=shot.exposure_s,
        )

    def _surfaces(self, look: Look, exposure_s: float, fwhm_px: float) -> list[Surface]:
        """The background, and the showpieces in the field."""
        p, telescope = self.profile, self.telescope
        mag0_e = exposure_s * 10 ** (0.4 * telescope.zero_point_mag)
        background, extended = self.above.background(look), self.above.extended(look, fwhm_px)
        if background is None:
            level_e = exposure_s * self._per_pixel(
                look.filter_name, lambda band: telescope.sky_e_s_px(band, p.pixel_um)
            )
            surfaces = [sky_glow(level_e, p.width, p.height)]
        else:
            behind = PASSBANDS.get(look.filter_name, CLEAR)
            dyes = self._per_pixel(look.filter_name, lambda band: band.sky_share / behind.sky_share)
            surfaces = [glow_on(background, dyes * mag0_e * self.scale_arcsec_px**2)]
        if extended is not None:
            surfaces.append(glow_on(extended, np.asarray(mag0_e)))
        return surfaces

    def _crossed(
        self, shot: Shot, light: Light, pose: Pose, fwhm_px: float, rng: np.random.Generator
    ) -> tuple[Light, bool]:
        """The light with the trails of what crossed the field, and whether anything did."""
        p = self.profile
        if self.above.atmosphere is None:
            crossed = rng.random() < TRAIL_PROBABILITY
            trails = [satellite_trail(rng, p.width, p.height)] if crossed else []
        else:
            zero_e_s = 10 ** (0.4 * self.telescope.zero_point_mag)
            trails = self.above.trails(self._look(shot, pose), rng, self.scale_arcsec_px, fwhm_px, zero_e_s)
        if trails:
            light = light.copy()
        for trail in trails:
            draw_trail(light, trail)
        return light, bool(trails)

    def _flat(self, shot: Shot) -> FlatField:
        p = self.profile
        return FlatField(
            self.telescope, p.width, p.height, p.pixel_um, shot.filter_name, shot.rotator_deg, self._seed
        )

    def _per_pixel(self, filter_name: str, of: Callable[[Passband], float]) -> NDArray[np.float64]:
        """A figure of the passband: one, or one for each pixel of the mosaic's 2 × 2."""
        bands = passbands(filter_name, self.profile.bayer)
        if isinstance(bands, Passband):
            return np.asarray(of(bands))
        return np.array([[of(band) for band in row] for row in bands])


def glow_on(light: Light, factor: NDArray[np.float64]) -> Surface:
    """A plane of light times one factor, or times ``(2, 2)`` of them on a mosaic."""
    return lambda rows: np.asarray(light[rows] * tiled(factor, rows, light.shape[1]), np.float32)


def sky_glow(level_e: NDArray[np.float64], width: int, height: int) -> Surface:
    """The sky's own light, 4 % brighter at the left bottom than at the right top."""

    def rows_of(rows: slice) -> Light:
        y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] / height
        x = np.arange(width, dtype=np.float32) / width
        return np.asarray(tiled(level_e, rows, width) * (1.0 + np.float32(0.02) * (y - x)), np.float32)

    return rows_of


def date_obs(utc: datetime) -> str:
    """A time as FITS has it: UTC to the millisecond, without a zone."""
    return utc.replace(tzinfo=None).isoformat(timespec="milliseconds")


def append_truth(path: Path, truth: DataclassInstance) -> None:
    """Add one line to the sidecar."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(truth)) + "\n")
