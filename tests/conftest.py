"""Fixtures for every room: what a test may leave behind (nothing), and which tools are here."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port

PROJECT = Path(__file__).resolve().parent.parent
REALDATA = Path(os.environ.get("FIRSTLIGHT_REALDATA", PROJECT.parent / "shared" / "realdata"))

TOOLS = {
    "indi_bin": ("indiserver", "Debian's indi-bin"),
    "fitsverify": ("fitsverify", "Debian's fitsverify"),
    "siril": ("siril-cli", "Debian's siril"),
    "astrometry": ("solve-field", "Debian's astrometry.net and astrometry-data-tycho2"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip a test whose tool or data is not here, with the reason named.

    With ``FIRSTLIGHT_REQUIRE_TOOLS`` set, as in CI, a missing tool is an error instead.
    """
    missing = {marker: tool for marker, tool in TOOLS.items() if shutil.which(tool[0]) is None}
    if missing and os.environ.get("FIRSTLIGHT_REQUIRE_TOOLS"):
        raise pytest.UsageError(
            f"missing, and required here: {', '.join(pkg for _, pkg in missing.values())}"
        )
    for item in items:
        for marker, (command, package) in missing.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=f"needs {command} ({package})"))
        if item.get_closest_marker("realdata") and not REALDATA.is_dir():
            item.add_marker(pytest.mark.skip(reason=f"needs the real frames in {REALDATA}"))


@pytest.fixture(name="free_port")
def _free_port() -> int:
    """A port for a server that takes none by itself."""
    return free_port()


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real frames; mark the test ``realdata``."""
    return REALDATA


def _children() -> set[int]:
    """Process ids of our living children, from the kernel's own list."""
    tasks = Path("/proc/self/task")
    found: set[int] = set()
    for task in tasks.iterdir():
        try:
            found.update(int(pid) for pid in (task / "children").read_text().split())
        except FileNotFoundError:
            continue  # the thread ended while we looked
    return found


@pytest.fixture(scope="session", autouse=True)
def private_temp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A temporary folder of our own, for us and our child processes, so that a leak is seen as ours."""
    folder = tmp_path_factory.mktemp("temp")
    before, env = tempfile.tempdir, os.environ.get("TMPDIR")
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    yield folder
    tempfile.tempdir = before
    if env is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = env


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, private_temp: Path) -> None:
    """No test sees the user's settings, library or nights: a folder of our own stands in for all three."""
    home = private_temp.parent / "own-settings"
    for name in ("config", "state"):
        (home / name).mkdir(parents=True, exist_ok=True)  # astropy warns of one that is not there
        monkeypatch.setenv(f"XDG_{name.upper()}_HOME", str(home / name))
    monkeypatch.setenv("FIRSTLIGHT_ROOT", str(home / "firstlight"))
    monkeypatch.delenv("FIRSTLIGHT_LIBRARY", raising=False)


@pytest.fixture(autouse=True)
def no_leaks(private_temp: Path) -> Iterator[None]:
    """Fail a test that leaves a thread, a process, a listening socket or a temporary file behind.

    asyncio's default executor keeps idle threads until its loop closes, after this fixture.
    """
    threads, children, sockets = set(threading.enumerate()), _children(), _sockets()
    yield
    left = [
        thread
        for thread in threading.enumerate()
        if thread not in threads and not thread.name.startswith("asyncio_")
    ]
    for thread in left:
        thread.join(timeout=2.0)
    assert not [thread.name for thread in left if thread.is_alive()], "threads left behind"
    assert not _children() - children, "processes left behind"
    assert not _sockets() - sockets, "listening sockets left behind"
    assert not list(private_temp.iterdir()), "temporary files left behind"


def _sockets() -> set[int]:
    """Inodes of the listening TCP sockets that this process holds."""
    listening = {
        int(line.split()[9])
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        if Path(table).exists()
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    }
    held: set[int] = set()
    for fd in Path("/proc/self/fd").iterdir():
        try:
            target = str(fd.readlink())
        except OSError:
            continue  # closed while we looked
        if target.startswith("socket:["):
            held.add(int(target[8:-1]))
    return held & listening
