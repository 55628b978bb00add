"""Every format but FITS: each pixel and what describes it comes through; what is hostile is told of."""

from __future__ import annotations

import random
import struct
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from library.errors import LibraryError, NotAFrameError, UnreadableImageError
from library.export import export
from library.formats.table import frames_in
from library.frames import FrameKind, Stamp
from library.importing.take import How, Outcome
from library.mosaics import XTRANS
from library.reading import read_frame, read_meta, read_rows
from library.store import Library
from library.windows import open_pixels
from tests.library.foreign import write_dng, write_png, write_ser, write_tiff, write_xisf
from tests.library.test_import_headers import take_one
from tui.cli import main

MONO = np.random.default_rng(1).integers(0, 65536, (44, 62), dtype=np.uint16)
COLOUR = np.random.default_rng(2).integers(0, 65536, (44, 62, 3), dtype=np.uint16)
FLOATS = (1e3 * np.random.default_rng(3).random((44, 62))).astype(np.float32)

Write = Callable[[Path, NDArray[Any]], Path]

WRITERS: dict[str, tuple[str, Write, NDArray[Any]]] = {
    "tiff": (".tif", write_tiff, MONO),
    "tiff 8 bits": (".tif", write_tiff, (MONO >> 8).astype(np.uint8)),
    "tiff float": (".tif", write_tiff, FLOATS),
    "tiff colour": (".tiff", write_tiff, COLOUR),
    "tiff colour planes": (
        ".tif",
        lambda path, pixels: write_tiff(path, np.moveaxis(pixels, -1, 0), planarconfig="separate"),
        COLOUR,
    ),
    "tiff lzw": (".tif", lambda path, pixels: write_tiff(path, pixels, compression="lzw"), MONO),
    "tiff deflate predicted": (
        ".tif",
        lambda path, pixels: write_tiff(path, pixels, compression="deflate", predictor=True),
        MONO,
    ),
    "tiff tiles": (".tif", lambda path, pixels: write_tiff(path, pixels, tile=(16, 32)), COLOUR),
    "tiff big-endian": (".tif", lambda path, pixels: write_tiff(path, pixels, byteorder=">"), MONO),
    "png": (".png", write_png, MONO),
    "png colour": (".png", write_png, COLOUR),
    "xisf": (".xisf", write_xisf, MONO),
    "xisf lz4": (".xisf", lambda path, pixels: write_xisf(path, pixels, codec="lz4", shuffle=True), COLOUR),
    "xisf zstd": (".xisf", lambda path, pixels: write_xisf(path, pixels, codec="zstd"), FLOATS),
    "dng": (".dng", write_dng, MONO),
    "dng big-endian": (".dng", lambda path, pixels: write_dng(path, pixels, byteorder=">"), MONO),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_pixel_comes_through_by_every_door(name: str, tmp_path: Path) -> None:
    suffix, write, pixels = WRITERS[name]
    path = write(tmp_path / f"a{suffix}", pixels)
    frame = read_frame(path)
    np.testing.assert_array_equal(frame.pixels, pixels)
    assert frame.pixels.dtype == pixels.dtype
    assert frame.pixels.flags.writeable  # loops are compiled for such arrays, and the picture is theirs
    assert frame.meta == read_meta(path)
    assert (frame.meta.width, frame.meta.height) == (62, 44)
    if pixels.ndim == 2:
        np.testing.assert_array_equal(read_rows(path, slice(3, 9)), pixels[3:9])
    window = open_pixels(path).window(slice(5, 20), slice(7, 30))
    np.testing.assert_array_equal(
        window, pixels[5:20, 7:30] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)[:, 5:20, 7:30]
    )
    with Library.open(tmp_path / "root") as library:
        taken = take_one(library, path)
        assert taken.outcome is Outcome.TAKEN, taken.reason
        assert taken.path is not None
        stored = read_frame(taken.path)
        np.testing.assert_array_equal(stored.pixels, pixels)
        assert stored.meta.bayer_pattern == frame.meta.bayer_pattern
        assert stored.header["SRCNAME"] == path.name
        assert take_one(library, path).outcome is Outcome.HERE


