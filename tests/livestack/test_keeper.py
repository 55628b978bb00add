from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from library.mosaics import RGB
from livestack.engine import LiveStack, Sub
from livestack.errors import NotAlignedError, StateError, UnknownSubError
from livestack.events import SubAccepted, SubRejected
from livestack.grading import Limit, Rules
from livestack.judges import GRADE
from livestack.keeper import KeptStack
from livestack.ledger import LINES, By
from livestack.masters import prepare
from livestack.stack import StackImage
from tests.livestack.full_disk import no_file_beyond
from tests.livestack.kept import SKY, assert_same, exposed, kept, night, pictures

Pictures = dict[str | None, StackImage]


def stacked(folder: Path, subs: dict[str, Sub]) -> Pictures:
    with kept(folder, subs.get) as (stack, _):
        for each in subs.values():
            stack.add(each)
        return pictures(stack)


# -- stacking ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("filters", "bayer"), [("L", None), ("LRL", None), ("L", "GBRG")])
def test_a_kept_stack_is_the_live_one(tmp_path: Path, filters: str, bayer: str | None) -> None:
    subs, live = night(5, filters=filters, bayer=bayer), LiveStack()
    for each in subs.values():
        live.add(each)
    assert_same(stacked(tmp_path, subs), {name: live.snapshot(name) for name in live.filters})


def test_what_does_not_fit_is_remembered_and_can_never_be_put_back(tmp_path: Path) -> None:
    subs = night(2)
    cloud = replace(exposed(7), pixels=np.random.default_rng(0).normal(900, 12, (160, 224)).astype(np.uint16))
    flat = replace(exposed(8), pixels=np.zeros(100, np.uint16))
    with kept(tmp_path, subs.get) as (stack, _):
        for each in (*subs.values(), cloud, flat):
            stack.add(each)
    with kept(tmp_path, subs.get) as (stack, told):
        assert [e.standing.inside for e in stack.entries.values()] == [True, True, False, False]
        again = stack.add(cloud).event
        assert isinstance(again, SubRejected)
        assert again.reason == "too few stars"
        with pytest.raises(NotAlignedError, match=r"07 cannot be put back: .* stars found"):
            stack.put_back("07")
        assert stack.take_out("07", "twice").standing.by is By.STACK
        with pytest.raises(UnknownSubError, match="no sub 99"):
            stack.take_out("99", "who?")
        assert told.every == []


# -- resuming ------------------------------------------------------------------------------------------------


def act(stack: KeptStack, subs: dict[str, Sub], *, save_after: int | None = None) -> None:
    """A night with words of a hand and a change of rules; what was done already changes nothing."""
    for number, each in enumerate(subs.values()):
        stack.add(each, {"number": number})
        if number == 4:
            stack.take_out("01", "a car")
        if number == 6:
            stack.work()
            stack.rule(Rules(least_subs=4))
        if number == 7:
            stack.put_back("01")
            stack.take_out("00", "the first, of all")
        if number == save_after:
            stack.save()
    stack.settle()


@pytest.fixture(scope="module")
def whole_night(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Sub], Pictures]:
    subs = night(10, filters="LLR", soft=(3, 5, 9))
    with kept(tmp_path_factory.mktemp("whole"), subs.get) as (stack, _):
        act(stack, subs)
        return subs, pictures(stack)


@settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.generate))  # each takes seconds
@given(st.floats(0, 1), st.none() | st.integers(0, 9), st.booleans())
def test_a_stack_killed_at_any_point_ends_as_one_that_was_not(
    whole_night: tuple[dict[str, Sub], Pictures], cut: float, save_after: int | None, rot: bool
) -> None:
    """The ledger ends at any byte; a checkpoint may be older than that, or know more, or be rotten."""
    subs, wanted = whole_night
    with TemporaryDirectory() as name:
        folder = Path(name) / "state"
        with kept(folder, subs.get) as (stack, _):
            act(stack, subs, save_after=save_after)
        lines = (folder / LINES).read_bytes()
        (folder / LINES).write_bytes(lines[: round(cut * len(lines))])
        for file in folder.glob("planes-*") if rot else ():
            damaged = bytearray(file.read_bytes())
            damaged[-100] ^= 1
            file.write_bytes(damaged)
        with kept(folder, subs.get) as (stack, told):
            act(stack, subs)
            assert_same(pictures(stack), wanted)
            assert [entry.note["number"] for entry in stack.entries.values()] == list(range(10))
            assert all("damaged" in trouble for trouble in told.troubles)
            assert bool(told.troubles) <= rot


