from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from library.errors import DiskFullError
from livestack.checkpoint import Held, held_in, read_checkpoint, size_bytes, write_checkpoint
from livestack.engine import LiveStack
from livestack.errors import CheckpointError
from livestack.stack import FilterStack
from livestack.track import Track
from tests.livestack.full_disk import no_file_beyond
from tests.livestack.kept import night


def stacked(n: int, bayer: str | None = None) -> FilterStack:
    live = LiveStack()
    for each in night(n, bayer=bayer).values():
        live.add(each)
    return live.stack_of("L")


def state(stack: FilterStack) -> dict[str, bytes]:
    return {name: np.asarray(value).tobytes() for name, value in stack.planes.state().items()}


@pytest.mark.parametrize("bayer", [None, "RGGB"])
def test_planes_come_back_to_the_last_bit(tmp_path: Path, bayer: str | None) -> None:
    stack, file = stacked(4, bayer), tmp_path / "planes"
    write_checkpoint(file, stack, tuple("abcd"))
    other = FilterStack(stack.founding)
    held = read_checkpoint(file, other)
    assert held == held_in(file)
    assert held.frame_ids == tuple("abcd")
    assert state(other) == state(stack)
    assert other.noises_adu == stack.noises_adu
    assert other.exposures_s == stack.exposures_s
    assert other.snapshot().pixels.tobytes() == stack.snapshot().pixels.tobytes()
    assert file.stat().st_size - size_bytes(stack) < 2000


def test_any_damage_is_found_and_leaves_an_empty_stack(tmp_path: Path) -> None:
    stack, file = stacked(3), tmp_path / "planes"
    write_checkpoint(file, stack, tuple("abc"))
    good = file.read_bytes()
    empty = state(FilterStack(stack.founding))
    rng = np.random.default_rng(0)
    places = [0, 20, 27, 28, 40, 300, *rng.integers(0, len(good), 20).tolist(), len(good) - 1]
    broken = [good[:place] for place in places]
    for place in places:
        one = bytearray(good)
        one[place] ^= 0x10
        broken.append(bytes(one))
    for each in broken:
        file.write_bytes(each)
        with pytest.raises(CheckpointError, match="planes"):
            read_checkpoint(file, stack)
        assert state(stack) == empty
        assert stack.subs == 0
    file.write_bytes(good)
    assert read_checkpoint(file, stack).frame_ids == tuple("abc")


def test_that_of_another_kind_of_stack_is_refused(tmp_path: Path) -> None:
    mono, colour = stacked(1), stacked(1, "RGGB")
    write_checkpoint(tmp_path / "planes", mono, ("a",))
    with pytest.raises(CheckpointError, match="of another kind"):
        read_checkpoint(tmp_path / "planes", colour)


def test_none_is_no_error(tmp_path: Path) -> None:
    assert held_in(tmp_path / "planes") == Held()


def test_a_full_disk_leaves_the_last_one(tmp_path: Path) -> None:
    stack, file = stacked(2), tmp_path / "planes"
    write_checkpoint(file, stack, ("a", "b"))
    with no_file_beyond(100_000), pytest.raises(DiskFullError, match="no room for planes"):
        write_checkpoint(file, stack, ("a", "b", "c"))
    assert held_in(file).frame_ids == ("a", "b")
    assert [each.name for each in tmp_path.iterdir()] == ["planes"]


class Clock:
    """Time passes only when it is told to, and by ``per_look_s`` when it is looked at."""

    def __init__(self) -> None:
        self.now, self.per_look_s = 0.0, 0.0

    def __call__(self) -> float:
        self.now += self.per_look_s
        return self.now


def test_a_checkpoint_is_due_when_writing_it_costs_a_tenth_of_the_work_at_most(tmp_path: Path) -> None:
    clock = Clock()
    track = Track(stacked(1), tmp_path / "planes", clock)
    track.stack.clear()

    def work(seconds: float) -> float:
        clock.now += seconds
        return 0.0

    clock.per_look_s = 3.0  # so long does a checkpoint take, from one look at the clock to the next
    track.save()
    clock.per_look_s = 0.0
    for i in range(60):
        assert not track.checkpoint_is_due
        assert track.unsaved == (i > 0)
        track.take(str(i), lambda: work(0.5))
    assert not track.checkpoint_is_due
    track.take("60", lambda: work(0.5))
    assert track.checkpoint_is_due


def test_a_sub_that_was_interrupted_is_never_saved_and_the_stack_begins_anew(tmp_path: Path) -> None:
    live = LiveStack()
    first, second = night(2).values()
    placed = live.place(first).placed
    assert placed is not None
    track = Track(live.stack_of("L"), tmp_path / "planes", Clock())
    track.take("00", lambda: live.again(first, placed))
    track.save()
    kept = state(track.stack)

    def interrupted() -> float:
        live.again(second, placed)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        track.take("01", interrupted)
    assert (track.behind, track.anew) == (True, True)
    assert not track.unsaved
    assert state(track.stack) != kept
    track.begin()
    assert not track.behind
    assert state(track.stack) == kept
