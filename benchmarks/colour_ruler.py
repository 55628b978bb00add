"""SNR of colour stacks, by one ruler for all programs: faint stars' PSF photometry, and surface brightness.

Signal is what the same stars, or the same nebula, give in each program's stack; noise is what two half stacks
do not share. Neither may depend on a program's units, so only ratios between programs are told.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, maximum_filter
from scipy.optimize import curve_fit
from scipy.spatial import cKDTree

from measure.detection.picture import detect
from measure.stars import SIGMA_TO_FWHM, Stars

Array = NDArray[np.float64]

SURFACE_FWHM_PX = 16.0
"""Surface brightness is measured over so much: less than a nebula, far more than a star's blur."""
MAD_TO_SIGMA = 1.4826
_BLOCKS = 6  # each way, for the bootstrap
_CLIP_SIGMA = 4.5
_STAR_SNR = 30.0
_FAINTEST, _BRIGHTEST = 6.0, 25.0  # sigmas of the star's own photometry
_DRAWS = 200
_LEAST_FREE = 0.6
_STEP = 4  # pixels between blank places
_VISIBLE_SIGMA = 6.0
_SHAPED_STARS = 60
_ROWS = "R", "G", "B", "luminance", "best"


@dataclass(frozen=True, slots=True, eq=False)
class Halved:
    """Stacks (H, W, 3) of all subs and of each half of them; ``seen`` (H, W) by every sub."""

    full: Array
    first: Array
    second: Array
    seen: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What one program gives: responses at stars or boxes of nebula, and noise at blank places.

    ``signal`` (N, 3) goes with ``template`` (N), how bright star or box is, the same for all programs.
    ``noise`` (N, 3, 2) is what half one and half two have at blank places, signal in it; ``share`` is what
    counts of the first half in the full stack. ``*_block`` are blocks of the frame, for the uncertainty.
    """

    signal: Array
    template: Array
    signal_block: NDArray[np.intp]
    noise: Array
    noise_block: NDArray[np.intp]
    share: float

    def sums(self) -> tuple[Array, Array, Array, Array]:
        """By block: what signal and template make, places and noise, and products of noise and difference."""
        difference = self.noise[..., 0] - self.noise[..., 1]
        away = np.abs(difference - np.median(difference, axis=0))
        quiet = (away < _CLIP_SIGMA * MAD_TO_SIGMA * np.median(away, axis=0)).all(axis=1)
        noise = self.noise[quiet] - np.median(self.noise[quiet], axis=0)
        difference = noise[..., 0] - noise[..., 1]
        # What halves share is signal, and does not covary with their difference.
        own = self.share**2 * noise[..., 0] - (1 - self.share) ** 2 * noise[..., 1]
        products = own[:, :, None] * difference[:, None, :]
        return (
            _summed(self.template[:, None] * self.signal, self.signal_block),
            _summed(self.template[:, None] ** 2, self.signal_block),
            _summed(np.ones((len(noise), 1)), self.noise_block[quiet]),
            _summed(products.reshape(-1, 9), self.noise_block[quiet]),
        )


def _summed(values: Array, block: NDArray[np.intp]) -> Array:
    """Sums (blocks, columns) of rows by block."""
    return np.stack([np.bincount(block, each, _BLOCKS**2) for each in values.T], axis=1)


def _snr(
    sums: tuple[Array, Array, Array, Array], counts: NDArray[np.intp], colours: Array | None = None
) -> tuple[Array, Array]:
    """Of R, G, B, luminance and the best combination, but for a factor that all programs share; and colours.

    Luminance is the sum of channels that are scaled so that the signal has ``colours``: else a program that
    happens to dim a noisy channel would have the better luminance.
    """
    signal, template, places, products = (counts @ each for each in sums)
    signal, covariance = signal / template, (products / places).reshape(3, 3)
    covariance = (covariance + covariance.T) / 2
    channels = signal / np.sqrt(np.diag(covariance))
    colours = signal if colours is None else colours
    scales = colours / signal
    luminance = colours.sum() / np.sqrt(scales @ covariance @ scales)
    best = np.sqrt(signal @ np.linalg.solve(covariance, signal))
    return np.array([*channels, luminance, best]), colours


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A program's samples, widths of its stars by channel, and how much noise of R and G is common.

    ``surface`` has the noise of the dark sky, ``nebula`` that of the nebula's places: a program
    that clips at 0 has less noise where it is dark, and less of a faint signal.
    """

    stars: Samples
    surface: Samples
    nebula: Samples
    fwhm_px: Array
    correlation: float


