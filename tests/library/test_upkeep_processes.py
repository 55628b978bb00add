"""Several processes use one library at once: adding, replacing masters, verifying, rebuilding."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from library.store import Library
from tests.library.conftest import PROJECT
from tests.library.frames import fits_bytes, stamp
from tests.library.test_store import files_in

WORK = """
import sys
from pathlib import Path, PurePosixPath
from library.rebuilding import rebuild
from library.store import Library
from tests.library.frames import fits_bytes, stamp
from tests.library.test_upkeep import master

root, what, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
with Library.open(root) as library:
    for number in range(rounds):
        if what == "add":
            library.add(fits_bytes(seed=number), stamp(f"f{number}"))
        elif what == "masters":
            library.put_master(PurePosixPath(f"masters/cam/{number % 2}.fits"), master(number))
        elif what == "verify":
            assert library.verify() == [], library.verify()
        elif what == "retire":
            library.retire([library.get("kept")], f"reason {number}")
        else:
            rebuild(library.folder)
"""


def test_processes_that_write_verify_and_rebuild_at_once_lose_nothing(
    tmp_path: Path,
) -> None:
    with Library.open(tmp_path) as library:
        library.add(fits_bytes(seed=99), stamp("kept"))
    work = {"add": 12, "masters": 6, "verify": 4, "retire": 5, "rebuild": 5}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORK, str(tmp_path), what, str(rounds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
        )
        for what, rounds in work.items()
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    errors = [process.communicate("go\n", timeout=200)[1] for process in processes]
    assert errors == [""] * len(work)
    with Library.open(tmp_path) as library:
        assert library.reconciled.taken_in == library.reconciled.dropped == library.reconciled.refused == ()
        assert {record.meta.frame_id for record in library.find(master=False)} == {f"f{i}" for i in range(12)}
        assert [record.retired_because for record in library.find(retired=True)] == ["reason 4"]
        assert {record.meta.frame_id for record in library.find(master=True)} == {"master-4", "master-5"}
        assert library.verify() == []
        assert files_in(tmp_path) == sorted(record.path for record in library.find(retired=None))
