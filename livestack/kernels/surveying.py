"""The first look at a raw frame: small enough to find stars in, its lone hot and dead pixels known."""

from __future__ import annotations

import numpy as np

from measure.kernels.frames import calibrate_row, calibrated, first_at, shape_of
from numerics.compiling import kernel

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
    mapped, mapped_values = frame.places, frame.values
    height, width = shape_of(frame)
    step = 2 if colours[0, 0] >= 0 else 1
    margin = step + 1
    for band in range(first, last):
        top, bottom = band * BAND_ROWS, min((band + 1) * BAND_ROWS, height)
        before, after = max(top - margin, 0), min(bottom + margin, height)
        pixels = np.empty((after - before, width), np.float32)
        for y in range(before, after):
            calibrate_row(frame, y, 0, pixels[y - before])
        at = first_at(mapped, before * width)
        while at < len(mapped) and mapped[at] < after * width:
            pixels[mapped[at] // width - before, mapped[at] % width] = mapped_values[at]
            at += 1
        count = 0
        if noise >= 0:
            suspect = np.empty(width, np.bool_)
            around = np.empty(8, np.float32)
            for y in range(top, bottom):
                up, down = pixels[abs(y - step) - before], pixels[_mirrored(y + step, height) - before]
                # The median of the eight around is no further away than about this.
                _suspect(pixels[y - before], up, down, step, np.float32(0.5) * _SIGMA * noise, suspect)
                for x in range(width):
                    if not suspect[x]:
                        continue
                    lone, like = _lone(pixels, y, x, before, height, step, is_mapped, noise, around)
                    if lone:
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
        for v in range(top // binning, min(bottom // binning, small.shape[1])):
            y = v * binning
            _bin(pixels[y - before : y - before + binning], y, colours, small[:, v])


@kernel(fast=True)
def _suspect(row, up, down, step, sieve, suspect) -> None:  # type: ignore[no-untyped-def]
    """Tell which pixels are beyond all four neighbours by ``sieve``, or without a value; the ends always."""
    inner = len(row) - 2 * step
    here, left, right = row[step : step + inner], row[:inner], row[2 * step :]
    above, below, told = up[step : step + inner], down[step : step + inner], suspect[step : step + inner]
    for x in range(len(here)):
        value = here[x]
        high = max(max(left[x], right[x]), max(above[x], below[x]))
        low = min(min(left[x], right[x]), min(above[x], below[x]))
        told[x] = (value - high >= sieve) | (low - value >= sieve) | (value - value != 0)
    for x in range(step):
        suspect[x] = suspect[len(row) - 1 - x] = True


@kernel(fast=True)
def _lone(  # type: ignore[no-untyped-def]
    pixels, y, x, before, height, step, is_mapped, noise, around
):
    """Whether a pixel is to be replaced, and by what; ``pixels`` begins with row ``before`` of the frame."""
    q, width = y - before, pixels.shape[1]
    value = pixels[q, x]
    like, known = _like(pixels, q, x, step, around)
    if known < _LEAST_NEIGHBOURS:
        return False, like
    if value - value != 0:
        return True, like
    excess = value - like
    size = abs(excess)
    if noise == 0 or size <= _SIGMA * noise:
        return False, like
    sign = np.float32(1) if excess > 0 else np.float32(-1)
    total, brightest = np.float32(0), np.float32(-np.inf)
    for k in range(4):
        j = _mirrored(abs(y + (k == 0) - (k == 1)), height) - before
        i = _mirrored(abs(x + (k == 2) - (k == 3)), width)
        other = sign * (pixels[j, i] - _like(pixels, j, i, step, around)[0])
        total += other
        brightest = max(brightest, other)
    around_it = np.float32(0.25) * total
    if is_mapped and excess > 0 and around_it + noise >= _MAPPED_NEIGHBOURS * size:
        return False, like
    return around_it < _NEIGHBOURS * size and brightest < _BRIGHTEST_NEIGHBOUR * size, like


@kernel(fast=True)
def _bin(rows, y, colours, small) -> None:  # type: ignore[no-untyped-def]
    """Means of the ``binning`` rows from ``y`` on, into one row of ``small`` (channels, w)."""
    binning, width = rows.shape
    channels, across = small.shape
    mosaic = channels > 1
    sums, check = np.zeros((2, width), np.float32), np.float32(0)
    for j in range(binning):
        row, target = rows[j], sums[(y + j) & 1 if mosaic else 0]
        for x in range(len(row)):
            target[x] += row[x]
            check += row[x] * np.float32(0)
    if check != 0:
        _bin_known(rows, y, colours, small)
        return
    if not mosaic:
        line, share = sums[0], np.float32(1) / np.float32(binning * binning)
        for u in range(across):
            total = np.float32(0)
            for i in range(binning):
                total += line[u * binning + i]
            small[0, u] = total * share
        return
    shares = np.zeros(channels, np.float32)
    for j in range(2):
        for i in range(2):
            shares[colours[j, i]] += np.float32(binning * binning) / np.float32(4)
    for u in range(across):
        for channel in range(channels):
            small[channel, u] = 0
        for i in range(binning):
            x = u * binning + i
            small[colours[0, x & 1], u] += sums[0, x]
            small[colours[1, x & 1], u] += sums[1, x]
        for channel in range(channels):
            small[channel, u] /= shares[channel]


@kernel(fast=True)
def _bin_known(rows, y, colours, small) -> None:  # type: ignore[no-untyped-def]
    """Like :func:`_bin`, where there are pixels without a value."""
    binning = rows.shape[0]
    channels, across = small.shape
    totals, known = np.empty(channels, np.float32), np.empty(channels, np.float32)
    for u in range(across):
        for channel in range(channels):
            totals[channel] = known[channel] = 0
        for j in range(binning):
            for i in range(binning):
                x = u * binning + i
                value = rows[j, x]
                channel = colours[(y + j) & 1, x & 1] if channels > 1 else 0
                if value - value == 0:
                    totals[channel] += value
                    known[channel] += 1
        for channel in range(channels):
            small[channel, u] = totals[channel] / known[channel] if known[channel] > 0 else np.nan


@kernel(fast=True)
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


@kernel()
def _mirrored(place, length):  # type: ignore[no-untyped-def]
    """A place beyond the end, as far within it."""
    return place if place < length else 2 * length - 2 - place


@kernel()
def mend(first, last, frame, sources, weights, values):  # type: ignore[no-untyped-def]
    """Fill ``values`` (N) for some mapped pixels: the weighted sums of calibrated pixels at ``sources`` (N,
    12).

    Where a source has no data, the median of those that have takes the sum's place, if there are four.
    """
    raw, plane, pedestal, shift = frame.raw, frame.plane, frame.pedestal, frame.shift
    response, width = frame.response, shape_of(frame)[1]
    known = np.empty(sources.shape[1], np.float32)
    for i in range(first, last):
        total, n, torn = np.float32(0), 0, False
        for k in range(sources.shape[1]):
            if weights[i, k] == 0:
                continue
            place = sources[i, k]
            value = calibrated(raw, plane, pedestal, shift, response, place // width, place % width)
            if value - value == 0:
                known[n] = value
                n += 1
                total += weights[i, k] * value
            else:
                torn = True
        if torn:
            total = _median(known, n) if n >= _LEAST_SOURCES else np.float32(np.nan)
        values[i] = total


@kernel()
def _median(values, n):  # type: ignore[no-untyped-def]
    """That of the first ``n``, which are sorted on the way."""
    for i in range(1, n):
        value, at = values[i], i
        while at > 0 and values[at - 1] > value:
            values[at] = values[at - 1]
            at -= 1
        values[at] = value
    return np.float32(0.5) * (values[(n - 1) // 2] + values[n // 2])
