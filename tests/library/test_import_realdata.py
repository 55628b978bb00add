"""All the real frames go in, are understood, and come in once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from library.frames import FrameKind
from library.importing.files import find_files
from library.importing.take import How, Outcome, take_in
from library.reading import read_frame
from library.store import Library

pytestmark = pytest.mark.realdata

WANTED = {
    # folder or file: kind, camera, exposures in s, sensor temperature from and to in °C, gain
    "calib_stl1001/bias-": ("bias", "SBIG STL-1001 3 CCD Camera", {0.0}, (-10.3, -10.1), None),
    "calib_stl1001/biases-": ("bias", "SBIG STL-1001 3 CCD Camera", {0.0}, (-5.3, -4.8), None),
    "calib_stl1001/darks-": (
        "dark",
        "SBIG STL-1001 3 CCD Camera",
        {10, 20, 30, 60, 150, 300},
        (-10.3, -9.7),
        None,
    ),
    # CCDSoft wrote 'Light Frame' into these; the header stands, and it is told
    "calib_stl1001/flat-": ("light", "SBIG STL-1001 3 CCD Camera", {23.0}, (-5.3, -4.8), None),
    "focus_asi1600/": ("light", "ZWO CCD ASI1600MM Pro", {2.0}, (-20, -20), 200),
    "focus_c8/": ("light", "ASI Camera (1)", {0.3, 0.5, 1.0, 3.0}, (-15.2, -14.8), None),
    "misc/Kocab": ("light", "ZWO CCD ASI6200MM Pro", {30.0}, (15, 15), 100),
    "misc/solved": ("light", "XXXXXX", {120.4}, (13, 13), 100),
    "misc/unsolved": ("light", "XXXXXX", {120.4}, (11, 11), 100),
    "mono_hatp32/": ("light", "Main", {60.0}, (-4.2, 0), None),
    "osc_m27_asi224mc/": ("light", "ZWO CCD ASI224MC", {6.0}, None, 180),
    "osc_ngc7023_seestar/": ("light", "Seestar S50", {10.0, 20.0}, (31, 33), 80),
    "widefield_tetra3/": ("light", "", {None}, None, None),
}


def test_all_real_frames_go_in_and_are_understood(realdata: Path, tmp_path: Path) -> None:
    found = find_files([realdata])
    with Library.open(tmp_path) as library:
        taken = list(take_in(library, found.files))
        assert Counter(imported.outcome for imported in taken) == {Outcome.TAKEN: len(found.files)}
        assert len(library.find()) == len(found.files)
        seen: dict[str, set[float | None]] = {prefix: set() for prefix in WANTED}
        for imported in taken:
            name = imported.source.relative_to(realdata).as_posix()
            prefix = next(prefix for prefix in WANTED if name.startswith(prefix))
            kind, camera, _, temps, gain = WANTED[prefix]
            meta = imported.meta
            assert meta is not None
            assert (meta.kind, meta.camera, meta.gain) == (kind, camera, gain), name
            assert (meta.sensor_temp_c is None) == (temps is None), name
            if temps is not None and meta.sensor_temp_c is not None:
                assert temps[0] <= meta.sensor_temp_c <= temps[1], name
            seen[prefix].add(meta.exposure_s)
        assert seen == {prefix: wanted[2] for prefix, wanted in WANTED.items()}
        told = {note for imported in taken for note in imported.notes}
        assert any("speaks of a flat" in note for note in told)
        assert any("no IMAGETYP" in note for note in told)


def test_real_frames_keep_every_pixel_and_come_in_once(realdata: Path, tmp_path: Path) -> None:
    files = [
        realdata / "misc" / "solved.fits.fz",
        realdata / "misc" / "Kocab.fits.gz",
        next((realdata / "mono_hatp32").iterdir()),
    ]
    with Library.open(tmp_path) as library:
        for imported in take_in(library, files):
            assert imported.path is not None
            np.testing.assert_array_equal(
                read_frame(imported.path).pixels, read_frame(imported.source).pixels
            )
        assert {i.outcome for i in take_in(library, files, how=How.LINK)} == {Outcome.HERE}


def test_the_ladder_of_darks_is_found(realdata: Path, tmp_path: Path) -> None:
    with Library.open(tmp_path) as library:
        list(take_in(library, find_files([realdata / "calib_stl1001"]).files, how=How.LINK))
        darks = library.find(kind=FrameKind.DARK)
    assert sorted(record.meta.exposure_s or 0 for record in darks) == [10, 20, 30, 60, 150, 300]
