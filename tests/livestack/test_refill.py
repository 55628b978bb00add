"""Live planes filled again in place, files as sources, and what becomes of files that fail."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from library.windows import Spool
from library.writing import write_image
from livestack.dark_scaling import take_apart
from livestack.engine import LiveStack
from livestack.errors import LiveStackError
from livestack.events import SubAccepted
from livestack.kernels.keys import class_weight
from livestack.masters import Masters, prepare
from livestack.planes import Planes
from livestack.restack import Source, SourceError, StoredSub, exact, refill
from livestack.restack_methods import METHODS, stacking_method
from tests.livestack.dithered import shot
from tests.livestack.restacking import Kept, kept, live, restacked
from tests.livestack.sky import Sky, motion, quantised, spoil, sub

SHAPE = (90, 300)
LEVEL, SIGMA = 1000.0, 32.0


def subs_of(n: int) -> list[Kept]:
    rng = np.random.default_rng(n)
    turns = (0.0, 0.3, 180.1, 40.0)
    return [
        kept(
            shot(
                rng.normal(LEVEL, SIGMA, SHAPE),
                motion(i, -i, turns[i % 4], SHAPE),
                weight=class_weight(-(i % 3)),
                noise_adu=SIGMA,
            )
        )
        for i in range(n)
    ]


def same(one: Planes, other: Planes) -> bool:
    return all(np.array_equal(value, other.state()[name]) for name, value in one.state().items())


def test_planes_that_are_filled_again_are_as_new() -> None:
    subs = subs_of(7)
    fresh = live(subs[1:], LEVEL)
    planes = live(subs, LEVEL)
    noises = [live([one], LEVEL).add(one.light()) for one in subs[1:]]
    shares = list(refill(planes, lambda: subs[1:]))
    planes.retell([one.placed.weight for one in subs[1:]], noises)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert same(planes, fresh)
    assert (planes.picture().pixels == fresh.picture().pixels).all()


@pytest.mark.parametrize("when", [0, 2, 5, 9, 11])
def test_subs_that_come_meanwhile_are_in_it_once(when: int) -> None:
    subs, late = subs_of(6), subs_of(9)[7:]
    planes, known = live(subs[:1], LEVEL), list(subs)
    noises = [live([one], LEVEL).add(one.light()) for one in (*subs, *late)]
    for step, _share in enumerate(refill(planes, lambda: known)):
        if step == when:
            for one in late:
                planes.add(one.light())
                known.append(one)
    planes.retell([one.placed.weight for one in known], noises)
    fresh = live(known, LEVEL)
    assert (planes.state()["seen"] == fresh.state()["seen"]).all()
    assert np.abs(planes.picture().pixels - fresh.picture().pixels).max() < 1e-3 * SIGMA
    assert planes.subs == len(known)


def night(folder: Path, n: int, *, packed: bool = False) -> tuple[LiveStack, list[Path], list[StoredSub]]:
    """A live stack of files with trails and cosmic rays, and its subs as sources."""
    rng, stack, sources, spool = np.random.default_rng(5), LiveStack(), [], Spool()
    masters = prepare(dark=np.full((360, 480), 100, np.float32), flat=np.full((360, 480), 2, np.float32))
    paths = [folder / f"{i}.fits" for i in range(n)]
    for i, path in enumerate(paths):
        frame = Sky().expose(motion(2.0 * i, -i, 180.2 * (i % 2)), rng)
        spoil(frame, rng, trail=i % 3 == 0)
        one = replace(sub(frame, str(i)), masters=masters)
        write_image(path, quantised(frame), [])
        if packed:
            path.write_bytes(gzip.compress(path.read_bytes(), 1))
        outcome = stack.process(one)
        assert isinstance(outcome.event, SubAccepted)
        assert outcome.placed is not None
        sources.append(StoredSub(path, outcome.placed, masters, spool))
    return stack, paths, sources


@pytest.mark.parametrize("packed", [False, True])
def test_files_give_the_picture_that_their_pixels_gave(tmp_path: Path, packed: bool) -> None:
    stack, paths, sources = night(tmp_path, 6, packed=packed)
    before = stack.snapshot("L")
    planes = stack.stack_of("L").planes
    kept_state = {name: np.copy(value) for name, value in planes.state().items() if name != "noise2"}
    list(refill(planes, lambda: sources))
    assert all((value == planes.state()[name]).all() for name, value in kept_state.items())
    zero = stack.stack_of("L").founding.coding.zero_adu
    for method in ("sigma", "winsorized"):
        done = exact(sources, (360, 480), 1, zero, stacking_method(method)).image("L", [30.0] * len(paths))
        assert done.subs == before.subs
        assert done.exposure_s == before.exposure_s
        assert done.sub_noise_adu == pytest.approx(before.sub_noise_adu, rel=0.03)
        assert done.fwhm_px == pytest.approx(before.fwhm_px, rel=0.02)
        assert done.noise_adu == pytest.approx(before.noise_adu, rel=0.03)
        assert done.background_adu == pytest.approx(before.background_adu, abs=0.5)
        well = before.coverage == len(paths)
        assert (done.pixels - before.pixels)[well].std() < before.noise_adu


def test_a_file_that_fails_is_named(tmp_path: Path) -> None:
    stack, paths, sources = night(tmp_path, 3)

    def lose(_share: float) -> None:
        paths[1].unlink(missing_ok=True)

    with pytest.raises(SourceError, match=r"1\.fits: No such file") as told:
        exact(sources, (360, 480), 1, [400.0], stacking_method("mean"), memory_bytes=300_000, progress=lose)
    assert told.value.source is sources[1]
    with pytest.raises(SourceError, match=r"1\.fits"):
        list(refill(stack.stack_of("L").planes, lambda: sources))
    write_image(paths[1], np.zeros((100, 100), np.uint16), [])
    other = StoredSub(paths[1], sources[1].placed, sources[1].masters)
    with pytest.raises(LiveStackError, match=r"1\.fits: the dark or bias is 480×360, the frame is 100×100"):
        exact([other], (360, 480), 1, [400.0], stacking_method("mean"))


def test_as_much_of_a_dark_is_taken_off_as_each_sub_holds() -> None:
    rng = np.random.default_rng(1)
    bias, dark = np.full(SHAPE, 100, np.float32), rng.normal(130, 3, SHAPE).astype(np.float32)
    dark[rng.integers(0, 90, 300), rng.integers(0, 300, 300)] += 2000
    scalable = take_apart(dark, bias)
    one = subs_of(3)[1]
    asked = replace(one.placed, dark_factor=0.6)
    masters = Masters(pedestal_adu=dark, scalable_dark=scalable)
    settled = Masters(pedestal_adu=scalable.pedestal(0.6))
    done = restacked([Kept(one.raw, asked, masters)], "mean", LEVEL)
    assert (done.pixels == restacked([Kept(one.raw, asked, settled)], "mean", LEVEL).pixels).all()
    assert (done.pixels != restacked([Kept(one.raw, one.placed, masters)], "mean", LEVEL).pixels).any()


MEASURED = """
import resource, sys
import numpy as np
from pathlib import Path
from livestack.restack import StoredSub, exact
from livestack.restack_methods import stacking_method
from tests.livestack.dithered import shot
path, shape = Path(sys.argv[1]), (512, 1024)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
def peak(n):
    placed = [shot(np.empty((0, 0)), np.array([[1, 0, i % 7], [0, 1, -i % 5], [0, 0, 1.0]])).placed
              for i in range(n)]
    subs = [StoredSub(path, each) for each in placed]
    exact(subs, shape, 1, [1000.0], stacking_method("mean"), memory_bytes=8_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak(10), peak(20), peak(120))
"""


@pytest.mark.slow
def test_memory_and_open_files_do_not_grow_with_the_number_of_subs(tmp_path: Path) -> None:
    """A hundred subs more are 210 MB of registered pixels more, and more files than may be open."""
    path = tmp_path / "sub.fits"
    write_image(path, np.random.default_rng(0).normal(1000, 30, (512, 1024)).astype(np.uint16), [])
    command = [sys.executable, "-c", MEASURED, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    _, few, many = map(int, told.stdout.split())
    unit = 1 if sys.platform == "darwin" else 1024
    assert (many - few) * unit < 25e6


def test_any_sequence_of_sources_will_do() -> None:
    subs: Sequence[Source] = subs_of(2)
    for method in METHODS:
        assert exact(subs, SHAPE, 1, [LEVEL], stacking_method(method)).coverage.max() == 2
