"""What is left of satellites and cosmic rays: errors of hit pixels by method and number of subs.

The subs are those of the table that the live method was chosen by: 600 × 600, sigma 32, a satellite's trail
of three rows in 40 % of them, 200 cosmic rays in each; and stars whose width varies by 8 % from sub to sub.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from livestack.kernels.keys import Coding
from livestack.planes import Planes
from livestack.restack import exact
from livestack.restack_methods import METHODS, stacking_method
from tests.livestack.dithered import shot
from tests.livestack.restacking import Kept, kept
from tests.livestack.sky import draw_stars, spoil

SHAPE, LEVEL, SIGMA = (600, 600), 1000.0, 32.0
FWHM_PX, SCATTER = 3.0, 0.08

Frame = NDArray[np.float64]


def starlight(fwhm_px: float) -> Frame:
    """Sixty stars, the same at every call but for their width."""
    rng = np.random.default_rng(1)
    frame = np.zeros(SHAPE)
    draw_stars(frame, rng.uniform(30, 570, (60, 2)), 10 ** rng.uniform(3.7, 5.5, 60), fwhm_px)
    return frame


def night(n: int) -> tuple[list[Kept], Frame, NDArray[np.bool_]]:
    """Subs (N), what they would be without hits (N, H, W), and what was hit."""
    rng = np.random.default_rng(n)
    clean = np.empty((n, *SHAPE))
    subs, hits = [], np.empty((n, *SHAPE), np.bool_)
    for number in range(n):
        light = starlight(FWHM_PX * (1 + SCATTER * rng.standard_normal()))
        clean[number] = LEVEL + light + rng.standard_normal(SHAPE) * np.sqrt(SIGMA**2 + light)
        frame = clean[number].copy()
        spoil(frame, rng, trail=rng.random() < 0.4, cosmic_rays=200)
        hits[number] = frame != clean[number]
        subs.append(kept(shot(frame, noise_adu=SIGMA)))
    return subs, clean, hits


def main() -> None:
    """Print errors over the ideal's, the noise beside the hits, and what stars lose."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subs", default="3,5,10,30,100")
    parser.add_argument("--methods", default=",".join(("live", *METHODS)))
    arguments = parser.parse_args()
    light = starlight(FWHM_PX)
    for n in map(int, arguments.subs.split(",")):
        subs, clean, hits = night(n)
        mean, hit = clean.mean(axis=0), hits.any(axis=0)
        sky, star = light < 5, (light > 200) & ~hit
        with np.errstate(invalid="ignore"):
            ideal = (clean * ~hits).sum(axis=0) / (~hits).sum(axis=0)
        best = float(np.sqrt(np.nanmean((ideal[hit & sky] - LEVEL) ** 2)))
        plain = float(np.sqrt(np.mean((np.mean([s.raw for s in subs], axis=0)[hit & sky] - LEVEL) ** 2)))
        print(f"{n} subs: ideal {best:.2f}, plain mean {plain:.2f}")
        for method in arguments.methods.split(","):
            if method == "live":
                planes = Planes(SHAPE, 1, Coding.over([LEVEL], 65_535))
                for sub in subs:
                    planes.add(sub.light())
                picture = planes.picture().pixels
            else:
                picture = exact(subs, SHAPE, 1, [LEVEL], stacking_method(method)).pixels
            error = float(np.sqrt(np.mean((picture[hit & sky] - LEVEL) ** 2)))
            noise = picture[sky & ~hit].std() / mean[sky & ~hit].std()
            flux = (picture - LEVEL)[star].sum() / (mean - LEVEL)[star].sum()
            print(
                f"  {method:12} hits {error:7.2f} ({error / best:5.2f} × ideal), "
                f"noise × {noise:.3f}, stars × {flux:.4f}"
            )


if __name__ == "__main__":
    main()
