"""Drizzle of real, drifting nights: sharper than the stack, on the same level, and without holes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from library.reading import read_frame
from livestack.drizzle import Reference, drizzle
from livestack.drizzled import filled
from livestack.engine import LiveStack, Sub
from livestack.masters import Masters
from livestack.placing import Placed
from livestack.survey import counts, framed
from measure.kernels.frames import Frame
from measure.stars import typical_fwhm_px
from tests.support.sep_stars import detect

pytestmark = pytest.mark.realdata


@dataclass(frozen=True)
class _Stored:
    path: Path
    placed: Placed

    def frame(self) -> Frame:
        return framed(counts(read_frame(self.path).pixels), Masters(), self.placed.patches)


def night(folder: Path) -> tuple[LiveStack, list[_Stored]]:
    stack, found = LiveStack(), []
    for path in sorted(folder.iterdir()):
        frame = read_frame(path)
        outcome = stack.process(Sub(frame_id=path.name, pixels=frame.pixels, meta=frame.meta))
        if outcome.placed is not None:
            found.append(_Stored(path, outcome.placed))
    return stack, found


def test_twenty_frames_of_hat_p_32_get_sharper_with_the_scale(realdata: Path) -> None:
    stack, subs = night(realdata / "mono_hatp32")
    image = stack.snapshot(stack.filters[0])
    assert len(subs) == 20
    widths = []
    for scale, pixfrac in ((1, 1.0), (2, 0.7)):
        done = drizzle(subs, image.pixels.shape, scale=scale, pixfrac=pixfrac, reference=Reference.of(image))
        assert done.holes[0] < 1e-4
        assert 1e-4 < done.rejected_fraction < 0.02
        assert np.nanmedian(done.pixels) == pytest.approx(image.background_adu, abs=image.noise_adu)
        pixels = np.where(done.coverage > 0, done.pixels, np.float32(image.background_adu))
        widths.append(typical_fwhm_px(detect(pixels)) / scale)
    assert widths[1] < 0.95 * widths[0]


def test_six_subs_of_m27_straight_from_their_mosaics(realdata: Path) -> None:
    stack, subs = night(realdata / "osc_m27_asi224mc")
    image = stack.snapshot(stack.filters[0])
    done = drizzle(subs, image.pixels.shape[:2], scale=1, pixfrac=1, reference=Reference.of(image))
    assert max(done.holes) < 0.02
    assert done.rejected_fraction < 0.01
    inside = (slice(60, -60), slice(60, -60))
    whole = filled(done)[inside]
    assert np.isfinite(whole).all()
    levels, wanted = np.median(whole, axis=(0, 1)), np.median(image.pixels[inside], axis=(0, 1))
    np.testing.assert_allclose(levels, wanted, rtol=0.01)
