"""One camera, one run; and what is looked at before a night begins."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from acquire.devices import CameraLimits, Observatory
from acquire.errors import PlanError
from acquire.plan import CameraSettings, DarkSet, Lights, Plan
from firstlight.device_locks import DeviceBusyError, DeviceLocks
from firstlight.errors import FirstlightError
from firstlight.night_check import check_night
from tests.acquire.clocks import FakeClock
from tests.acquire.fakes import FakeObservatory


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "locks"


def locks(folder: Path, root: str, host: str = "127.0.0.1", port: int = 7624) -> DeviceLocks:
    return DeviceLocks(host, port, Path(root), folder)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_a_second_run_on_the_same_device_is_told_who_has_it(folder: Path, host: str) -> None:
    first, second = locks(folder, "/nights/one"), locks(folder, "/nights/two", host)
    first.claim(["Cam", "Wheel"])
    with pytest.raises(
        DeviceBusyError, match=r'"Cam" .* in use by the run on /nights/one.*attach --root /nights/one'
    ):
        second.claim(["Cam"])
    first.release()
    second.claim(["Cam"])
    assert not second.left_by_a_killed_run
    second.release()


def test_other_devices_and_other_servers_are_free(folder: Path) -> None:
    first, second, third = locks(folder, "/1"), locks(folder, "/2"), locks(folder, "/3", port=7625)
    first.claim(["Cam"])
    second.claim(["Other cam"])
    third.claim(["Cam"])
    for each in (first, second, third):
        each.release()


def test_a_device_named_for_two_roles_is_locked_once(folder: Path) -> None:
    only = locks(folder, "/1")
    only.claim(["Cam", "Cam"])
    only.release()


def test_what_a_killed_run_left_is_free_and_known(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from firstlight.device_locks import DeviceLocks\n"
        "locks = DeviceLocks('127.0.0.1', 7624, Path('/killed'), Path(sys.argv[1])); locks.claim(['Cam'])\n"
        "print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(DeviceBusyError, match="/killed"):
            locks(folder, "/mine").claim(["Cam"])
        process.kill()
    mine = locks(folder, "/mine")
    mine.claim(["Cam"])
    assert mine.left_by_a_killed_run
    mine.release()
    again = locks(folder, "/mine")
    again.claim(["Cam"])
    assert not again.left_by_a_killed_run
    again.release()


# -- before the night ---------------------------------------------------------------------------------

PLAN = Plan(name="x", lights=(Lights(filter="L", exposure_s=60, count=20),))


@dataclass
class Before:
    """A night about to begin."""

    root: Path
    clock: FakeClock
    fake: FakeObservatory

    def check(self, plan: Plan = PLAN, **more: Any) -> list[tuple[str, str]]:
        said: list[tuple[str, str]] = []

        def say(message: str, level: str = "warning") -> None:
            said.append((message, level))

        values: dict[str, Any] = {"done": frozenset(), "disk_of": self.root, "busy_is_ours": False} | more
        checking = check_night(plan, self.fake.devices, say=say, clock=self.clock, **values)
        asyncio.run(self.clock.run(checking))
        return said


@pytest.fixture
def before(tmp_path: Path) -> Before:
    clock = FakeClock()
    return Before(tmp_path, clock, FakeObservatory(clock))


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (
            replace(PLAN, lights=(Lights(filter="Ha", exposure_s=1, count=1),)),
            'no filter "Ha" in fake wheel; it has L',
        ),
        (
            replace(PLAN, lights=(Lights(exposure_s=7200, count=1),)),
            "takes exposure_s from 0.001 to 3600, not 7200",
        ),
        (replace(PLAN, camera=CameraSettings(gain=99999)), "fake camera takes gain from 0 to 300, not 99999"),
        (replace(PLAN, camera=CameraSettings(offset=101)), "takes offset from 0 to 100, not 101"),
        (replace(PLAN, camera=CameraSettings(binning=8)), "takes binning from 1 to 4, not 8"),
        (
            replace(PLAN, camera=CameraSettings(temperature_c=-60)),
            "takes temperature_c from -40 to 30, not -60",
        ),
        (replace(PLAN, camera=CameraSettings(gain=999, binning=8)), "; fake camera takes binning"),
    ],
)
def test_what_the_devices_cannot_is_one_sentence(before: Before, plan: Plan, said: str) -> None:
    with pytest.raises(PlanError, match=said) as caught:
        before.check(plan)
    assert "\n" not in str(caught.value)
    assert before.fake.camera.requests == []


def test_what_is_defined_late_is_waited_for(before: Before) -> None:
    limits, before.fake.camera.limits = before.fake.camera.limits, CameraLimits()
    clock = before.clock

    class Late(FakeClock):
        async def sleep(self, seconds: float) -> None:
            await clock.sleep(seconds)
            before.fake.camera.limits = limits

        def monotonic(self) -> float:
            return clock.monotonic()

    plan = replace(PLAN, camera=CameraSettings(gain=100))
    done = frozenset[str]()
    devices: Observatory = before.fake.devices

    async def check() -> None:
        await check_night(
            plan,
            devices,
            done=done,
            disk_of=before.root,
            busy_is_ours=False,
            say=lambda *_: None,
            clock=Late(),
        )

    asyncio.run(clock.run(check()))


def test_a_camera_that_another_program_exposes_with_is_not_taken(before: Before) -> None:
    camera = before.fake.camera

    class Counting(type(camera)):  # type: ignore[misc]  # a camera whose seconds go down
        @property
        def exposing_s(self) -> float:
            return float(2000.0 - before.clock.monotonic())

    camera.__class__ = Counting
    with pytest.raises(FirstlightError, match=r"fake camera is exposing \(998 s to go\) and no run of ours"):
        before.check()
    before.check(busy_is_ours=True)


def test_a_camera_that_only_says_that_it_is_busy_is_taken(before: Before) -> None:
    before.fake.camera.exposing_s = 30.0
    before.check()
    before.fake.camera.exposing_s = 0.0
    before.check()


@pytest.mark.parametrize(
    ("free_gb", "outcome"),
    [(100.0, []), (0.6, ["the disk has 0.6 GB free and the plan may need 1.0 GB: make room"])],
)
def test_room_on_the_disk(
    before: Before, monkeypatch: pytest.MonkeyPatch, free_gb: float, outcome: list[str]
) -> None:
    free(monkeypatch, free_gb)
    before.fake.camera.limits = CameraLimits(width_px=6248, height_px=4176)
    assert [message for message, _ in before.check()] == outcome


def test_no_room_on_the_disk(before: Before, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 0.3)
    before.fake.camera.limits = CameraLimits(width_px=6248, height_px=4176)
    with pytest.raises(FirstlightError, match=r"0\.3 GB free and the plan may need 1\.0 GB: make room"):
        before.check()
    before.check(done={step.step_id for step in list(PLAN.steps())[5:]})


def free(monkeypatch: pytest.MonkeyPatch, gb: float) -> None:
    class Usage:
        free = int(gb * 1e9)

    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage)


def test_a_library_is_shot_without_a_cooler_too(before: Before) -> None:
    before.fake.camera.has_cooler = False
    sets = (DarkSet(kind="dark", exposure_s=1, count=1, temperature_c=-10),)
    before.check(Plan(name="library", sets=sets))
    with pytest.raises(PlanError, match="has no cooler"):
        before.check(replace(PLAN, camera=CameraSettings(temperature_c=-10)))
