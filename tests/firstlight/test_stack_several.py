"""Stories of ``firstlight stack``: filters, references, methods, drizzle, subs out and back, resuming."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firstlight.errors import FirstlightError
from firstlight.stack_calibration import Wanted
from firstlight.stack_files import stack_files
from firstlight.stack_job import LIVE, StackInterruptedError, StackJob, rules
from firstlight.stack_report import Begun, Said, SubDone, Told, Working
from library.reading import read_frame
from library.writing import write_image
from tests.firstlight.lights import SKY, light
from tui.cli import main


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """A folder of lights with a frame of another kind among them."""
    for number in range(6):
        light(tmp_path / "night" / f"l{number}.fits", number, trail=number == 3)
    light(tmp_path / "night" / "dark.fits", kind="Dark Frame")
    return tmp_path / "night"


def said(told: list[Told]) -> str:
    return "\n".join(each.message for each in told if isinstance(each, Said))


def test_each_filter_gets_a_stack_on_one_geometry_and_together_they_make_a_colour_picture(
    tmp_path: Path,
) -> None:
    for number in range(9):
        light(tmp_path / "night" / f"l{number}.fits", number, filter_name="RGB"[number % 3])
    told: list[Told] = []
    job = StackJob(output=tmp_path / "m27.fits", preview=tmp_path / "m27.png")
    report = stack_files([tmp_path / "night"], job, told.append)
    assert [(each.filter, Path(each.path).name, each.subs) for each in report.stacks] == [
        ("R", "m27_R.fits", 3), ("G", "m27_G.fits", 3), ("B", "m27_B.fits", 3),
    ]  # fmt: skip
    pictures = [read_frame(each.path).pixels.astype(float) for each in report.stacks]
    bright = np.sort(pictures[0].ravel())[-200]
    for other in pictures[1:]:
        star = (pictures[0] > bright) & (pictures[0] != 0) & (other != 0)
        assert np.median(other[star] / pictures[0][star]) == pytest.approx(1, abs=0.05)
    assert report.colour_preview == str(tmp_path / "m27.png")
    with Image.open(tmp_path / "m27.png") as image:
        assert (image.size, image.mode) == ((320, 240), "RGB")
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "m27.png", "m27_R.png", "m27_G.png", "m27_B.png",
    }  # fmt: skip
    assert isinstance(told[0], Begun)
    assert told[0].filters == ("R", "G", "B")
    again = stack_files([tmp_path / "night", tmp_path], job, told.append)
    assert (again.accepted, again.left_out) == (9, {"stacks": 3, "8-bit PNG pictures": 3})


def test_flats_go_with_their_filters(tmp_path: Path) -> None:
    lights = [light(tmp_path / f"{name}{n}.fits", n, filter_name=name) for name in "LR" for n in range(3)]
    for name, left in (("L", 1.0), ("R", 0.5)):
        response = np.ones(SKY.shape, np.float32)
        response[:, :160] = left
        write_image(tmp_path / f"flat{name}.fits", response, [("FILTER", name, ""), ("NCOMBINE", 9, "")])
    wanted = Wanted(flats=[tmp_path / "flatL.fits", tmp_path / "flatR.fits"])
    report = stack_files(lights, StackJob(output=tmp_path / "o.fits", wanted=wanted))
    ratios = []
    for stack in report.stacks:
        pixels = read_frame(stack.path).pixels
        ratios.append(float(np.median(pixels[50:200, 50:120]) / np.median(pixels[50:200, 200:270])))
    assert ratios == pytest.approx([1.0, 2.0], rel=0.02)


def test_a_mosaic_becomes_colour_as_the_user_says(tmp_path: Path) -> None:
    """Raw frames of a colour camera: the fine demosaic's stars are narrower, the bilinear one's wider."""
    mosaics = [light(tmp_path / f"o{n}.fits", n, bayer="RGGB") for n in range(3)]

    def fwhm_px(*words: str) -> float:
        report = tmp_path / "r.json"
        output = ["-o", str(tmp_path / "o.fits"), "--report", str(report), "--keep"]
        assert main(["stack", *map(str, mosaics), *output, *words]) == 0
        return float(json.loads(report.read_text())["stacks"][0]["fwhm_px"])

    fine = fwhm_px()
    assert fwhm_px("--demosaic", "bilinear") > 1.05 * fine
    assert fwhm_px("--demosaic", "fine") == pytest.approx(fine, abs=1e-6)
    assert fwhm_px("--interpolation", "lanczos-4") != pytest.approx(fine, abs=1e-6)


def test_a_later_night_comes_onto_the_geometry_of_an_older_stack(tmp_path: Path) -> None:
    first = [light(tmp_path / f"a{n}.fits", n) for n in range(3)]
    stack_files(first, StackJob(output=tmp_path / "old.fits"))
    later = [light(tmp_path / f"b{n}.fits", 40 + n, turn_deg=178.0) for n in range(3)]
    report = stack_files(later, StackJob(output=tmp_path / "new.fits", reference=tmp_path / "old.fits"))
    assert report.reference == str(tmp_path / "old.fits")
    assert report.accepted == 3
    old, new = (read_frame(tmp_path / name).pixels.astype(float) for name in ("old.fits", "new.fits"))
    both = (old != 0) & (new != 0)
    assert both.mean() > 0.3
    assert np.corrcoef(old[both], new[both])[0, 1] > 0.9


def test_a_reference_of_no_use_is_told(tmp_path: Path, night: Path) -> None:
    blank = tmp_path / "blank.fits"
    write_image(blank, np.full(SKY.shape, 100, np.uint16), [])
    with pytest.raises(FirstlightError, match=r"blank.fits cannot be the reference: too few stars"):
        stack_files([night], StackJob(output=tmp_path / "o.fits", reference=blank))
    with pytest.raises(FirstlightError, match=r"gone.fits: the reference is not there"):
        stack_files([night], StackJob(output=tmp_path / "o.fits", reference=tmp_path / "gone.fits"))


@pytest.mark.parametrize(
    "method", ["mean", "winsorized:low=3,high=2.5", pytest.param("median", marks=pytest.mark.slow)]
)
def test_an_exact_method_at_the_end(tmp_path: Path, night: Path, method: str) -> None:
    told: list[Told] = []
    job = StackJob(output=tmp_path / "o.fits", method=method)
    report = stack_files([night], job, told.append)
    assert report.stacks[0].method == method
    assert [each for each in told if isinstance(each, Working)][-1].share == 1
    header = read_frame(tmp_path / "o.fits").header
    assert (header["COMBMETH"], header["STACKCNT"]) == (method, 6)
    exact = read_frame(tmp_path / "o.fits").pixels
    assert stack_files([night], StackJob(output=tmp_path / "l.fits")).stacks[0].method == LIVE
    live = read_frame(tmp_path / "l.fits").pixels
    rest = np.abs(exact - live)[15:-15, 15:-15]
    assert np.median(rest) < 4
    trail = np.median(exact[57, 30:300]) - np.median(exact)  # 900 ADU in row 60 of a sub that drifted by 3
    assert (trail > 80) == (method == "mean")


def test_drizzle(tmp_path: Path, night: Path) -> None:
    report = stack_files([night], StackJob(output=tmp_path / "o.fits", drizzle=2.0, pixfrac=0.9))
    frame = read_frame(tmp_path / "o.fits")
    assert frame.pixels.shape == (480, 640)
    assert (frame.header["DRZSCALE"], frame.header["DRZPIXFR"], frame.header["XPIXSZ"]) == (2.0, 0.9, 1.9)
    assert np.isfinite(frame.pixels).all()
    assert report.stacks[0].drizzle == 2.0
    assert report.stacks[0].fwhm_px == pytest.approx(5.2, abs=0.6)
    with pytest.raises(FirstlightError, match="--drizzle goes from 1 to 3, not 4"):
        stack_files([night], StackJob(output=tmp_path / "o.fits", drizzle=4))


def test_a_sub_goes_out_by_hand_and_back_without_another_look(tmp_path: Path, night: Path) -> None:
    out, bad = tmp_path / "o.fits", night / "l3.fits"
    with_all = stack_files([night], StackJob(output=out, keep=True))
    first = read_frame(out).pixels
    assert with_all.accepted == 6
    told: list[Told] = []
    report = stack_files([night], StackJob(output=out, keep=True, without=(bad,)), told.append)
    assert [sub.path for sub in report.subs if not sub.accepted] == [str(bad)]
    assert next(sub for sub in report.subs if not sub.accepted).reason == "hand: left out by hand"
    assert not [each for each in told if isinstance(each, SubDone)]
    assert read_frame(out).header["STACKCNT"] == 5
    assert stack_files([night], StackJob(output=out)).accepted == 6
    np.testing.assert_allclose(read_frame(out).pixels, first, atol=0.01)
    assert not list(tmp_path.glob(".*"))


def test_to_leave_out_what_is_no_light_is_a_mistake(tmp_path: Path, night: Path) -> None:
    with pytest.raises(FirstlightError, match=r"--without .*nothing.fits: it is none of the lights"):
        stack_files([night], StackJob(output=tmp_path / "o.fits", without=(night / "nothing.fits",)))


def test_rules_and_grades(tmp_path: Path, night: Path) -> None:
    light(night / "m.fits", 7, fwhm_px=4.6)
    strict = StackJob(output=tmp_path / "o.fits", rules=rules(max_fwhm_px=4.0), report=tmp_path / "r.json")
    report = stack_files([night], strict)
    (out,) = [sub for sub in report.subs if not sub.accepted]
    assert (Path(out.path).name, out.by) == ("m.fits", "rules")
    assert out.findings
    assert "FWHM" in out.findings[0]
    assert out.grade["fwhm_px"] == pytest.approx(4.6, abs=0.5)
    assert json.loads((tmp_path / "r.json").read_text())["rejected"] == 1
    everything = StackJob(output=tmp_path / "o.fits", rules=rules(keep_all=True))
    assert stack_files([night], everything).accepted == 7


def stopping_after(n_subs: int) -> tuple[list[Told], StopAfter]:
    told: list[Told] = []
    return told, StopAfter(told, n_subs)


class StopAfter:
    def __init__(self, told: list[Told], n_subs: int) -> None:
        self.told, self.n_subs = told, n_subs

    def __call__(self) -> bool:
        return sum(isinstance(each, SubDone) for each in self.told) >= self.n_subs


def test_interrupted_the_same_command_goes_on_and_the_stack_is_the_same(tmp_path: Path, night: Path) -> None:
    out = tmp_path / "o.fits"
    stack_files([night], StackJob(output=out))
    wanted = out.read_bytes()
    out.unlink()
    told, stop = stopping_after(3)
    with pytest.raises(StackInterruptedError, match="kept in"):
        stack_files([night], StackJob(output=out), told.append, stop)
    assert not out.exists()
    told.clear()
    report = stack_files([night], StackJob(output=out), told.append)
    assert isinstance(told[1], Begun)
    assert told[1].resumed == 3
    assert [each.number for each in told if isinstance(each, SubDone)] == [4, 5, 6]
    assert all(sub.seconds["total"] > 0 for sub in report.subs)
    assert out.read_bytes() == wanted
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_interrupted_in_the_restack_at_the_end_no_light_is_looked_at_again(
    tmp_path: Path, night: Path
) -> None:
    told: list[Told] = []
    job = StackJob(output=tmp_path / "o.fits", method="sigma")
    asked = itertools.count()  # before the first light, after each of six, and then in the restack
    with pytest.raises(StackInterruptedError):
        stack_files([night], job, told.append, lambda: next(asked) > 6)
    assert len([each for each in told if isinstance(each, SubDone)]) == 6
    told.clear()
    assert stack_files([night], job, told.append).accepted == 6
    assert not [each for each in told if isinstance(each, SubDone)]


def test_interrupted_between_filters_the_geometry_stays(tmp_path: Path) -> None:
    for number in range(6):
        light(tmp_path / "night" / f"{'LR'[number // 3]}{number}.fits", number, filter_name="LR"[number // 3])
    out = tmp_path / "o.fits"
    stack_files([tmp_path / "night"], StackJob(output=out))
    wanted = (tmp_path / "o_R.fits").read_bytes()
    told, stop = stopping_after(4)
    with pytest.raises(StackInterruptedError):
        stack_files([tmp_path / "night"], StackJob(output=out), told.append, stop)
    stack_files([tmp_path / "night"], StackJob(output=out))
    assert (tmp_path / "o_R.fits").read_bytes() == wanted


@pytest.mark.parametrize(
    "what",
    [
        "front",
        "master",
        *(pytest.param(rare, marks=pytest.mark.slow) for rare in ("gone", "reference", "rewritten", "fresh")),
    ],
)
def test_what_would_change_the_picture_begins_anew_and_says_so(
    tmp_path: Path, night: Path, what: str
) -> None:
    out = tmp_path / "o.fits"
    dark = tmp_path / "md.fits"
    write_image(dark, np.full(SKY.shape, 5, np.float32), [("NCOMBINE", 9, "")])
    told, stop = stopping_after(3)
    with pytest.raises(StackInterruptedError):
        stack_files([night], StackJob(output=out), told.append, stop)
    job, why = StackJob(output=out), ""
    match what:
        case "front":
            light(night / "a.fits", 9)
            why = "a.fits comes first now"
        case "gone":
            (night / "l0.fits").unlink()
            why = "l0.fits is not among the lights any more"
        case "master":
            job, why = StackJob(output=out, wanted=Wanted(darks=[dark])), "the calibration files changed"
        case "reference":
            job, why = StackJob(output=out, reference=night / "l5.fits"), "the reference changed"
        case "rewritten":
            light(night / "l1.fits", 30)
            why = "l1.fits was written again"
        case "fresh":
            job = StackJob(output=out, fresh=True)
    told.clear()
    stack_files([night], job, told.append)
    assert (f"beginning anew, as {why}" in said(told).replace(f"{night}/", "")) == bool(why)
    numbers = [each.number for each in told if isinstance(each, SubDone)]
    assert numbers[0] == 1
    assert len(numbers) == {"front": 7, "gone": 5}.get(what, 6)


def test_lights_may_be_added_behind(tmp_path: Path, night: Path) -> None:
    out = tmp_path / "o.fits"
    told, stop = stopping_after(3)
    with pytest.raises(StackInterruptedError):
        stack_files([night], StackJob(output=out), told.append, stop)
    light(night / "z.fits", 9)
    told.clear()
    assert stack_files([night], StackJob(output=out), told.append).accepted == 7
    assert [each.number for each in told if isinstance(each, SubDone)] == [4, 5, 6, 7]


def test_a_full_disk_at_the_end_loses_nothing(
    tmp_path: Path, night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    out = tmp_path / "o.fits"
    with monkeypatch.context() as patch:
        patch.setattr("firstlight.stack_results.write_image", full)
        with pytest.raises(
            FirstlightError, match=r"o.fits: cannot be written: No space.*the same command goes"
        ):
            stack_files([night], StackJob(output=out))
    told: list[Told] = []
    assert stack_files([night], StackJob(output=out), told.append).accepted == 6
    assert not [each for each in told if isinstance(each, SubDone)]


def test_two_commands_do_not_get_in_each_others_way(tmp_path: Path, night: Path) -> None:
    job = StackJob(output=tmp_path / "o.fits")
    caught: list[str] = []

    def second(told: Told) -> None:
        if isinstance(told, SubDone) and not caught:
            with pytest.raises(FirstlightError, match="another process is stacking") as error:
                stack_files([night], job)
            caught.append(str(error.value))

    assert stack_files([night], job, second).accepted == 6
    assert len(caught) == 1