def ratios(mine: Samples, other: Samples) -> list[tuple[str, float, float]]:
    """SNR of one over that of the other with its uncertainty, by a bootstrap over blocks of the frame."""
    rng, every = np.random.default_rng(0), np.ones(_BLOCKS**2, np.intp)
    one, two = mine.sums(), other.sums()

    def ratio(counts: NDArray[np.intp]) -> Array:
        mine, colours = _snr(one, counts)
        return mine / _snr(two, counts, colours)[0]

    drawn = [
        np.bincount(rng.integers(0, len(every), len(every)), minlength=len(every)) for _ in range(_DRAWS)
    ]
    value, scatter = ratio(every), np.std([ratio(each) for each in drawn], axis=0)
    return [(name, float(v), float(s)) for name, v, s in zip(_ROWS, value, scatter, strict=True)]


def measured(programs: dict[str, Halved]) -> dict[str, Measured]:
    """Measure all programs' stacks at the same places: they lie on the same reference."""
    seen = np.all([each.seen for each in programs.values()], axis=0)
    found = {name: _stars(each.full, seen) for name, each in programs.items()}
    same = next(iter(found.values()))
    for other in found.values():
        same = same.take(cKDTree(other.xy).query(same.xy)[0] < 1.0)
    bright = same.take(_good(same, seen.shape))
    scaled = {name: _scaled(each, bright) for name, each in programs.items()}
    grey = np.mean([_grey(each.full, seen) for each in scaled.values()], axis=0)
    blank = _blank(scaled.values(), seen, float(np.median(bright.fwhm_px)))
    faint = _faint(grey, seen, bright)
    return {name: _measured(each, bright, faint, seen, blank, grey) for name, each in scaled.items()}


def _grey(picture: Array, seen: NDArray[np.bool_]) -> Array:
    """All channels' sum above the sky, in units of its own median level."""
    return np.asarray((picture / np.median(picture[seen], axis=0)).mean(axis=2) - 1)


def _faint(grey: Array, seen: NDArray[np.bool_], bright: Stars) -> tuple[Array, Array, Array]:
    """Places x, y of lone faint stars and how bright they are, in the mean picture of all programs."""
    fwhm = float(np.median(bright.fwhm_px))
    response = _filtered(np.where(seen, grey, 0.0), fwhm)
    sigma = MAD_TO_SIGMA * np.median(np.abs(response[seen]))
    inside = cv2.erode(seen.astype(np.uint8), np.ones((2 * round(5 * fwhm) + 1,) * 2, np.uint8)) > 0
    peak = (maximum_filter(response, 2 * round(fwhm) + 1) == response) & inside
    y, x = np.nonzero(peak & (response > _FAINTEST * sigma))
    level = response[y, x] / sigma
    apart = cKDTree(np.column_stack((x, y))).query(np.column_stack((x, y)), k=2)[0][:, 1]
    good = (level < _BRIGHTEST) & (apart > 4 * fwhm)
    return x[good].astype(np.float64), y[good].astype(np.float64), response[y, x][good]


def _stars(picture: Array, seen: NDArray[np.bool_]) -> Stars:
    grey = (picture / np.median(picture[seen], axis=0)).mean(axis=2)
    return detect(np.where(seen, grey, np.nan).astype(np.float32), max_stars=4000).stars


