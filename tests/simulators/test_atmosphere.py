from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pytest

from simulators.coordinates import tangent_plane
from simulators.heavens.airglow import (
    EXTINCTION,
    Glow,
    extinction_mag,
    moonlight,
    night_glow,
    twilight,
)
from simulators.heavens.atmosphere import Atmosphere, Conditions, over_sensor, sensor_nodes
from simulators.heavens.clouds import Clouds
from simulators.heavens.ephemeris import (
    Moon,
    Site,
    airmass,
    horizontal,
    moon,
    refraction_deg,
    refraction_shift_arcsec,
    sun,
)
from simulators.heavens.passers import Trail, draw_trail, passers, sunlit_share
from tests.simulators.test_showpieces import to_pixels

SITE = Site(latitude_deg=48.0, longitude_deg=11.0, height_m=500.0)
GREENWICH = Site(latitude_deg=51.4779, longitude_deg=0.0, height_m=47.0)
NIGHT = datetime(2026, 2, 14, 20, 0, tzinfo=UTC)


def mag(light: object) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(-2.5 * np.log10(np.asarray(light)))


@pytest.mark.parametrize("filter_name", sorted(EXTINCTION))
def test_the_extinction_coefficient_is_recovered_from_a_star_that_sets(filter_name: str) -> None:
    """Bouguer's line through magnitudes against an independent airmass (Young 1994): within 1 %."""
    air = Atmosphere(1, Conditions(site=SITE))
    ra, dec = np.array([130.1]), np.array([19.67])
    magnitudes, masses = [], []
    for minutes in range(0, 480, 20):
        utc = NIGHT + timedelta(minutes=minutes)
        altitude = float(horizontal(ra, dec, utc, SITE)[0][0])
        if altitude < 15:
            continue
        c = np.sin(np.radians(altitude))
        young = (1.002432 * c**2 + 0.148386 * c + 0.0096467) / (
            c**3 + 0.149864 * c**2 + 0.0102963 * c + 0.000303978
        )
        masses.append(young)
        magnitudes.append(float(mag(air.transmission(ra, dec, filter_name, utc)[0])))
    assert max(masses) > 2.5
    slope, above = np.polyfit(masses, magnitudes, 1)
    assert slope == pytest.approx(extinction_mag(filter_name), rel=0.01)
    assert above == pytest.approx(0.0, abs=0.003)


@pytest.mark.parametrize(
    ("altitude", "expected"), [(90, 1.0), (60, 1.1547), (30, 1.994), (10, 5.6), (0, 38.7)]
)
def test_airmass_is_the_textbooks(altitude: float, expected: float) -> None:
    assert airmass(altitude) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("altitude", "arcmin"), [(90, 0.0), (45, 0.99), (20, 2.65), (10, 5.30), (0.0, 29.0)])
def test_refraction_is_the_almanacs(altitude: float, arcmin: float) -> None:
    """The Nautical Almanac's table, turned to true altitudes, at 1010 hPa and 10 °C."""
    sea = Site(height_m=8430.0 * np.log(1013.25 / 1010.0), temperature_c=10.0)
    assert refraction_deg(altitude, sea) * 60 == pytest.approx(arcmin, abs=0.12)


def test_refraction_squeezes_a_field_towards_the_zenith() -> None:
    """At 30° altitude by 58″·csc²(30°)·π/180 = 4″ a degree, along the vertical; the centre stays."""
    utc = NIGHT
    while abs(horizontal(130.1, 19.67, utc, SITE)[0] - 30.0) > 0.3:
        utc += timedelta(minutes=1)
    ra, dec = np.array([130.1, 130.1, 131.16, 129.4]), np.array([19.67, 20.67, 19.67, 19.0])
    east, north = refraction_shift_arcsec(ra, dec, 130.1, 19.67, utc, SITE)
    assert (east[0], north[0]) == pytest.approx((0, 0), abs=1e-6)
    altitude, azimuth = horizontal(ra, dec, utc, SITE)
    there = ra + east / 3600 / np.cos(np.radians(dec)), dec + north / 3600
    lifted, turned = horizontal(*there, utc, SITE)
    expected = -3.9 * (altitude - altitude[0])
    assert np.ptp(expected) > 4
    assert (lifted - altitude) * 3600 == pytest.approx(expected, abs=0.5)
    # Verticals a degree apart are not parallel: that leaves a little across.
    assert np.all(np.abs(turned - azimuth) * np.cos(np.radians(altitude)) * 3600 < 2.0)


