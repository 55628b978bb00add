"""Compiling on a cold machine: each part once, whoever wants it; and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from livestack import warm
from livestack.warm import LOOPS, PARTS, Compiling, ensure, missing_of
from numerics.once import mark_of, once

PROJECT = Path(__file__).resolve().parents[2]

WANT = """
import sys
from pathlib import Path
from numerics.once import once

def work():
    print("begun", flush=True)
    sys.stdin.readline()
    with open(sys.argv[2], "a") as told:
        told.write("done\\n")

print("up", flush=True)
print(once(Path(sys.argv[1]), work), flush=True)
"""


def wants(mark: Path, told: Path) -> subprocess.Popen[str]:
    """A process that does some work once, as slowly as it is told on its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-c", WANT, str(mark), str(told)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def begun(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    """The same, once it is at work."""
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def test_of_several_processes_one_works_and_the_others_wait(tmp_path: Path) -> None:
    mark, told = tmp_path / "kernels" / "x.done", tmp_path / "told"
    first = begun(wants(mark, told))
    others = [wants(mark, told) for _ in range(3)]
    assert all(each.poll() is None for each in others)
    answers = [each.communicate("\n")[0] for each in (first, *others)]
    assert answers == ["True\n", "False\n", "False\n", "False\n"]
    assert told.read_text() == "done\n"


def test_one_that_is_killed_leaves_the_work_to_the_next(tmp_path: Path) -> None:
    mark, told = tmp_path / "x.done", tmp_path / "told"
    first = begun(wants(mark, told))
    second = wants(mark, told)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert begun(second).communicate("\n")[0] == "True\n"
    assert told.read_text() == "done\n"


def test_where_nothing_can_be_kept_the_work_is_done_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done: list[int] = []
    assert once(tmp_path / "file" / "x.done", lambda: done.append(1))
    assert done == [1]


def test_a_mark_is_of_the_kernels_and_of_the_way(tmp_path: Path) -> None:
    ways = [tmp_path / "a", tmp_path / "b"]
    for way in ways:
        way.write_text(way.name)
    marks = {
        mark_of("x", modules, way)
        for modules in (("measure.kernels.peaks",), ("measure.kernels.peaks", "livestack.kernels.stacking"))
        for way in ways
    }
    assert len(marks) == 4


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that has nothing compiled; its parts are quickly done, and say so in a file each."""
    (tmp_path / "livestack").mkdir()
    (tmp_path / "livestack" / "__init__.py").touch()
    code = (
        "import sys, pathlib\n"
        "print()\nprint(flush=True)\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "if (here / 'slow').exists():\n"
        "    (here / 'slow').write_text(sys.argv[1])\n"
        "    sys.stdin.read()\n"
        "(here / (sys.argv[1] + '.done')).touch()\n"
    )
    (tmp_path / "livestack" / "warm.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warm, "_mark", lambda part: tmp_path / f"{part}.done")
    monkeypatch.setattr(warm, "_ready", set())
    return tmp_path


def test_progress_goes_from_nothing_to_all(parts: Path) -> None:
    told: list[float] = []
    ensure("looking", "stacking", tell=told.append)
    assert told == sorted(told)
    assert told[0] == 0
    assert told[-1] == 1
    assert sorted(each.name for each in parts.glob("*.done")) == ["looking.done", "stacking.done"]
    ensure("looking", "stacking", tell=lambda _: pytest.fail("it is compiled"))


def test_a_night_waits_for_what_it_needs_first_alone(parts: Path) -> None:
    with Compiling(missing_of(PARTS)) as compiling:
        compiling.wait_for(("looking", "stacking"))
        assert {"looking", "stacking"}.isdisjoint(missing_of(PARTS))


def test_closing_ends_what_runs_and_begins_nothing_more(parts: Path) -> None:
    os.mkfifo(parts / "slow")
    with Compiling(PARTS):
        assert (parts / "slow").read_text().startswith(PARTS)
    assert not list(parts.glob("*.done"))


@pytest.mark.slow
def test_each_part_compiles_about_as_many_loops_as_it_is_reckoned_with(tmp_path: Path) -> None:
    place = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    place.pop("NUMBA_CACHE_DIR", None)
    for part in PARTS:
        command = [sys.executable, "-m", "livestack.warm", part]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=place) as process:
            assert process.stdout is not None
            loops = len(process.stdout.readlines())
        assert process.returncode == 0
        assert loops == pytest.approx(LOOPS[part], rel=0.2), part
