"""The file of ``--faults``: what it may hold, and how a mistake in it is told."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from simulators.clock import SimClock
from simulators.faults import Fault, FaultFileError, FaultPlan, Injector, load
from simulators.faults.kinds import KINDS

PROJECT = Path(__file__).parents[2]


def written(folder: Path, text: str) -> Path:
    file = folder / "faults.toml"
    file.write_text(text)
    return file


def test_a_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    text = 'seed = 7\n[[fault]]\nname = "blob_truncated"\nat_exposure = 3\n'
    text += '[[fault]]\nname = "driver_crash"\nprobability = 0.02\nback_after_real_s = 1\n'
    plan = load(written(tmp_path, text))
    assert plan.seed == 7
    cut, crash = plan.faults
    assert (cut.at_exposure, cut.times, dict(cut.parameters)) == (3, 1, {"keep_fraction": 0.5})
    assert (crash.probability, crash.times) == (0.02, None)
    assert dict(crash.parameters) == {"device": "firstlight CCD", "back_after_real_s": 1.0}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[fault", ["TOML"]),
        ("sed = 1", ["sed", "seed, fault"]),
        ("seed = -1", ["seed", "≥ 0", "-1"]),
        ("fault = 3", ["[[fault]]"]),
        ("[[fault]]\nat_s = 1", ["fault 1", "name", "blob_lost"]),
        ("[[fault]]\nname = 'blob_lots'\nat_s = 1", ["fault 1", 'did you mean "blob_lost"']),
        ("[[fault]]\nname = 'blob_lost'", ["fault 1 (blob_lost)", "at_exposure, at_opportunity, at_s"]),
        ("[[fault]]\nname = 'blob_lost'\nat_s = 1\nprobability = 0.1", ["one of", "not 2"]),
        ("[[fault]]\nname = 'blob_lost'\nprobability = 1.5", ["probability", "from 0 to 1", "1.5"]),
        ("[[fault]]\nname = 'blob_lost'\nprobability = nan", ["probability", "nan"]),
        ("[[fault]]\nname = 'blob_lost'\nat_exposure = 1.5", ["at_exposure", "whole"]),
        ("[[fault]]\nname = 'blob_lost'\nat_exposure = true", ["at_exposure", "True"]),
        ("[[fault]]\nname = 'blob_lost'\nat_s = 1\ndelay_s = 3", ["delay_s", "not known", "times"]),
        ("[[fault]]\nname = 'wheel_jams'\nat_s = 1\nstate = 'Ok'", ["state", '"Busy" or "Alert"', "'Ok'"]),
        ("[[fault]]\nname = 'mount_stops_tracking'\nat_s = 1\nsilent = 1", ["silent", "true or false"]),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(FaultFileError) as told:
        load(written(tmp_path, text))
    for word in ["faults.toml", *words]:
        assert word in str(told.value)


@pytest.mark.parametrize("device", ["no such device", None])
def test_a_bad_file_is_one_message_and_a_failure(tmp_path: Path, device: str | None) -> None:
    file = tmp_path / "none.toml"
    if device:
        file = written(tmp_path, f"[[fault]]\nname = 'driver_crash'\nat_s = 1\ndevice = '{device}'")
    command = [sys.executable, "-m", "simulators", "--port", "0", "--faults", str(file)]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL
    )
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr
    assert str(file) in ended.stderr
    assert (device or "No such file") in ended.stderr


class Time:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("trigger", "asked", "due"),
    [
        ({"at_opportunity": 3}, 5, [3]),
        ({"at_opportunity": 2, "times": 2}, 5, [2, 3]),
        ({"at_s": 3.5}, 6, [5]),
        ({"probability": 1.0, "times": None}, 4, [1, 2, 3, 4]),
        ({"probability": 0.0, "times": None}, 4, []),
    ],
)
def test_when_a_fault_is_due(trigger: dict[str, float], asked: int, due: list[int]) -> None:
    """Asked once a second, from second 0 on."""
    time = Time()
    fault = Fault(name="blob_lost", parameters={}, **trigger)  # type: ignore[arg-type]  # by its keys
    injector = Injector(FaultPlan(faults=(fault,)), SimClock(1.0, monotonic=time))
    seen = []
    for number in range(1, asked + 1):
        if injector.due("blob_lost"):
            seen.append(number)
        time.now_s += 1
    assert seen == due


def test_a_lasting_fault_ends(tmp_path: Path) -> None:
    time = Time()
    plan = load(written(tmp_path, "[[fault]]\nname = 'cooler_stalls'\nat_opportunity = 1\nlasts_s = 10"))
    injector = Injector(plan, SimClock(2.0, monotonic=time), tmp_path / "truth.jsonl")
    assert injector.running("cooler_stalls") is None
    assert injector.due("cooler_stalls")
    time.now_s = 4.0
    running = injector.running("cooler_stalls")
    assert running is not None
    assert running.age_s == 8.0
    time.now_s = 5.0
    assert injector.running("cooler_stalls") is None
    assert '"fault": "cooler_stalls"' in (tmp_path / "truth.jsonl").read_text()


async def test_another_arming_ends_what_waits_and_not_what_is_being_done(tmp_path: Path) -> None:
    text = '[[fault]]\nname = "driver_crash"\nat_s = {}\n'
    now, later = (load(written(tmp_path, text.format(at_s))) for at_s in (0, 1e6))
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def act(_fault: Fault) -> None:
        begun.set()
        await may_end.wait()
        ended.set()

    injector = Injector(now, SimClock())
    injector.act = act
    injector.start()
    await begun.wait()
    injector.arm(later)
    injector.arm(FaultPlan())
    may_end.set()
    async with asyncio.timeout(5):
        await ended.wait()
    assert len(asyncio.all_tasks()) == 1, "what waited has ended"


def test_the_page_tells_of_every_fault_and_parameter() -> None:
    page = (PROJECT / "docs" / "simulator" / "faults.md").read_text()
    for name, kind in KINDS.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}`")]
        for parameter in kind.parameters:
            assert f"`{parameter}`" in row, f"{name}: {parameter}"
