"""A night from its library to its stack: what it is calibrated with, what is told, what restacks it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acquire.devices import Observatory
from acquire.plan import CameraSettings, Lights, Plan
from firstlight.asking import Ask
from firstlight.events import (
    AdviceGiven,
    Answer,
    CalibrationChosen,
    DarkScaled,
    Event,
    Log,
    Restacking,
    SubGraded,
    Summary,
)
from firstlight.night import Night
from firstlight.paths import Root
from firstlight.stacker_link import StackerLink
from firstlight.stacker_process import StackerProcess
from firstlight.stream import EventStream
from library.dark_model import build_dark_models
from library.frames import FrameKind
from library.masters import build_masters
from library.reading import read_frame
from library.store import Library
from livestack.events import StackUpdated, SubAccepted
from tests.acquire.clocks import FakeClock
from tests.acquire.fakes import FakeCamera
from tests.library.dark_camera import DarkCamera
from tests.library.frames import fits_bytes, stamp
from tests.livestack.sky import Sky, motion

SKY = Sky(shape=(256, 320))
TRUE_K = 1.2
PLAN = Plan(name="M 27", lights=(Lights(filter=None, exposure_s=30.0, count=3),), camera=CameraSettings())
SETTINGS: dict[str, Any] = {"gain": None, "offset": None, "read_mode": None, "filter": None}


@dataclass
class Dome:
    """A library whose plan is shot already, and nights on it."""

    root: Root
    library: Library
    camera: DarkCamera = field(default_factory=lambda: DarkCamera(shape=SKY.shape))
    running: Night | None = None

    def shoot_lights(self) -> None:
        own = np.random.default_rng(5)
        self.camera.hot_places = own.choice(self.camera.rate.size, 600, replace=False)
        for number, step in enumerate(PLAN.steps()):
            rng = np.random.default_rng(number)
            dark = rng.poisson(TRUE_K * (self.camera.truth(30.0, -10.0) - self.camera.bias))
            seen = SKY.expose(motion(1.5 * number, 0.7), rng, sky_adu=100.0, noise_adu=5.0)
            pixels = np.clip(np.rint(seen + self.camera.bias + dark), 0, 65535).astype(np.uint16)
            name = stamp(
                f"light{number}",
                plan_id=PLAN.plan_id,
                step_id=step.step_id,
                camera="Cam",
                sensor_temp_c=-10.0,
                **SETTINGS,
            )
            cards = (*self.camera.cards, ("DATE-OBS", f"2026-03-01T22:0{number}:00", ""))
            self.library.add(fits_bytes(pixels, cards), name)

    def night(self, meanwhile: Callable[[Event], None] = lambda _event: None) -> list[Event]:
        """What a night says; ``meanwhile`` is called at each event, with :attr:`running` the night."""
        said: list[Event] = []

        async def run() -> None:
            stream = EventStream(self.root.journals)
            emit = stream.emit

            def hear(event: Event) -> None:
                said.append(event)
                emit(event)
                meanwhile(event)

            stream.emit = hear  # type: ignore[method-assign]  # to hear it as it is said
            with self.root.log.open("ab") as log:
                folder = self.root.stack("M 27", PLAN.plan_id)
                link = StackerLink(StackerProcess(folder, self.root.pictures, "M 27", log), stream.emit)
                try:
                    self.running = Night(plan=PLAN, library=self.library, stream=stream, stacker=link)
                    await self.running.run(Observatory(camera=FakeCamera(FakeClock())))
                finally:
                    await link.close()
                    stream.close()

        asyncio.run(run())
        return said


@pytest.fixture
def dome(tmp_path: Path) -> Iterator[Dome]:
    root = Root(tmp_path / "root")
    root.create()
    with Library.open(root.path) as library:
        found = Dome(root, library)
        found.shoot_lights()
        yield found


@pytest.mark.slow
def test_a_night_without_a_fitting_dark_is_calibrated_with_the_model_s(dome: Dome) -> None:
    dome.camera.fill(dome.library, (-15.0, -5.0, 5.0), (0.0, 20.0, 60.0), n=4)
    build_masters(dome.library)
    build_dark_models(dome.library)
    said = dome.night()
    summary = said[-1]
    assert isinstance(summary, Summary)
    assert (summary.subs_accepted, len(summary.stacks)) == (3, 1)
    assert "dark_model" in {master.kind for master in summary.masters}
    chosen = [event for event in said if isinstance(event, CalibrationChosen)]
    assert [each.coverage for each in chosen[0].choices if each.kind == "dark"] == ["modelled"]
    scaled = [event for event in said if isinstance(event, DarkScaled)]
    assert len(scaled) == 3, "each light once"
    assert all(each.factor == pytest.approx(TRUE_K, abs=0.05) for each in scaled)
    header = read_frame(summary.stacks[0].fits).header
    assert header["DARKCOV"] == "modelled"
    assert header["DARKK"] == pytest.approx(TRUE_K, abs=0.05)
    assert [event.message for event in said if isinstance(event, Log)] == []


@pytest.mark.slow
def test_a_master_rebuilt_in_place_has_the_night_stacked_again(dome: Dome) -> None:
    """Three darks, and a fourth when the last light is in: the master keeps its name."""
    dome.camera.fill(dome.library, (-10.0,), (0.0, 30.0), n=3, plan_id=PLAN.plan_id)
    build_masters(dome.library, plan_id=PLAN.plan_id)
    before = dome.library.find(kind=FrameKind.DARK, master=True)
    stacked = 0

    def one_more(event: Event) -> None:
        nonlocal stacked
        stacked += isinstance(event, SubAccepted)
        if isinstance(event, SubAccepted) and stacked == 3:
            dome.camera.shoot(dome.library, 30.0, -10.0, "one-more", plan_id=PLAN.plan_id)
            build_masters(dome.library, plan_id=PLAN.plan_id)

    said = dome.night(one_more)
    after = dome.library.find(kind=FrameKind.DARK, master=True)
    assert [record.path for record in after] == [record.path for record in before]
    assert [record.meta.n_combined for record in after] == [4]
    assert "there are better masters now: stacking again" in [
        event.message for event in said if isinstance(event, Log)
    ]
    told = [event.choices[0].reasons[0] for event in said if isinstance(event, CalibrationChosen)]
    assert [reason.split(": ")[1].split(",")[0] for reason in told] == ["3 frames", "4 frames"]
    summary = said[-1]
    assert isinstance(summary, Summary)
    assert summary.stacks[0].subs == 3


@pytest.mark.slow
def test_a_frame_that_a_master_leaves_out_is_a_warning_and_no_error(dome: Dome) -> None:
    dome.camera.fill(dome.library, (-10.0,), (0.0, 30.0), n=4, plan_id=PLAN.plan_id)
    lit = dome.camera.frame(30.0, -10.0) + np.uint16(3000)
    dome.camera.shoot(dome.library, 30.0, -10.0, "lit", lit, plan_id=PLAN.plan_id)
    said = dome.night()
    logs = [(event.level, event.message) for event in said if isinstance(event, Log)]
    assert [level for level, message in logs if "was left out" in message] == ["warning"]
    assert "error" not in {level for level, _ in logs}


def picture(summary: Event) -> np.ndarray[Any, Any]:
    assert isinstance(summary, Summary)
    return read_frame(summary.stacks[0].fits).pixels


def test_a_sub_taken_out_at_the_telescope_is_out_of_the_stack_and_stays_out(dome: Dome) -> None:
    asked = False

    def take_out(event: Event) -> None:
        nonlocal asked
        if isinstance(event, SubAccepted) and event.frame_id == "light2" and not asked:
            asked = True
            assert dome.running is not None
            dome.running.ask(Ask(word="out", subs=("light1",), token="t"))

    said = dome.night(take_out)
    answers = [event for event in said if isinstance(event, Answer)]
    assert answers == [Answer(token="t", refused=False, text="1 sub taken out")]
    summary = said[-1]
    assert isinstance(summary, Summary)
    assert (summary.subs_shot, summary.subs_accepted, summary.subs_rejected) == (3, 2, 1)
    assert summary.stacks[0].subs == 2
    assert [event.done for event in said if isinstance(event, Restacking)][-1] == 1.0
    before = picture(summary)

    again = dome.night()
    summary = again[-1]
    assert isinstance(summary, Summary)
    assert (summary.subs_accepted, summary.stacks[0].subs) == (2, 2), "the next run of the night knows it"
    graded = {event.frame_id: event for event in again if isinstance(event, SubGraded)}
    assert {name: (each.inside, each.by) for name, each in graded.items()} == {
        "light0": (True, "rules"),
        "light1": (False, "hand"),
        "light2": (True, "rules"),
    }
    np.testing.assert_array_equal(picture(summary), before)


@pytest.mark.slow
def test_a_night_that_goes_on_stacks_nothing_twice_and_ends_with_the_same_picture(dome: Dome) -> None:
    whole = dome.night()
    looked = [event.seconds for event in whole if isinstance(event, SubAccepted)]
    again = dome.night()
    told = [event.seconds for event in again if isinstance(event, SubAccepted)]
    assert told == looked, "what was said of each, not what was found anew"
    np.testing.assert_array_equal(picture(again[-1]), picture(whole[-1]))


@pytest.mark.slow
def test_everything_again_when_it_is_asked_for(dome: Dome) -> None:
    asked = False

    def again(event: Event) -> None:
        nonlocal asked
        if isinstance(event, StackUpdated) and event.subs == 3 and not asked:
            asked = True
            assert dome.running is not None
            dome.running.ask(Ask(word="restack", token="t"))

    said = dome.night(again)
    assert [event.text for event in said if isinstance(event, Answer)] == ["stacking 3 subs again"]
    summary = said[-1]
    assert isinstance(summary, Summary)
    assert summary.stacks[0].subs == 3


def test_grades_and_advice_come_with_the_stack(dome: Dome) -> None:
    said = dome.night()
    graded = [event for event in said if isinstance(event, SubGraded)]
    assert [each.frame_id for each in graded] == ["light0", "light1", "light2"]
    assert all(each.inside and each.by == "rules" and each.weight for each in graded)
    assert all(0.8 < (each.roundness or 0) <= 1.0 for each in graded)
    last = [event for event in said if isinstance(event, StackUpdated)][-1]
    assert last.rejected_fraction is not None
    assert 2.0 < (last.effective_subs or 0) <= 3.0
    advice = [event.advice for event in said if isinstance(event, AdviceGiven)][-1]
    assert advice.snr.subs == 3
    assert advice.snr.gain == pytest.approx(last.snr_gain)
