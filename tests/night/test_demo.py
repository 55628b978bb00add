"""The demo: one whole night from one command."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from library.reading import read_frame
from tests.night.nights import events_of, firstlight

pytestmark = pytest.mark.slow
SUBS = 40


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """One demo as it comes, but for the number of lights, and what it printed."""
    root = tmp_path_factory.mktemp("demo") / "root"
    done = firstlight("demo", "--json", "--root", root, "--subs", SUBS)
    assert done.returncode == 0, done.stderr
    return root, events_of(done.stdout)


def test_the_night_ends_with_its_summary(night: tuple[Path, list[dict[str, Any]]]) -> None:
    root, events = night
    summary = events[-1]
    assert summary["event"] == "summary"
    assert summary["subs_shot"] == SUBS
    assert summary["subs_accepted"] + summary["subs_rejected"] == SUBS
    assert summary["subs_accepted"] >= 0.95 * SUBS
    assert {stack["filter"] for stack in summary["stacks"]} == {"L", "R", "G", "B"}
    assert sum(stack["subs"] for stack in summary["stacks"]) == summary["subs_accepted"]
    assert {master["kind"] for master in summary["masters"]} == {"bias", "dark", "flat"}
    for path in [master["path"] for master in summary["masters"]] + [
        stack[kind] for stack in summary["stacks"] for kind in ("fits", "preview")
    ]:
        assert Path(path).is_file()
        assert root in Path(path).parents


def test_it_takes_less_than_two_minutes(night: tuple[Path, list[dict[str, Any]]]) -> None:
    assert night[1][-1]["seconds"] < 120


def test_noise_falls_with_the_square_root_of_the_subs(night: tuple[Path, list[dict[str, Any]]]) -> None:
    for stack in night[1][-1]["stacks"]:
        assert stack["snr_gain"] >= 0.9 * math.sqrt(stack["subs"]), stack


def test_the_stacks_noise_is_what_the_summary_says(night: tuple[Path, list[dict[str, Any]]]) -> None:
    """By another estimator: neighbours' differences, a MAD of them, where all subs overlap."""
    for stack in night[1][-1]["stacks"]:
        pixels = read_frame(stack["fits"]).pixels[100:-100, 100:-100]
        # Pixels far apart are not correlated by resampling; the sky's slope is taken off by the median.
        differences = pixels[:, 8:] - pixels[:, :-8]
        sigma = 1.4826 * np.median(np.abs(differences - np.median(differences))) / math.sqrt(2)
        assert sigma == pytest.approx(stack["noise_adu"], rel=0.25), stack


def test_the_pictures_show_stars_on_a_dark_sky(night: tuple[Path, list[dict[str, Any]]]) -> None:
    summary = night[1][-1]
    colour = np.asarray(Image.open(summary["colour_preview"]))
    assert colour.ndim == 3
    centre = colour[100:-100, 100:-100]
    assert 20 < np.median(centre) < 110
    assert np.ptp(np.median(centre, axis=(0, 1))) < 12, "the sky is neutral"
    assert (centre > 240).all(axis=2).mean() > 1e-4, "there are stars"


@pytest.mark.fitsverify
def test_every_file_is_clean_fits(night: tuple[Path, list[dict[str, Any]]]) -> None:
    files = sorted(night[0].rglob("*.fits"))
    assert len(files) > SUBS
    told = subprocess.run(["fitsverify", "-q", *map(str, files)], capture_output=True, text=True, check=False)
    verdicts = told.stdout.splitlines()
    assert len(verdicts) == len(files)
    assert [line for line in verdicts if "verification OK" not in line] == []


@pytest.mark.siril
def test_siril_opens_every_stack_and_master(night: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    summary = night[1][-1]
    files = [stack["fits"] for stack in summary["stacks"]] + [master["path"] for master in summary["masters"]]
    script = tmp_path / "open.ssf"
    script.write_text("requires 1.0.0\n" + "".join(f'load "{file}"\nstat\n' for file in files))
    told = subprocess.run(
        ["siril-cli", "-d", str(tmp_path), "-s", str(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert told.returncode == 0, told.stdout
    assert told.stdout.count("Mean:") >= len(files), told.stdout
