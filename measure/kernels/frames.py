"""A raw frame as the kernels see it, and how a piece of it is calibrated on the way into the cache."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numerics.compiling import kernel

Plane = NDArray[np.float32]

FLAT_UNIT = np.float32(20_000)
"""A response of one, in a flat's 16 bits."""


NO_PLANE: Plane = np.empty((0, 0), np.float32)
NO_RESPONSE: NDArray[np.uint16] = np.empty((0, 0), np.uint16)
NO_PLACES = np.empty(0, np.int64), np.empty(0, np.float32)
"""What a :class:`Frame` holds for what it does not have."""


class Frame(NamedTuple):
    """A frame (h, w), in ``raw`` or in ``plane``; the other is empty. So loops are compiled once for both.

    ``pedestal`` and ``response`` are of the same shape, or empty for none; a response of 0 leaves a pixel
    without a value. ``shift`` is taken off with the pedestal: so far has the bias level moved since.
    ``places`` (N), flat and sorted, are pixels that ``values`` (N) replace.
    """

    raw: NDArray[np.uint16]
    plane: Plane
    pedestal: Plane
    response: NDArray[np.uint16]
    places: NDArray[np.int64]
    values: Plane
    shift: np.float32

    @property
    def pixels(self) -> NDArray[np.uint16] | Plane:
        """The frame as it came."""
        return self.raw if self.raw.size else self.plane


@kernel()
def shape_of(frame):  # type: ignore[no-untyped-def]
    """Height and width."""
    return frame.raw.shape if frame.raw.size else frame.plane.shape


@kernel()
def plane_of(frame, number):  # type: ignore[no-untyped-def]
    """One of three planes that lie one below the other in a frame, as a frame."""
    rows, columns = shape_of(frame)
    height = rows // 3
    top, bottom = number * height, (number + 1) * height
    first, last = first_at(frame.places, top * columns), first_at(frame.places, bottom * columns)
    return Frame(
        frame.raw[top:bottom],
        frame.plane[top:bottom],
        frame.pedestal[top:bottom],
        frame.response[top:bottom],
        frame.places[first:last] - top * columns,
        frame.values[first:last],
        frame.shift,
    )


@kernel(inline=True)
def gain(response):  # type: ignore[no-untyped-def]
    """What undoes a pixel's response."""
    return FLAT_UNIT / np.float32(response) if response > 0 else np.float32(np.nan)


@kernel(fast=True)
def pixel(raw, plane, y, x):  # type: ignore[no-untyped-def]
    """One pixel as it came, of a frame given by its parts."""
    return np.float32(raw[y, x]) if raw.size else plane[y, x]


@kernel(fast=True)
def calibrated(raw, plane, pedestal, shift, response, y, x):  # type: ignore[no-untyped-def]
    """One pixel of a frame, given by its parts; not mended."""
    value = pixel(raw, plane, y, x)
    if pedestal.size:
        value -= pedestal[y, x] + shift
    if response.size:
        value *= gain(response[y, x])
    return value


@kernel(fast=True)
def calibrate_row(frame, y, left, target):  # type: ignore[no-untyped-def]
    """Fill ``target`` with the calibrated pixels of row ``y`` from column ``left`` on; not mended.

    A sensor's whole numbers with dark and flat, the usual case, in one go; else step by step.
    """
    right = left + len(target)
    if frame.raw.size and frame.pedestal.size and frame.response.size:
        source, level = frame.raw[y, left:right], frame.pedestal[y, left:right]
        response, shift = frame.response[y, left:right], frame.shift
        for p in range(len(target)):
            target[p] = (np.float32(source[p]) - (level[p] + shift)) * gain(response[p])
        return
    if frame.raw.size:
        source = frame.raw[y, left:right]
        for p in range(len(target)):
            target[p] = source[p]
    else:
        plane = frame.plane[y, left:right]
        for p in range(len(target)):
            target[p] = plane[p]
    if frame.pedestal.size:
        level, shift = frame.pedestal[y, left:right], frame.shift
        for p in range(len(target)):
            target[p] -= level[p] + shift
    if frame.response.size:
        response = frame.response[y, left:right]
        for p in range(len(target)):
            target[p] *= gain(response[p])