def _good(stars: Stars, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Bright, lone, of a star's width, and not so bright that they may be clipped."""
    apart = cKDTree(stars.xy).query(stars.xy, k=2)[0][:, 1]
    typical = np.median(stars.fwhm_px)
    good = (stars.snr > _STAR_SNR) & (apart > 5 * typical) & (np.abs(stars.fwhm_px / typical - 1) < 0.25)
    good &= stars.peak < np.quantile(stars.peak, 0.97)
    inside = (stars.xy > 24).all(axis=1) & (stars.xy < np.array(shape[::-1]) - 25).all(axis=1)
    return np.asarray(good & inside)


def _blank(programs: Iterable[Halved], seen: NDArray[np.bool_], fwhm_px: float) -> NDArray[np.bool_]:
    """Places where no program shows a star: faint ones, which stay, are in both halves and cancel."""
    blank = seen.copy()
    around = np.ones((2 * round(fwhm_px) + 1,) * 2, np.uint8)
    for each in programs:
        grey, noise = (_filtered(of.sum(axis=2), fwhm_px) for of in (each.full, each.first - each.second))
        limit = _VISIBLE_SIGMA * MAD_TO_SIGMA * np.median(np.abs(noise[seen])) / 2
        blank &= cv2.dilate((np.abs(grey) > limit).astype(np.uint8), around) == 0
    return blank


def _smooth(picture: Array, where: NDArray[np.bool_], fwhm_px: float = SURFACE_FWHM_PX) -> Array:
    """Means of a picture (H, W[, 3]) around each place, of the places that are to be used alone."""
    sigma = fwhm_px / SIGMA_TO_FWHM
    used = where if picture.ndim == 2 else where[..., None]
    total = cv2.GaussianBlur(np.where(used, picture, 0.0), (0, 0), sigma)
    part = cv2.GaussianBlur(where.astype(np.float64), (0, 0), sigma)
    part = np.maximum(part, 1e-3)
    return np.asarray(total / (part if picture.ndim == 2 else part[..., None]))


def _scaled(program: Halved, stars: Stars) -> Halved:
    """Each channel of both halves at the full stack's brightness of stars."""

    def fluxes(picture: Array) -> Array:
        return np.stack([_at(_filtered(picture[..., c], 3.0), stars) for c in range(3)], axis=1)

    full = fluxes(program.full)
    halves = [each * np.median(full / fluxes(each), axis=0) for each in (program.first, program.second)]
    return Halved(program.full, halves[0], halves[1], program.seen)


def _measured(
    program: Halved,
    bright: Stars,
    faint: tuple[Array, Array, Array],
    seen: NDArray[np.bool_],
    blank: NDArray[np.bool_],
    grey: Array,
) -> Measured:
    widths = np.array([_width(program.full[..., c], bright) for c in range(3)])
    maps = [
        np.stack([_filtered(each[..., c], w) for c, w in enumerate(widths)], axis=2)
        for each in (program.full, program.first, program.second)
    ]
    reach = round(5 * float(widths.max()))
    inside = cv2.erode(seen.astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8)) > 0
    y, x = np.mgrid[: seen.shape[0] : _STEP, : seen.shape[1] : _STEP].reshape(2, -1)
    chosen = (inside & blank)[y, x]
    y, x = y[chosen], x[chosen]
    share = _share(program, seen)

    def stars(at_x: Array, at_y: Array, template: Array) -> Samples:
        places = (at_y, at_x)
        return Samples(
            signal=np.stack([map_coordinates(maps[0][..., c], places, order=3) for c in range(3)], axis=1),
            template=template,
            signal_block=_block(at_y, at_x),
            noise=np.stack((maps[1][y, x], maps[2][y, x]), axis=2),
            noise_block=_block(y, x),
            share=share,
        )

    difference = program.first - program.second
    rough = (difference[:, 4:] - difference[:, :-4])[(seen & blank)[:, 4:] & (seen & blank)[:, :-4]]
    quiet = (np.abs(rough) < 4 * MAD_TO_SIGMA * np.median(np.abs(rough), axis=0)).all(axis=1)
    surface, nebula = _surface(program, seen & blank, share, grey)
    return Measured(
        stars=stars(*faint),
        surface=surface,
        nebula=nebula,
        fwhm_px=widths,
        correlation=float(np.asarray(np.corrcoef(rough[quiet][:, :2].T))[0, 1]),
    )


