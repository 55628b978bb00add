"""What cannot work is one sentence and a status before a night starts; one camera has one run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.night.nights import Night, events_of, firstlight, journal, kill_night
from tests.night.test_mistakes import check_message

pytestmark = pytest.mark.slow

PLAN = """
name = "x"
[camera]
{camera}
[[lights]]
{lights}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A simulated observatory; its address."""
    command = [sys.executable, "-m", "simulators", "--port", "0", "--speed", "50", "--follow-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        yield f"127.0.0.1:{json.loads(process.stdout.readline())['port']}"
        process.stdin.close()
        assert process.wait(timeout=10) == 0


def write(folder: Path, camera: str = "", lights: str = "exposure_s = 5\ncount = 1", more: str = "") -> Path:
    file = folder / "plan.toml"
    file.write_text(PLAN.format(camera=camera, lights=lights) + more)
    return file


@pytest.mark.parametrize(
    ("camera", "lights", "words"),
    [
        ("", 'filter = "Hb"\nexposure_s = 5\ncount = 1', ['no filter "Hb"', "it has L, R, G, B"]),
        ("gain = 99999", "exposure_s = 5\ncount = 1", ["takes gain from 0 to 300, not 99999"]),
        ("offset = 999", "exposure_s = 5\ncount = 1", ["takes offset from 0 to 200, not 999"]),
        ("binning = 16", "exposure_s = 5\ncount = 1", ["takes binning from 1 to 4, not 16"]),
        ("temperature_c = -80", "exposure_s = 5\ncount = 1", ["takes temperature_c from -50 to 50, not -80"]),
        ("", "exposure_s = 20000\ncount = 1", ["takes exposure_s from 0.001 to 3600, not 20000"]),
    ],
)
def test_what_the_devices_cannot(
    tmp_path: Path, root: Path, server: str, camera: str, lights: str, words: list[str]
) -> None:
    done = firstlight("run", write(tmp_path, camera, lights), "--root", root, "--indi", server)
    check_message(done, *words)
    assert not [event for event in journal(root) if event["event"] == "exposure_started"]


def test_a_target_below_the_horizon(tmp_path: Path, root: Path, server: str) -> None:
    south = '[target]\nname = "47 Tucanae"\nra = "00h24m"\ndec = "-72d05m"\n'  # the observatory is at 47.7° N
    done = firstlight("run", write(tmp_path, more=south), "--root", root, "--indi", server)
    check_message(done, "47 Tucanae stands at", "never comes higher", "min_altitude_deg")


def test_two_runs_on_one_camera(tmp_path: Path, root: Path, server: str, start: Callable[..., Night]) -> None:
    plan = write(tmp_path, lights="exposure_s = 500\ncount = 2")
    start("run", plan, "--indi", server).until("exposure_started")
    other = tmp_path / "other"
    second = firstlight("run", plan, "--root", other, "--indi", server.replace("127.0.0.1", "localhost"))
    check_message(second, "firstlight CCD", f"the run on {root}", f"attach --root {root}")
    assert not [each for each in journal(root) if each["event"] == "exposure_failed"], "the first goes on"
    kill_night(root)
    again = firstlight("run", write(tmp_path), "--root", other, "--indi", server, "--json")
    assert again.returncode == 0, again.stderr
    assert events_of(again.stdout)[-1]["subs_shot"] == 1


def test_a_night_that_shot_nothing_has_failed(tmp_path: Path, root: Path) -> None:
    faults = tmp_path / "faults.toml"
    faults.write_text('[[fault]]\nname = "exposure_alert"\nprobability = 1.0\n')
    command = [sys.executable, "-m", "simulators", "--port", "0", "--speed", "50", "--follow-stdin"]
    with subprocess.Popen(
        [*command, "--faults", str(faults)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        address = f"127.0.0.1:{json.loads(process.stdout.readline())['port']}"
        done = firstlight("run", write(tmp_path), "--root", root, "--indi", address, "--json")
        process.stdin.close()
    assert done.returncode == 1
    assert done.stderr.startswith("firstlight: the night failed: nothing was shot: firstlight CCD refuses")
    assert events_of(done.stdout)[-1]["outcome"] == "failed"


def test_the_doctor_lists_the_devices(tmp_path: Path, server: str) -> None:
    done = firstlight("doctor", "--indi", server, "--root", tmp_path, "--json")
    found = {each["what"].strip(): each["detail"] for each in events_of(done.stdout)}
    assert found["firstlight CCD"].startswith("camera")  # nights before this test may have left it connected
    assert found["gain"] == "from 0 to 300"
    assert found["filters"].startswith("L, R, G, B")