def test_resuming_looks_at_no_sub_and_opens_only_those_after_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subs, opened = night(6), []

    def open_sub(frame_id: str) -> Sub | None:
        opened.append(frame_id)
        return subs[frame_id]

    with kept(tmp_path, open_sub) as (stack, _):
        for each in subs.values():
            stack.add(each)
            if each.frame_id == "03":
                stack.save()
        wanted = pictures(stack)
    assert opened == []

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was looked at")

    with kept(tmp_path, open_sub) as (stack, told):
        with monkeypatch.context() as patch:
            patch.setattr("livestack.engine.look", never)
            [backlog] = stack.backlog
            assert (backlog.stacked, backlog.wanted, backlog.anew) == (4, 6, False)
            assert stack.snapshot("L").subs == 4
            assert stack.work() == 1
            assert stack.work() == 0
        assert_same(pictures(stack), wanted)
        assert opened == ["04", "05"]
        assert told.every == []


def test_the_next_sub_is_placed_as_if_nothing_had_happened(tmp_path: Path) -> None:
    subs = night(6, filters="LR")
    first = dict(list(subs.items())[:4])
    stacked(tmp_path / "killed", first)
    whole = stacked(tmp_path / "whole", subs)
    assert_same(stacked(tmp_path / "killed", subs), whole)


@pytest.mark.parametrize("where", ["livestack.engine.LiveStack.again", "livestack.ledger.Ledger.add"])
def test_a_sub_whose_adding_is_interrupted_is_in_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    subs = night(4)
    wanted = stacked(tmp_path / "whole", subs)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with kept(tmp_path / "torn", subs.get) as (stack, _):
        stack.add(subs["00"])
        stack.add(subs["01"])
        with monkeypatch.context() as patch:
            patch.setattr(where, interrupt)
            with pytest.raises(KeyboardInterrupt):
                stack.add(subs["02"])
        stack.save()
    with kept(tmp_path / "torn", subs.get) as (stack, told):
        assert list(stack.entries) == ["00", "01"]
        for each in subs.values():
            stack.add(each)
        assert_same(pictures(stack), wanted)
        assert told.every == []


def test_a_reference_that_is_not_stacked_outlives_a_kill(tmp_path: Path) -> None:
    subs, reference = night(3), exposed(12)
    with kept(tmp_path, subs.get) as (stack, _):
        assert stack.refer_to(reference) is None
    with kept(tmp_path, subs.get) as (stack, _):
        event = stack.add(subs["00"]).event
        assert isinstance(event, SubAccepted)
        assert event.shift_px > 3
        assert stack.filters == ("L",)


@pytest.mark.parametrize("damage", [b"", b"{}", b"00000000\n{}\n"])
def test_without_its_basis_a_stack_is_not_resumed_and_the_way_out_is_told(
    tmp_path: Path, damage: bytes
) -> None:
    subs = night(2)
    stacked(tmp_path, subs)
    (tmp_path / "basis.json").write_bytes(damage)
    with pytest.raises(StateError, match="remove the folder, and stack the subs anew"):
        KeptStack(tmp_path, subs.get)
    shutil.rmtree(tmp_path)
    stacked(tmp_path, subs)


_PROCESS = """
import pickle, sys
from pathlib import Path
from livestack.keeper import KeptStack
subs = pickle.loads(Path(sys.argv[1]).read_bytes())
with KeptStack(Path(sys.argv[2]), subs.get) as stack:
    while stack.work():
        print("caught up one", flush=True)
    for number, each in enumerate(subs.values()):
        known = each.frame_id in stack.entries
        stack.add(each)
        if not known:
            print("added", each.frame_id, flush=True)
        if number % 5 == 4:
            stack.save()
"""


