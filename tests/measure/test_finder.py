"""What the finder takes for stars, and what not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from measure.detection.picture import detect
from measure.stars import Stars, typical_fwhm_px
from tests.livestack.sky import draw_stars

HEIGHT, WIDTH = 600, 800
FWHM = 3.0
Frame = NDArray[np.float64]


def field(seed: int = 1, n: int = 80, flux: float = 20_000.0) -> tuple[Frame, NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    places = rng.uniform((30, 30), (WIDTH - 30, HEIGHT - 30), (n, 2))
    frame = 500 + rng.normal(0, 10, (HEIGHT, WIDTH))
    draw_stars(frame, places, flux * rng.uniform(0.3, 3, n), FWHM)
    return frame, places


def seen(frame: Frame, **how: float) -> Stars:
    return detect(frame.astype(np.float32), **how).stars  # type: ignore[arg-type]


def false_ones(stars: Stars, places: NDArray[np.float64]) -> int:
    distance = np.hypot(*(stars.xy[:, None] - places[None]).transpose(2, 0, 1)).min(axis=1)
    return int((distance > 1.5).sum())


@pytest.mark.parametrize("strength", [200.0, 5000.0, 50_000.0])
def test_a_trail_leaves_no_stars(strength: float) -> None:
    frame, places = field()
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    frame += strength * np.exp(-0.5 * (((x - 400) * 0.5 - (y - 300) * 0.866) / 1.2) ** 2)
    stars = seen(frame)
    assert false_ones(stars, places) <= 1
    assert len(stars) > 0.85 * len(places)


def test_two_thousand_clusters_of_hot_pixels_are_no_stars() -> None:
    frame, places = field(n=40)
    rng = np.random.default_rng(2)
    rows, columns = rng.integers(HEIGHT - 1, size=2000), rng.integers(WIDTH - 1, size=2000)
    value = rng.exponential(2000, 2000)
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        frame[rows + dy, columns + dx] += value
    stars = seen(frame)
    assert typical_fwhm_px(stars) == pytest.approx(FWHM, rel=0.1)
    assert false_ones(stars, places) < 40  # three and more pixels in a row, where clusters touch


def test_a_galaxy_is_listed_apart_and_does_not_change_the_width() -> None:
    frame, _ = field()
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    frame += 3000 * np.exp(-np.hypot((x - 420) / 60, (y - 310) / 30))
    draw_stars(frame, np.array([[200.0, 200.0]]), np.array([2e5]), 9.0)
    found = detect(frame.astype(np.float32))
    assert typical_fwhm_px(found.stars) == pytest.approx(FWHM, rel=0.03)
    near = np.hypot(*(found.extended.xy - [200.0, 200.0]).T)
    assert near.min() < 1.0
    assert np.hypot(*(found.stars.xy - [200.0, 200.0]).T).min() > 5


def test_no_corner_holds_all_the_stars() -> None:
    rng = np.random.default_rng(3)
    frame, _ = field(n=60)
    crowd = rng.uniform((20, 20), (140, 140), (400, 2))
    draw_stars(frame, crowd, rng.uniform(2e5, 4e5, 400), FWHM)
    stars = seen(frame, max_stars=100)
    outside = (stars.x > 150) | (stars.y > 150)
    assert outside.sum() > 45
    assert (np.diff(stars.flux) <= 0).all()


@pytest.mark.parametrize("level", [0.0, 65_535.0])
def test_a_border_without_data_is_not_looked_at(level: float) -> None:
    frame, places = field()
    plain = seen(frame)
    frame[:90] = level
    frame[:, 700:] = level
    stars = seen(frame)
    inside = (plain.x < 690) & (plain.y > 100)
    assert false_ones(stars, places) == 0
    assert len(stars) >= 0.95 * inside.sum()


def test_discs_far_out_of_focus_are_found_where_they_are() -> None:
    rng = np.random.default_rng(4)
    frame = 500 + rng.normal(0, 10, (HEIGHT, WIDTH))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    cells = np.stack(np.meshgrid(np.arange(70, 760, 110), np.arange(70, 560, 110)), axis=-1).reshape(-1, 2)
    places = cells + rng.uniform(-8, 8, cells.shape)
    for place in places:
        r = np.hypot(x - place[0], y - place[1])
        frame += 200 * np.clip(18 - r, 0, 1) * np.clip(r - 7, 0, 1)
    stars = seen(frame)
    distance = np.hypot(*(stars.xy[None] - places[:, None]).transpose(2, 0, 1)).min(axis=1)
    assert (distance < 1.0).mean() > 0.9
    assert len(stars) < 1.2 * len(places)


def test_the_unit_of_the_picture_does_not_matter() -> None:
    frame, _ = field()
    whole, small = seen(frame), seen(frame / 65_535)
    assert small.xy == pytest.approx(whole.xy, abs=0.01)
    assert small.flux * 65_535 == pytest.approx(whole.flux, rel=1e-3)