def _share(program: Halved, seen: NDArray[np.bool_]) -> float:
    """How much of the first half is in the full stack, by regression of their difference."""
    apart = (program.first - program.second)[seen]
    rest = (program.full - program.second)[seen]
    apart, rest = apart - np.median(apart, axis=0), rest - np.median(rest, axis=0)
    quiet = (np.abs(apart) < 4 * MAD_TO_SIGMA * np.median(np.abs(apart), axis=0)).all(axis=1)
    return float((apart[quiet] * rest[quiet]).sum() / (apart[quiet] ** 2).sum())


def _surface(program: Halved, blank: NDArray[np.bool_], share: float, grey: Array) -> tuple[Samples, Samples]:
    """Nebula's brightness, with the noise where there is none and with that where it is, between the stars.

    Signal and noise are of the same scales: gradients that a stack levels are neither.
    """
    free = _smooth(blank.astype(np.float64), np.ones_like(blank)) > _LEAST_FREE
    level = _smooth(grey, blank)
    sky = np.median(level[free])
    sigma = MAD_TO_SIGMA * np.median(sky - level[free & (level < sky)])
    y, x = np.mgrid[: blank.shape[0] : _STEP, : blank.shape[1] : _STEP].reshape(2, -1)
    dark = (free & (level < sky + 2 * sigma))[y, x]
    bright = (free & (level > sky + 5 * sigma))[y, x]

    def detail(picture: Array) -> Array:
        return np.asarray((_smooth(picture, blank) - _smooth(picture, blank, 3 * SURFACE_FWHM_PX))[y, x])

    signal, template = detail(program.full)[bright], detail(grey)[bright]
    noise = np.stack([detail(each) for each in (program.first, program.second)], axis=2)
    where_dark, where_bright = (
        Samples(
            signal=signal - signal.mean(axis=0),
            template=template - template.mean(),
            signal_block=_block(y[bright], x[bright]),
            noise=noise[places],
            noise_block=_block(y[places], x[places]),
            share=share,
        )
        for places in (dark, bright)
    )
    return where_dark, where_bright


def _block(y: NDArray[np.generic], x: NDArray[np.generic]) -> NDArray[np.intp]:
    """Neighbouring places by block: about as many in each row and each column of blocks."""
    row, column = (
        np.argsort(np.argsort(each, kind="stable"), kind="stable") * _BLOCKS // len(each) for each in (y, x)
    )
    return np.asarray(row * _BLOCKS + column)


def _filtered(plane: Array, fwhm_px: float) -> Array:
    """The flux of a Gaussian star at each place, by least squares over its pixels and a ring's sky."""
    sigma = fwhm_px / SIGMA_TO_FWHM
    reach = int(np.ceil(4 * fwhm_px))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    r = np.hypot(x, y)
    star = np.where(r < 2 * fwhm_px, np.exp(-0.5 * (r / sigma) ** 2), 0.0)
    ring = (r > 2.5 * fwhm_px) & (r < 4 * fwhm_px)
    kernel = star / (star**2).sum()
    kernel -= ring * (kernel.sum() / ring.sum())
    level = np.median(plane)
    return np.asarray(cv2.filter2D(plane - level, -1, kernel, borderType=cv2.BORDER_REPLICATE))


def _at(plane: Array, stars: Stars) -> Array:
    return np.asarray(map_coordinates(plane, (stars.y, stars.x), order=3))


def _width(plane: Array, stars: Stars) -> float:
    """FWHM of the mean star, as a Gaussian."""
    j, i = np.mgrid[-7:8, -7:8].astype(np.float64)
    cuts = []
    for x, y in list(zip(stars.x, stars.y, strict=True))[:_SHAPED_STARS]:
        cut = map_coordinates(plane, (y + j, x + i), order=3)
        cut = cut - np.median(cut[np.hypot(i, j) > 6])
        cuts.append(cut / cut[np.hypot(i, j) < 4].sum())
    mean = np.median(cuts, axis=0)

    def gaussian(_: Array, height: float, fwhm: float, level: float) -> Array:
        return np.asarray((level + height * np.exp(-4 * np.log(2) * (i**2 + j**2) / fwhm**2)).ravel())

    fitted, _ = curve_fit(gaussian, np.zeros(mean.size), mean.ravel(), (mean.max(), 3.0, 0.0))
    return float(abs(fitted[1]))


__all__ = ["Halved", "Measured", "Samples", "measured", "ratios"]