@pytest.mark.parametrize("pattern", ["RGGB", "BGGR", "GBRG", "GRBG", XTRANS])
def test_a_raw_file_tells_what_the_camera_knows(pattern: str, tmp_path: Path) -> None:
    frame = read_frame(write_dng(tmp_path / "a.dng", MONO, pattern, exposure_s=(1, 60)))
    meta = frame.meta
    assert (meta.camera, meta.gain, meta.bayer_pattern, meta.kind) == (
        *("Test 100", 800, pattern),
        FrameKind.LIGHT,
    )
    assert meta.exposure_s == pytest.approx(1 / 60)
    assert meta.date_obs == datetime(2026, 3, 1, 21, 0, tzinfo=UTC)
    assert frame.header["BLACKADU"] == 64  # told, and left in the counts
    assert frame.header["ROWORDER"] == "TOP-DOWN"


def test_a_camera_s_clock_without_a_zone_is_local_time_and_told(tmp_path: Path) -> None:
    path = write_dng(tmp_path / "a.dng", MONO, zone=None)
    local = datetime(2026, 3, 1, 22, 0).astimezone()
    assert read_meta(path).date_obs == local
    with Library.open(tmp_path / "root") as library:
        assert any("local time" in note for note in take_one(library, path).notes)


@pytest.mark.parametrize("flag", [0, 1])
@pytest.mark.parametrize("order", ["<", ">"])
def test_ser_is_read_in_the_order_its_bytes_have_whatever_its_flag_says(
    order: str, flag: int, tmp_path: Path
) -> None:
    y, x = np.mgrid[:40, :60]
    frame = (300 + 3 * x + 2 * y + np.random.default_rng(0).integers(0, 9, (40, 60))).astype(np.uint16)
    path = write_ser(tmp_path / "v.ser", [frame], order=order, flag=flag)
    np.testing.assert_array_equal(read_frame(path).pixels, frame)


def test_each_frame_of_a_ser_is_a_frame(tmp_path: Path) -> None:
    frames = [(MONO >> 8).astype(np.uint8) + np.uint8(n) for n in range(3)]
    start = datetime(2026, 3, 1, 22, tzinfo=UTC)
    times = [start + timedelta(milliseconds=1500 * n) for n in range(3)]
    path = write_ser(tmp_path / "v.ser", frames, colour=9, times=times)
    places = frames_in(path)
    assert [place.name for place in places] == ["v.ser#1", "v.ser#2", "v.ser#3"]
    for place, pixels, when in zip(places, frames, times, strict=True):
        frame = read_frame(place)
        np.testing.assert_array_equal(frame.pixels, pixels)
        assert (frame.meta.date_obs, frame.meta.bayer_pattern, frame.meta.camera, frame.meta.telescope) == (
            *(when, "GRBG", "ZWO ASI462MC", "C8"),
        )
    with pytest.raises(UnreadableImageError, match="holds 3 whole frames"):
        read_frame(tmp_path / "v.ser#4")
    with Library.open(tmp_path / "root") as library:
        from library.importing.take import take_in

        taken = list(take_in(library, [path]))
        assert [each.outcome for each in taken] == [Outcome.TAKEN] * 3
        assert len(library.find()) == 3
        moved = list(take_in(library, [write_ser(tmp_path / "w.ser", [MONO])], how=How.MOVE))
        assert moved[0].outcome is Outcome.REFUSED
        assert "sequence" in str(moved[0].reason)


@pytest.mark.parametrize(("colour", "turned"), [(100, False), (101, True)])
def test_colour_ser(colour: int, turned: bool, tmp_path: Path) -> None:
    stored = COLOUR[..., ::-1] if turned else COLOUR
    frame = read_frame(write_ser(tmp_path / "v.ser", [stored], colour=colour))
    np.testing.assert_array_equal(frame.pixels, COLOUR)
    assert frame.meta.bayer_pattern == "RGB"


def test_a_recording_that_ended_early_gives_its_whole_frames(tmp_path: Path) -> None:
    path = write_ser(tmp_path / "v.ser", [MONO] * 3, announced=0)
    path.write_bytes(path.read_bytes()[:-100])
    assert len(frames_in(path)) == 2


def test_a_ser_of_no_light_s_colours_is_not_taken_for_mono(tmp_path: Path) -> None:
    assert read_meta(write_ser(tmp_path / "v.ser", [MONO], colour=16)).bayer_pattern == "CYYM"


def test_what_is_no_frame_is_told_as_what_it_is(tmp_path: Path) -> None:
    grey = Image.fromarray(np.zeros((40, 40), np.uint8))
    for name, what in (("a.jpg", "a JPEG is a picture"), ("a.png", "8 bits"), ("a.gif", "a GIF")):
        path = tmp_path / name
        grey.save(path)
        path = path.rename(path.with_suffix(".fits"))  # by its content, not by its name
        with pytest.raises(NotAFrameError, match=what) as caught:
            read_frame(path)
        assert str(path) in str(caught.value)
        with Library.open(tmp_path / "root") as library:
            assert take_one(library, path).outcome is Outcome.LEFT