@pytest.mark.parametrize(
    ("utc", "altitude", "azimuth"),
    [
        # Solstice and equinox noons at Greenwich (equation of time −1.9 and −7.4 min): 90° − φ ± 23.44°.
        (datetime(2026, 6, 21, 12, 1, 54, tzinfo=UTC), 61.96, 180.0),
        (datetime(2026, 3, 20, 12, 7, 24, tzinfo=UTC), 38.5, 180.0),
        (datetime(2026, 12, 21, 11, 58, 10, tzinfo=UTC), 15.08, 180.0),
    ],
)
def test_the_sun_stands_where_it_does(utc: datetime, altitude: float, azimuth: float) -> None:
    assert sun(utc, GREENWICH) == pytest.approx((altitude, azimuth), abs=0.15)


def test_the_moon_is_full_and_new_and_eclipsed_when_it_was() -> None:
    """Total eclipses: of the moon on 2025-03-14 06:59 UTC, of the sun on 2024-04-08 18:17 in Mexico."""
    assert moon(datetime(2025, 3, 14, 6, 59, tzinfo=UTC), SITE).lit > 0.999
    nazas = Site(latitude_deg=25.29, longitude_deg=-104.14, height_m=1250.0)
    utc = datetime(2024, 4, 8, 18, 17, tzinfo=UTC)
    there = moon(utc, nazas)
    assert there.lit < 0.001
    assert (there.altitude_deg, there.azimuth_deg) == pytest.approx(sun(utc, nazas), abs=0.08)
    assert sun(utc, nazas)[0] == pytest.approx(69.8, abs=0.5)


def test_the_twilight_curve_is_paranals() -> None:
    """Patat et al. 2006, V at the zenith: 11.84 at 5° of depression, 17.9 at 10°, 21.3 at 15°, and fading."""
    depressions = np.array([5.0, 10.0, 15.0])
    zenith = [mag(twilight(np.array(90.0), np.array(0.0), -d, 270.0, "G")) for d in depressions]
    assert zenith == pytest.approx([11.84, 18.0, 21.32], abs=0.02)
    fine = np.arange(-20.0, 5.0, 0.1)
    curve = np.array([float(mag(twilight(np.array(90.0), np.array(0.0), s, 270.0, "L"))) for s in fine])
    assert np.all(np.diff(curve) <= 1e-9)
    assert curve[0] > 21.9
    assert curve[-1] == pytest.approx(3.5)
    # Sky flats: 4.5° below the horizon the light falls by a third in the minute that 0.25° take.
    slope = np.interp(-4.5, fine[1:], np.diff(curve) / 0.1)
    assert 0.25 * -slope == pytest.approx(0.38, abs=0.05)


def test_dusk_is_brighter_towards_the_sun() -> None:
    west = mag(twilight(np.array(20.0), np.array(270.0), -8.0, 270.0, "L"))
    east = mag(twilight(np.array(20.0), np.array(90.0), -8.0, 270.0, "L"))
    assert east - west == pytest.approx(2.2, abs=0.3)


def test_moonlight_is_krisciunas_and_schaefers() -> None:
    """Their table 2: Mauna Kea, k = 0.172, full moon at 60° from the zenith; V at ρ = 60°, zenith: ≈ 19.4."""
    full = Moon(altitude_deg=30.0, azimuth_deg=0.0, phase_deg=0.0)
    quarter = Moon(altitude_deg=30.0, azimuth_deg=0.0, phase_deg=90.0)
    at_zenith = mag(moonlight(np.array(90.0), np.array(0.0), full, "L"))
    assert at_zenith == pytest.approx(19.1, abs=0.4)
    assert mag(moonlight(np.array(90.0), np.array(0.0), quarter, "L")) - at_zenith == pytest.approx(
        2.6, abs=0.1
    )
    close = mag(moonlight(np.array(30.0), np.array(15.0), full, "L"))
    assert close < at_zenith - 1.0
    blue, red = (mag(moonlight(np.array(90.0), np.array(0.0), full, f)) for f in "BR")
    assert blue < at_zenith < red
    down = Moon(altitude_deg=-1.0, azimuth_deg=0.0, phase_deg=0.0)
    assert moonlight(np.array([45.0]), np.array([0.0]), down, "L") == 0


def test_the_town_makes_a_gradient() -> None:
    glow = Glow(zenith_mag_arcsec2=21.0, town_azimuth_deg=120.0, town_strength=2.0)
    zenith = mag(night_glow(np.array(90.0), np.array(0.0), glow))
    assert zenith == pytest.approx(21.0, abs=0.01)
    towards, away = (mag(night_glow(np.array(20.0), np.array(a), glow)) for a in (120.0, 300.0))
    assert towards < away - 0.4
    # Over a field of two degrees at 45°, facing it: a gradient of a few percent, the brighter side below.
    air = Atmosphere(1, Conditions(site=SITE, glow=glow, moon=False, twilight=False))
    ra, dec = 130.1, 19.67
    nodes = sensor_nodes(ra, dec, partial(to_pixels, scale=7.2, size=1000), 1000, 1000)
    light = over_sensor(air.brightness(*nodes, "L", NIGHT), 1000, 1000)
    spread = light.max() / light.min()
    assert 1.005 < spread < 1.1
    altitude, _ = horizontal(*nodes, NIGHT, SITE)
    assert np.corrcoef(altitude.ravel(), air.brightness(*nodes, "L", NIGHT).ravel())[0, 1] < -0.9


