from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from develop.png import write_png
from develop.stretch import TARGET_BACKGROUND, autostretch, midtones_transfer


@given(st.floats(0.001, 0.999))
def test_the_midtones_become_one_half_and_the_ends_stay(midtones: float) -> None:
    ends = midtones_transfer(np.array([0.0, midtones, 1.0], dtype=np.float32), midtones)
    assert ends == pytest.approx([0.0, 0.5, 1.0], abs=1e-4)


@given(level=st.floats(-1e3, 1e4), sigma=st.floats(0.1, 100), gain=st.floats(0.01, 100))
@settings(max_examples=25, deadline=None)
def test_the_background_lands_where_it_should_whatever_the_units(
    level: float, sigma: float, gain: float
) -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(level, sigma, (100, 120))
    image[::10, ::10] += 5000 * sigma
    picture = autostretch((gain * image).astype(np.float32))
    assert np.median(picture) == pytest.approx(255 * TARGET_BACKGROUND, abs=3)
    assert picture.max() == 255


def test_brighter_is_never_darker() -> None:
    ramp = np.linspace(0, 1000, 4000, dtype=np.float32).reshape(40, 100)
    assert (np.diff(autostretch(ramp).ravel().astype(int)) >= 0).all()


def test_what_was_not_seen_is_black_and_does_not_count() -> None:
    image = np.random.default_rng(1).normal(500, 5, (100, 120)).astype(np.float32)
    alone = autostretch(image[:, :40])
    weight = np.zeros(image.shape, dtype=np.float32)
    weight[:, :40] = 3
    image[:, 40:] = 0
    image[50:, 40:] = np.nan
    picture = autostretch(image, weight)
    assert (picture[:, 40:] == 0).all()
    assert (picture[:, :40] == alone).all()


def test_linked_curves_keep_hues_and_unlinked_ones_make_the_background_grey() -> None:
    rng = np.random.default_rng(2)
    image = np.dstack([rng.normal(level, 5, (80, 90)) for level in (200, 300, 400)]).astype(np.float32)
    linked = np.median(autostretch(image), axis=(0, 1))
    unlinked = np.median(autostretch(image, linked=False), axis=(0, 1))
    assert linked[0] < linked[1] < linked[2]
    assert np.ptp(unlinked) <= 2


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_an_empty_picture_is_a_picture(value: float) -> None:
    assert autostretch(np.full((5, 6), value, dtype=np.float32)).shape == (5, 6)


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 3)])
def test_a_png_holds_the_picture(tmp_path: Path, shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    assert write_png(tmp_path / "a.png", picture) == (60, 40)
    with Image.open(tmp_path / "a.png") as image:
        assert (np.asarray(image) == picture).all()
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_previews_are_shrunk_in_proportion(tmp_path: Path) -> None:
    size = write_png(tmp_path / "a.png", np.zeros((300, 400), dtype=np.uint8), max_side_px=100)
    assert size == (100, 75)


def test_a_png_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        write_png(tmp_path / "missing" / "a.png", np.zeros((3, 4), dtype=np.uint8))
    assert list(tmp_path.iterdir()) == []
