"""Darks by day, lights by night: one library, a root for each night."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from library.frames import FrameKind
from library.store import Library
from tests.night.nights import FIRSTLIGHT, events_of, firstlight
from tests.night.test_shoot import observatory

pytestmark = pytest.mark.slow

PLAN = """
name = "Praesepe"
[camera]
gain = 100
offset = 30
temperature_c = 9
[target]
name = "M 44"
ra = "08h40m20s"
dec = "+19d40m00s"
[[lights]]
filter = "L"
exposure_s = 20
count = 2
[options]
settle_s = 0
[end]
cooler = "leave"
min_altitude_deg = -90
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    file = tmp_path / "plan.toml"
    file.write_text(PLAN)
    return file


def lights(library: Path) -> Counter[str | None]:
    """How many lights each night has in the library."""
    with Library.open(library) as opened:
        return Counter(record.meta.plan_id for record in opened.find(kind=FrameKind.LIGHT))


def test_nights_find_the_day_s_masters_and_shoot_their_own_lights(tmp_path: Path, plan: Path) -> None:
    library, one, two = tmp_path / "astro", tmp_path / "one", tmp_path / "two"
    with observatory(tmp_path, camera="demo") as indi:
        day = ("--temps", "9", "--exposures", "20", "--count", "4", "--bias", "3", "--gain", "100")
        shot = firstlight(
            "library", "shoot", *day, "--offset", "30", "--library", library, "--indi", indi, "--headless"
        )
        assert shot.returncode == 0, shot.stderr
        words = ("run", plan, "--indi", indi, "--json")
        first = firstlight(*words, "--library", library, "--root", one)
        assert first.returncode == 0, first.stderr
        config = Path.home() / ".config" / "firstlight" / "config.toml"
        config.parent.mkdir(parents=True)
        config.write_text(f'library = "{library}"\n')
        second = firstlight(*words, "--root", two)
        assert second.returncode == 0, second.stderr
        again = firstlight(*words, "--root", one)
        assert again.returncode == 0, again.stderr
    for night, stored in ((first, 2), (second, 2), (again, 0)):
        events = events_of(night.stdout)
        assert sum(event["event"] == "frame_stored" for event in events) == stored
        assert events[-1]["subs_accepted"] == 2
        assert {(each["kind"], each["n_frames"]) for each in events[-1]["masters"]} >= {("dark", 4)}
        chosen = next(event for event in events if event["event"] == "calibration_chosen")
        assert {each["kind"]: each["coverage"] for each in chosen["choices"]}["dark"] == "exact"
    assert sorted(lights(library).values()) == [2, 2]
    for root in (one, two):
        assert not (root / "library").exists()
        assert list((root / "pictures").glob("*.fits"))
        assert list((root / "journal").glob("*.jsonl"))


def test_two_nights_at_once_share_a_library(tmp_path: Path, plan: Path) -> None:
    library = tmp_path / "astro"
    with ExitStack() as stack:
        nights = []
        for name in ("one", "two"):
            (tmp_path / f"of-{name}").mkdir()
            indi = stack.enter_context(observatory(tmp_path / f"of-{name}", camera="demo"))
            words = ("run", plan, "--indi", indi, "--json", "--library", library, "--root", tmp_path / name)
            nights.append(
                subprocess.Popen(
                    [FIRSTLIGHT, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
                )
            )
        for night in nights:
            told, errors = night.communicate(timeout=300)
            assert night.returncode == 0, errors
            assert json.loads(told.splitlines()[-1])["subs_accepted"] == 2
    assert sorted(lights(library).values()) == [2, 2]
    with Library.open(library) as opened:
        assert opened.verify() == []
