"""``gsc``: answers Debian's CCD simulator, which asks a command of this name for stars.

``gsc -c RA DEC -r ARCMIN -m LO HI -n N`` (degrees), one line a star in the form that INDI's
``ccd_simulator.cpp`` scans: ``%10s %f %f %f %f %f %d %d %4s %2s %f %d``.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from simulators.catalogue import stars_in_cone


def main(argv: list[str] | None = None) -> int:
    """Print the brightest N stars of the circle, brightest first."""
    parser = argparse.ArgumentParser(prog="gsc", description=__doc__)
    parser.add_argument("-c", nargs=2, type=float, required=True, metavar=("RA", "DEC"), help="degrees")
    parser.add_argument("-r", type=float, default=10.0, metavar="ARCMIN", help="radius")
    parser.add_argument("-m", nargs=2, type=float, default=(0.0, 15.0), metavar=("LO", "HI"))
    parser.add_argument("-n", type=int, default=3000, metavar="N", help="at most so many stars")
    parser.add_argument("--seed", type=int, default=1, help="of the stars fainter than G = 10")
    args = parser.parse_args(argv)
    sys.stdout.writelines(star_lines(args.c[0], args.c[1], args.r, tuple(args.m), args.n, args.seed))
    return 0


def star_lines(
    ra_deg: float,
    dec_deg: float,
    radius_arcmin: float,
    mags: tuple[float, float],
    count: int,
    seed: int,
) -> list[str]:
    """The answer's lines, brightest first."""
    stars = stars_in_cone(
        ra_deg % 360.0,
        dec_deg,
        radius_arcmin / 60.0,
        seed=seed,
        limit_mag=mags[1],
    )
    stars = stars.take(stars.g_mag >= mags[0])
    stars = stars.take(np.argsort(stars.g_mag)[:count])
    d_ra = np.radians(stars.ra_deg - ra_deg)
    dec, dec0 = np.radians(stars.dec_deg), np.radians(dec_deg)
    east = np.cos(dec) * np.sin(d_ra)
    north = np.sin(dec) * np.cos(dec0) - np.cos(dec) * np.sin(dec0) * np.cos(d_ra)
    distance_arcmin = np.degrees(np.arcsin(np.clip(np.hypot(east, north), 0.0, 1.0))) * 60.0
    direction_deg = np.degrees(np.arctan2(east, north)) % 360.0
    return [
        f"F{index:09d} {ra:10.6f} {dec:+10.6f} 0.2 {mag:5.2f} 0.05 0 0 GAIA  F {distance:7.3f} {angle:3.0f}\n"
        for index, (ra, dec, mag, distance, angle) in enumerate(
            zip(stars.ra_deg, stars.dec_deg, stars.g_mag, distance_arcmin, direction_deg, strict=True)
        )
    ]


if __name__ == "__main__":
    sys.exit(main())
