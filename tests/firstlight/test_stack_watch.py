"""``firstlight stack --watch``: a folder fills while time passes that is ours."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from firstlight.errors import FirstlightError
from firstlight.stack_calibration import Wanted
from firstlight.stack_files import stack_files
from firstlight.stack_job import StackJob
from firstlight.stack_report import Begun, Said, StackReport, SubDone, Told, Waiting, Written
from firstlight.stack_watching import LEAST_S, Clock, Until, watch_folder
from library.reading import read_frame
from library.writing import write_image
from tests.firstlight.lights import SKY, light


class Night:
    """A writer that acts while the watch sleeps: each thing at its second."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "night"
        self.folder.mkdir()
        self.out = folder / "o.fits"
        self.now_s = 0.0
        self.told: list[tuple[float, Told]] = []
        self._plan: list[tuple[float, Callable[[], object]]] = []

    def at(self, second: float, do: Callable[[], object]) -> None:
        self._plan.append((second, do))

    def comes(self, second: float, name: str, number: int, filter_name: str = "L") -> None:
        self.at(second, lambda: light(self.folder / name, number, filter_name=filter_name))

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        assert self.now_s < 1000, "the watch does not end"
        for due in [each for each in self._plan if each[0] <= self.now_s]:
            self._plan.remove(due)
            due[1]()

    def watch(
        self,
        job: StackJob | None = None,
        *,
        until: Until | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> StackReport:
        return watch_folder(
            self.folder,
            job or StackJob(output=self.out),
            lambda told: self.told.append((self.now_s, told)),
            stop,
            until=until,
            clock=Clock(now=lambda: self.now_s, sleep=self.sleep),
        )

    def of(self, kind: type[Told]) -> list[float]:
        return [at_s for at_s, told in self.told if isinstance(told, kind)]

    @property
    def said(self) -> str:
        return "\n".join(told.message for _, told in self.told if isinstance(told, Said))


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def appended(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_each_new_light_goes_in_when_it_is_whole_and_the_end_is_as_if_all_had_been_there(
    night: Night,
) -> None:
    whole = light(night.folder / "spare.dat", 5).read_bytes()
    (night.folder / "spare.dat").unlink()
    for number in range(2):
        light(night.folder / f"l{number}.fits", number)
    night.at(10, lambda: light(night.folder / "2026-03-02" / "l2.fits", 2))
    night.at(20, lambda: light(night.folder / "flat.fits", 9, kind="Flat Field"))
    night.at(30, lambda: light(night.folder / "l3.fits.tmp", 3).rename(night.folder / "l3.fits"))
    for part in range(4):  # written slowly, in place
        data = whole[part * len(whole) // 4 : (part + 1) * len(whole) // 4]
        night.at(40 + 5 * part, partial(appended, night.folder / "l5.fits", data))
    report = night.watch(until=Until(idle_s=30))
    assert report.accepted == 5
    assert report.left_out == {"flats": 1}
    assert "flat.fits is left out" in night.said
    done = night.of(SubDone)
    assert done == pytest.approx([1, 1, 11, 31, 56], abs=1.5)
    assert 86 <= night.now_s <= 90
    assert min(np.diff(night.of(Written)[:-1])) >= LEAST_S
    assert night.of(Waiting)
    live = read_frame(night.out).pixels
    paths = [each.path for each in report.subs]
    stack_files([Path(path) for path in paths], StackJob(output=night.out))
    np.testing.assert_array_equal(read_frame(night.out).pixels, live)
    assert not list(night.out.parent.glob(".*"))


def test_it_ends_with_so_many_subs(night: Night) -> None:
    for number in range(5):
        night.comes(10 * number, f"l{number}.fits", number)
    assert night.watch(until=Until(stacked=3)).accepted == 3
    assert night.now_s < 30


def test_filters_grow_side_by_side(night: Night) -> None:
    for number in range(6):
        night.comes(8 * number, f"{number}.fits", number, "RGB"[number % 3])
    job = StackJob(output=night.out, preview=night.out.with_suffix(".png"))
    report = night.watch(job, until=Until(idle_s=20))
    assert [(each.filter, each.subs) for each in report.stacks] == [("R", 2), ("G", 2), ("B", 2)]
    assert {path.name for path in night.out.parent.glob("o*")} == {
        "o_R.fits", "o_G.fits", "o_B.fits", "o_R.png", "o_G.png", "o_B.png", "o.png",
    }  # fmt: skip


def test_killed_it_goes_on_with_what_came_meanwhile(night: Night) -> None:
    for number in range(4):
        night.comes(5 * number, f"l{number}.fits", number)

    class Killed(BaseException):
        pass

    def killed() -> None:
        raise Killed

    night.at(12, killed)
    with pytest.raises(Killed):
        night.watch()
    light(night.folder / "l9.fits", 9)
    (night.folder / "l1.fits").unlink()  # it was in no checkpoint yet
    night.told.clear()
    report = night.watch(until=Until(idle_s=10))
    assert report.accepted == 4
    assert "its file is gone" in next(sub.reason or "" for sub in report.subs if not sub.accepted)
    (begun,) = [told for _, told in night.told if isinstance(told, Begun)]
    assert begun.resumed == 3
    assert len(night.of(SubDone)) == 2


def test_the_masters_are_made_ready_with_the_first_light(night: Night, tmp_path: Path) -> None:
    dark = tmp_path / "md.fits"
    write_image(
        dark, np.full(SKY.shape, 100, np.float32), [("IMAGETYP", "Dark Frame", ""), ("NCOMBINE", 9, "")]
    )
    night.at(5, lambda: light(night.folder / "l.fits", 0))
    job = StackJob(output=night.out, wanted=Wanted(darks=[dark]))
    report = night.watch(job, until=Until(stacked=1))
    assert report.subs[0].background_adu == pytest.approx(300, abs=3)


def test_a_frame_that_stays_cut_short_is_told_and_the_watch_goes_on(night: Night) -> None:
    light(night.folder / "l0.fits", 0)
    os.truncate(light(night.folder / "l1.fits", 1), 40_000)
    night.at(70, lambda: light(night.folder / "l2.fits", 2))
    report = night.watch(until=Until(stacked=2))
    assert (report.accepted, report.rejected) == (2, 1)
    assert "cut short" in next(sub.reason or "" for sub in report.subs if not sub.accepted)


def test_stopping_writes_what_there_is(night: Night) -> None:
    for number in range(3):
        light(night.folder / f"l{number}.fits", number)
    report = night.watch(StackJob(output=night.out, method="median"), stop=lambda: night.now_s > 8)
    assert report.accepted == 3
    assert read_frame(night.out).header["COMBMETH"] == "median"


def test_no_light_and_no_folder_are_told(night: Night) -> None:
    light(night.folder / "d.fits", 0, kind="Dark Frame")
    with pytest.raises(FirstlightError, match=r"no light came.*darks"):
        night.watch(until=Until(idle_s=5))
    assert not list(night.out.parent.glob(".*"))
    (night.folder / "d.fits").unlink()
    night.folder.rmdir()
    with pytest.raises(FirstlightError, match="cannot be watched"):
        night.watch()
    assert not list(night.out.parent.glob(".*"))
