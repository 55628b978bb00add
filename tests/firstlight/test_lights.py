"""Which of the user's files are lights."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from firstlight.errors import FirstlightError
from firstlight.lights import find_lights
from library.cards import Card
from library.writing import write_image


def write(path: Path, *cards: Card, planes: int = 1) -> Path:
    shape = (8, 8) if planes == 1 else (8, 8, planes)
    write_image(path, np.full(shape, 100, np.uint16), cards)
    return path


@pytest.fixture
def night(tmp_path: Path) -> Path:
    folder = tmp_path / "night"
    for part in ("", "2026-11-22", "2026-11-23", ".cache"):
        (folder / part).mkdir(exist_ok=True)
    for name in ("2026-11-23/b.fits", "2026-11-22/a.FIT", "z.fits", ".cache/x.fits"):
        write(folder / name, ("IMAGETYP", "Light Frame", ""))
    write(folder / "d1.fits", ("IMAGETYP", "Dark Frame", ""))
    write(folder / "d2.fits", ("IMAGETYP", "Dark Frame", ""))
    write(folder / "f.fits", ("IMAGETYP", "FLAT", ""))
    write(folder / "m.fits", ("IMAGETYP", "Dark Frame", ""), ("NCOMBINE", 20, ""))
    write(folder / "s.fits", ("IMAGETYP", "Light Frame", ""), ("STACKCNT", 1, ""))
    write(folder / "rgb.fits", ("IMAGETYP", "Light Frame", ""), ("PALETTE", "SHO", ""), planes=3)
    (folder / "notes.txt").write_text("clear skies")
    return folder


def test_a_folders_lights_by_their_paths_and_what_else_lies_there_in_one_line(night: Path) -> None:
    found = find_lights([night])
    assert [str(path.relative_to(night)) for path in found.metas] == [
        "2026-11-22/a.FIT",
        "2026-11-23/b.fits",
        "z.fits",
    ]
    assert found.left_out == {
        "darks": 2, "flats": 1, "masters": 1, "stacks": 1, "colour pictures": 1, "other files": 1,
    }  # fmt: skip
    told = found.told()
    assert told is not None
    assert told.startswith("left out, as they are no lights: 2 × darks, ")
    assert "\n" not in told


def test_patterns_names_and_folders_together_each_file_once(
    night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_lights([night / "z.fits", night / "2026-*" / "*.[fF][iI]*", night])
    assert [path.name for path in found.metas] == ["z.fits", "a.FIT", "b.fits"]
    monkeypatch.chdir(night)
    (night / "link.fits").symlink_to("z.fits")
    assert [path.name for path in find_lights([Path("z.fits"), Path("*.fits")]).metas] == ["z.fits"]


def test_what_is_named_is_tried_and_our_own_results_are_passed_over(night: Path) -> None:
    found = find_lights([night / "notes.txt", night / "gone.fits", night], but=[night / "z.fits"])
    assert [path.name for path in found.metas] == ["notes.txt", "gone.fits", "a.FIT", "b.fits"]
    assert set(found.problems) == {night / "notes.txt", night / "gone.fits"}
    assert [path.name for path in found.readable] == ["a.FIT", "b.fits"]


def test_a_name_with_brackets_is_a_name_before_it_is_a_pattern(tmp_path: Path) -> None:
    path = write(tmp_path / "M31[L].fits")
    assert list(find_lights([path]).metas) == [path]


def test_nothing_found_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FirstlightError, match=r"empty: no frame is in it"):
        find_lights([tmp_path / "empty"])
    with pytest.raises(FirstlightError, match=r"\*\.fits: no frame matches"):
        find_lights([tmp_path / "*.fits"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_must_not_be_read(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    with pytest.raises(FirstlightError, match="closed: the folder cannot be read"):
        find_lights([closed])
