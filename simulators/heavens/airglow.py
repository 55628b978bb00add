"""The sky's own light: natural and man-made glow, moonlight, twilight, each by direction and filter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.heavens.ephemeris import Moon, airmass

Floats = NDArray[np.float64]

EXTINCTION = {"L": 0.17, "R": 0.11, "G": 0.16, "B": 0.26, "Ha": 0.09, "OIII": 0.19, "SII": 0.085}
"""Magnitudes per airmass at a lowland site on a clear night (after Hayes & Latham 1975, with its aerosol)."""

_WAVELENGTH_UM = {"L": 0.55, "R": 0.64, "G": 0.535, "B": 0.45, "Ha": 0.656, "OIII": 0.501, "SII": 0.672}

_TWILIGHT = {"B": (11.84, 1.411, -0.041), "V": (11.84, 1.518, -0.057), "R": (11.40, 1.567, -0.064)}
"""Zenith in mag/arcsec², a0 + a1·φ + a2·φ², φ the sun's depression − 5° (Patat et al. 2006, table 1)."""

_TWILIGHT_BAND = {"L": "V", "G": "V", "OIII": "V", "B": "B", "R": "R", "Ha": "R", "SII": "R"}
_DAY_MAG = 3.5
_NANOLAMBERT_MAG0 = 34.08 * np.exp(20.7233)
"""nL of a sky of magnitude 0 per square arcsecond (Krisciunas & Schaefer 1991, eq. 1; Garstang 1989)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Glow:
    """A site's darkness, and the town that spoils it."""

    zenith_mag_arcsec2: float = 21.0
    """Without moon and sun, in V."""

    town_azimuth_deg: float = 120.0
    town_strength: float = 0.8
    """The town's dome at 10° altitude above it, in units of the zenith's brightness."""


def extinction_mag(filter_name: str) -> float:
    """Magnitudes lost per airmass."""
    return EXTINCTION.get(filter_name, EXTINCTION["L"])


def night_glow(altitude_deg: Floats, azimuth_deg: Floats, glow: Glow) -> Floats:
    """Airglow and light pollution, as light per square arcsecond of a star of magnitude 0.

    The airglow's layer brightens towards the horizon as van Rhijn's (1921), dimmed by the air before it; the
    town's dome falls off as exp(−altitude/15°), and to both sides of it as a cosine's third power.
    """
    z = np.radians(90.0 - np.maximum(altitude_deg, 0.0))
    layer = 1.0 / np.sqrt(1.0 - 0.96 * np.sin(z) ** 2)
    dimmed = layer * 10.0 ** (-0.4 * 0.16 * (np.minimum(airmass(altitude_deg), 8.0) - 1.0))
    facing = 0.5 + 0.5 * np.cos(np.radians(azimuth_deg - glow.town_azimuth_deg))
    town = glow.town_strength * facing**3 * np.exp(-(np.maximum(altitude_deg, 0.0) - 10.0) / 15.0)
    return np.asarray(10.0 ** (-0.4 * glow.zenith_mag_arcsec2) * (dimmed + town))


def moonlight(altitude_deg: Floats, azimuth_deg: Floats, moon: Moon, filter_name: str) -> Floats:
    """Scattered moonlight (Krisciunas & Schaefer 1991), as light per square arcsecond of magnitude 0.

    Their V model; in other filters Rayleigh's part goes as λ⁻⁴ and the aerosol's as λ⁻¹ᐧ³.
    """
    if moon.altitude_deg <= 0.0:
        return np.zeros(np.broadcast(altitude_deg, azimuth_deg).shape)
    k, phase = extinction_mag(filter_name), abs(moon.phase_deg)
    illuminance = 10.0 ** (-0.4 * (3.84 + 0.026 * phase + 4e-9 * phase**4))
    rho = _separation_deg(altitude_deg, azimuth_deg, moon.altitude_deg, moon.azimuth_deg)
    colour = 0.55 / _WAVELENGTH_UM.get(filter_name, 0.55)
    rayleigh = 10.0**5.36 * (1.06 + np.cos(np.radians(rho)) ** 2) * colour**4
    aerosol = np.where(rho > 10.0, 10.0 ** (6.15 - rho / 40.0), 6.2e7 / np.maximum(rho, 0.25) ** 2)
    nanolambert = (
        (rayleigh + aerosol * colour**1.3)
        * illuminance
        * 10.0 ** (-0.4 * k * _scattering_path(moon.altitude_deg))
        * (1.0 - 10.0 ** (-0.4 * k * _scattering_path(altitude_deg)))
    )
    return np.asarray(nanolambert / _NANOLAMBERT_MAG0)


def twilight(
    altitude_deg: Floats,
    azimuth_deg: Floats,
    sun_altitude_deg: float,
    sun_azimuth_deg: float,
    filter_name: str,
) -> Floats:
    """The sun's light after sunset and before sunrise, as light per square arcsecond of magnitude 0.

    Zenith: Patat et al.'s fit, measured for depressions of 5° to 15°, and drawn on along its tangents beyond
    (no brighter than day). Towards the sun it is brighter, by a factor of 3 at the horizon.
    """
    a0, a1, a2 = _TWILIGHT[_TWILIGHT_BAND.get(filter_name, "V")]
    depth = -sun_altitude_deg - 5.0
    fitted = float(np.clip(depth, 0.0, 10.0))
    mag = a0 + a1 * fitted + a2 * fitted**2 + (a1 + 2.0 * a2 * fitted) * (depth - fitted)
    zenith = 10.0 ** (-0.4 * max(mag, _DAY_MAG))
    z = np.sin(np.radians(90.0 - np.maximum(altitude_deg, 0.0)))
    towards = np.cos(np.radians(azimuth_deg - sun_azimuth_deg))
    return np.asarray(zenith * 3.0 ** (z * towards))


def _scattering_path(altitude_deg: Floats | float) -> Floats:
    """Airmass as Krisciunas & Schaefer's scattering has it (their eq. 3)."""
    z = np.radians(90.0 - np.maximum(np.asarray(altitude_deg, dtype=np.float64), 0.0))
    return np.asarray(1.0 / np.sqrt(1.0 - 0.96 * np.sin(z) ** 2))


def _separation_deg(alt1: Floats, az1: Floats, alt2: float, az2: float) -> Floats:
    a1, a2 = np.radians(alt1), np.radians(alt2)
    h = np.sin((a1 - a2) / 2) ** 2 + np.cos(a1) * np.cos(a2) * np.sin(np.radians(az1 - az2) / 2) ** 2
    return np.asarray(np.degrees(2.0 * np.arcsin(np.sqrt(np.minimum(h, 1.0)))))
