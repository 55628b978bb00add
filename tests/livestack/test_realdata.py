"""Real frames: what other programs need tuning for must simply work."""

from __future__ import annotations

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