@pytest.mark.parametrize(
    ("write", "what"),
    [
        (lambda path: write_tiff(path, COLOUR.astype(np.uint8), compression="jpeg"), "packed with loss"),
        (lambda path: write_tiff(path, MONO.astype(np.int16)), "int16 is not read"),
        (lambda path: write_tiff(path, np.zeros((9, 9, 5), np.uint16), planarconfig="contig"), "5 samples"),
    ],
)
def test_a_tiff_that_is_no_light_is_refused_with_its_reason(
    write: Callable[[Path], Path], what: str, tmp_path: Path
) -> None:
    with pytest.raises(UnreadableImageError, match=what):
        read_frame(write(tmp_path / "a.tif"))


def _lying(path: Path, data: bytes, at: int, value: bytes) -> Path:
    path.write_bytes(data[:at] + value + data[at + len(value) :])
    return path


def _lies(folder: Path) -> list[Path]:
    """Small files that announce gigabytes."""
    png = write_png(folder / "p.png", MONO).read_bytes()
    ser = write_ser(folder / "v.ser", [MONO]).read_bytes()
    tiff = write_tiff(folder / "t.tif", MONO).read_bytes()
    packed = write_tiff(folder / "d.tif", MONO, compression="deflate").read_bytes()
    dng = write_dng(folder / "d.dng", MONO).read_bytes()
    xisf = write_xisf(folder / "x.xisf", MONO, codec="zlib").read_bytes()
    large, wide = struct.pack("<I", 60_000), struct.pack("<i", 60_000)

    def width_at(data: bytes) -> int:  # the value of ImageWidth's entry
        return data.index(struct.pack("<HH", 256, 4 if struct.pack("<HH", 256, 4) in data else 3)) + 8

    return [
        _lying(folder / "p2.png", png, 16, struct.pack(">II", 60_000, 60_000)),
        _lying(folder / "v2.ser", ser, 26, wide + wide),
        _lying(folder / "t2.tif", tiff, width_at(tiff), large),
        _lying(folder / "d2.tif", packed, width_at(packed), large),
        _lying(folder / "d2.dng", dng, width_at(dng), large),
        _lying(folder / "x2.xisf", xisf, xisf.index(b"62:44:1"), b"60000:60000:1"[: len(b"62:44:1")]),
        _lying(folder / "x3.xisf", xisf.replace(b"62:44:1", b"9999999:9999999:1"), 0, b"XISF0100"),
    ]


def test_a_small_file_that_announces_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    for path in _lies(tmp_path):
        tracemalloc.start()
        try:
            with pytest.raises(LibraryError) as caught:
                read_frame(path)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert str(path) in str(caught.value)
        assert peak < 20_000_000, path


@pytest.mark.parametrize("name", ["tiff", "tiff lzw", "tiff tiles", "png", "xisf", "xisf lz4", "dng", "ser"])
def test_damaged_files_are_errors_that_name_the_file(name: str, tmp_path: Path) -> None:
    """Cut, or bytes turned at random: nothing but a LibraryError comes out, and mostly in the first bytes."""
    suffix, write, pixels = (".ser", lambda p, x: write_ser(p, [x]), MONO) if name == "ser" else WRITERS[name]
    whole = write(tmp_path / f"a{suffix}", pixels).read_bytes()
    rng, told = random.Random(name), 0
    for number in range(60):
        data = bytearray(whole)
        if number % 3 == 0:
            del data[rng.randrange(len(data)) :]
        else:
            for _ in range(rng.choice([1, 3, 9])):
                data[rng.randrange(rng.choice([40, 400, len(data)]))] = rng.choice(
                    [0, 255, rng.randrange(256)]
                )
        path = tmp_path / f"b{number}{suffix}"
        path.write_bytes(data)
        try:
            for place in frames_in(path)[:2]:
                assert read_frame(place).pixels.size
        except LibraryError as error:
            assert path.name in str(error)  # noqa: PT017 - it may as well be read
            told += 1
    assert told >= 15


def test_half_a_file_is_told_to_be_cut_short(tmp_path: Path) -> None:
    for name in ("tiff", "dng", "xisf", "png"):
        suffix, write, pixels = WRITERS[name]
        path = write(tmp_path / f"a{suffix}", pixels)
        path.write_bytes(path.read_bytes()[:-500])
        with pytest.raises(UnreadableImageError, match="cut short"):
            read_meta(path)


