"""The newest frame as a picture: which frames are painted, and what a picture shows."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firstlight.events import Event, FrameShown
from firstlight.frame_preview import MAX_SIDE_PX, NAME, FramePreviews, paint_frame
from library.frames import FrameKind, FrameRecord
from library.store import Library
from tests.library.frames import fits_bytes, stamp


def frames(library: Library, kinds: str) -> list[FrameRecord]:
    """A frame of each kind, by its first letter."""
    named = {"b": FrameKind.BIAS, "d": FrameKind.DARK, "l": FrameKind.LIGHT}
    return [
        library.add(fits_bytes(), stamp(f"{number:032x}", kind=named[kind]))
        for number, kind in enumerate(kinds)
    ]


@pytest.mark.parametrize(
    ("kinds", "painted"),
    [("bbddd", "bdd"), ("bl", "bl"), ("dll", "dl"), ("lll", "l"), ("ld", "l")],
)
def test_one_in_a_while_and_of_the_lights_the_first(tmp_path: Path, kinds: str, painted: str) -> None:
    told: list[Event] = []
    now_s = [0.0]

    async def night() -> None:
        previews = FramePreviews(tmp_path, told.append, every_s=2.0, now=lambda: now_s[0])
        with Library.open(tmp_path) as library:
            for record in frames(library, kinds):
                previews.take(record)
                await previews.close()
                now_s[0] += 1.0

    asyncio.run(night())
    assert "".join(each.kind[0] for each in told if isinstance(each, FrameShown)) == painted
    assert (tmp_path / NAME).is_file()


def test_a_frame_that_is_gone_is_passed_over(tmp_path: Path) -> None:
    told: list[Event] = []

    async def night() -> None:
        previews = FramePreviews(tmp_path, told.append)
        with Library.open(tmp_path) as library:
            [record] = frames(library, "d")
            record.path.unlink()
            previews.take(record)
            await previews.close()

    asyncio.run(night())
    assert told == []


@pytest.mark.parametrize("shape", [(60, 90), (2100, 1400)])
def test_a_picture_fits_and_shows_what_is_bright(tmp_path: Path, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).normal(500, 5, shape).astype(np.uint16)
    pixels[: shape[0] // 2, : shape[1] // 2] += 2000
    source = tmp_path / "f.fits"
    source.write_bytes(fits_bytes(pixels))
    size = paint_frame(source, tmp_path / "f.png")
    with Image.open(tmp_path / "f.png") as image:
        assert image.size == size
        assert max(size) <= MAX_SIDE_PX
        shown = np.asarray(image).astype(float)
    rows, columns = shown.shape[:2]
    quarter = shown[: rows // 2 - 1, : columns // 2 - 1].mean()
    assert quarter > 1.5 * shown[rows // 2 + 1 :, columns // 2 + 1 :].mean()
