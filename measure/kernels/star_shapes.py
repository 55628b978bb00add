"""Position, width and flux of stars, measured on the full pixels of a raw frame."""

from __future__ import annotations

import numpy as np

from measure.kernels.frames import calibrated, first_at, pixel, shape_of
from numerics.compiling import kernel

_ROUNDS, _MORE_ROUNDS = 12, 60
_WIDE_HALF = 20
"""In wider windows lie discs and rings: rounds begin with a wide weight, and there may be more of them."""
_SETTLED = 2e-4
"""Rounds end when they move a star by fewer pixels than this, and change its variances by ten times that."""
_REACH_SIGMA = 4.5  # where the weight has fallen to 4e-5
_MIN_VARIANCE = 0.12
WINDOW_SIGMA = 1.5
"""The widest star that is measured has half a window over so many standard deviations."""


@kernel(fast=True)
def measure(  # type: ignore[no-untyped-def]
    first, last, frame, saturation, x, y, level, half, radius, mosaic, shape, boxes, flux, peak, full
):
    """Measure some of the N stars at about (``x``, ``y``) of a raw frame over the sky ``level`` (N).

    ``shape`` (N, 5) receives x, y and the variances xx, yy, xy by adaptive moments: the weight is a
    Gaussian matched to the star itself (Bernstein & Jarvis 2002, AJ 123, 583), so that a width does not
    hang on the signal-to-noise ratio; not-a-number for what is no star; ``boxes`` (N, 2) the sums of the 3×3
    and 5×5 pixels around it; ``flux`` the sum within ``radius``; ``peak`` the highest pixel; ``full``
    whether a pixel in reach of the core is saturated. Of a ``mosaic``,
    2×2 pixels are averaged first: they hold every colour wherever they lie, and widen a star about as much as
    a demosaic does.
    """
    raw, plane, pedestal, shift = frame.raw, frame.plane, frame.pedestal, frame.shift
    response = frame.response
    places, values = frame.places, frame.values
    height, width = shape_of(frame)
    side = 2 * half + 1
    wide = half > _WIDE_HALF
    rounds, start = _MORE_ROUNDS if wide else _ROUNDS, (half / 8.0) ** 2 if wide else 2.0
    profile = np.empty(side, np.float64)
    for n in range(first, last):
        column, row = int(np.round(x[n])), int(np.round(y[n]))
        stamp = np.zeros((side, side), np.float32)
        full[n] = False
        highest = np.float32(-np.inf)
        for j in range(side):
            q = row + j - half
            if q < 0 or q >= height:
                continue
            left, right = max(column - half, 0), min(column + half, width - 1)
            for p in range(left, right + 1):
                if abs(p - column) <= 3 and abs(q - row) <= 3 and pixel(raw, plane, q, p) >= saturation:
                    full[n] = True
                value = calibrated(raw, plane, pedestal, shift, response, q, p)
                stamp[j, p - column + half] = value - level[n]
            i = first_at(places, q * width + left)
            while i < len(places) and places[i] <= q * width + right:
                stamp[j, places[i] - q * width - column + half] = values[i] - level[n]
                i += 1
        if mosaic:
            for j in range(side - 1):
                for i in range(side - 1):
                    stamp[j, i] = np.float32(0.25) * (
                        stamp[j, i] + stamp[j, i + 1] + stamp[j + 1, i] + stamp[j + 1, i + 1]
                    )
            for j in range(side):
                stamp[side - 1, j] = stamp[j, side - 1] = 0
        for j in range(side):
            for i in range(side):
                value = stamp[j, i]
                if value - value != 0:
                    stamp[j, i] = 0
                elif abs(i - half) <= 2 and abs(j - half) <= 2:
                    highest = max(highest, value)
        peak[n] = highest
        cx, cy = x[n] - column, y[n] - row
        xx, yy, xy = start, start, 0.0
        largest = (half / WINDOW_SIGMA) ** 2
        lost = False
        for _ in range(rounds):
            determinant = xx * yy - xy * xy
            a, b, c = yy / determinant, xx / determinant, xy / determinant
            total, sx, sy, sxx, syy, sxy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            wide, tall = _REACH_SIGMA * np.sqrt(xx), _REACH_SIGMA * np.sqrt(yy)
            left, right = max(int(half + cx - wide), 0), min(int(half + cx + wide) + 2, side)
            top, bottom = max(int(half + cy - tall), 0), min(int(half + cy + tall) + 2, side)
            for i in range(left, right):
                profile[i] = np.exp(-0.5 * a * (i - half - cx) ** 2)
            for j in range(top, bottom):
                # exp(-(a dx² + b dy² - 2c dx dy) / 2), of which a step in x changes the last term by a factor
                dy = j - half - cy
                lean, step = np.exp(dy * (c * (left - half - cx) - 0.5 * b * dy)), np.exp(c * dy)
                s0, s1, s2 = 0.0, 0.0, 0.0
                for i in range(left, right):
                    dx = i - half - cx
                    weighted = stamp[j, i] * profile[i] * lean
                    lean *= step
                    s0 += weighted
                    s1 += weighted * dx
                    s2 += weighted * dx * dx
                total += s0
                sx += s1
                sy += s0 * dy
                sxx += s2
                syy += s0 * dy * dy
                sxy += s1 * dy
            if not total > 0:
                lost = True
                break
            mx, my = sx / total, sy / total
            old_xx, old_yy, old_xy = xx, yy, xy
            cx = min(max(cx + 2 * mx, -float(half)), float(half))
            cy = min(max(cy + 2 * my, -float(half)), float(half))
            xx = min(max(2 * (sxx / total - mx * mx), _MIN_VARIANCE), largest)
            yy = min(max(2 * (syy / total - my * my), _MIN_VARIANCE), largest)
            limit = 0.95 * np.sqrt(xx * yy)
            xy = min(max(2 * (sxy / total - mx * my), -limit), limit)
            change = max(max(abs(xx - old_xx) / xx, abs(yy - old_yy) / yy), abs(xy - old_xy) / limit)
            if 2 * max(abs(mx), abs(my)) < _SETTLED and change < 10 * _SETTLED:
                break
        if lost or np.hypot(cx, cy) > half / 2:
            for k in range(5):
                shape[n, k] = np.nan
            flux[n] = boxes[n, 0] = boxes[n, 1] = np.nan
            continue
        aside = 0.5 if mosaic else 0.0  # where a mean of 2×2 pixels lies
        shape[n, 0], shape[n, 1] = column + cx + aside, row + cy + aside
        shape[n, 2], shape[n, 3], shape[n, 4] = xx, yy, xy
        total, rim = 0.0, radius + 0.5
        for j in range(max(int(half + cy - rim), 0), min(int(half + cy + rim) + 2, side)):
            for i in range(max(int(half + cx - rim), 0), min(int(half + cx + rim) + 2, side)):
                # A pixel on the rim counts by how far its middle is within.
                inside = rim - np.sqrt((i - half - cx) ** 2 + (j - half - cy) ** 2)
                if inside > 0:
                    total += stamp[j, i] * min(inside, 1.0)
        flux[n] = total
        column, row = int(np.round(half + cx)), int(np.round(half + cy))
        for k in range(2):
            total, reach = 0.0, k + 1
            for j in range(max(row - reach, 0), min(row + reach + 1, side)):
                for i in range(max(column - reach, 0), min(column + reach + 1, side)):
                    total += stamp[j, i]
            boxes[n, k] = total
