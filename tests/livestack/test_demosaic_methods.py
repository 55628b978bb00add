"""Every method of the registry in the stack itself, and the laws that ratio corrected demosaicing obeys."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from livestack.demosaics import DEFAULT, METHODS, Demosaic
from livestack.kernels.demosaic import REACH as LINEAR_REACH
from livestack.kernels.keys import Coding
from livestack.kernels.ratio_corrected import REACH, ratio_corrected
from livestack.masters import Masters
from livestack.planes import Light, Planes
from livestack.survey import colours
from tests.livestack.dithered import mosaic, shot

PATTERNS = ("RGGB", "BGGR", "GBRG", "GRBG")
INSIDE = (slice(None), slice(REACH, -REACH), slice(REACH, -REACH))
Layers = NDArray[np.float32]


def rcd(raw: NDArray[np.floating], pattern: str = "RGGB", noise: float = 0.0) -> Layers:
    planes = np.full((3, *raw.shape), np.nan, np.float32)
    ratio_corrected(raw.astype(np.float32), colours(pattern), np.float32(noise), planes)
    return planes


def stacked(raw: NDArray[np.floating], method: Demosaic, pattern: str = "RGGB") -> Layers:
    """A stack (3, H, W) of one frame, in place; the codes of values are fine."""
    placed = shot(raw, bayer=pattern, level=(0.0, 0.0, 0.0), noise_adu=5.0).placed
    placed = type(placed)(**{name: getattr(placed, name) for name in placed.__slots__} | {"demosaic": method})
    planes = Planes((raw.shape[0], raw.shape[1]), 3, Coding.over((500.0,) * 3, 2000.0))
    planes.add(Light(raw=raw.astype(np.float32), masters=Masters(), placed=placed))
    return np.moveaxis(planes.picture().pixels, 2, 0)


def test_the_registry_names_what_there_is() -> None:
    assert tuple(METHODS) == get_args(Demosaic)
    assert DEFAULT in METHODS
    for method in METHODS.values():
        assert method.summary
        assert method.reach_px == (REACH if method.gain is None else LINEAR_REACH)


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_coloured_sky_stays_as_it_is_up_to_the_frame_s_edges(method: Demosaic, pattern: str) -> None:
    layers = np.ones((3, 70, 40)) * np.array([500.0, 800.0, 300.0])[:, None, None]
    np.testing.assert_allclose(stacked(mosaic(layers, pattern), method, pattern), layers, atol=0.5)


def test_tiles_have_no_seams() -> None:
    """Two rows and two columns of tiles; each needs pixels from beyond its rim."""
    raw = np.random.default_rng(0).uniform(450, 650, (140, 560))
    np.testing.assert_allclose(stacked(raw, "rcd")[INSIDE], rcd(raw, noise=5.0)[INSIDE], atol=0.5)


def test_ratios_keep_what_the_sensor_saw_and_follow_its_unit() -> None:
    raw = np.random.default_rng(1).uniform(450, 650, (44, 47))
    done = rcd(raw)
    assert np.isfinite(done[INSIDE]).all()
    for channel, (first_q, first_p) in ((0, (10, 10)), (1, (10, 11)), (2, (11, 11))):
        np.testing.assert_array_equal(
            done[channel, first_q:-10:2, first_p:-10:2], raw.astype(np.float32)[first_q:-10:2, first_p:-10:2]
        )
    np.testing.assert_allclose(rcd(16 * raw)[INSIDE], 16 * done[INSIDE], rtol=1e-4)


def test_ratios_see_no_further_than_they_say() -> None:
    raw = np.random.default_rng(2).uniform(450, 650, (61, 61))
    other = raw.copy()
    other[30, 30] += 500
    changed = np.argwhere(np.abs(rcd(raw) - rcd(other))[INSIDE] > 0)[:, 1:] + REACH
    assert len(changed)
    assert np.abs(changed - 30).max() <= REACH


@pytest.mark.parametrize(
    "turn", [[[1, 0], [0, 1]], [[-1, 0], [0, -1]], [[0, -1], [1, 0]], [[0, 1], [-1, 0]], [[-1, 0], [0, 1]]]
)
def test_a_frame_that_lies_otherwise_gives_the_same(turn: list[list[int]]) -> None:
    """Stacked on a reference that is turned, and turned back."""
    raw = np.random.default_rng(3).uniform(450, 650, (60, 60))
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    corners = np.array([[0, 0], [59, 59]]) @ matrix[:2, :2].T
    matrix[:2, 2] = -corners.min(axis=0)
    planes = Planes((60, 60), 3, Coding.over((500.0,) * 3, 2000.0))
    placed = shot(raw, matrix, bayer="RGGB", level=(0.0, 0.0, 0.0), noise_adu=5.0).placed
    placed = type(placed)(**{name: getattr(placed, name) for name in placed.__slots__} | {"demosaic": "rcd"})
    planes.add(Light(raw=raw.astype(np.float32), masters=Masters(), placed=placed))
    picture = np.moveaxis(planes.picture().pixels, 2, 0)
    y, x = np.mgrid[:60, :60]
    u, v = np.rint(matrix[:2, :2] @ np.stack((x.ravel(), y.ravel())) + matrix[:2, 2:]).astype(int)
    back = picture[:, v, u].reshape(3, 60, 60)
    np.testing.assert_allclose(back[INSIDE], rcd(raw, noise=5.0)[INSIDE], atol=1.0)


def test_where_the_sky_is_zero_noise_is_not_blown_up() -> None:
    noise = np.random.default_rng(4).normal(0, 10, (300, 300))
    done = rcd(noise, noise=10.0)[INSIDE]
    assert np.abs(done).max() < 120
    assert done.std(axis=(1, 2)) == pytest.approx([8, 9, 8], abs=3)
    assert np.abs(done.mean(axis=(1, 2))).max() < 0.5


def test_an_edge_has_less_colour_than_by_the_linear_methods() -> None:
    """What it is for: a grey edge along the rows."""
    layers = np.ones((3, 80, 64)) * 200.0
    layers[:, 41:] = 900.0
    tints = {
        name: float(np.ptp(stacked(mosaic(layers), name)[:, 20:60, 16:48], axis=0).max())
        for name in ("fine", "bilinear", "rcd")
    }
    assert tints["rcd"] < 0.7 * tints["fine"] < 0.7 * tints["bilinear"]
