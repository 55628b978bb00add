"""Killed before each call that changes the disk: what was acknowledged is there, once and whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from library.reading import read_frame
from library.store import Library
from tests.library.frames import fits_bytes, stamp
from tests.library.test_store import files_in

KILLED_AT = """
import os, signal, sys, threading
from pathlib import Path, PurePosixPath
import numpy as np
from library.rebuilding import rebuild
from library.store import Library
from library.writing import encode_image
from tests.library.frames import fits_bytes, stamp

CHANGES_THE_DISK = {
    "open", "write", "writev", "pwrite", "truncate", "ftruncate", "posix_fallocate", "fsync", "fdatasync",
    "rename", "replace", "link", "symlink", "unlink", "mkdir", "copy_file_range", "sendfile",
    "execute", "executemany", "executescript",
}

def add(library):
    library.add(fits_bytes(seed=0), stamp("f0"))
    data, second = fits_bytes(seed=1), stamp("f1")
    return lambda: library.add(data, second)

def master(library):
    path = PurePosixPath("masters/cam/DARK.fits")
    old, new = (
        encode_image(
            np.full((24, 36), n, np.float32),
            [("IMAGETYP", "Master Dark", ""), ("NCOMBINE", n, ""), ("FRAMEID", f"master-{n}", "")],
        )
        for n in (2, 3)
    )
    library.put_master(path, old)
    return lambda: library.put_master(path, new)

def retired(library):
    records = [library.add(fits_bytes(seed=n), stamp(f"f{n}")) for n in (0, 1)]
    library.retire(records[:1], "clouds")
    return lambda: library.retire(records[1:], "wind")

def rebuilt(library):
    records = [library.add(fits_bytes(seed=n), stamp(f"f{n}")) for n in (0, 1)]
    library.retire(records[:1], "clouds")
    folder = library.folder
    library.close()
    return lambda: rebuild(folder, trust_files=True)

def run_until(root, prepare, left):
    lock = threading.Lock()
    def count(frame, event, argument):
        nonlocal left
        if event == "c_call" and argument.__name__ in CHANGES_THE_DISK:
            with lock:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

    with Library.open(root) as library:
        work = prepare(library)
        threading.setprofile(count)
        sys.setprofile(count)
        work()
        sys.setprofile(None)
        threading.setprofile(None)

top, prepare = Path(sys.argv[1]), globals()[sys.argv[2]]
for changes in range(10_000):
    root = top / str(changes)
    root.mkdir()
    pid = os.fork()
    if pid == 0:
        run_until(root, prepare, changes)
        os._exit(0)
    killed = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    print(root, killed, flush=True)
    if not killed:
        break
"""


def kill(python: Callable[..., str], top: Path, work: str) -> list[tuple[Path, bool]]:
    """Where the runs' libraries lie, and which were killed: the last one not at all."""
    lines = [line.split() for line in python(KILLED_AT, str(top), work).splitlines()]
    return [(Path(root), killed == "True") for root, killed in lines]


@pytest.mark.slow
def test_killed_anywhere_within_add_nothing_is_lost_doubled_or_half(
    tmp_path: Path, python: Callable[..., str]
) -> None:
    runs = kill(python, tmp_path, "add")
    seen = {check_after_kill(root, ["f0"] if killed else ["f0", "f1"]) for root, killed in runs}
    # before the file, half of it, the file but not its row, and done
    assert seen == {("f0", ""), ("f0", "part"), ("f0 f1", "taken in"), ("f0 f1", "")}


def check_after_kill(root: Path, acknowledged: list[str]) -> tuple[str, str]:
    with Library.open(root) as library:
        found = library.reconciled
        ids = [record.meta.frame_id or "" for record in library.find()]
        assert set(acknowledged) <= set(ids)
        assert len(ids) == len(set(ids))
        assert library.verify() == []
        for record in library.find():
            assert read_frame(record.path).meta == record.meta
        assert library.add(fits_bytes(seed=1), stamp("f1")).meta.frame_id == "f1"
        assert files_in(root) == sorted(record.path for record in library.find())
    return " ".join(sorted(ids)), "part" if found.removed_parts else "taken in" if found.taken_in else ""


def test_killed_while_a_master_is_replaced_the_old_or_the_new_stands(
    tmp_path: Path, python: Callable[..., str]
) -> None:
    seen = set()
    for root, killed in kill(python, tmp_path, "master"):
        with Library.open(root) as library:
            assert library.verify() == []
            (master,) = library.find(master=True)
            assert read_frame(master.path).meta == master.meta
            assert killed or master.meta.n_combined == 3
            assert files_in(root) == [master.path]
            seen.add((master.meta.n_combined, bool(library.reconciled.taken_in)))
    assert seen == {(2, False), (2, True), (3, True), (3, False)}


def test_killed_while_a_frame_is_retired_it_is_or_it_is_not_and_the_others_stay_so(
    tmp_path: Path, python: Callable[..., str]
) -> None:
    seen = set()
    for root, killed in kill(python, tmp_path, "retired"):
        with Library.open(root) as library:
            because = {record.meta.frame_id: record.retired_because for record in library.find(retired=None)}
            assert set(because) == {"f0", "f1"}
            assert because["f0"] == "clouds"
            assert because["f1"] in ({None, "wind"} if killed else {"wind"})
            assert library.verify() == []
            library.retire(library.find(), "rain")
            assert library.find() == []
            seen.add(because["f1"])
    assert seen == {None, "wind"}


@pytest.mark.slow
def test_killed_while_the_catalogue_is_rebuilt_nothing_is_lost(
    tmp_path: Path, python: Callable[..., str]
) -> None:
    runs = kill(python, tmp_path, "rebuilt")
    assert len(runs) > 10
    for root, _ in runs:
        with Library.open(root) as library:
            assert library.reconciled.taken_in == library.reconciled.dropped == ()
            because = {record.meta.frame_id: record.retired_because for record in library.find(retired=None)}
            assert because == {"f0": "clouds", "f1": None}
            assert library.verify() == []
            assert files_in(root) == sorted(record.path for record in library.find(retired=None))