@pytest.mark.slow
def test_kill_9_again_and_again(tmp_path: Path) -> None:
    import pickle  # only to hand the subs to the process that is killed

    subs = night(24, filters="LLR", soft=(3, 11))
    whole = stacked(tmp_path / "whole", subs)
    (tmp_path / "subs").write_bytes(pickle.dumps(subs))
    command = [sys.executable, "-c", _PROCESS, str(tmp_path / "subs"), str(tmp_path / "killed")]
    kills = 0
    for lines_seen in (1, 2, 4, 3, 5, 1, 6):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
        assert process.stdout is not None
        with process, process.stdout:
            said = [process.stdout.readline() for _ in range(lines_seen)]
            os.kill(process.pid, signal.SIGKILL)
        kills += bool(said[-1])
        added = [line.split()[1] for line in said if line.startswith("added")]
        with kept(tmp_path / "killed", subs.get) as (stack, told):
            assert set(added) <= stack.entries.keys()  # what was said to be added is never lost
            assert told.troubles == []
    assert kills == 7
    assert_same(stacked(tmp_path / "killed", subs), whole)


# -- out and back --------------------------------------------------------------------------------------------


def test_out_and_back_is_as_if_never_out(tmp_path: Path) -> None:
    subs = night(5)
    wanted = stacked(tmp_path / "never", subs)
    with kept(tmp_path / "out", subs.get) as (stack, _):
        for each in subs.values():
            stack.add(each)
        entry = stack.take_out("02", "an aircraft")
        assert (entry.standing.inside, entry.standing.by) == (False, By.HAND)
        assert pictures(stack)["L"].subs == 4
        stack.put_back("02")
        assert_same(pictures(stack), wanted)


def test_a_sub_of_three_planes_goes_out_and_back_with_its_masters(tmp_path: Path) -> None:
    shape, grey = SKY.shape, night(4)
    dark = np.full((3 * shape[0], shape[1]), 100, np.float32)
    dark[shape[0] : 2 * shape[0]] = 130
    masters = prepare(dark=dark, bayer_pattern=RGB)
    subs = {
        name: replace(each, pixels=np.dstack([each.pixels] * 3), masters=masters)
        for name, each in grey.items()
    }
    wanted = stacked(tmp_path / "never", subs)
    with kept(tmp_path / "out", subs.get) as (stack, told):
        for each in subs.values():
            stack.add(each)
        stack.take_out("02", "a satellite")
        assert pictures(stack)["L"].subs == 3
        stack.put_back("02")
        assert_same(pictures(stack), wanted)
        assert not told.moved
    levels = np.median(wanted["L"].pixels, axis=(0, 1))
    np.testing.assert_allclose(levels - levels[0], [0, -30, 0], atol=1)


@pytest.mark.parametrize("out", ["00", "02", "05"])
def test_a_sub_taken_out_is_as_if_it_had_never_come(tmp_path: Path, out: str) -> None:
    subs = night(6)
    first, others = subs["00"], {name: each for name, each in subs.items() if name != out}
    with kept(tmp_path / "never", others.get) as (stack, _):
        if out == "00":
            stack.refer_to(first)
        for each in others.values():
            stack.add(each)
        without = pictures(stack)["L"]
    with kept(tmp_path / "out", subs.get) as (stack, _):
        for each in subs.values():
            stack.add(each)
        stack.take_out(out, "clouds")
        taken = pictures(stack)["L"]
    assert (taken.subs, taken.exposure_s) == (5, 150.0)
    if out != "00":  # the first one settles scale, level and unit of weight
        off = (taken.pixels - without.pixels)[8:-8, 8:-8]
        assert np.sqrt(np.mean(off**2)) < 1e-3 * without.noise_adu
    else:
        assert taken.noise_adu == pytest.approx(without.noise_adu, rel=0.05)


