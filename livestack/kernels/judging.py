"""The picture as it stands: the weighted mean of each pixel without the values that don't belong to it."""

from __future__ import annotations

import numpy as np

from livestack.kernels.keys import CLASS_BITS, CLASSES, CODES
from livestack.kernels.stacking import values_at, weights_at
from numerics.compiling import kernel

BAND_ROWS = 32

_REJECT_SIGMA_2 = np.float32(3.5**2)
_PRIOR_VALUES = np.float32(4.0)
_SEEING_SCATTER = np.float32(0.15)
_SLOPE_SCATTER = np.float32(0.3)
_FLAT_SIGMA = np.float32(4.0)  # the steepest of eight steps that are noise is less
_LEAST_SHARE = np.float32(1e-4)
_CLASS = np.int16(CLASSES - 1)


@kernel(fast=True, inline=True)
def _value(key, values):  # type: ignore[no-untyped-def]
    return values[np.uintp((np.int32(key) >> CLASS_BITS) + CODES // 2)]


@kernel(fast=True, inline=True)
def _without(weights, mean, m2, value, weight):  # type: ignore[no-untyped-def]
    """Take one value out of the moments; the last one stays."""
    rest = max(weights - weight, _LEAST_SHARE * weights)
    left = mean + (mean - value) * (weight / rest)
    step = value - left
    return rest, left, max(m2 - step * step * (weight * rest / weights), np.float32(0))


@kernel(fast=True, inline=True)
def _variance(m2, n, signal, step, noise2):  # type: ignore[no-untyped-def]
    """Variance of a value of weight one around the mean of n others."""
    known = noise2 + signal * signal + step * step
    return max((m2 + _PRIOR_VALUES * known) / (max(n - 1, np.float32(0)) + _PRIOR_VALUES), noise2)


@kernel(fast=True, inline=True)
def _limit(gone, rest):  # type: ignore[no-untyped-def]
    """The square of the sigmas beyond which values that weigh so much go; few where that is little.

    A good value that is rejected by chance costs more noise the more it weighs beside all others; the chance
    falls by e with each 2 that are added to the square.
    """
    return _REJECT_SIGMA_2 + np.float32(2) * np.log(max(gone / rest, np.float32(1)))


@kernel(fast=True)
def judged_mean(  # type: ignore[no-untyped-def]
    first, last, stack, count, class_weights, decoded, sky, noise2, zero, unlike, picture
):
    """Write some bands of the picture (H, W, channels), ``zero`` (channels) added; return what was rejected.

    ``count`` (H, W) is the coverage, ``class_weights`` and ``decoded`` are what the classes and codes in keys
    stand for, ``sky`` and ``noise2`` (channels) the background's level and the variance of a value of weight
    one. Values may be off by ``unlike`` slopes more, where these are more than noise. 0 where nothing was
    seen.
    """
    height, width, channels = picture.shape
    mean, m2 = np.empty(width, np.float32), np.empty(width, np.float32)
    largest, second = np.empty(width, np.int16), np.empty(width, np.int16)
    smallest = np.empty(width, np.int16)
    gone = 0
    for band in range(first, last):
        top, bottom = band * BAND_ROWS, min((band + 1) * BAND_ROWS, height)
        before, after = max(top - 1, 0), min(bottom + 1, height)
        calm = np.empty((after - before, width), np.float32)
        weights = np.empty((after - before, width), np.float32)
        for y in range(before, after):
            weights_at(stack, y, weights[y - before])
        for channel in range(channels):
            for y in range(before, after):
                values_at(stack.mean, channel, y, mean)
                values_at(stack.m2, channel, y, m2)
                values_at(stack.largest, channel, y, largest)
                values_at(stack.second, channel, y, second)
                values_at(stack.smallest, channel, y, smallest)
                for x in range(width):
                    n = count[y, x]
                    w, m, s = weights[y - before, x], mean[x], m2[x]
                    if n >= 3:
                        key = largest[x]
                        w, m, s = _without(w, m, s, _value(key, decoded), class_weights[key & _CLASS])
                        key = second[x]
                        w, m, s = _without(w, m, s, _value(key, decoded), class_weights[key & _CLASS])
                    elif n == 2:  # or a hit would pass for a star with slopes
                        m = _value(smallest[x], decoded)
                    calm[y - before, x] = m
            quiet, level = np.float32(noise2[channel]), np.float32(sky[channel])
            for y in range(top, bottom):
                values_at(stack.mean, channel, y, mean)
                values_at(stack.m2, channel, y, m2)
                values_at(stack.largest, channel, y, largest)
                values_at(stack.second, channel, y, second)
                values_at(stack.smallest, channel, y, smallest)
                for x in range(width):
                    n = np.float32(count[y, x])
                    if n == 0:
                        picture[y, x, channel] = 0
                        continue
                    m0 = mean[x]
                    if n == 1:
                        picture[y, x, channel] = zero[channel] + m0
                        continue
                    w0, s0 = weights[y - before, x], m2[x]
                    here = calm[y - before, x]
                    # Nothing in this pixel is far from the rest: nearly all pixels end here.
                    key1 = largest[x]
                    key0 = smallest[x]
                    x1, c1 = _value(key1, decoded), class_weights[key1 & _CLASS]
                    x0, c0 = _value(key0, decoded), class_weights[key0 & _CLASS]
                    w1, m1, s1 = _without(w0, m0, s0, x1, c1)
                    wl, ml, sl = _without(w0, m0, s0, x0, c0)
                    excess, lack = x1 - m1, ml - x0
                    bound = _REJECT_SIGMA_2 * quiet
                    if excess * excess * c1 <= bound and lack * lack * c0 <= bound:
                        picture[y, x, channel] = zero[channel] + m0
                        continue
                    steepest = np.float32(0)
                    for j in range(max(y - 1, before), min(y + 2, after)):
                        for i in range(max(x - 1, 0), min(x + 2, width)):
                            steepest = max(steepest, abs(calm[j - before, i] - here))
                    signal = _SEEING_SCATTER * (here - level)
                    flat = _FLAT_SIGMA * np.sqrt(quiet / w0)
                    step = _SLOPE_SCATTER * steepest + unlike * max(steepest - flat, np.float32(0))
                    w, m, s = w0, m0, s0
                    two_high = False
                    if n >= 4:
                        key2 = second[x]
                        x2, c2 = _value(key2, decoded), class_weights[key2 & _CLASS]
                        w2, m2_, s2 = _without(w1, m1, s1, x2, c2)
                        variance = _variance(s2, n - 2, signal, step, quiet)
                        excess = x2 - m2_
                        limit = _limit(c1 + c2, w2)
                        if excess > 0 and excess * excess > limit * variance * (1 / c2 + 1 / w2):
                            w, m, s, n = w2, m2_, s2, n - 2
                            gone += 2
                            two_high = True
                    if not two_high:
                        variance = _variance(s1, n - 1, signal, step, quiet)
                        excess = x1 - m1
                        limit = _limit(c1, w1)
                        if excess > 0 and excess * excess > limit * variance * (1 / c1 + 1 / w1):
                            w, m, s, n = w1, m1, s1, n - 1
                            gone += 1
                    if n >= 3:
                        wl, ml, sl = _without(w, m, s, x0, c0)
                        variance = _variance(sl, n - 1, signal, step, quiet)
                        lack = ml - x0
                        if lack > 0 and lack * lack > _limit(c0, wl) * variance * (1 / c0 + 1 / wl):
                            m = ml
                            gone += 1
                    picture[y, x, channel] = zero[channel] + m
    return gone
