"""Real frames: what other programs need tuning for must simply work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from library.reading import read_frame
from livestack.engine import LiveStack, Sub
from livestack.events import SubAccepted, SubRejected

pytestmark = pytest.mark.realdata


def stack_folder(folder: Path) -> tuple[LiveStack, list[SubAccepted | SubRejected]]:
    stack = LiveStack()
    events = []
    for path in sorted(folder.iterdir()):
        frame = read_frame(path)
        events.append(stack.add(Sub(frame_id=path.name, pixels=frame.pixels, meta=frame.meta)))
    return stack, events


def test_six_of_six_of_m27(realdata: Path) -> None:
    stack, events = stack_folder(realdata / "osc_m27_asi224mc")
    assert all(isinstance(event, SubAccepted) for event in events), events
    image = stack.snapshot("Luminance")
    assert image.subs == 6
    assert image.snr_gain > 0.9 * np.sqrt(6)
    assert image.fwhm_px < 1.03 * np.median([e.fwhm_px for e in events if isinstance(e, SubAccepted)])


def test_a_year_and_a_turned_field_do_not_matter(realdata: Path) -> None:
    _, events = stack_folder(realdata / "osc_ngc7023_seestar")
    last = events[-1]
    assert isinstance(last, SubAccepted), last
    assert last.rotation_deg == pytest.approx(-121.5, abs=0.1)
    assert last.n_matches > 50


def test_a_night_that_drifts_by_half_the_frame(realdata: Path) -> None:
    stack, events = stack_folder(realdata / "mono_hatp32")
    assert [type(event) for event in events] == [SubAccepted] * 20
    shifts = [event.shift_px for event in events if isinstance(event, SubAccepted)]
    assert shifts[-1] > 190
    assert stack.snapshot("Clear").subs == 20


@pytest.mark.slow
def test_frames_binned_by_two_join_those_that_are_not(realdata: Path) -> None:
    stack, alone = LiveStack(), LiveStack()
    for i, path in enumerate(sorted((realdata / "mono_hatp32").iterdir())):
        frame = read_frame(path)
        alone.add(Sub(frame_id=path.name, pixels=frame.pixels, meta=frame.meta))
        pixels, meta = frame.pixels.astype(np.float32), frame.meta
        if i % 2:
            height, width = (n // 2 for n in pixels.shape)
            pixels = pixels[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean(axis=(1, 3))
            meta = replace(meta, binning=(2, 2))
        event = stack.add(Sub(frame_id=path.name, pixels=pixels, meta=meta))
        assert isinstance(event, SubAccepted), event
    mixed, plain = stack.snapshot("Clear"), alone.snapshot("Clear")
    assert mixed.noise_adu < 1.05 * plain.noise_adu
    assert mixed.fwhm_px < 1.2 * plain.fwhm_px
    assert mixed.background_adu == pytest.approx(plain.background_adu, abs=0.5)