def test_the_old_picture_stands_until_the_restack_is_ready_and_new_subs_come_in_between(
    tmp_path: Path,
) -> None:
    subs = night(6)
    late = [subs.pop("04"), subs.pop("05")]
    everything = {**subs, **{each.frame_id: each for each in late}}
    with kept(tmp_path / "busy", everything.get) as (stack, _):
        for each in subs.values():
            stack.add(each)
        before = {"L": stack.snapshot("L")}
        stack.take_out("01", "a satellite")
        assert stack.work() == 2
        assert_same({"L": stack.snapshot("L")}, before)
        assert isinstance(stack.add(late[0]).event, SubAccepted)
        assert_same({"L": stack.snapshot("L")}, before)
        [backlog] = stack.backlog
        assert (backlog.stacked, backlog.wanted, backlog.anew) == (1, 4, True)
        while stack.work():
            assert_same({"L": stack.snapshot("L")}, before)
        stack.add(late[1])
        busy = pictures(stack)
    assert busy["L"].subs == 5
    with kept(tmp_path / "quiet", everything.get) as (stack, _):
        for each in everything.values():
            stack.add(each)
        stack.take_out("01", "a satellite")
        assert_same(pictures(stack), busy)


def test_a_restack_that_was_killed_is_done_again(tmp_path: Path) -> None:
    subs = night(6)
    with kept(tmp_path, subs.get) as (stack, _):
        for each in subs.values():
            stack.add(each)
        stack.save()
        stack.take_out("01", "wind")
        stack.work()
    with kept(tmp_path, subs.get) as (stack, _):
        assert [e.frame_id for e in stack.entries.values() if not e.standing.inside] == ["01"]
        resumed = pictures(stack)
    with kept(tmp_path / "quiet", subs.get) as (stack, _):
        for each in subs.values():
            stack.add(each)
        stack.take_out("01", "wind")
        assert_same(pictures(stack), resumed)


def test_a_restack_goes_on_from_a_checkpoint_that_is_a_beginning_of_it(tmp_path: Path) -> None:
    subs, opened = night(6), []

    def open_sub(frame_id: str) -> Sub | None:
        opened.append(frame_id)
        return subs[frame_id]

    with kept(tmp_path, open_sub) as (stack, _):
        for each in subs.values():
            stack.add(each)
            if each.frame_id == "02":
                stack.save()
        stack.take_out("04", "a tree")
        pictures(stack)
    assert opened == ["03", "05"]


def test_all_subs_may_be_taken_out(tmp_path: Path) -> None:
    subs = night(2)
    with kept(tmp_path, subs.get) as (stack, _):
        for each in subs.values():
            stack.add(each)
        for name in subs:
            stack.take_out(name, "all of them")
        assert pictures(stack) == {}
        with pytest.raises(KeyError):
            stack.snapshot("L")
        stack.put_back("01")
        assert pictures(stack)["L"].subs == 1


def gone(_: Sub) -> None:
    return None


def reshaped(each: Sub) -> Sub:
    return replace(each, pixels=each.pixels[:100])


def of_another_filter(each: Sub) -> Sub:
    return replace(each, meta=replace(each.meta, filter="R"))


@pytest.mark.parametrize(
    ("change", "why"), [(gone, "is gone"), (reshaped, "another one"), (of_another_filter, "another one")]
)
def test_a_file_that_is_not_what_it_was_stays_out_and_is_told(
    tmp_path: Path, change: Callable[[Sub], Sub | None], why: str
) -> None:
    subs, changed = night(5), {"03"}

    def open_sub(frame_id: str) -> Sub | None:
        return change(subs[frame_id]) if frame_id in changed else subs[frame_id]

    with kept(tmp_path, open_sub) as (stack, told):
        for each in subs.values():
            stack.add(each)
        stack.take_out("00", "dew")
        assert pictures(stack)["L"].subs == 3
        assert told.moved == [("03", False)]
        assert why in stack.entries["03"].standing.why
        assert stack.entries["03"].standing.by is By.STACK
        stack.settle()
        assert not stack.backlog
        changed.clear()
        stack.put_back("03")
        assert pictures(stack)["L"].subs == 4


# -- rules ---------------------------------------------------------------------------------------------------


