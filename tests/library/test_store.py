"""The library: what it acknowledges is there once, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from library.digests import MANIFEST
from library.errors import DiskFullError, LibraryError, NotAFitsFileError
from library.frames import FrameKind, FrameMeta
from library.naming import frame_path, safe_name
from library.reading import read_frame
from library.retirement import FILE as RETIRED
from library.store import Library
from tests.library.conftest import PROJECT
from tests.library.frames import fits_bytes, stamp


def files_in(root: Path) -> list[Path]:
    of_the_library = ("catalogue", MANIFEST, RETIRED)
    return sorted(
        path
        for path in (root / "library").rglob("*")
        if path.is_file() and not path.name.startswith(of_the_library)
    )


def test_a_frame_added_is_found_again_and_its_file_is_what_the_record_says(tmp_path: Path) -> None:
    with Library.open(tmp_path) as library:
        record = library.add(fits_bytes(seed=7), stamp("f1"))
        assert library.find() == library.find(kind=FrameKind.LIGHT, plan_id="p1", filter="L") == [record]
        assert library.get("f1") == record
        assert library.find(filter="R") == library.find(master=True) == []
        assert library.done_steps("p1") == {"0001"}
        assert library.done_steps("p2") == set()
    assert record.sha256 == hashlib.sha256(record.path.read_bytes()).hexdigest()
    assert record.size_bytes == record.path.stat().st_size
    frame = read_frame(record.path)
    assert frame.meta == record.meta
    assert record.path.relative_to(tmp_path).parts[:2] == ("library", "frames")
    expected = np.random.default_rng(7).integers(0, 65536, (24, 36)).astype(np.uint16)
    np.testing.assert_array_equal(frame.pixels, expected)


def test_the_same_frame_is_not_doubled(tmp_path: Path) -> None:
    with Library.open(tmp_path) as library:
        first = library.add(fits_bytes(seed=1), stamp("f1"))
        assert library.add(fits_bytes(seed=2), stamp("f1")) == first
        assert library.find() == [first]
    assert files_in(tmp_path) == [first.path]


def test_frames_whose_names_collide_are_both_kept(tmp_path: Path) -> None:
    with Library.open(tmp_path) as library:
        a = library.add(fits_bytes(seed=1), stamp("a/b"))
        b = library.add(fits_bytes(seed=2), stamp("a:b"))
        assert a.path != b.path
        assert library.verify() == []
    with Library.open(tmp_path) as library:
        assert library.find() == [a, b]


def test_the_catalogue_is_rebuilt_from_the_files(tmp_path: Path) -> None:
    with Library.open(tmp_path) as library:
        before = [library.add(fits_bytes(seed=i), stamp(f"f{i}", step_id=f"{i:04}")) for i in range(4)]
    for file in (tmp_path / "library").glob("catalogue*"):
        file.unlink()
    with Library.open(tmp_path) as library:
        assert library.reconciled.taken_in == tuple(
            str(record.path.relative_to(library.folder)) for record in before
        )
        assert library.find() == before
    with Library.open(tmp_path) as library:
        assert library.reconciled.taken_in == ()


def test_opening_puts_right_what_a_crash_left(tmp_path: Path) -> None:
    with Library.open(tmp_path) as library:
        kept, lost = (library.add(fits_bytes(seed=i), stamp(f"f{i}")) for i in range(2))
    folder = kept.path.parent
    whole = kept.path.read_bytes()
    lost.path.unlink()
    (folder / ".light.fits.part-0123abcd").write_bytes(whole[:3000])
    (folder / "cut.fits").write_bytes(whole[:4000])
    (folder / "copy.fits").write_bytes(whole)
    (folder / "other.fits").write_bytes(fits_bytes(seed=5))
    (folder / "notes.txt").write_text("mine")
    with Library.open(tmp_path) as library:
        found = library.reconciled
        assert [Path(path).name for path in found.removed_parts] == [".light.fits.part-0123abcd"]
        assert [Path(path).name for path in found.dropped] == [lost.path.name]
        assert [Path(path).name for path in found.refused] == ["copy.fits", "cut.fits"]
        assert [Path(path).name for path in found.taken_in] == ["other.fits"]
        assert {record.path.name for record in library.find()} == {kept.path.name, "other.fits"}
    assert (folder / "cut.fits").exists()
    assert (folder / "notes.txt").exists()


def test_rot_is_found(tmp_path: Path) -> None:
    with Library.open(tmp_path) as library:
        good, bad, gone = (library.add(fits_bytes(seed=i), stamp(f"f{i}")) for i in range(3))
        with bad.path.open("r+b") as file:
            file.seek(3000)
            byte = file.read(1)
            file.seek(3000)
            file.write(bytes([byte[0] ^ 1]))
        gone.path.unlink()
        faults = {library.folder / fault.path: fault.problem for fault in library.verify()}
        assert faults == {bad.path: "its bytes have changed", gone.path: "it is gone"}
        assert good.path.exists()


def test_what_is_no_frame_leaves_no_trace(tmp_path: Path) -> None:
    with Library.open(tmp_path) as library:
        with pytest.raises(NotAFitsFileError):
            library.add(fits_bytes()[:4000], stamp())
        assert library.find() == []
    assert files_in(tmp_path) == []


def test_a_full_disk_is_told_and_the_library_goes_on(small_disk: Path) -> None:
    with Library.open(small_disk) as library:
        first = library.add(fits_bytes(), stamp("f1"))
        with pytest.raises(DiskFullError, match="free some space"):
            library.add(fits_bytes(np.zeros((1500, 1500), np.uint16)), stamp("f2"))
        assert library.find() == [first]
        second = library.add(fits_bytes(), stamp("f2"))
    assert files_in(small_disk) == [first.path, second.path]


@pytest.mark.parametrize("left_bytes", [0, 40_000, 100_000])
def test_a_full_disk_is_told_from_the_catalogue_too_and_what_was_durable_comes_back(
    small_disk: Path, left_bytes: int
) -> None:
    with Library.open(small_disk) as library:
        library.add(fits_bytes(), stamp("f0"))
    with (small_disk / "fill").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1024))
    os.truncate(small_disk / "fill", (small_disk / "fill").stat().st_size - left_bytes)
    acknowledged = {"f0"}

    def add_until_full() -> None:
        with Library.open(small_disk) as library:
            for i in range(1, 100):
                library.add(fits_bytes(seed=i), stamp(f"f{i}"))
                acknowledged.add(f"f{i}")

    with pytest.raises(DiskFullError, match="free some space"):
        add_until_full()
    (small_disk / "fill").unlink()
    with Library.open(small_disk) as library:
        assert acknowledged <= {record.meta.frame_id for record in library.find()}
        assert library.verify() == []
        assert library.add(fits_bytes(), stamp("f100")).meta.frame_id == "f100"


def test_a_damaged_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    with Library.open(tmp_path) as library:
        first = library.add(fits_bytes(), stamp())
        whole = first.path.read_bytes()
    first.path.write_bytes(whole[:4000])
    with Library.open(tmp_path) as library:
        assert library.find() == []
        again = library.add(fits_bytes(), stamp())
        assert again.path.name == f"{first.path.stem}_2.fits"
        assert again.path.read_bytes() == whole
    assert first.path.read_bytes() == whole[:4000]


def test_an_unusable_root_and_a_broken_or_newer_catalogue_are_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LibraryError, match="choose another folder"):
        Library.open(tmp_path / "file" / "sub")
    with Library.open(tmp_path):
        pass
    catalogue = tmp_path / "library" / "catalogue.sqlite"
    connection = sqlite3.connect(catalogue)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(LibraryError, match="version 999"):
        Library.open(tmp_path)
    catalogue.write_bytes(b"not a database" * 1000)
    with pytest.raises(LibraryError, match="library rebuild"):
        Library.open(tmp_path)


def test_many_threads_share_one_library(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    failures: list[BaseException] = []

    def work(number: int, library: Library) -> None:
        try:
            barrier.wait()
            for i in range(6):
                library.add(fits_bytes(seed=i), stamp(f"f{i + number % 4 * 6}", step_id=str(i)))
                library.find(kind=FrameKind.LIGHT)
        except BaseException as error:  # noqa: BLE001 - told to the main thread
            failures.append(error)

    with Library.open(tmp_path) as library:
        threads = [threading.Thread(target=work, args=(n, library)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert {record.meta.frame_id for record in library.find()} == {f"f{i}" for i in range(24)}
        assert len(files_in(tmp_path)) == 24


async def test_it_serves_a_loop_by_threads(tmp_path: Path) -> None:
    with Library.open(tmp_path) as library:
        records = await asyncio.gather(
            *(asyncio.to_thread(library.add, fits_bytes(seed=i), stamp(f"f{i}")) for i in range(6))
        )
        assert set(library.find()) == set(records)


ADD_MANY = """
import sys
from library.retirement import FILE as RETIRED
from library.store import Library
from tests.library.frames import fits_bytes, stamp
import numpy as np
root, first, count, side = sys.argv[1], *map(int, sys.argv[2:])
pixels = np.full((side, side), 7, np.uint16)
with Library.open(root) as library:
    print("ready", flush=True)
    for i in range(first, first + count):
        library.add(fits_bytes(pixels), stamp(f"f{i}", step_id=str(i)))
        print(f"f{i}", flush=True)
