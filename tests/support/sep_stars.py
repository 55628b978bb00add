"""An independent judge of stars: SExtractor's detection (sep) and adaptive moments in numpy."""

from __future__ import annotations

import numpy as np
import sep
from numpy.typing import NDArray

from measure.background import Background, measure_background
from measure.stars import SIGMA_TO_FWHM, Stars, no_stars
from tests.support.moments import adaptive_moments

_MIN_FWHM_PX = 1.0
_MAX_AXIS_RATIO = 4.0
_APERTURE_FWHM = 1.5


def detect(
    image: NDArray[np.float32],
    *,
    invalid: NDArray[np.bool_] | None = None,
    saturated: NDArray[np.bool_] | None = None,
    background: Background | None = None,
    threshold_sigma: float = 5.0,
    max_stars: int = 1000,
) -> Stars:
    """Find the ``max_stars`` brightest stars of an (H, W) image.

    ``invalid`` pixels, and those that are not finite, take no part; a star with a ``saturated`` pixel in its
    core is kept and marked. Hot pixels, cosmic rays and trails are told from stars by width and shape.
    """
    finite = np.isfinite(image)
    blind = ~finite if invalid is None else invalid | ~finite
    masked = bool(blind.any())
    data = np.where(blind, np.float32(0), image) if masked else np.ascontiguousarray(image, dtype=np.float32)
    mask = blind if masked else None
    sky = background or measure_background(data, invalid=mask)
    if not sky.rms_adu > 0:
        return no_stars()
    flat = data - sky.level_adu
    if masked:
        flat[blind] = 0.0
    found = _extract(flat, sky.rms_adu, mask, threshold_sigma)
    order = np.argsort(found["flux"], kind="stable")[::-1][:max_stars]
    found = found[order]
    if not len(found):
        return no_stars()
    half = int(np.clip(np.ceil(1.25 * SIGMA_TO_FWHM * np.median(found["a"])), 5, 20))
    shape = adaptive_moments(flat, found["x"], found["y"], half)
    fwhm = SIGMA_TO_FWHM * np.sqrt(shape.a * shape.b)
    star = (fwhm > _MIN_FWHM_PX) & (shape.a < _MAX_AXIS_RATIO * shape.b)
    if not star.any():
        return no_stars()
    typical = float(np.median(fwhm[star]))
    star &= fwhm > 0.5 * typical
    x, y = shape.x[star], shape.y[star]
    radius = _APERTURE_FWHM * max(typical, 1.5)
    flux, flux_error, _ = sep.sum_circle(flat, x, y, radius, err=sky.rms_adu, mask=mask, subpix=5)
    peak = found["peak"][star]
    stars = Stars(
        x=x,
        y=y,
        flux=flux,
        snr=flux / flux_error,
        fwhm_px=fwhm[star],
        a=shape.a[star],
        b=shape.b[star],
        theta=shape.theta[star],
        peak=peak.astype(np.float64),
        saturated=_touches(saturated, x, y, round(typical)),
    )
    good = np.flatnonzero(flux > 0)
    return stars.take(good[np.argsort(flux[good], kind="stable")[::-1]])


def _extract(
    flat: NDArray[np.float32], rms_adu: float, mask: NDArray[np.bool_] | None, threshold_sigma: float
) -> NDArray[np.void]:
    """Run the extraction, higher and higher when the field is too rich for sep's buffers."""
    for factor in (1.0, 3.0, 10.0):
        try:
            found: NDArray[np.void] = sep.extract(
                flat, threshold_sigma * factor, err=rms_adu, mask=mask, minarea=5, deblend_cont=0.02
            )
        except Exception as error:  # sep has no type of its own for a full buffer
            if "buffer full" not in str(error) and "overflow" not in str(error):
                raise
        else:
            return found
    return np.empty(0, dtype=[(name, np.float64) for name in ("x", "y", "a", "flux", "peak")])


def _touches(
    marked: NDArray[np.bool_] | None, x: NDArray[np.float64], y: NDArray[np.float64], reach_px: int
) -> NDArray[np.bool_]:
    """Whether each position has a marked pixel within ``reach_px``, as a square."""
    if marked is None or not marked.any():
        return np.zeros(len(x), dtype=bool)
    height, width = marked.shape
    offsets = np.arange(-reach_px, reach_px + 1)
    rows = np.clip(np.rint(y).astype(np.intp)[:, None] + offsets, 0, height - 1)
    columns = np.clip(np.rint(x).astype(np.intp)[:, None] + offsets, 0, width - 1)
    touched: NDArray[np.bool_] = marked[rows[:, :, None], columns[:, None, :]].any(axis=(1, 2))
    return touched