STAMP = Stamp(
    frame_id="0123456789abcdef", kind=FrameKind.LIGHT, plan_id="p1", step_id="s1", exposure_s=60.0,
    camera="Canon DSLR", gain=800.0, filter="L", object_name="M 27",
)  # fmt: skip


@pytest.mark.parametrize("name", ["dng", "tiff", "xisf", "png colour"])
def test_a_device_s_image_is_stored_as_it_came_and_its_stamp_beside_it(name: str, tmp_path: Path) -> None:
    suffix, write, pixels = WRITERS[name]
    sent = write(tmp_path / "a.fits", pixels).read_bytes()  # its type is told by its content
    with Library.open(tmp_path / "root") as library:
        record = library.add(sent, STAMP)
        assert record.path.suffix == suffix
        assert record.path.read_bytes() == sent
        assert library.add(sent, STAMP) == record
    with Library.open(tmp_path / "root") as library:
        assert library.verify() == []
        (library.folder / "catalogue.sqlite").rename(tmp_path / "old")
    with Library.open(tmp_path / "root") as library:
        (again,) = library.find()
        assert (again.path, again.sha256, again.meta) == (record.path, record.sha256, record.meta)
        frame = read_frame(again.path)
        np.testing.assert_array_equal(frame.pixels, pixels)
        meta = frame.meta
        assert (meta.frame_id, meta.plan_id, meta.step_id, meta.filter, meta.object_name) == (
            *(STAMP.frame_id, "p1", "s1", "L", "M 27"),
        )
        assert (meta.exposure_s, meta.gain) == (60.0, 800.0)
        (out,) = list(export(tmp_path / "root", [again], tmp_path / "out"))
        assert out.path.name.endswith(".fits")
        np.testing.assert_array_equal(read_frame(out.path).pixels, pixels)
        assert read_frame(out.path).header["OBJECT"] == "M 27"


def test_a_device_s_jpeg_and_half_a_raw_file_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "a.jpg")
    half = write_dng(tmp_path / "a.dng", MONO).read_bytes()[:-900]
    with Library.open(tmp_path / "root") as library:
        with pytest.raises(NotAFrameError, match="Canon DSLR: a JPEG is"):
            library.add((tmp_path / "a.jpg").read_bytes(), STAMP)
        with pytest.raises(UnreadableImageError, match="Canon DSLR: is cut short"):
            library.add(half, STAMP)
        assert not library.find()


def test_the_command_line_takes_all_and_tells_what_it_leaves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_png(folder / "a.png", MONO)
    write_ser(folder / "v.ser", [MONO + 2, MONO + 1])
    write_dng(folder / "c.dng", MONO)
    for name in ("t.jpg", "p.png"):
        Image.fromarray(np.zeros((40, 40), np.uint8)).save(folder / name)
    (folder / "README").write_text("clear")
    root = ["--root", str(tmp_path / "root")]
    assert main(["library", "add", str(folder), "--set", "BAYERPAT=GRBG", *root]) == 0
    out = capsys.readouterr().out
    assert "4 taken" in out
    assert "1 left alone" in out
    assert "a PNG of 8 bits is a picture" in out
    assert "1 JPEG pictures left alone (t.jpg)" in out
    assert "1 other files left alone (README)" in out
    with Library.open(tmp_path / "root") as library:
        patterns = sorted(str(record.meta.bayer_pattern) for record in library.find())
    assert patterns == ["GRBG", "GRBG", "GRBG", "RGGB"]
    assert main(["library", "add", str(folder / "t.jpg"), *root]) == 1
    assert "cannot be calibrated" in capsys.readouterr().out


def test_libraw_does_not_print_a_name_raw(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_dng(tmp_path / "a\x1b[31m.dng", np.full((24, 32), 900, np.uint16))
    data = path.read_bytes()
    rows, more = struct.pack("<HHII", 257, 4, 1, 24), struct.pack("<HHII", 257, 4, 1, 30)
    assert rows in data
    path.write_bytes(
        data.replace(rows, more)
    )  # pixels that the file does not have: LibRaw warns, and names it
    with suppress(LibraryError):
        read_frame(path)
    assert "\x1b" not in capfd.readouterr().err


def test_a_raw_file_whose_name_is_no_text_is_read(tmp_path: Path) -> None:
    pixels = np.full((24, 32), 900, np.uint16)
    path = write_dng(tmp_path / "x.dng", pixels)
    path = path.rename(tmp_path / "caf\udce9.dng")
    assert np.array_equal(read_frame(path).pixels, pixels)
