"""The focuser and the flat panel over the wire, and what the camera sees of them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from astropy.io import fits

from tests.simulators.conftest import Simulated
from tests.simulators.wire import CAMERA, FOCUSER, MOUNT, PANEL, Wire, new, values


def move_to(wire: Wire, steps: int) -> float:
    wire.new("Number", FOCUSER, "ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=steps)
    return float(values(wire.state(FOCUSER, "ABS_FOCUS_POSITION", "Ok"))["FOCUS_ABSOLUTE_POSITION"])


def shoot(wire: Wire, exposure_s: float, kind: str) -> np.ndarray:
    with fits.open(io.BytesIO(wire.shoot(exposure_s, kind))) as hdus:
        return np.array(hdus[0].data, np.float64)


def test_a_focuser_moves_by_words_of_both_kinds_and_within_its_limits(observatory: Simulated) -> None:
    wire = observatory.wire
    wire.connect(FOCUSER)
    assert move_to(wire, 20_000) == 20_000
    wire.new("Switch", FOCUSER, "FOCUS_MOTION", FOCUS_INWARD="On")
    wire.new("Number", FOCUSER, "REL_FOCUS_POSITION", FOCUS_RELATIVE_POSITION=1500)
    wire.state(FOCUSER, "REL_FOCUS_POSITION", "Busy")
    assert values(wire.state(FOCUSER, "ABS_FOCUS_POSITION", "Ok")) == {"FOCUS_ABSOLUTE_POSITION": "18500"}
    wire.new("Number", FOCUSER, "REL_FOCUS_POSITION", FOCUS_RELATIVE_POSITION=50_000)
    assert "0 to 60000" in wire.state(FOCUSER, "REL_FOCUS_POSITION", "Alert").get("message", "")
    wire.new("Number", FOCUSER, "ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=60_001)
    assert wire.state(FOCUSER, "ABS_FOCUS_POSITION", "Alert").get("message")


def test_backlash_is_lost_on_a_reversal_and_compensation_brings_it_back(observatory: Simulated) -> None:
    wire = observatory.wire
    wire.connect(FOCUSER)

    def drawtube(goal: int) -> float:
        wire.new("Number", FOCUSER, "ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=goal)
        wire.state(FOCUSER, "ABS_FOCUS_POSITION", "Ok")
        wire.send(f"<getProperties version='1.7' device='{FOCUSER}' name='FOCUSER_DRAWTUBE'/>")
        return float(
            values(wire.wait(lambda e: e.tag == "defNumberVector" and e.get("name") == "FOCUSER_DRAWTUBE"))[
                "STEPS"
            ]
        )

    wire.new("Number", FOCUSER, "FOCUSER_MECHANICS", BACKLASH_STEPS=80)
    wire.state(FOCUSER, "FOCUSER_MECHANICS", "Ok")
    out = drawtube(26_000)
    assert drawtube(25_000) - out == pytest.approx(-1000 + 80)
    assert drawtube(26_000) == pytest.approx(out)
    wire.new("Number", FOCUSER, "FOCUS_BACKLASH_STEPS", FOCUS_BACKLASH_VALUE=120)
    wire.new("Switch", FOCUSER, "FOCUS_BACKLASH_TOGGLE", INDI_ENABLED="On")
    wire.state(FOCUSER, "FOCUS_BACKLASH_TOGGLE", "Ok")
    assert drawtube(25_000) - out == pytest.approx(-1000)


def test_a_move_can_be_aborted(observatory: Simulated) -> None:
    wire = observatory.wire
    wire.connect(FOCUSER)
    # Both in one breath: the whole way takes less than a quarter of a second.
    wire.send(
        new("Number", FOCUSER, "ABS_FOCUS_POSITION", FOCUS_ABSOLUTE_POSITION=60_000)
        + new("Switch", FOCUSER, "FOCUS_ABORT_MOTION", ABORT="On")
    )
    stopped = float(values(wire.state(FOCUSER, "ABS_FOCUS_POSITION", "Idle"))["FOCUS_ABSOLUTE_POSITION"])
    assert 25_000 <= stopped < 60_000


def test_the_camera_sees_the_focuser(observatory: Simulated) -> None:
    """1000 steps more are 600 µm more of defocus."""
    wire = observatory.wire
    wire.connect(FOCUSER)
    wire.new("Number", CAMERA, "CCD_FRAME", X=0, Y=0, WIDTH=64, HEIGHT=64)
    seen = []
    for steps in (25_000, 26_000):
        move_to(wire, steps)
        wire.shoot(1.0)
        seen.append(observatory.truths()[-1]["defocus_um"])
    assert seen[1] - seen[0] == pytest.approx(600.0, rel=0.02)


def test_the_panel_takes_the_sky_s_place(observatory: Simulated) -> None:
    """Closed: dark, or as bright as its light; open: the sky, whatever the kind of frame is called."""
    wire = observatory.wire
    wire.connect(PANEL)

    def cap(word: str) -> None:
        wire.new("Switch", PANEL, "CAP_PARK", **{word: "On"})
        wire.state(PANEL, "CAP_PARK", "Ok")

    def light(word: str, level: int) -> None:
        wire.new("Number", PANEL, "FLAT_LIGHT_INTENSITY", FLAT_LIGHT_INTENSITY_VALUE=level)
        wire.state(PANEL, "FLAT_LIGHT_INTENSITY", "Ok")
        wire.new("Switch", PANEL, "FLAT_LIGHT_CONTROL", **{f"FLAT_LIGHT_{word}": "On"})
        wire.state(PANEL, "FLAT_LIGHT_CONTROL", "Ok")

    dark = np.median(shoot(wire, 1.0, "DARK"))
    cap("PARK")
    assert np.median(shoot(wire, 1.0, "LIGHT")) == pytest.approx(dark, abs=2)
    light("ON", 50)
    levels = {kind: np.median(shoot(wire, 0.5, kind)) - dark for kind in ("LIGHT", "FLAT")}
    light("ON", 100)
    twice = np.median(shoot(wire, 0.5, "FLAT")) - dark
    assert levels["LIGHT"] == pytest.approx(levels["FLAT"], rel=0.01)
    assert twice / levels["FLAT"] == pytest.approx(2.0, rel=0.01)
    cap("UNPARK")
    wire.new("Number", MOUNT, "EQUATORIAL_EOD_COORD", RA=14.0, DEC=54.5)
    wire.state(MOUNT, "EQUATORIAL_EOD_COORD", "Ok")
    assert np.median(shoot(wire, 1.0, "FLAT")) - dark < 0.05 * levels["FLAT"]
    assert observatory.truths()[-1]["stars"] > 50
