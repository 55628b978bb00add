"""Taking frames of others in: each once, with the user's values, which a rebuilt catalogue knows too."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from library.errors import DiskFullError, LibraryError
from library.frames import FrameKind, FrameRecord
from library.importing.files import find_files
from library.importing.rules import Rule, load_rules, setting
from library.importing.take import How, Imported, Outcome, take_in
from library.reading import read_frame
from library.sidecars import sidecar_of
from library.store import Library
from library.templates import Template
from tests.library.frames import fits_bytes, stamp
from tests.library.test_import_headers import CCDSOFT, EKOS, NINA, SHARPCAP, SIRIL, take_one, write
from tui.cli import main


def rule(*settings: str, override: bool = False) -> Rule:
    values = {key: value for text in settings for key, value in setting(text).items()}
    return Rule(origin="--set", values=values, override=override)


def rebuilt(root: Path) -> list[FrameRecord]:
    """What a library says when its catalogue is made anew from its files."""
    for file in (root / "library").glob("catalogue.sqlite*"):
        file.unlink()
    with Library.open(root) as library:
        return library.find()


def same(one: list[FrameRecord], other: list[FrameRecord]) -> bool:
    return sorted((r.path, r.sha256, repr(r.meta)) for r in one) == sorted(
        (r.path, r.sha256, repr(r.meta)) for r in other
    )


@pytest.mark.parametrize("how", How)
def test_a_frame_comes_in_once_however_it_comes(how: How, tmp_path: Path) -> None:
    path = write(tmp_path / "dark.fits", EKOS)
    before, pixels = path.read_bytes(), read_frame(path).pixels
    with Library.open(tmp_path / "root") as library:
        taken = take_one(library, path, how=how, rules=[rule("TELESCOPE=FSQ")])
        assert taken.outcome is Outcome.TAKEN
        assert taken.path is not None
        assert path.exists() == (how is not How.MOVE)
        if how is not How.MOVE:
            assert path.read_bytes() == before
        np.testing.assert_array_equal(read_frame(taken.path).pixels, pixels)
        path.write_bytes(before)
        assert take_one(library, path, how=how).outcome is Outcome.HERE
        assert path.exists() == (how is not How.MOVE)  # what an interrupted move left is removed
        (record,) = library.find()
        assert record.meta.telescope == "FSQ"
        assert record.sha256 == hashlib.sha256(record.path.read_bytes()).hexdigest()
        assert not library.verify()
    assert same(rebuilt(tmp_path / "root"), [record])


def test_a_link_is_a_hard_link_with_its_keywords_beside_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", SHARPCAP)
    with Library.open(tmp_path / "root") as library:
        taken = take_one(library, path, how=How.LINK, rules=[rule("GAIN=7")])
        assert taken.path is not None
        assert taken.path.samefile(path)
        assert not taken.path.is_symlink()
        assert b"GAIN" in sidecar_of(taken.path).read_bytes()
        assert read_frame(taken.path).meta.gain == 7
        assert read_frame(path).meta.gain is None


def test_where_no_hard_link_can_be_it_is_symbolic_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    path = write(tmp_path / "a.fits", EKOS)
    with Library.open(tmp_path / "root") as library:
        taken = take_one(library, path, how=How.LINK)
        assert taken.path is not None
        assert taken.path.is_symlink()
        assert any("lost to the library" in note for note in taken.notes)
        records = library.find()
    assert same(rebuilt(tmp_path / "root"), records)


def test_the_same_frame_in_another_packing_is_already_here(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", NINA | {"IMAGETYP": "LIGHT"})
    packed = tmp_path / "b.fits.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with Library.open(tmp_path / "root") as library:
        outcomes = [imported.outcome for imported in take_in(library, [path, packed])]
    assert outcomes == [Outcome.TAKEN, Outcome.HERE]


def test_equal_pixels_of_another_time_are_another_frame(tmp_path: Path) -> None:
    black = np.zeros((8, 8), np.uint16)
    one = write(tmp_path / "a.fits", EKOS, pixels=black)
    two = write(tmp_path / "b.fits", EKOS | {"DATE-OBS": "2020-04-13T04:03:34"}, pixels=black)
    with Library.open(tmp_path / "root") as library:
        assert [i.outcome for i in take_in(library, [one, two])] == [Outcome.TAKEN, Outcome.TAKEN]


def test_a_stack_with_the_header_of_one_of_our_subs_is_a_frame_of_its_own(tmp_path: Path) -> None:
    with Library.open(tmp_path / "root") as library:
        sub = library.add(fits_bytes(), stamp("f1"))
        header = dict(read_frame(sub.path).header)
        keep = {key: header[key] for key in ("FRAMEID", "PLANID", "STEPID", "IMAGETYP", "INSTRUME")}
        path = write(tmp_path / "stack.fits", keep | {"STACKCNT": 9}, seed=5)
        taken = take_one(library, path)
        assert taken.outcome is Outcome.TAKEN
        assert taken.meta is not None
        assert taken.meta.frame_id != "f1"
        assert taken.meta.step_id is None
        assert library.get("f1") == sub


def test_a_moved_file_with_more_in_its_header_is_left_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", EKOS)
    solved = write(tmp_path / "solved.fits", EKOS | {"CRVAL1": 12.5})
    with Library.open(tmp_path / "root") as library:
        outcomes = [i.outcome for i in take_in(library, [path, solved], how=How.MOVE)]
    assert outcomes == [Outcome.TAKEN, Outcome.HERE]
    assert not path.exists()
    assert solved.exists()


def test_an_original_that_cannot_be_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.fits", EKOS)

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    with Library.open(tmp_path / "root") as library:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", refuse)
            taken = take_one(library, path, how=How.MOVE)
        assert taken.outcome is Outcome.TAKEN
        assert any("cannot be removed" in note for note in taken.notes)


def test_a_file_of_the_library_itself_is_never_moved_away(tmp_path: Path) -> None:
    with Library.open(tmp_path / "root") as library:
        record = library.add(fits_bytes(), stamp())
        assert take_one(library, record.path, how=How.MOVE).outcome is Outcome.HERE
        assert record.path.exists()


def test_a_rule_fills_what_is_missing_and_contradicts_aloud(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", CCDSOFT)
    with Library.open(tmp_path / "root") as library:
        taken = take_one(library, path, rules=[rule("GAIN=1", "EXPOSURE=99", "FILTER=Visible")])
        assert taken.meta is not None
        assert (taken.meta.gain, taken.meta.exposure_s) == (1, 23)
        assert taken.filled == ("GAIN = 1 (--set)",)
        assert any("EXPTIME = 99 (--set) contradicts the header's 23.0" in note for note in taken.notes)


def test_a_rule_that_overrides_says_what_was_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", CCDSOFT | {"IMAGETYP": "Light Frame"})
    with Library.open(tmp_path / "root") as library:
        taken = take_one(library, path, rules=[rule("KIND=flat", override=True)])
        assert taken.meta is not None
        assert taken.meta.kind is FrameKind.FLAT
        assert taken.filled == ("IMAGETYP = Flat Frame (--set), was light",)


def test_no_sensor_is_nothing_that_a_rule_would_contradict(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", EKOS | {"CCD-TEMP": -273.15})
    with Library.open(tmp_path / "root") as library:
        taken = take_one(library, path, rules=[rule("TEMP=-10")])
        assert taken.meta is not None
        assert taken.meta.sensor_temp_c == -10


def test_rules_of_a_file_are_for_the_frames_they_speak_of(tmp_path: Path) -> None:
    (tmp_path / "darks").mkdir()
    dark = write(tmp_path / "darks" / "x_120s.fits", SHARPCAP | {"EXPTIME": 120})
    light = write(tmp_path / "y.fits", SHARPCAP, seed=1)
    (tmp_path / "rules.toml").write_text(
        """
        [[rule]]
        path = "*/DARKS/*"
        header = { INSTRUME = "*290mm*" }
        set = { KIND = "dark", GAIN = 200, BINNING = "1x1" }
        [[rule]]
        path = "y.fits"
        set = { OBJECT = "M 42" }
        """
    )
    with Library.open(tmp_path / "root") as library:
        one, two = take_in(library, [dark, light], rules=load_rules(tmp_path / "rules.toml"))
        assert one.meta is not None
        assert two.meta is not None
        assert (one.meta.kind, one.meta.gain) == (FrameKind.DARK, 200)
        assert (two.meta.kind, two.meta.gain, two.meta.object_name) == (FrameKind.LIGHT, None, "M 42")


def test_names_tell_what_headers_do_not(tmp_path: Path) -> None:
    path = write(tmp_path / "Dark_60_secs_-10_7.fits", {"INSTRUME": "Canon", "ISOSPEED": 800})
    from_name = Rule(origin="its name", from_name=Template("%T_%e_%C_%s"))
    with Library.open(tmp_path / "root") as library:
        taken = take_one(library, path, rules=[from_name])
        assert taken.meta is not None
        assert (taken.meta.kind, taken.meta.exposure_s, taken.meta.sensor_temp_c) == (FrameKind.DARK, 60, -10)


@pytest.mark.parametrize(
    "text",
    ["GAIN", "GAIN=much", "EXPTIME=-3", "KIND=spam", "BINNING=two", "sp ace=1", "TEMP=-273.15", "CAMERA="],
)
def test_a_setting_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no|not KEYWORD=value|no kind|no value"):
        setting(text)


@pytest.mark.parametrize(
    "text",
    ["rule = 3", "[[rule]]\nsett = {}", "[[rule]]\nset = 3", "[[rule]]\nset = { GAIN = 'x' }", "[[rule"],
)
def test_a_faulty_file_of_rules_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(LibraryError, match=r"r\.toml"):
        load_rules(tmp_path / "r.toml")


def test_masters_lie_apart_and_never_under_a_name_that_ours_would_take(tmp_path: Path) -> None:
    from library.naming import master_path

    with Library.open(tmp_path / "root") as library:
        taken = take_one(library, write(tmp_path / "m.fits", SIRIL))
        assert taken.path is not None
        assert taken.meta is not None
        assert taken.path.parent == library.folder / "masters" / "ZWO_ASI294MC_Pro"
        ours = master_path(taken.meta, -10)
        assert taken.path.name.startswith(f"{ours.stem}_")
        assert taken.path.name != ours.name
        assert [record.path for record in library.find(master=True)] == [taken.path]


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", EKOS)
    with Library.open(tmp_path / "root") as library:
        before = sorted((tmp_path / "root").rglob("*"))
        taken = take_one(library, path, dry_run=True, how=How.MOVE)
        assert taken.outcome is Outcome.WOULD_TAKE
        assert sorted((tmp_path / "root").rglob("*")) == before
        assert path.exists()


def test_what_cannot_be_read_is_refused_with_its_reason(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.fits", EKOS).read_bytes()
    broken = {
        "text.fits": b"hello",
        "short.fits": whole[:3000],
        "short.fits.gz": gzip.compress(whole)[:-20],
        "x.xisf": b"XISF0100" + bytes(40),
        "t.tif": b"II*\0" + bytes(40),
        "r.CR2": b"II*\0",
    }
    files = []
    for name, data in broken.items():
        (tmp_path / name).write_bytes(data)
        files.append(tmp_path / name)
    with Library.open(tmp_path / "root") as library:
        taken = list(take_in(library, [*files, tmp_path / "gone.fits"]))
        assert {imported.outcome for imported in taken} == {Outcome.REFUSED}
        assert all(imported.reason and imported.source.name in imported.reason for imported in taken)
        assert not library.find()


def test_a_full_disk_stops_it_and_the_next_call_goes_on(small_disk: Path, tmp_path: Path) -> None:
    files = [write(tmp_path / f"{n}.fits", EKOS, pixels=np.full((400, 500), n, np.uint16)) for n in range(6)]
    with Library.open(small_disk) as library:
        taken: list[Imported] = []
        with pytest.raises(DiskFullError):
            taken.extend(take_in(library, files))
        assert 0 < len(library.find()) < 6
    assert not list(small_disk.rglob("*.part-*"))


def test_folders_are_searched_and_what_is_no_frame_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a" / ".git").mkdir(parents=True)
    for name in (
        "a/1.FITS",
        "a/2.fit.gz",
        "a/3.fits.fz",
        "a/4.xisf",
        "a/5.TIF",
        "a/6.nef",
        "a/README",
        "a/.git/x.fits",
    ):
        (tmp_path / name).touch()
    found = find_files([tmp_path, tmp_path / "a" / "README"])
    assert [file.name for file in found.files] == [
        "1.FITS", "2.fit.gz", "3.fits.fz", "4.xisf", "5.TIF", "6.nef", "README",
    ]  # fmt: skip
    assert found.others == 1


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = ["--root", str(tmp_path / "root")]
    good, bad = write(tmp_path / "in" / "a.fits", SHARPCAP), tmp_path / "in" / "b.fits"
    bad.write_bytes(b"no")
    assert main(["library", "add", str(good.parent), "--set", "GAIN=5", "--json", *root]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["outcome"], line.get("gain")) for line in lines] == [("taken", 5.0), ("refused", None)]
    assert "does not begin as FITS" in lines[1]["reason"]
    assert main(["library", "add", str(good), *root]) == 0
    assert "already here" in capsys.readouterr().out
    assert main(["library", "add", str(good), "--set", "GAIN=x", *root]) == 2
    assert "'x' is no value for GAIN" in capsys.readouterr().err
    assert main(["library", "export", str(tmp_path / "out"), "--template", "%T/%e_%s2", *root]) == 0
    assert (tmp_path / "out" / "Light" / "2_secs_01.fits").exists()
