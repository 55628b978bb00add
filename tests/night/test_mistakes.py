"""What goes wrong before or around a night is one clear message, a status, and never a traceback."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firstlight.paths import Root
from tests.night.nights import FIRSTLIGHT, Night, events_of, firstlight, session_pid

PLAN = """
name = "one light"
[equipment]
camera = "{camera}"
[[lights]]
exposure_s = 1
count = 1
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    file = tmp_path / "plan.toml"
    file.write_text(PLAN.format(camera="No Such Camera"))
    return file


def check_message(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """One message that names the thing and the remedy, a status, and no traceback."""
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.startswith(("firstlight: ", "usage: ", "cannot listen"))
    for word in words:
        assert word in done.stderr
    assert len(done.stderr.splitlines()) <= 6, done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = 'x", ["plan.toml", "TOML"]),
        ("", ["plan.toml", "name"]),
        ("name = 'x'", ["plan.toml", "[[lights]]"]),
        ("name = 'x'\n[[lights]]\nexposure = 3\ncount = 1", ["plan.toml", "exposure_s"]),
        ("name = 'x'\n[[lights]]\nexposure_s = -3\ncount = 1", ["plan.toml", "exposure_s", "-3"]),
        ("name = 'x'\n[[lights]]\nexposure_s = 3\ncount = 'many'", ["plan.toml", "count", "many"]),
        (
            "name = 'x'\n[target]\nname='M 31'\nra='abc'\ndec=1\n[[lights]]\nexposure_s=3\ncount=1",
            ["ra", "abc"],
        ),
    ],
)
def test_a_bad_plan(tmp_path: Path, root: Path, text: str, words: list[str]) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(text)
    check_message(firstlight("run", file, "--root", root, "--headless"), *words)
    assert not root.exists(), "nothing was begun"


def test_no_plan(tmp_path: Path, root: Path) -> None:
    check_message(firstlight("run", tmp_path / "none.toml", "--root", root), "none.toml", "no such file")


def test_no_server(plan: Path, root: Path, free_port: int) -> None:
    done = firstlight("run", plan, "--root", root, "--indi", f"127.0.0.1:{free_port}")
    check_message(done, f"127.0.0.1:{free_port}", "indiserver")
    assert session_pid(root) is None


@pytest.mark.parametrize("address", ["host:port", ":", "1.2.3.4:99999", "1.2.3.4:0"])
def test_no_address(plan: Path, root: Path, address: str) -> None:
    check_message(firstlight("run", plan, "--root", root, "--indi", address), address, "HOST:PORT")


@pytest.mark.slow
def test_an_unknown_device_and_those_that_are_there(plan: Path, root: Path, observatory: int) -> None:
    done = firstlight("run", plan, "--root", root, "--indi", f"127.0.0.1:{observatory}")
    check_message(done, "No Such Camera", "firstlight CCD")


@pytest.fixture
def observatory(free_port: int) -> Iterator[int]:
    """The simulated observatory, as a user starts it; its port."""
    command = [FIRSTLIGHT, "simulate", "--port", str(free_port), "--speed", "50"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert str(free_port) in process.stdout.readline()
        yield free_port
        process.terminate()
        assert process.wait() == 0


def test_a_port_in_use(observatory: int) -> None:
    check_message(firstlight("simulate", "--port", observatory), str(observatory))


@pytest.mark.parametrize(
    "words",
    [
        ("--camera", "NoSuchCamera"),
        ("--faults", "no-such.toml"),
        ("--replay", "/no/such/folder"),
        ("--clouds", "1.5"),
        ("--stock", "--altaz"),
    ],
)
def test_an_observatory_that_cannot_be(words: tuple[str, str], free_port: int) -> None:
    done = firstlight("simulate", "--port", free_port, *words, timeout=60)
    check_message(done, "--stock" if "--stock" in words else words[1])


def test_no_night_to_come_back_to(tmp_path: Path, root: Path) -> None:
    root.mkdir()
    check_message(firstlight("attach", "--root", root), str(root), "firstlight run")
    check_message(firstlight("attach", "--root", tmp_path / "none"), "none", "--root")


def test_a_root_that_cannot_be(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    check_message(firstlight("demo", "--root", file / "root"), str(file), "--root")
    check_message(firstlight("demo", "--root", file), str(file), "--root")


@pytest.mark.parametrize(
    "words", [["--subs", "0"], ["--subs", "x"], ["--speed", "-1"], ["--speed", "nan"], ["--seed", "x"]]
)
def test_nonsense_numbers(words: list[str]) -> None:
    check_message(firstlight("demo", *words), words[0], words[1])


def test_a_file_that_is_not_fits(tmp_path: Path) -> None:
    text = tmp_path / "notes.fits"
    text.write_text("these are my notes\n" * 400)
    done = firstlight("stack", text, tmp_path / "none.fits", "-o", tmp_path / "out.fits")
    check_message(done, "notes.fits", "FITS")
    assert not (tmp_path / "out.fits").exists()


def test_two_nights_on_one_root(root: Path, start: Callable[..., Night]) -> None:
    start("demo", "--subs", 4, "--speed", 100).until("run_started")
    done = firstlight("demo", "--subs", 4, "--headless", "--root", root)
    check_message(done, str(root), "firstlight attach")


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of so many megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={request.param}m", "firstlight-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs to mount a small file system (root)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("small_disk", [24], indirect=True)
def test_a_disk_without_room_for_the_night(small_disk: Path) -> None:
    done = firstlight("demo", "--json", "--subs", 6, "--speed", 200, "--root", small_disk)
    check_message(done, str(small_disk), "make room", "--library")
    assert not list(small_disk.rglob("*.fits*"))
    with Root(small_disk).locked():
        pass  # no session holds it any more


@pytest.mark.slow
@pytest.mark.parametrize("small_disk", [48], indirect=True)
def test_a_disk_that_fills_up(small_disk: Path) -> None:
    done = firstlight("demo", "--json", "--subs", 6, "--speed", 200, "--root", small_disk)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    assert str(small_disk) in done.stderr
    assert "room" in done.stderr
    events = events_of(done.stdout)
    assert events[-1]["event"] == "summary"
    assert events[-1]["outcome"] == "failed"
    whole = [each for each in events if each["event"] == "frame_stored"]
    assert all(Path(each["path"]).stat().st_size > 1_000_000 for each in whole)
    assert not list(small_disk.rglob("*.part-*"))
    with Root(small_disk).locked():
        pass  # no session holds it any more
