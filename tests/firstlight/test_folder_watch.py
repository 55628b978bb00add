"""A folder followed while strangers write into it; time is ours."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from firstlight.errors import FirstlightError
from firstlight.folder_watch import SETTLED_S, FolderWatch
from library.writing import encode_image

FITS = b"".join(encode_image(np.full((90, 100), 400, np.uint16), [("IMAGETYP", "Light Frame", "")]))


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Watched:
    """A watch, polled every half second."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, Clock()
        self.watch = FolderWatch(folder, self.clock)

    def after(self, seconds: float) -> list[str]:
        found: list[str] = []
        for _ in range(round(2 * seconds)):
            self.clock.now_s += 0.5
            found += [str(path.relative_to(self.folder)) for path in self.watch.poll()]
        return found

    def poll(self) -> list[str]:
        return [str(path.relative_to(self.folder)) for path in self.watch.poll()]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    folder = tmp_path / "night"
    folder.mkdir()
    return Watched(folder)


def test_what_is_there_is_taken_in_order_once_it_has_been_still(watched: Watched) -> None:
    for name in ("b.fits", "a.fit", "c.FTS"):
        (watched.folder / name).write_bytes(FITS)
    assert watched.poll() == []
    assert watched.watch.pending == 3
    assert watched.after(SETTLED_S) == ["a.fit", "b.fits", "c.FTS"]
    assert watched.after(120) == []


def test_a_file_written_bit_by_bit_is_taken_when_whole_however_slow_the_writer(watched: Watched) -> None:
    with (watched.folder / "slow.fits").open("wb", buffering=0) as file:
        for start in range(0, len(FITS), 2880):
            file.write(FITS[start : start + 2880])
            if start + 2880 < len(FITS):
                assert watched.after(3 * SETTLED_S) == []
    assert watched.after(2 * SETTLED_S) == ["slow.fits"]


def test_a_picture_behind_a_thumbnail_is_waited_for(watched: Watched, tmp_path: Path) -> None:
    picture = np.full((90, 100), 400, np.uint16)
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(picture[::3, ::3], name="THUMBNAIL"), fits.ImageHDU(picture)]
    fits.HDUList(hdus).writeto(tmp_path / "whole.fits")
    data = (tmp_path / "whole.fits").read_bytes()
    with (watched.folder / "slow.fits").open("wb", buffering=0) as file:
        for start in range(0, len(data), 2880):
            file.write(data[start : start + 2880])
            if start + 2880 < len(data):
                assert watched.after(3 * SETTLED_S) == []
    assert watched.after(2 * SETTLED_S) == ["slow.fits"]


def test_padding_may_be_missing(watched: Watched) -> None:
    (watched.folder / "bare.fits").write_bytes(FITS[: 2880 + 90 * 100 * 2])
    assert watched.after(2 * SETTLED_S) == ["bare.fits"]
    (watched.folder / "short.fits").write_bytes(FITS[: 2880 + 90 * 100 * 2 - 1])
    assert watched.after(10 * SETTLED_S) == []


def test_a_rename_into_place_is_seen_at_once(watched: Watched) -> None:
    for number, name in enumerate((".a.fits", "a.fits.tmp", "a.fits.part-3f")):
        (watched.folder / name).write_bytes(FITS)
        assert watched.after(5) == []
        (watched.folder / name).rename(watched.folder / f"{number}.fits")
        assert watched.poll() == [f"{number}.fits"]


def test_a_length_given_before_the_pixels_is_no_whole_frame(watched: Watched) -> None:
    path = watched.folder / "copied.fits"
    path.write_bytes(FITS[:2880])
    os.truncate(path, len(FITS))
    assert watched.after(10) == []
    with path.open("r+b") as file:
        file.write(FITS)
    assert watched.after(2 * SETTLED_S) == ["copied.fits"]


def test_black_pixels_at_the_end_are_believed_in_the_end(watched: Watched) -> None:
    signed = b"".join(encode_image(np.zeros((90, 100), np.float32), []))
    (watched.folder / "black.fits").write_bytes(signed)
    assert watched.after(10) == []
    assert watched.after(10) == ["black.fits"]


def test_packed_files_and_a_folder_for_each_night(watched: Watched) -> None:
    for night in ("2026-11-22", "2026-11-23/M31", ".thumbnails"):
        (watched.folder / night).mkdir(parents=True)
        (watched.folder / night / "l.fits.gz").write_bytes(gzip.compress(FITS))
    assert watched.after(2 * SETTLED_S) == ["2026-11-22/l.fits.gz", "2026-11-23/M31/l.fits.gz"]


def test_what_never_gets_whole_is_handed_over_to_be_told_of(watched: Watched) -> None:
    (watched.folder / "broken.fits").write_bytes(FITS[:5000])
    assert watched.after(59) == []
    assert watched.after(3) == ["broken.fits"]


def test_what_vanishes_or_is_none_of_ours_is_no_matter(watched: Watched) -> None:
    (watched.folder / "l.fits").write_bytes(FITS)
    (watched.folder / "l.txt").write_bytes(FITS)
    (watched.folder / "dangling.fits").symlink_to("nowhere")
    watched.poll()
    (watched.folder / "l.fits").unlink()
    assert watched.after(10) == []


def test_a_folder_that_goes_is_told(watched: Watched) -> None:
    watched.folder.rmdir()
    with pytest.raises(FirstlightError, match="cannot be watched"):
        watched.poll()


def test_a_pipe_or_a_circular_link_keeps_nobody_waiting(watched: Watched) -> None:
    os.mkfifo(watched.folder / "pipe.fits")
    os.mkfifo(watched.folder / "pipe.txt")
    (watched.folder / "loop.fits").symlink_to(watched.folder / "loop.fits")
    (watched.folder / "zero.fits").symlink_to("/dev/zero")
    watched.poll()
    assert watched.after(SETTLED_S + 0.5) == ["loop.fits", "pipe.fits", "zero.fits"]
    assert watched.watch.pending == 0


def test_a_hollow_file_may_be_one_that_is_being_written(watched: Watched) -> None:
    (watched.folder / "x.fits").write_bytes(FITS)
    os.truncate(watched.folder / "x.fits", 8_000_000_000)
    assert watched.after(20) == []
    assert watched.after(60) == ["x.fits"]