"""


def start_adding(root: Path, first: int, count: int, side: int = 30) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ADD_MANY, str(root), str(first), str(count), str(side)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    )


def test_two_processes_may_use_one_library(tmp_path: Path) -> None:
    processes = [start_adding(tmp_path, first, 20) for first in (0, 0, 10)]
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0, 0, 0]
    with Library.open(tmp_path) as library:
        assert library.reconciled.taken_in == ()
        assert {record.meta.frame_id for record in library.find()} == {f"f{i}" for i in range(30)}
    assert len(files_in(tmp_path)) == 30


@pytest.mark.slow
@pytest.mark.parametrize("delay_ms", range(0, 400, 13))
def test_killed_at_any_time(tmp_path: Path, delay_ms: int) -> None:
    process = start_adding(tmp_path, 0, 10_000, side=800)
    assert process.stdout is not None
    said: list[str] = []
    while len(said) < 3:
        said.append(process.stdout.readline().strip())
    timer = threading.Timer(delay_ms / 1000, process.send_signal, [signal.SIGKILL])
    timer.start()
    rest, _ = process.communicate(timeout=60)
    timer.join()
    acknowledged = {*said, *rest.split()} - {"ready", ""}
    with Library.open(tmp_path) as library:
        ids = [record.meta.frame_id for record in library.find()]
        assert acknowledged <= set(ids)
        assert len(set(ids)) == len(ids) <= len(acknowledged) + 1
        assert library.verify() == []
        assert files_in(tmp_path) == sorted(record.path for record in library.find())


@given(st.text())
def test_no_text_escapes_its_folder(text: str) -> None:
    name = safe_name(text)
    assert 0 < len(name) <= 48
    assert name not in {".", ".."}
    assert not name.startswith(".")
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-")


@settings(deadline=None)
@given(st.text(), st.text(), st.text(), st.text(min_size=1), st.sampled_from(FrameKind))
def test_device_text_never_becomes_a_path(
    target: str, filter_name: str, step: str, frame_id: str, kind: FrameKind
) -> None:
    meta = FrameMeta(
        kind=kind, width=1, height=1, object_name=target, filter=filter_name, step_id=step, exposure_s=0.001
    )
    path = frame_path(meta, frame_id, datetime(2026, 3, 1, 22, tzinfo=UTC))
    assert len(path.parts) == 4
    assert path.parts[0] == "frames"
    assert ".." not in path.parts
    assert len(path.name.encode()) < 230


@pytest.mark.parametrize("changes", [{"frame_id": "é"}, {"plan_id": "p" * 69}, {"step_id": ""}])
def test_ids_that_would_not_come_back_are_refused(tmp_path: Path, changes: dict[str, str]) -> None:
    with Library.open(tmp_path) as library, pytest.raises(ValueError, match="68 plain ASCII"):
        library.add(fits_bytes(), stamp(**{"frame_id": "f1", **changes}))
    assert files_in(tmp_path) == []


def test_a_frame_without_a_date_lies_in_the_night_of_the_clock(tmp_path: Path) -> None:
    moment = datetime(2026, 5, 4, 23, tzinfo=datetime.now().astimezone().tzinfo)
    with Library.open(tmp_path, now=lambda: moment) as library:
        record = library.add(fits_bytes(cards=()), stamp())
        assert record.path.parent.parent.name == "2026-05-04"
        assert record.path.parent.name == "M_27"
        assert record.path.name == "light_L_30s_0001_f1.fits"


def test_a_library_can_be_moved(tmp_path: Path) -> None:
    with Library.open(tmp_path / "a") as library:
        library.add(fits_bytes(), stamp())
    shutil.move(tmp_path / "a", tmp_path / "b")
    with Library.open(tmp_path / "b") as library:
        assert library.reconciled.taken_in == ()
        assert os.fspath(library.find()[0].path).startswith(os.fspath(tmp_path / "b"))
        assert library.verify() == []
