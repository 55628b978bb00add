"""The drift check on simulated sensors before and after a change, and without one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from library.drift import Change, Drift, check_drift
from library.frames import FrameKind
from library.store import Library
from tests.library.simulated import Rig
from tui.cli import main

SHAPE = (192, 256)
Spoil = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def lamp(rig: Rig, dust: bool = False, tilt: float = 0.0) -> NDArray[np.float32]:
    y, x = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    light = 20_000 / rig.adu_per_e * (1 - 0.1 * (x**2 + y**2) + tilt * x)
    if dust:
        light[60:110, 90:140] *= 0.94
    return np.asarray(light, np.float32)


def session(library: Library, rig: Rig, **light: Any) -> None:
    rig.shoot(library, FrameKind.BIAS, 6)
    rig.shoot(library, FrameKind.DARK, 5, 30)
    rig.shoot(library, FrameKind.DARK, 5, 120)
    rig.shoot(library, FrameKind.FLAT, 3, 1.0, lamp(rig, **light))


def two_sessions(root: Path, before: Rig, after: Rig, **light: Any) -> list[Drift]:
    with Library.open(root) as library:
        session(library, before)
        after.night = before.night + timedelta(days=90)
        session(library, after, **light)
        return check_drift(library.find(master=False))


def told(found: list[Drift]) -> dict[str, Change]:
    return {change.what: change for drift in found for change in drift.changes if change.matters}


@pytest.mark.parametrize("name", ["ASI2600MM", "KAF-8300", "STL-1001E", "ASI294MC", "ASI1600MM"])
def test_an_unchanged_sensor_raises_no_alarm(tmp_path: Path, name: str) -> None:
    found = two_sessions(tmp_path, Rig(name, SHAPE), Rig(name, SHAPE))
    assert [drift.of for drift in found] == ["darks and biases at -10 °C", "flats, filter L"]
    assert {c.what for drift in found for c in drift.changes} == {
        *("noise", "offset", "dark rate", "hot pixels", "gain", "shading", "dust")
    }
    assert not told(found)
    assert not any(drift.stale for drift in found)


def test_new_hot_pixels_are_counted(tmp_path: Path) -> None:
    before, after = Rig("ASI2600MM", SHAPE), Rig("ASI2600MM", SHAPE)
    spots = np.random.default_rng(8).choice(SHAPE[0] * SHAPE[1], 40, replace=False)

    def hotter(image: NDArray[np.float64]) -> NDArray[np.float64]:
        image.reshape(-1)[spots] += 900
        return image

    after.alter = hotter
    changes = told(two_sessions(tmp_path, before, after))
    assert set(changes) == {"hot pixels"}
    assert changes["hot pixels"].after == pytest.approx(40, abs=2)
    assert "new hot pixels" in changes["hot pixels"].text


def test_another_offset_is_measured(tmp_path: Path) -> None:
    before, after = Rig("KAF-8300", SHAPE), Rig("KAF-8300", SHAPE)
    after.alter = lambda image: image + 12
    changes = told(two_sessions(tmp_path, before, after))
    assert set(changes) == {"offset"}
    assert changes["offset"].after - changes["offset"].before == pytest.approx(12, abs=1)
    assert "σ" in changes["offset"].text


def test_another_dark_current_is_told_from_an_offset(tmp_path: Path) -> None:
    before = Rig("STL-1001E", SHAPE)
    after = Rig("STL-1001E", SHAPE, changes={"dark_e_s": 1.3 * before.profile.dark_e_s, "leakers": ()})
    before = Rig("STL-1001E", SHAPE, changes={"leakers": ()})
    changes = told(two_sessions(tmp_path, before, after))
    assert set(changes) == {"dark rate"}
    assert changes["dark rate"].after / changes["dark rate"].before == pytest.approx(1.3, abs=0.05)


def test_another_gain_shows_in_the_flats_and_the_noise(tmp_path: Path) -> None:
    """The setting in the header is the same, the amplifier is not."""
    before, after = Rig("ASI2600MM", SHAPE), Rig("ASI2600MM", SHAPE)
    offset = before.profile.level_adu(before.offset)
    after.alter = lambda image: offset + 1.15 * (image - offset)
    changes = told(two_sessions(tmp_path, before, after))
    assert {"gain", "noise"} <= set(changes)
    assert changes["gain"].after / changes["gain"].before == pytest.approx(1 / 1.15, abs=0.02)


@pytest.mark.parametrize(("light", "what"), [({"dust": True}, "dust"), ({"tilt": 0.03}, "shading")])
@pytest.mark.parametrize("name", ["ASI2600MM", "ASI294MC"])
def test_new_dust_and_another_shading_are_told_apart(
    tmp_path: Path, light: dict[str, Any], what: str, name: str
) -> None:
    changes = told(two_sessions(tmp_path, Rig(name, SHAPE), Rig(name, SHAPE), **light))
    assert set(changes) == {what}
    if what == "dust":
        assert "-6." in changes["dust"].text or "-5." in changes["dust"].text
    else:
        assert changes["shading"].after == pytest.approx(0.06, abs=0.02)


def test_one_session_says_nothing(tmp_path: Path) -> None:
    with Library.open(tmp_path) as library:
        session(library, Rig("KAF-8300", SHAPE))
        assert check_drift(library.find(master=False)) == []


def test_darks_of_one_exposure_without_biases_tell_their_level(tmp_path: Path) -> None:
    rig = Rig("KAF-8300", SHAPE)
    with Library.open(tmp_path) as library:
        rig.shoot(library, FrameKind.DARK, 4, 60)
        rig.night += timedelta(days=30)
        rig.alter = lambda image: image + 20
        rig.shoot(library, FrameKind.DARK, 4, 60)
        [drift] = check_drift(library.find(master=False))
    assert [c.what for c in drift.changes if c.matters] == ["level at 60 s"]
    assert drift.frames == (4, 4)


def test_the_command_says_what_has_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = Rig("KAF-8300", SHAPE), Rig("KAF-8300", SHAPE)
    assert main(["library", "drift", "--root", str(tmp_path)]) == 0
    assert "Nothing to compare" in capsys.readouterr().out
    after.alter = lambda image: image + 12
    two_sessions(tmp_path, before, after)
    assert main(["library", "drift", "--root", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "darks and biases at -10 °C: STALE" in said
    assert "flats, filter L: unchanged" in said
    assert "! offset" in said
    assert main(["library", "drift", "--json", "--root", str(tmp_path)]) == 1
    facts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [fact["stale"] for fact in facts] == [True, False]
    assert {"what", "before", "after", "unit", "sigma", "matters", "text"} == set(facts[0]["changes"][0])
