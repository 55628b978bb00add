"""The camera without its wire: one exposure from the sky to ADU, and the truth about it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulators.catalogue import FAINT_LIMIT_MAG, stars_in_cone
from simulators.coordinates import tangent_plane
from simulators.night import Night, Pose
from simulators.optics import CLEAR, PASSBANDS, Telescope, flat_field
from simulators.sensor import ADU, Readout, Sensor, SensorProfile
from simulators.sky import background, render_stars, satellite_trail, to_pixels

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
    stars: int
    cosmic_rays: int
    satellite_trail: bool


class Camera:
    """A telescope with a sensor under one seeded night."""

    def __init__(self, seed: int, telescope: Telescope | None = None, profile: SensorProfile | None = None):
        self.telescope = telescope or Telescope()
        self.profile = profile or SensorProfile()
        self.sensor = Sensor(self.profile, seed)
        self.night = Night(seed)
        self._seed = seed

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
        pose, fwhm_px = self.night.pose(middle_s), self.night.fwhm_px(middle_s)
        pose = Pose(pose.dx_px, pose.dy_px, pose.rotation_deg + shot.camera_angle_deg)
        light, n_stars = self._light(shot, exposure_s, pose, fwhm_px)
        extra, n_cosmic = self.sensor.cosmic_rays(rng, exposure_s)
        trail = shot.kind == "LIGHT" and exposure_s > 1 and bool(rng.random() < TRAIL_PROBABILITY)
        if trail:
            extra += satellite_trail(rng, self.profile.width, self.profile.height)
        frame = self.sensor.read(rng, light, exposure_s, shot.temperature_c, shot.readout, extra)
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
            stars=n_stars,
            cosmic_rays=n_cosmic,
            satellite_trail=trail,
        )

    def _light(
        self, shot: Shot, exposure_s: float, pose: Pose, fwhm_px: float
    ) -> tuple[NDArray[np.float64] | None, int]:
        """Expected photoelectrons over the exposure, through vignetting and dust; ``None`` is darkness."""
        if shot.kind not in ("LIGHT", "FLAT"):
            return None, 0
        p, telescope = self.profile, self.telescope
        band = PASSBANDS.get(shot.filter_name, CLEAR)
        flat = flat_field(p.width, p.height, telescope.vignetting, shot.filter_name, self._seed)
        if shot.kind == "FLAT":
            return flat.astype(np.float64) * (band.panel_e_s * exposure_s), 0
        radius_deg = np.hypot(p.width, p.height) / 2 * self.scale_arcsec_px / 3600 + 0.05
        stars = stars_in_cone(
            shot.ra_deg,
            shot.dec_deg,
            float(radius_deg),
            seed=self._seed,
            limit_mag=FAINT_LIMIT_MAG,
        )
        flux_e = exposure_s * band.share * 10 ** (0.4 * (telescope.zero_point_mag - stars.g_mag))
        flux_e *= 10 ** (-0.4 * band.colour_term * (stars.colour - 0.8))
        xi, eta = tangent_plane(stars.ra_deg, stars.dec_deg, shot.ra_deg, shot.dec_deg)
        x, y = to_pixels(xi, eta, pose, self.scale_arcsec_px, p.width, p.height)
        light = render_stars(x, y, flux_e, fwhm_px, p.width, p.height)
        light += background(telescope.sky_e_s_px(band, p.pixel_um) * exposure_s, p.width, p.height)
        light *= flat
        inside = (x > -0.5) & (x < p.width - 0.5) & (y > -0.5) & (y < p.height - 0.5)
        return light, int(inside.sum())


def date_obs(utc: datetime) -> str:
    """A time as FITS has it: UTC to the millisecond, without a zone."""
    return utc.replace(tzinfo=None).isoformat(timespec="milliseconds")


def append_truth(path: Path, truth: Truth) -> None:
    """Add one line to the sidecar."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(truth)) + "\n")
