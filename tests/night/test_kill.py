"""Whatever is killed, whenever: what was durable is in the library once, and the night can go on."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acquire.plan_file import read_plan
from library.errors import NotAFitsFileError
from library.frames import FrameKind
from library.reading import read_frame
from library.store import Library
from tests.night.nights import Night, firstlight, journal, kill_night, session_pid

pytestmark = pytest.mark.slow
DEMO = ("demo", "--subs", 6, "--speed", 200)
MOMENTS = ("run_started", "cooling_done", "exposure_started", "frame_stored", "master_built", "sub_accepted")


def check_library(root: Path) -> Counter[str]:
    """Every durable frame is there, once, whole; returns how many of each kind."""
    told = {each["frame_id"] for each in journal(root) if each["event"] == "frame_stored"}
    with Library.open(root) as library:
        records = [record for record in library.find() if record.meta.n_combined == 1]
    ids = [record.meta.frame_id for record in records]
    assert len(set(ids)) == len(ids), "a frame is there twice"
    assert told <= set(ids), "a frame that was durable is lost"
    steps = [(record.meta.plan_id, record.meta.step_id) for record in records]
    assert len(set(steps)) == len(steps), "a step was shot twice"
    files = set((root / "library" / "frames").rglob("*.fits"))
    assert files == {record.path for record in records}
    for path in files:
        try:
            read_frame(path)
        except NotAFitsFileError as error:
            raise AssertionError("a half-written file was taken for a frame") from error
    assert not list((root / "library").rglob("*.part-*"))
    return Counter(record.meta.kind for record in records)


@pytest.mark.parametrize("seed", range(4))
def test_killing_everything_at_any_moment_loses_nothing(
    root: Path, start: Callable[..., Night], seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(4):
        night = start(*DEMO)
        moment, count = chance.choice(MOMENTS), chance.randint(1, 4)
        for event in night.events():
            count -= event["event"] == moment
            if count == 0:
                break
        kill_night(root)
        night.process.wait()
        if root.is_dir():
            check_library(root)
    done = firstlight(*DEMO, "--json", "--root", root)
    assert done.returncode == 0, done.stderr
    wanted = Counter(step.kind for step in read_plan(root / "plan.toml").steps())
    assert check_library(root) == wanted
    assert wanted[FrameKind.LIGHT] == 6
    assert not list(root.rglob("*.part-*")), "half-written files stay"


def test_killing_the_screen_leaves_the_night(root: Path, start: Callable[..., Night]) -> None:
    night = start(*DEMO)
    night.until("frame_stored")
    night.end()
    assert session_pid(root) is not None
    back = start("attach")
    assert back.until("summary")["subs_shot"] == 6
    assert back.seen[0]["event"] == "run_started", "who comes back is given the whole run"
    assert back.process.wait() == 0


def pictures(root: Path) -> dict[str, Any]:
    """The pixels of every stack that the night left."""
    summary = [each for each in journal(root) if each["event"] == "summary"][-1]
    return {each["filter"]: read_frame(each["fits"]).pixels for each in summary["stacks"]}


@pytest.mark.parametrize("whom", ["the stacker", "everything"])
def test_the_stack_after_a_kill_is_the_stack_without_one(
    root: Path, start: Callable[..., Night], whom: str
) -> None:
    night = start(*DEMO)
    night.until("sub_accepted", 3)
    if whom == "everything":
        kill_night(root)
        assert firstlight(*DEMO, "--json", "--root", root).returncode == 0
    else:
        kill_child(root, "firstlight.stacker")
        night.until("summary")
        night.process.wait()
    after = pictures(root)
    (ledger,) = (root / "stacks").glob("*/ledger.jsonl")
    looked = [json.loads(line) for line in ledger.read_text().splitlines() if '"sub"' in line]
    assert len(looked) == 6, "each sub was looked at once"
    shutil.rmtree(root / "stacks")
    assert firstlight(*DEMO, "--json", "--root", root).returncode == 0
    whole = pictures(root)
    assert after.keys() == whole.keys()
    for name, pixels in whole.items():
        np.testing.assert_array_equal(after[name], pixels)


def kill_child(root: Path, child: str) -> None:
    """``kill -9`` one of the session's processes."""
    session = session_pid(root)
    assert session is not None
    for pid in Path(f"/proc/{session}/task/{session}/children").read_text().split():
        if child.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(int(pid), signal.SIGKILL)
            return
    raise AssertionError(f"there is no {child}")


@pytest.mark.parametrize("child", ["firstlight.stacker", "acquire.indi.worker", "simulators"])
def test_killing_one_process_costs_at_most_the_exposure_in_hand(
    root: Path, start: Callable[..., Night], child: str
) -> None:

    night = start(*DEMO)
    night.until("sub_accepted", 2)
    kill_child(root, child)
    summary = night.until("summary")
    assert summary["outcome"] == "done"
    assert summary["subs_accepted"] == 6
    check_library(root)
