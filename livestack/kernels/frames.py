"""A raw frame as the kernels see it, and how a piece of it is calibrated on the way into the cache."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from library.kernels.compiling import kernel

Plane = NDArray[np.float32]


class Frame(NamedTuple):
    """``raw`` (h, w) of uint16 or float32; ``pedestal`` and ``inverse_flat`` the same, or empty for none.

    ``places`` (N), flat and sorted, are pixels that ``values`` (N) replace.
    """

    raw: NDArray[np.uint16] | Plane
    pedestal: Plane
    inverse_flat: Plane
    places: NDArray[np.int64]
    values: Plane


@kernel(inline=True)
def calibrated(frame, y, x):  # type: ignore[no-untyped-def]
    """One pixel; not mended."""
    value = np.float32(frame.raw[y, x])
    if frame.pedestal.shape == frame.raw.shape:
        value -= frame.pedestal[y, x]
    if frame.inverse_flat.shape == frame.raw.shape:
        value *= frame.inverse_flat[y, x]
    return value


@kernel(fast=True)
def load(  # type: ignore[no-untyped-def]
    frame, x0, y0, turn, scratch
):
    """Fill ``scratch`` with calibrated pixels, whose (p, q) is (x0, y0) + turn · (p, q) of the frame.

    ``turn`` is a signed permutation, so that a frame that lies upside down is read so. Beyond the frame's
    edges the nearest pixel stands. Returns whether a pixel is without a value, and the largest.
    """
    raw, pedestal, inverse_flat = frame.raw, frame.pedestal, frame.inverse_flat
    height, width = raw.shape
    rows, columns = scratch.shape
    x1 = x0 + turn[0, 0] * (columns - 1) + turn[0, 1] * (rows - 1)
    y1 = y0 + turn[1, 0] * (columns - 1) + turn[1, 1] * (rows - 1)
    left, right, top, bottom = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    has_pedestal, has_flat = pedestal.shape == raw.shape, inverse_flat.shape == raw.shape
    inside = left >= 0 and top >= 0 and right < width and bottom < height
    if inside and turn[0, 0] == 1 and turn[1, 1] == 1:
        for q in range(rows):
            target, y = scratch[q], y0 + q
            source = raw[y, x0 : x0 + columns]
            for p in range(columns):
                target[p] = source[p]
            if has_pedestal:
                level = pedestal[y, x0 : x0 + columns]
                for p in range(columns):
                    target[p] -= level[p]
            if has_flat:
                factor = inverse_flat[y, x0 : x0 + columns]
                for p in range(columns):
                    target[p] *= factor[p]
    else:
        for q in range(rows):
            for p in range(columns):
                x = min(max(x0 + turn[0, 0] * p + turn[0, 1] * q, 0), width - 1)
                y = min(max(y0 + turn[1, 0] * p + turn[1, 1] * q, 0), height - 1)
                scratch[q, p] = calibrated(frame, y, x)
    _patch(frame.places, frame.values, width, x0, y0, turn, left, right, top, bottom, scratch)
    largest, total = np.float32(-np.inf), np.float32(0)
    for q in range(rows):
        for p in range(columns):
            value = scratch[q, p]
            largest = max(largest, value)
            total += value * np.float32(0)  # NaN if any is not a number, or infinite
    return total != np.float32(0), largest


@kernel()
def _patch(  # type: ignore[no-untyped-def]
    places, values, width, x0, y0, turn, left, right, top, bottom, scratch
):
    """Put in what defective pixels are replaced by; ``places`` are flat, sorted."""
    for y in range(max(top, 0), bottom + 1):
        first = np.searchsorted(places, y * width + max(left, 0))
        for i in range(first, len(places)):
            x = places[i] - y * width
            if x > right or x >= width:
                break
            dx, dy = x - x0, y - y0
            p, q = turn[0, 0] * dx + turn[1, 0] * dy, turn[0, 1] * dx + turn[1, 1] * dy
            scratch[q, p] = values[i]


@kernel()
def fill_holes(scratch: Plane, present: Plane) -> None:
    """Tell which pixels have a value (1 or 0 in ``present``), and give the others the mean of these."""
    total, count = 0.0, 0
    for q in range(scratch.shape[0]):
        for p in range(scratch.shape[1]):
            value = scratch[q, p]
            there = value - value == 0
            present[q, p] = there
            if there:
                total += value
                count += 1
    mean = np.float32(total / max(count, 1))
    for q in range(scratch.shape[0]):
        for p in range(scratch.shape[1]):
            if present[q, p] == 0:
                scratch[q, p] = mean