@kernel(fast=True)
def load(  # type: ignore[no-untyped-def]
    frame, x0, y0, turn, period, scratch
):
    """Fill ``scratch`` with calibrated pixels, whose (p, q) is (x0, y0) + turn · (p, q) of the frame.

    ``turn`` is a signed permutation, so that a frame that lies upside down is read so. Beyond the frame's
    edges the nearest pixel stands that is a multiple of ``period`` away: of a mosaic, one of the same
    colour. Returns whether a pixel is without a value, and the largest.
    """
    raw, plane, pedestal, response = frame.raw, frame.plane, frame.pedestal, frame.response
    height, width = shape_of(frame)
    rows, columns = scratch.shape
    x1 = x0 + turn[0, 0] * (columns - 1) + turn[0, 1] * (rows - 1)
    y1 = y0 + turn[1, 0] * (columns - 1) + turn[1, 1] * (rows - 1)
    left, right, top, bottom = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    upright = turn[0, 0] == 1 and turn[1, 1] == 1
    pixels = scratch if upright else np.empty((bottom - top + 1, right - left + 1), np.float32)
    for q in range(pixels.shape[0]):
        y = _within(top + q, height, period)
        if left >= 0 and right < width:
            calibrate_row(frame, y, left, pixels[q])
        else:
            for p in range(pixels.shape[1]):
                x = _within(left + p, width, period)
                pixels[q, p] = calibrated(raw, plane, pedestal, frame.shift, response, y, x)
    _patch(frame.places, frame.values, width, left, top, right, bottom, pixels)
    total = np.float32(0)
    peaks = pixels[0].copy()
    for q in range(pixels.shape[0]):
        row = pixels[q]
        for p in range(len(peaks)):
            value = row[p]
            peaks[p] = max(peaks[p], value)
            total += value * np.float32(0)  # NaN if any is not a number, or infinite
    if not upright:
        _turned(pixels, x0 - left, y0 - top, turn, scratch)
    largest = peaks[0]
    for p in range(len(peaks)):
        largest = max(largest, peaks[p])
    return total != np.float32(0), largest


@kernel(inline=True)
def _within(place, size, period):  # type: ignore[no-untyped-def]
    """The nearest place of a frame's row or column that is a multiple of ``period`` away."""
    if place < 0:
        return min(place + (period - 1 - place) // period * period, size - 1)
    if place >= size:
        return max(place - (place - size + period) // period * period, 0)
    return place


@kernel()
def _turned(pixels, x0, y0, turn, scratch):  # type: ignore[no-untyped-def]
    """Copy so that (p, q) of ``scratch`` is (x0, y0) + turn · (p, q) of ``pixels``."""
    for q in range(scratch.shape[0]):
        x, y = x0 + turn[0, 1] * q, y0 + turn[1, 1] * q
        for p in range(scratch.shape[1]):
            scratch[q, p] = pixels[y + turn[1, 0] * p, x + turn[0, 0] * p]


@kernel()
def first_at(places, place):  # type: ignore[no-untyped-def]
    """The index of the first of sorted ``places`` that is not before ``place``."""
    low, high = 0, len(places)
    while low < high:
        middle = (low + high) // 2
        if places[middle] < place:
            low = middle + 1
        else:
            high = middle
    return low


@kernel()
def _patch(places, values, width, left, top, right, bottom, pixels):  # type: ignore[no-untyped-def]
    """Put in what defective pixels are replaced by; ``places`` are flat, sorted."""
    for y in range(max(top, 0), bottom + 1):
        first = first_at(places, y * width + max(left, 0))
        for i in range(first, len(places)):
            x = places[i] - y * width
            if x > right or x >= width:
                break
            pixels[y - top, x - left] = values[i]


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
