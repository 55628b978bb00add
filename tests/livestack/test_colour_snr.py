"""Colour stacks of real subs show as much as Siril's of the same subs: by the ruler of the benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.colour_ruler import measured, ratios
from benchmarks.colour_snr import ours, siril


@pytest.mark.slow
@pytest.mark.siril
@pytest.mark.realdata
def test_signal_to_noise_is_sirils_or_better(realdata: Path) -> None:
    """Faint stars and surface brightness of M27, by channel, in luminance, in the best combination.

    Siril demosaics by RCD, its default. Ours of the same kind and our usual one are held against it.
    """
    lights = sorted((realdata / "osc_m27_asi224mc").iterdir())
    stacks = {"siril": siril(lights), "rcd": ours(lights, "rcd"), "usual": ours(lights)}
    done = measured(stacks)
    for mine in ("rcd", "usual"):
        for kind in ("stars", "surface"):
            for part, ratio, sigma in ratios(getattr(done[mine], kind), getattr(done["siril"], kind)):
                assert ratio + 2 * sigma > 1, (mine, kind, part, ratio, sigma)
