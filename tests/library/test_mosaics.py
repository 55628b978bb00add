"""Patterns of mosaics as laws, and whether a frame is evidently one: true mono frames never are."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from library.cards import CardValue
from library.formats.table import FRAME_SUFFIXES
from library.keywords import frame_meta
from library.mosaics import (
    BAYER_PATTERNS,
    RGB,
    XTRANS,
    cell_px,
    evident_cell_px,
    flipped,
    shifted,
    tall,
    unusable,
)
from library.reading import read_frame

PATTERNS = st.sampled_from([*BAYER_PATTERNS, XTRANS])


def laid_out(pattern: str, height: int, width: int) -> NDArray[Any]:
    side = cell_px(pattern)
    y, x = np.indices((height, width))
    return np.array(list(pattern)).reshape(side, side)[y % side, x % side]


@given(PATTERNS, st.integers(0, 13), st.integers(0, 13), st.integers(6, 20))
def test_a_pattern_is_what_lies_there(pattern: str, columns: int, rows: int, height: int) -> None:
    whole = laid_out(pattern, height + rows, 24 + columns)
    np.testing.assert_array_equal(
        whole[rows:, columns:], laid_out(shifted(pattern, columns, rows), height, 24)
    )
    upright = laid_out(pattern, height, 24)
    np.testing.assert_array_equal(upright[::-1], laid_out(flipped(pattern, height), height, 24))


@pytest.mark.parametrize("told", ["CYGM", "TRUE", "RGBW", "GRBGRGBG"])
def test_an_unknown_pattern_stays_as_it_is_told_and_cannot_be_used(told: str) -> None:
    header: dict[str, CardValue] = {"BAYERPAT": told, "XBAYROFF": 1, "ROWORDER": "BOTTOM-UP"}
    pattern = frame_meta(header, 40, 30).bayer_pattern
    assert pattern == told
    assert told in str(unusable(pattern))


@pytest.mark.parametrize("told", ["", "none", "RGB", "MONO", "0", None, False])
def test_a_header_that_says_mono_is_believed(told: str | None) -> None:
    assert frame_meta({"BAYERPAT": told}, 40, 30).bayer_pattern is None


def test_three_planes_are_no_mosaic() -> None:
    assert frame_meta({"BAYERPAT": "RGGB"}, 40, 30, planes=3).bayer_pattern == RGB
    planes = np.arange(24).reshape(2, 4, 3)
    np.testing.assert_array_equal(tall(planes)[2:4], planes[..., 1])


@lru_cache
def night(seed: int) -> NDArray[np.float64]:
    """A mono frame with stars, a gradient and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((420, 600))
    frame = 800 + 0.2 * x - 0.1 * y + rng.normal(0, 15, (420, 600))
    for row, column in rng.uniform(10, 400, (50, 2)):
        frame += rng.uniform(100, 3000) * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 5)
    return frame


def parities() -> dict[str, NDArray[np.float64]]:
    """What electronics do to true mono frames, (6, 6) of ADU."""
    y, x = np.indices((6, 6))
    return {
        "none": np.zeros((6, 6)),
        "odd columns": 60.0 * (x % 2),
        "odd rows": 60.0 * (y % 2),
        "both": 80.0 * (x % 2) - 50.0 * (y % 2),
        "three columns": 40.0 * (x % 3),
        "pairs of pixels": 8.0 * ((x + y) % 2),  # ASI1600MM
    }


@pytest.mark.parametrize("name", parities())
def test_a_mono_frame_is_no_mosaic_whatever_its_electronics_add(name: str) -> None:
    y, x = np.indices((420, 600))
    frame = night(1) + parities()[name][y % 6, x % 6]
    assert evident_cell_px(frame.astype(np.uint16)) is None
    assert evident_cell_px(frame) is None


@pytest.mark.parametrize("levels", [(900, 500, 300), (80, 130, 70), (120, 120, 60), (100, 140, 105)])
@pytest.mark.parametrize("pattern", [*BAYER_PATTERNS, XTRANS])
def test_a_mosaic_under_a_sky_is_evident(pattern: str, levels: tuple[int, int, int]) -> None:
    colour = np.array([levels["RGB".index(letter)] for letter in laid_out(pattern, 420, 600).ravel()])
    frame = (night(2) - 700 + colour.reshape(420, 600)).astype(np.uint16)
    assert evident_cell_px(frame) == cell_px(pattern)


def test_small_and_empty_frames_are_nothing_in_particular() -> None:
    for frame in (np.zeros((900, 900), np.uint16), np.ones((50, 900)), np.full((900, 900), np.nan)):
        assert evident_cell_px(frame) is None


@pytest.mark.slow
@pytest.mark.realdata
def test_real_frames(realdata: Path) -> None:
    folders = ("calib_stl1001", "mono_hatp32", "focus_c8", "focus_asi1600")
    files = [path for name in folders for path in sorted((realdata / name).rglob("*"))]
    mono = [path for path in files if path.name.lower().endswith(FRAME_SUFFIXES)]
    assert len(mono) > 20
    for path in mono:
        assert evident_cell_px(read_frame(path).pixels) is None, path.name
    for path in (realdata / "osc_m27_asi224mc").glob("*.fit*"):
        assert evident_cell_px(read_frame(path).pixels) == 2, path.name