def test_the_sensors_nodes_are_where_the_geometry_says() -> None:
    geometry = partial(to_pixels, scale=3.0, size=800, turn_deg=40.0)
    ra, dec = sensor_nodes(83.8, 70.0, geometry, 800, 800)
    x, y = geometry(*tangent_plane(ra.ravel(), dec.ravel(), 83.8, 70.0))
    centres = (np.arange(17) + 0.5) / 17 * 800 - 0.5
    assert x.reshape(17, 17) == pytest.approx(np.broadcast_to(centres, (17, 17)), abs=0.01)
    assert y.reshape(17, 17) == pytest.approx(np.broadcast_to(centres[:, None], (17, 17)), abs=0.01)


def test_clouds_come_and_go_and_cover_what_they_were_asked_to() -> None:
    altitude, azimuth = np.meshgrid(np.linspace(30, 85, 25), np.linspace(0, 345, 24))
    covered = []
    for seed in range(6):
        clouds = Clouds(seed, 0.4)
        shares = [np.mean(clouds.extinction_mag(altitude, azimuth, 600.0 * i) > 0) for i in range(48)]
        covered.append(np.mean(shares))
        assert max(shares) > 0.55
        assert min(shares) < 0.2
    assert np.mean(covered) == pytest.approx(0.4, abs=0.08)
    clear = Clouds(1, 0.0).transmission(altitude, azimuth, 100.0)
    assert np.all(clear == 1.0)
    one, other = (Clouds(3, 0.5).transmission(altitude, azimuth, 900.0, 60.0) for _ in range(2))
    assert np.array_equal(one, other)
    with pytest.raises(ValueError, match="from 0 to 1"):
        Clouds(1, 1.5)


def test_a_cloud_dims_the_stars_and_brightens_the_dark_sky() -> None:
    dark = Conditions(site=SITE, moon=False, twilight=False)
    clear, cloudy = (
        Atmosphere(4, dark),
        Atmosphere(4, Conditions(site=SITE, moon=False, twilight=False, cloud_cover=0.9)),
    )
    place = np.array([130.1]), np.array([19.67]), "L", NIGHT, 7200.0, 60.0
    times = [(*place[:4], 600.0 * i, 60.0) for i in range(40)]
    through = np.array([cloudy.transmission(*t)[0] / clear.transmission(*t)[0] for t in times])
    sky = np.array([cloudy.brightness(*t)[0] / clear.brightness(*t)[0] for t in times])
    assert through.min() < 0.5
    assert np.all((through > 0) & (through <= 1.0))
    assert np.corrcoef(through, sky)[0, 1] < -0.99


@pytest.mark.parametrize("angle", [0.0, 30.0, 45.0, 90.0, 135.0, 171.0])
def test_a_trail_leaves_its_light_along_its_way(angle: float) -> None:
    light = np.zeros((200, 300))
    draw_trail(light, Trail(x_px=150.0, y_px=100.0, angle_deg=angle, e_per_px=1000.0, fwhm_px=3.0))
    cos, sin = abs(np.cos(np.radians(angle))), abs(np.sin(np.radians(angle)))
    length = min(300 / cos if cos > 1e-9 else np.inf, 200 / sin if sin > 1e-9 else np.inf)
    # Its ends on the frame's edge are cut aslant, by no more than its width.
    assert light.sum() == pytest.approx(1000.0 * length, rel=0.02)
    assert light.max() == pytest.approx(1000 / (3.0 / 2.355 * np.sqrt(2 * np.pi)), rel=0.06)


def test_satellites_are_rarer_when_the_earths_shadow_has_risen() -> None:
    assert sunlit_share(-5.0) == 1.0
    assert 0.3 < sunlit_share(-25.0) < 0.8
    assert sunlit_share(-40.0) == 0.0

    def count(sun_altitude_deg: float) -> float:
        rng = np.random.default_rng(1)
        found = [
            passers(
                rng,
                exposure_s=120.0,
                width=3000,
                height=2000,
                scale_arcsec_px=3.0,
                fwhm_px=3.0,
                electrons_per_s_at_mag0=7e7,
                sun_altitude_deg=sun_altitude_deg,
            )
            for _ in range(2000)
        ]
        steady = [sum(t.blink_px == 0.0 and t.fwhm_px == 3.0 for t in trails) for trails in found]
        return float(np.mean(steady))

    # 0.6 an hour and degree, two minutes, three degrees of diagonal.
    assert count(-10.0) == pytest.approx(0.06, abs=0.02)
    assert count(-40.0) == 0.0
