"""The first look at a raw frame: small enough to find stars in, its lone hot and dead pixels known."""

from __future__ import annotations

import numpy as np

from library.kernels.compiling import kernel
from livestack.kernels.frames import calibrated

BAND_ROWS = 48
PATCHES_PER_BAND = 0.05
"""More lone pixels than this share of a band are no defects: the frame is not what we think."""

_SIGMA = np.float32(6.0)
_NEIGHBOURS = np.float32(0.12)
_BRIGHTEST_NEIGHBOUR = np.float32(0.5)
_LEAST_NEIGHBOURS = 5
_LEAST_SOURCES = 4
_MAPPED_NEIGHBOURS = np.float32(0.03)


@kernel(fast=True)
def survey(  # type: ignore[no-untyped-def]
    first, last, frame, is_mapped, noise, colours, binning, small, places, values, found
):
    """Calibrate some bands of a frame (h, w), bin it, and list what lone pixels are to be replaced by.

    The frame's places are those of the pixels that a defect map names; with a map (``is_mapped``) the search
    for lone ones spares whatever might be a star: a bright pixel's neighbours must hold less than 3 % of it
    on average, their noise considered (a Gaussian star of FWHM 1 px that is centred on its pixel has 6 %
    there). ``small`` (channels, h // binning, w // binning) receives means. ``colours`` (2, 2) gives the
    channels of a mosaic's cell, -1 for mono. A pixel is lone if it is 6 ``noise`` from the median of the
    eight of its colour around it and its direct neighbours are not; a star spreads over them, whatever their
    colour. ``places`` and ``values`` (bands, n) receive flat places and replacements, ``found`` (bands) their
    number, -1 if there were too many. Pixels without data among enough that have some are listed, too.
    ``noise`` 0 looks for these alone, below 0 for none.
    """
    raw, pedestal, inverse_flat = frame.raw, frame.pedestal, frame.inverse_flat
    mapped, mapped_values = frame.places, frame.values
    height, width = raw.shape
    has_pedestal, has_flat = pedestal.shape == raw.shape, inverse_flat.shape == raw.shape
    mosaic = colours[0, 0] >= 0
    step = 2 if mosaic else 1
    channels = small.shape[0]
    margin = step + 1
    for band in range(first, last):
        top, bottom = band * BAND_ROWS, min((band + 1) * BAND_ROWS, height)
        before, after = max(top - margin, 0), min(bottom + margin, height)
        pixels = np.empty((after - before, width), np.float32)
        for y in range(before, after):
            row = pixels[y - before]
            source = raw[y]
            for x in range(width):
                row[x] = source[x]
            if has_pedestal:
                level = pedestal[y]
                for x in range(width):
                    row[x] -= level[x]
            if has_flat:
                factor = inverse_flat[y]
                for x in range(width):
                    row[x] *= factor[x]
        at = np.searchsorted(mapped, before * width)
        while at < len(mapped) and mapped[at] < after * width:
            pixels[mapped[at] // width - before, mapped[at] % width] = mapped_values[at]
            at += 1
        count = 0
        if noise >= 0:
            threshold = _SIGMA * noise
            sieve = np.float32(0.5) * threshold
            around = np.empty(8, np.float32)
            for y in range(top, bottom):
                q = y - before
                row, up, down = (
                    pixels[q],
                    pixels[abs(y - step) - before],
                    pixels[_mirrored(y + step, height) - before],
                )
                for x in range(width):
                    value = row[x]
                    if value - value != 0:
                        like, known = _like(pixels, q, x, step, around)
                        if known >= _LEAST_NEIGHBOURS:
                            if count < places.shape[1]:
                                places[band, count] = y * width + x
                                values[band, count] = like
                            count += 1
                        continue
                    if noise == 0:
                        continue
                    left, right = row[abs(x - step)], row[_mirrored(x + step, width)]
                    high, low = (
                        max(max(left, right), max(up[x], down[x])),
                        min(min(left, right), min(up[x], down[x])),
                    )
                    if value - high < sieve and low - value < sieve:
                        continue  # the median of the eight is no further away than about this
                    like, known = _like(pixels, q, x, step, around)
                    excess = value - like
                    if known < _LEAST_NEIGHBOURS or abs(excess) <= threshold:
                        continue
                    sign = np.float32(1) if excess > 0 else np.float32(-1)
                    size = abs(excess)
                    total, brightest = np.float32(0), np.float32(-np.inf)
                    for k in range(4):
                        j = _mirrored(abs(y + (k == 0) - (k == 1)), height) - before
                        i = _mirrored(abs(x + (k == 2) - (k == 3)), width)
                        other = sign * (pixels[j, i] - _like(pixels, j, i, step, around)[0])
                        total += other
                        brightest = max(brightest, other)
                    around_it = np.float32(0.25) * total
                    if is_mapped and excess > 0 and around_it + noise >= _MAPPED_NEIGHBOURS * size:
                        continue
                    if around_it < _NEIGHBOURS * size and brightest < _BRIGHTEST_NEIGHBOUR * size:
                        if count < places.shape[1]:
                            places[band, count] = y * width + x
                            values[band, count] = like
                        count += 1
        if count > places.shape[1]:
            count = -1
        found[band] = count
        for i in range(max(count, 0)):
            place = places[band, i]
            pixels[place // width - before, place % width] = values[band, i]
        totals, known = np.empty(channels, np.float32), np.empty(channels, np.float32)
        for v in range(top // binning, min(bottom // binning, small.shape[1])):
            for u in range(small.shape[2]):
                totals[:] = 0
                known[:] = 0
                for j in range(binning):
                    y = v * binning + j
                    for i in range(binning):
                        x = u * binning + i
                        value = pixels[y - before, x]
                        channel = colours[y & 1, x & 1] if mosaic else 0
                        if value - value == 0:
                            totals[channel] += value
                            known[channel] += 1
                for channel in range(channels):
                    small[channel, v, u] = totals[channel] / known[channel] if known[channel] > 0 else np.nan


@kernel(fast=True, inline=True)
def _like(pixels, q, x, step, around):  # type: ignore[no-untyped-def]
    """Median of the 3×3 pixels of one colour but for the middle one, and how many of them are known."""
    n = 0
    for j in (-step, 0, step):
        for i in (-step, 0, step):
            if i == 0 and j == 0:
                continue
            value = pixels[min(max(q + j, 0), pixels.shape[0] - 1), min(max(x + i, 0), pixels.shape[1] - 1)]
            if value - value == 0:
                at = n
                while at > 0 and around[at - 1] > value:
                    around[at] = around[at - 1]
                    at -= 1
                around[at] = value
                n += 1
    if n == 0:
        return np.float32(np.nan), 0
    return np.float32(0.5) * (around[(n - 1) // 2] + around[n // 2]), n


@kernel(inline=True)
def _mirrored(place, length):  # type: ignore[no-untyped-def]
    """A place beyond the end, as far within it."""
    return place if place < length else 2 * length - 2 - place


@kernel()
def mend(first, last, frame, sources, weights, values):  # type: ignore[no-untyped-def]
    """Fill ``values`` (N) for some mapped pixels: the weighted sums of calibrated pixels at ``sources`` (N,
    12).

    Where a source has no data, the median of those that have takes the sum's place, if there are four.
    """
    width = frame.raw.shape[1]
    known = np.empty(sources.shape[1], np.float32)
    for i in range(first, last):
        total, n, torn = np.float32(0), 0, False
        for k in range(sources.shape[1]):
            if weights[i, k] == 0:
                continue
            value = calibrated(frame, sources[i, k] // width, sources[i, k] % width)
            if value - value == 0:
                known[n] = value
                n += 1
                total += weights[i, k] * value
            else:
                torn = True
        if torn:
            total = np.median(known[:n]) if n >= _LEAST_SOURCES else np.float32(np.nan)
        values[i] = total
