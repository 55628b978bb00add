"""Stacks on disk become one colour FITS: by the filters they name, or by what is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from firstlight.composing import compose_files
from firstlight.errors import FirstlightError
from library.reading import read_frame
from library.writing import write_image
from tui.cli import main

SHAPE = (90, 130)


def stack(path: Path, name: str | None, seed: int, shape: tuple[int, ...] = SHAPE) -> Path:
    """A blurred blob on a sky with noise; its first ten columns were seen by no sub."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    blob = 200 * np.exp(-np.hypot(x - 70, y - 45) / (10 + 5 * seed))
    light = blob if len(shape) == 2 else blob[..., None]
    pixels = (np.random.default_rng(seed).normal(100 * seed, 2, shape) + light).astype(np.float32)
    pixels[:, :10] = 0
    cards = [("OBJECT", "M16", "target")] + ([("FILTER", name, "filter")] if name else [])
    write_image(path, pixels, cards)
    return path


@pytest.fixture
def lines(tmp_path: Path) -> list[Path]:
    names = ("H-alpha 7nm", "O-III", "S2")
    return [stack(tmp_path / f"{n}.fits", name, n) for n, name in enumerate(names, 1)]


def test_the_command_writes_planes_a_header_and_a_preview(
    tmp_path: Path, lines: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    out, png = tmp_path / "out.fits", tmp_path / "out.png"
    assert main(["compose", *map(str, lines), "-o", str(out), "--preview", str(png)]) == 0
    assert "SHO of H-alpha 7nm, O-III, S2" in capsys.readouterr().out
    frame = read_frame(out)
    assert frame.pixels.shape == (*SHAPE, 3)
    assert np.isnan(frame.pixels[:, :10]).all()
    assert np.isfinite(frame.pixels[:, 10:]).all()
    assert frame.header["PALETTE"] == "SHO"
    assert frame.header["OBJECT"] == "M16"
    assert [frame.header[f"FILTER{n}"] for n in (1, 2, 3)] == ["H-alpha 7nm", "O-III", "S2"]
    with Image.open(png) as image:
        assert image.size == (SHAPE[1], SHAPE[0])
        assert np.asarray(image)[45, 70].min() > np.asarray(image)[5, 120].max()


def channel(path: Path, number: int) -> NDArray[np.float32]:
    plane: NDArray[np.float32] = read_frame(path).pixels[:, 10:, number]
    return plane


def test_a_palette_is_what_was_asked_for(tmp_path: Path, lines: list[Path]) -> None:
    sho, hoo = tmp_path / "sho.fits", tmp_path / "hoo.fits"
    compose_files(lines, sho)
    made = compose_files(lines, hoo, palette_name="hoo")
    assert made.palette == "HOO"
    assert (channel(hoo, 0) == channel(sho, 1)).all()
    assert (channel(hoo, 1) == channel(hoo, 2)).all()


def test_the_name_of_a_file_tells_the_filter_that_its_header_does_not(tmp_path: Path) -> None:
    stacks = [stack(tmp_path / f"M16_{name}.fits", None, n) for n, name in enumerate(("Ha", "OIII"), 1)]
    assert compose_files(stacks, tmp_path / "out.fits").palette == "HOO"


def test_a_colour_stack_is_enough(tmp_path: Path) -> None:
    dual = stack(tmp_path / "a.fits", "L-eXtreme", 1, (*SHAPE, 3))
    plain = stack(tmp_path / "b.fits", None, 1, (*SHAPE, 3))
    assert compose_files([dual], tmp_path / "out.fits").palette == "HOO"
    assert compose_files([plain], tmp_path / "out2.fits").palette == "RGB"


def test_what_makes_no_picture_is_one_clear_message(
    tmp_path: Path, lines: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    ha, oiii, _ = lines
    out = tmp_path / "out.fits"
    odd = stack(tmp_path / "odd.fits", "Slot 3", 4)
    small = stack(tmp_path / "small.fits", "OIII", 4, (80, 130))
    for stacks, options, said in (
        ([ha], [], "make no colour"),
        ([ha, oiii], ["--palette", "SHO"], "needs SII"),
        ([ha, oiii], ["--palette", "XYZ"], "no palette"),
        ([ha, ha], [], "second stack"),
        ([ha, odd], [], "Slot 3"),
        ([ha, small], [], "not of one size"),
        ([ha, tmp_path / "none.fits"], [], "no such file"),
    ):
        assert main(["compose", *map(str, stacks), "-o", str(out), *options]) == 2
        assert said in capsys.readouterr().err
        assert not out.exists()
    with pytest.raises(FirstlightError, match="is one of the stacks"):
        compose_files([ha, oiii], ha)
    with pytest.raises(FirstlightError, match="mkdir"):
        compose_files([ha, oiii], tmp_path / "nowhere" / "out.fits")
