"""A library shot by day over the real wire: whatever happens, it ends full of darkness, or says why not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from library.frames import FrameKind
from library.store import Library
from tests.night.nights import Night, firstlight, journal, kill_night, session_pid

pytestmark = pytest.mark.slow

DARKS = ("library", "shoot", "--exposures", "20,40", "--count", "3", "--bias", "3", "--gain", "100")
LADDER = (*DARKS, "--offset", "30", "--temps", "5,9")


@contextmanager
def observatory(tmp_path: Path, faults: str = "", camera: str = "ASI290MM") -> Iterator[str]:
    """A simulated one of a small camera, with these faults; gives its address."""
    file = tmp_path / "faults.toml"
    file.write_text(faults)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "simulators", "--follow-stdin", "--port", "0", "--speed", "200"),
            *(("--faults", str(file)) if faults else ()),
            *("--camera", camera),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"127.0.0.1:{json.loads(process.stdout.readline())['port']}"
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def live(root: Path) -> Counter[tuple[FrameKind, float | None, float | None]]:
    """The frames that count."""
    with Library.open(root) as library:
        metas = [record.meta for record in library.find(master=False)]
    return Counter((meta.kind, meta.exposure_s, meta.set_temp_c) for meta in metas)


WANTED = Counter(
    {
        (kind, exposure_s, temp_c): 3
        for temp_c in (5.0, 9.0)
        for kind, exposure_s in ((FrameKind.BIAS, 0.0), (FrameKind.DARK, 20.0), (FrameKind.DARK, 40.0))
    }
)


def test_a_library_is_shot_resumed_after_kill_9_and_made_into_masters(
    tmp_path: Path, root: Path, start: Callable[..., Night]
) -> None:
    with observatory(tmp_path, camera="demo") as indi:
        command = (*LADDER, "--indi", indi)
        for stored in (2, 7):
            night = start(*command)
            night.until("frame_stored", stored)
            assert kill_night(root)
            night.process.wait()
        night = start(*command)
        night.until("frame_stored")
        night.end()  # the terminal goes, the session does not
        assert session_pid(root) is not None
        back = start("attach")
        summary = back.until("summary")
        assert summary["outcome"] == "done", back.errors()
        assert back.process.wait() == 0
        assert live(root) == WANTED
        again = firstlight(*command, "--json", "--root", root)
        assert again.returncode == 0
        assert live(root) == WANTED, "a full library needs nothing"
    temps = [event["target_temp_c"] for event in journal(root) if event["event"] == "cooling_done"]
    assert temps[0] == 9.0, "from the warm side"
    with Library.open(root) as library:
        masters = library.find(master=True, kind=FrameKind.DARK)
        maps, models = (library.find(kind=kind) for kind in (FrameKind.DEFECTS, FrameKind.DARK_MODEL))
    assert len(masters) == 4
    assert {master.meta.n_combined for master in masters} == {3}
    assert [len(derived) for derived in (maps, models)] == [2, 1], "a map for each temperature, one model"


def test_a_leak_costs_the_frame_and_not_the_day(tmp_path: Path, root: Path) -> None:
    leak = '[[fault]]\nname = "light_leak"\nat_exposure = {}\ne_per_s = 2.0\n'
    with observatory(tmp_path, leak.format(5) + leak.format(9), camera="demo") as indi:
        done = firstlight(*LADDER, "--temps", "9", "--indi", indi, "--json", "--root", root)
    assert done.returncode == 0, done.stderr
    assert live(root) == Counter({key: n for key, n in WANTED.items() if key[2] == 9.0})
    with Library.open(root) as library:
        refused = library.find(retired=True)
        assert len(refused) == 2
        assert all("light leak" in (record.retired_because or "") for record in refused)
        assert all(record.path.is_file() for record in refused)


def test_an_open_telescope_ends_it_with_advice(tmp_path: Path, root: Path) -> None:
    leak = '[[fault]]\nname = "light_leak"\nprobability = 1.0\ne_per_s = 50.0\n'
    with observatory(tmp_path, leak, camera="demo") as indi:
        done = firstlight(*LADDER, "--indi", indi, "--headless", "--root", root)
    assert done.returncode == 1
    assert "cover the telescope" in done.stderr
    assert all(kind is FrameKind.BIAS for kind, _, _ in live(root))


def test_a_cooler_that_cannot_get_there_says_so_and_keeps_what_was_shot(tmp_path: Path, root: Path) -> None:
    with observatory(tmp_path, camera="demo") as indi:
        limits = ("--cooling-timeout", "6", "--indi", indi)
        done = firstlight(*DARKS, "--temps", "9,-45", *limits, "--headless", "--root", root)
    assert done.returncode == 1
    assert "-45" in done.stderr
    assert sum(live(root).values()) == 9
    with Library.open(root) as library:
        assert library.find(master=True)


def test_frames_off_their_temperature_are_shot_again(tmp_path: Path, root: Path) -> None:
    drift = '[[fault]]\nname = "cooler_drifts"\nat_exposure = 5\nlasts_s = 2000\nrate_c_per_min = 1\n'
    with observatory(tmp_path, drift, camera="demo") as indi:
        done = firstlight(*LADDER, "--temps", "9", "--indi", indi, "--json", "--root", root)
    assert done.returncode == 0, done.stderr
    assert sum(live(root).values()) == 9
    with Library.open(root) as library:
        assert any("the sensor was at" in (r.retired_because or "") for r in library.find(retired=True))
        for record in library.find(master=False):
            assert abs((record.meta.sensor_temp_c or 0) - 9) <= 0.5


def test_a_camera_without_a_cooler_shoots_as_it_is(tmp_path: Path, root: Path) -> None:
    with observatory(tmp_path) as indi:
        done = firstlight(*DARKS, "--temps", "5", "--indi", indi, "--headless", "--root", root)
    assert done.returncode == 0, done.stderr
    assert "has no cooler" in done.stdout
    assert sum(live(root).values()) == 9


def test_killing_the_server_costs_nothing(tmp_path: Path, root: Path) -> None:
    gone = '[[fault]]\nname = "server_gone"\nat_exposure = 6\nback_after_real_s = 1.0\n'
    with observatory(tmp_path, gone, camera="demo") as indi:
        done = firstlight(*LADDER, "--temps", "9", "--indi", indi, "--json", "--root", root)
    assert done.returncode == 0, done.stderr
    assert sum(live(root).values()) == 9


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("library", "shoot"), "nothing to shoot"),
        (("library", "shoot", "--exposures", "1,x"), "commas"),
        (("library", "shoot", "--exposures", "60", "--temps", "-10,-300"), "temperature_c"),
        (("library", "plan", "absent.toml"), "no such file"),
    ],
)
def test_mistakes_are_told_in_a_line(root: Path, words: tuple[str, ...], says: str) -> None:
    done = firstlight(*words, "--root", root)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_session_is_ended_by_its_signal(tmp_path: Path, root: Path, start: Callable[..., Night]) -> None:
    with observatory(tmp_path, camera="demo") as indi:
        night = start(*LADDER, "--indi", indi)
        night.until("frame_stored")
        pid = session_pid(root)
        assert pid is not None
        os.kill(pid, signal.SIGTERM)
        assert night.until("summary")["outcome"] == "stopped"
