from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from livestack.errors import StateError
from livestack.events import SubAccepted, SubRejected
from livestack.grading import Finding, Rules, Verdict
from livestack.ledger import LINES, PATCHES, By, Entry, Ledger, Standing
from livestack.normalise import Surface
from livestack.placing import Placed
from livestack.plain import plain
from livestack.setups import Setup
from livestack.survey import Patches
from livestack.warp import Bend, Warp
from tests.livestack.test_grading import GOOD

RNG = np.random.default_rng(0)
INSIDE = Standing(inside=True, by=By.RULES)
OUT = Standing(inside=False, by=By.HAND, why="a car's lights")


def placed(n_patches: int = 0) -> Placed:
    where = np.sort(RNG.choice(26_000_000, n_patches, replace=False))
    return Placed(
        bayer_pattern=None,
        warp=Warp(RNG.normal(size=(3, 3)), Bend(np.array([3.0, 4.0]), 99.0, RNG.normal(size=(10, 2)))),
        scale=1 / 3,
        surface=Surface(RNG.normal(size=(1, 6)), np.array([1.0, 2.0]), 3.0),
        weight=0.7,
        noise_adu=12.3456789,
        patches=Patches(where, RNG.normal(size=n_patches).astype(np.float32)),
        dark_factor=0.1,
    )


def entry(frame_id: str, *, n_patches: int = 0) -> Entry:
    return Entry(
        frame_id=frame_id,
        filter="Hα",
        kind="Hα, 300 s",
        exposure_s=300.0,
        event=SubAccepted(
            frame_id=frame_id,
            filter="Hα",
            n_matches=40,
            rms_px=0.1,
            shift_px=1.0,
            rotation_deg=-0.5,
            fwhm_px=3.0,
            background_adu=400.0,
            noise_adu=float("nan"),
            seconds=0.3,
        ),
        standing=INSIDE,
        setup=Setup((4176, 6248), "camera", None, 530.0, (1, 1)),
        measures=GOOD,
        verdict=Verdict(),
        placed=placed(n_patches),
        note={"path": f"/night/{frame_id}.fits"},
    )


def lost(frame_id: str) -> Entry:
    event = SubRejected(frame_id=frame_id, filter=None, reason="no match", detail="none", seconds=0.1)
    return Entry(
        frame_id=frame_id,
        filter=None,
        kind="",
        exposure_s=None,
        event=event,
        standing=Standing(inside=False, by=By.STACK, why="none"),
    )


def same(some: Entry, other: Entry) -> bool:
    return bool(plain(some) == plain(other) and type(some.event) is type(other.event))


def read(folder: Path) -> Ledger:
    ledger = Ledger(folder)
    ledger.close()
    return ledger


def test_what_was_entered_is_there_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.refer_to("elsewhere")
    ledger.rule(Rules(least_subs=3))
    ledger.add(entry("a", n_patches=1000))
    ledger.add(lost("b"))
    verdict = Verdict(findings=(Finding(measure="stars", value=3.0, text="stars 3"),), night_known=True)
    ledger.move("a", OUT, verdict)
    ledger.flush()
    ledger.close()
    again = read(tmp_path)
    assert list(again.entries) == ["a", "b"]
    assert all(same(again.entries[name], ledger.entries[name]) for name in "ab")
    assert (again.entries["a"].standing, again.entries["a"].verdict) == (OUT, verdict)
    assert isinstance(again.entries["b"].event, SubRejected)
    assert (again.rules, again.reference, again.damaged_lines) == (Rules(least_subs=3), "elsewhere", 0)
    for line in (tmp_path / LINES).read_text().splitlines():
        assert json.loads(line)["at"].endswith("+00:00")


@given(
    st.lists(st.integers(0, 60_000_000), unique=True, max_size=50).map(sorted),
    st.data(),
)
def test_a_place_comes_back_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, where: list[int], data: st.DataObject
) -> None:
    values = data.draw(arrays(np.float32, len(where)))
    first = replace(placed(), patches=Patches(np.array(where, np.int64), values))
    ledger = Ledger(tmp_path_factory.mktemp("ledger"))
    ledger.add(replace(entry("a"), placed=first))
    pending = ledger.placed("a")
    ledger.flush()
    ledger.close()
    for found in (pending, read(ledger.folder).placed("a")):
        assert found.patches.places.tolist() == where
        assert found.patches.values.tobytes() == values.tobytes()
        assert found.warp.matrix.tobytes() == first.warp.matrix.tobytes()
        assert found.surface.coefficients.tobytes() == first.surface.coefficients.tobytes()
        assert (found.scale, found.noise_adu, found.dark_factor) == (1 / 3, 12.3456789, 0.1)


def test_a_ledger_cut_anywhere_is_what_it_was_before_the_torn_line(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for name in "abc":
        ledger.add(entry(name, n_patches=10))
        ledger.flush()
    ledger.close()
    file = tmp_path / LINES
    text = file.read_bytes()
    ends = [i + 1 for i, byte in enumerate(text) if byte == ord("\n")]
    for cut in [*range(0, len(text), 97), *ends, *(end - 1 for end in ends)]:
        file.write_bytes(text[:cut])
        again = Ledger(tmp_path)
        whole_lines = sum(end <= cut for end in ends)
        assert list(again.entries) == list("abc")[:whole_lines]
        again.add(entry("d"))
        again.flush()
        again.close()
        assert list(read(tmp_path).entries) == [*list("abc")[:whole_lines], "d"]
        assert read(tmp_path).damaged_lines == 0


def test_damage_in_the_middle_costs_that_line_and_is_told(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for name in "abc":
        ledger.add(entry(name))
    ledger.move("b", OUT, None)
    ledger.flush()
    ledger.close()
    lines = (tmp_path / LINES).read_bytes().split(b"\n")
    lines[1] = lines[1][:100] + b"\xff\x00" + lines[1][102:]
    (tmp_path / LINES).write_bytes(b"\n".join(lines))
    again = read(tmp_path)
    assert list(again.entries) == ["a", "c"]
    assert again.damaged_lines == 2


def test_damaged_patches_are_never_used(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.add(entry("a", n_patches=100))
    ledger.flush()
    ledger.close()
    data = bytearray((tmp_path / PATCHES).read_bytes())
    data[50] ^= 1
    (tmp_path / PATCHES).write_bytes(data)
    with pytest.raises(StateError, match=r"patches\.bin: what was kept of a is damaged"):
        read(tmp_path).placed("a")


def test_one_process_at_a_time(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    with pytest.raises(StateError, match="another process is stacking into it"):
        Ledger(tmp_path)
    ledger.close()
    read(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="name another folder"):
        Ledger(tmp_path / "file")


def test_thousands_of_subs_are_quick_and_small(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for i in range(3000):
        ledger.add(entry(f"{i:04}"))
    for i in range(0, 3000, 2):
        ledger.move(f"{i:04}", OUT, None)
    ledger.flush()
    ledger.close()
    assert (tmp_path / LINES).stat().st_size < 3000 * 3000
    started = perf_counter()
    again = read(tmp_path)
    assert perf_counter() - started < 5
    assert sum(each.standing.inside for each in again.entries.values()) == 1500
