"""What the sky sends to one sensor: stars, showpieces and background, through the air of the night."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from simulators.catalogue import FAINT_LIMIT_MAG, Stars, concatenate, stars_in_cone
from simulators.heavens import showpieces
from simulators.heavens.atmosphere import Atmosphere, Conditions, over_sensor, sensor_nodes
from simulators.heavens.ephemeris import refraction_shift_arcsec
from simulators.heavens.passers import Trail, passers
from simulators.heavens.showpieces import ToPixels
from simulators.mosaic import passbands
from simulators.optics import CLEAR, PASSBANDS, Passband

Floats = NDArray[np.float64]
Light = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One exposure's view: where, when, through what. ``to_pixels`` is the telescope's whole geometry."""

    ra_deg: float
    dec_deg: float
    radius_deg: float
    to_pixels: ToPixels
    width: int
    height: int
    filter_name: str
    bayer: str | None
    utc: datetime
    elapsed_s: float
    exposure_s: float


class SkyAbove:
    """The sky of one seeded night; without conditions there is no air, no moon and no dusk."""

    def __init__(self, seed: int, conditions: Conditions | None = None) -> None:
        self.atmosphere = None if conditions is None else Atmosphere(seed, conditions)
        self._seed = seed

    def stars(self, look: Look) -> Stars:
        """The catalogues' stars and the clusters' members."""
        place = look.ra_deg, look.dec_deg, look.radius_deg
        return concatenate(
            [
                stars_in_cone(*place, seed=self._seed, limit_mag=FAINT_LIMIT_MAG),
                showpieces.members(*place, limit_mag=FAINT_LIMIT_MAG),
            ]
        )

    def seen(self, look: Look, stars: Stars) -> tuple[Floats | float, tuple[Floats, Floats] | None]:
        """What share of each star's light arrives, and by how many arcseconds (east, north) it is lifted."""
        if self.atmosphere is None:
            return 1.0, None
        share = self.atmosphere.transmission(
            stars.ra_deg, stars.dec_deg, look.filter_name, look.utc, look.elapsed_s, look.exposure_s
        )
        lifted = refraction_shift_arcsec(
            stars.ra_deg,
            stars.dec_deg,
            look.ra_deg,
            look.dec_deg,
            look.utc,
            self.atmosphere.conditions.site,
        )
        return share, lifted

    def extended(self, look: Look, fwhm_px: float) -> Light | None:
        """The showpieces' light, in lights of magnitude 0 per pixel, through filter and mosaic."""
        through = self._through_air(look)
        colours = _colours(look.filter_name, look.bayer)
        planes: dict[str, Light | None] = {}
        out: Light | None = None
        for row in (0, 1):
            for column in (0, 1):
                name, share = colours[row][column]
                if name not in planes:
                    planes[name] = showpieces.extended_light(
                        look.ra_deg,
                        look.dec_deg,
                        look.radius_deg,
                        look.to_pixels,
                        look.width,
                        look.height,
                        name,
                        fwhm_px,
                    )
                plane = planes[name]
                if plane is None:
                    continue
                if look.bayer is None:
                    return plane if through is None else plane * through
                out = np.zeros_like(plane) if out is None else out
                out[row::2, column::2] = np.float32(share) * plane[row::2, column::2]
        return out if out is None or through is None else out * through

    def background(self, look: Look) -> Light | None:
        """The background per square arcsecond, in lights of magnitude 0 in L; ``None`` without conditions.

        Behind a mosaic it is what a bare sensor would get; the colours' shares come after.
        """
        if self.atmosphere is None:
            return None
        nodes = sensor_nodes(look.ra_deg, look.dec_deg, look.to_pixels, look.width, look.height)
        return over_sensor(
            self.atmosphere.brightness(*nodes, look.filter_name, look.utc, look.elapsed_s, look.exposure_s),
            look.width,
            look.height,
        )

    def trails(
        self, look: Look, rng: np.random.Generator, scale_arcsec_px: float, fwhm_px: float, e_s_at_mag0: float
    ) -> list[Trail]:
        """Who crosses the field during the exposure."""
        assert self.atmosphere is not None
        share = PASSBANDS.get(look.filter_name, CLEAR).share
        return passers(
            rng,
            exposure_s=look.exposure_s,
            width=look.width,
            height=look.height,
            scale_arcsec_px=scale_arcsec_px,
            fwhm_px=fwhm_px,
            electrons_per_s_at_mag0=e_s_at_mag0 * share,
            sun_altitude_deg=self.atmosphere.overhead(look.ra_deg, look.dec_deg, look.utc).sun_altitude_deg,
        )

    def _through_air(self, look: Look) -> Light | None:
        if self.atmosphere is None:
            return None
        nodes = sensor_nodes(look.ra_deg, look.dec_deg, look.to_pixels, look.width, look.height)
        return over_sensor(
            self.atmosphere.transmission(*nodes, look.filter_name, look.utc, look.elapsed_s, look.exposure_s),
            look.width,
            look.height,
        )


def _colours(filter_name: str, bayer: str | None) -> list[list[tuple[str, float]]]:
    """For each pixel of the 2 × 2: the filter whose light it gets, and the share that the dye passes."""
    bands = passbands(filter_name, bayer)
    if bayer is None or isinstance(bands, Passband):
        return [[(filter_name, 1.0)] * 2] * 2
    letters = ((bayer[0], bayer[1]), (bayer[2], bayer[3]))
    behind = PASSBANDS.get(filter_name, CLEAR)
    if behind is CLEAR:
        return [[(letter, 1.0) for letter in row] for row in letters]
    return [[(filter_name, band.share / behind.share) for band in row] for row in bands]
