"""``firstlight stack --comet``: files in, the comet, the stars and both together out."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from firstlight.errors import FirstlightError
from firstlight.stack_files import stack_files
from firstlight.stack_job import StackJob
from firstlight.stack_report import Told
from library.cards import Card
from library.reading import read_frame
from library.writing import write_image
from tests.livestack.sky import motion
from tests.livestack.test_comet import DUSK, comet_at, light, when
from tui.cli import main

N_LIGHTS = 9
EVERY = 3


@pytest.fixture(scope="module")
def lights(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, rng = tmp_path_factory.mktemp("comet"), np.random.default_rng(4)
    paths = []
    for i in range(N_LIGHTS):
        path = folder / f"c{i}.fits"
        stamp = when(EVERY * i).replace(tzinfo=None).isoformat(timespec="milliseconds")
        cards: list[Card] = [("IMAGETYP", "Light Frame", ""), ("FILTER", "L", ""), ("EXPTIME", 30.0, "")]
        cards.append(("DATE-OBS", stamp, ""))
        write_image(path, light(EVERY * i, motion(), rng).pixels, cards)
        paths.append(path)
    return paths


def mark(lights: list[Path], i: int) -> str:
    x, y = comet_at(when(EVERY * i) + timedelta(seconds=15)) + 1.0
    return f"{x:.1f},{y:.1f}@{lights[i]}"


@pytest.mark.parametrize("by", ["auto", "marks"])
def test_three_pictures_of_a_comet(tmp_path: Path, lights: list[Path], by: str) -> None:
    comet = ("auto",) if by == "auto" else (mark(lights, 1), mark(lights, 7))
    told: list[Told] = []
    job = StackJob(output=tmp_path / "c.fits", preview=tmp_path / "c.png", comet=comet)
    report = stack_files(lights, job, told.append)
    assert report.accepted == N_LIGHTS
    assert (tmp_path / "c.png").is_file()
    frames = {end: read_frame(tmp_path / f"c{end}.fits") for end in ("", "_stars", "_together")}
    header = frames[""].header
    assert header["COMBMETH"] == "comet"
    x, y = float(str(header["COMETX"])) - 1, float(str(header["COMETY"])) - 1
    reference = DUSK.fromisoformat(f"{header['COMETREF']}+00:00")
    assert np.hypot(*(np.array([x, y]) - comet_at(reference))) < 0.1
    row, column = round(y), round(x)
    around = slice(row - 3, row + 4), slice(column - 3, column + 4)
    heights = {end: frame.pixels[around].max() - np.median(frame.pixels) for end, frame in frames.items()}
    assert heights[""] > 800
    assert heights["_together"] == pytest.approx(heights[""], rel=0.05)
    assert heights["_stars"] < 0.1 * heights[""]


@pytest.mark.parametrize(
    ("comet", "message"),
    [
        (("auto", "auto"), "X,Y@FILE"),
        (("12@a.fits", "3,4@b.fits"), "not 12@a.fits"),
        (("1,2@a.fits",), "two lights or more"),
        (("1,2@a.fits", "3,4@a.fits"), "two lights or more"),
    ],
)
def test_marks_that_are_none(
    tmp_path: Path, lights: list[Path], comet: tuple[str, ...], message: str
) -> None:
    with pytest.raises(FirstlightError, match=message):
        stack_files(lights, StackJob(output=tmp_path / "c.fits", comet=comet), lambda _told: None)


def test_a_mark_in_a_light_that_is_not_stacked(tmp_path: Path, lights: list[Path]) -> None:
    job = StackJob(output=tmp_path / "c.fits", comet=(mark(lights, 1), "3,4@elsewhere.fits"))
    with pytest.raises(FirstlightError, match=r"elsewhere\.fits is none of the lights"):
        stack_files(lights[:5], job, lambda _told: None)


def test_comet_and_method_exclude_each_other(tmp_path: Path, lights: list[Path]) -> None:
    job = StackJob(output=tmp_path / "c.fits", comet=("auto",), method="median")
    with pytest.raises(FirstlightError, match="leave out --method"):
        stack_files(lights, job, lambda _told: None)


def test_the_command(tmp_path: Path, lights: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["stack", *map(str, lights), "-o", str(tmp_path / "c.fits"), "--comet", "auto"]
    assert main(arguments) == 0
    assert "px an hour" in capsys.readouterr().err
    assert (tmp_path / "c_together.fits").is_file()
