"""What ``gsc`` does but once for a part of the sky, and needs the whole program for."""

from __future__ import annotations

import argparse

import numpy as np

from simulators.catalogue import FAINT_LIMIT_MAG, stars_in_cone
from simulators.gsc import TILE_DEG, Question, tile_columns


def parse(words: list[str]) -> Question:
    """Read the command line; ends the program on ``--help`` and on a mistake."""
    parser = argparse.ArgumentParser(prog="gsc", description="Stars for INDI's CCD simulator, one a line.")
    parser.add_argument("-c", nargs=2, type=float, required=True, metavar=("RA", "DEC"), help="degrees")
    parser.add_argument("-r", type=float, default=10.0, metavar="ARCMIN", help="radius")
    parser.add_argument("-m", nargs=2, type=float, default=(0.0, 15.0), metavar=("LO", "HI"))
    parser.add_argument("-n", type=int, default=3000, metavar="N", help="at most so many stars")
    parser.add_argument("--seed", type=int, default=1, help="of the faint stars")
    args = parser.parse_args(words)
    (ra, dec), (low, high) = args.c, args.m
    return Question(ra, dec, args.r / 60, low, high, args.n, args.seed)


def make_tile(band: int, column: int, seed: int) -> bytes:
    """The tile's stars as float64: magnitude, right ascension and declination (degrees), by magnitude."""
    width_deg = 360.0 / tile_columns(band)
    west, south = column * width_deg, band * TILE_DEG - 90.0
    ra, dec = west + width_deg / 2, south + TILE_DEG / 2
    if abs(dec) > 88:  # a circle about the pole holds the whole band
        dec, radius_deg = np.copysign(90.0, dec), 90.0 - abs(dec) + TILE_DEG
    else:
        wide = width_deg * np.cos(np.radians(min(abs(south), abs(south + TILE_DEG))))
        radius_deg = np.hypot(wide, TILE_DEG) / 2 * 1.02
    stars = stars_in_cone(ra, float(dec), float(radius_deg), seed=seed, limit_mag=FAINT_LIMIT_MAG)
    inside = (stars.ra_deg >= west) & (stars.ra_deg < west + width_deg)
    stars = stars.take(inside & (stars.dec_deg >= south) & (stars.dec_deg < south + TILE_DEG))
    table = np.stack([stars.g_mag, stars.ra_deg, stars.dec_deg], axis=1)
    return table[np.argsort(stars.g_mag)].astype(np.float64).tobytes()