def test_an_early_bad_sub_falls_when_the_night_is_known_and_a_late_one_at_once(tmp_path: Path) -> None:
    subs = night(10, soft=(2, 9))
    with kept(tmp_path, subs.get) as (stack, told):
        events = [stack.add(each).event for each in subs.values()]
        assert told.moved == [("02", False)]
        assert isinstance(events[2], SubAccepted)
        last = events[9]
        assert isinstance(last, SubRejected)
        assert last.reason == GRADE
        assert last.detail.startswith("FWHM 6.")
        assert stack.entries["09"].standing.why == last.detail
        assert pictures(stack)["L"].subs == 8
        assert stack.night(stack.entries["00"].kind).subs == 10


def test_a_sub_that_the_rules_refused_can_be_put_back_and_stays_so(tmp_path: Path) -> None:
    subs = night(10, soft=(9,))
    with kept(tmp_path, subs.get) as (stack, _):
        for each in subs.values():
            stack.add(each)
        assert stack.put_back("09").standing.by is By.HAND
        assert pictures(stack)["L"].subs == 10
        assert stack.rule(Rules(fwhm_px=Limit(absolute=4.0))) == ()
    with kept(tmp_path, subs.get) as (stack, _):
        verdict = stack.entries["09"].verdict
        assert verdict is not None
        assert not verdict.good
        assert pictures(stack)["L"].subs == 10


def test_other_rules_judge_all_subs_again_and_are_kept(tmp_path: Path) -> None:
    subs, hard = night(4, soft=(1,)), Rules(fwhm_px=Limit(absolute=4.0))
    with kept(tmp_path, subs.get) as (stack, told):
        for each in subs.values():
            stack.add(each)
        with_all = pictures(stack)
        [moved] = stack.rule(hard)
        assert (moved.frame_id, moved.standing.inside) == ("01", False)
        assert moved.standing.why.startswith("FWHM 6.")
        assert pictures(stack)["L"].subs == 3
    with kept(tmp_path, subs.get) as (stack, told):
        assert stack.rules == hard
        [back] = stack.rule(Rules())
        assert back.standing.inside
        assert_same(pictures(stack), with_all)
        assert told.every == []


def test_in_the_end_the_order_of_the_subs_decides_nothing(tmp_path: Path) -> None:
    subs = night(12, soft=(1, 5, 11))
    rng = np.random.default_rng(0)
    for i in range(3):
        order = ["00", *rng.permutation([name for name in subs if name != "00"])]
        with kept(tmp_path / str(i), subs.get) as (stack, _):
            for name in order:
                stack.add(subs[name])
            stack.settle()
            out = {e.frame_id for e in stack.entries.values() if not e.standing.inside}
            assert out == {"01", "05", "11"}


# -- trouble -------------------------------------------------------------------------------------------------


def test_stacking_goes_on_with_a_full_disk_and_catches_up_when_there_is_room(tmp_path: Path) -> None:
    subs = night(6)
    wanted = stacked(tmp_path / "whole", subs)
    with kept(tmp_path / "full", subs.get) as (stack, told):
        stack.add(subs["00"])
        with no_file_beyond((tmp_path / "full" / LINES).stat().st_size + 100):
            for name in ("01", "02", "03"):
                assert isinstance(stack.add(subs[name]).event, SubAccepted)
            stack.save()
            assert stack.snapshot("L").subs == 4
        assert len(told.troubles) == 1
        assert str(tmp_path / "full") in told.troubles[0]
        stack.add(subs["04"])
        stack.save()
    with kept(tmp_path / "full", subs.get) as (stack, told):
        assert len(stack.entries) == 5
        stack.add(subs["05"])
        assert_same(pictures(stack), wanted)
        assert told.every == []


def test_a_disk_that_was_full_to_the_end_costs_subs_but_never_the_truth(tmp_path: Path) -> None:
    subs = night(5)
    wanted = stacked(tmp_path / "whole", subs)
    with kept(tmp_path / "full", subs.get) as (stack, _):
        stack.add(subs["00"])
        stack.add(subs["01"])
        with no_file_beyond((tmp_path / "full" / LINES).stat().st_size + 100):
            stack.add(subs["02"])
            stack.save()
    assert_same(stacked(tmp_path / "full", subs), wanted)
