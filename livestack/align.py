"""Where a sub lies on the reference: from star lists to a transform that has been verified.

A sub starts from where the last one lay: the sources vote on the shift since then. The first meeting goes by
triangles of neighbours (livestack.asterisms), blind to shift, turn, scale and hand, and where these fail by
astroalign's (Beroiz, Cabral & Sanchez 2020). Either way the guess is refined on all stars by nearest
neighbours, and believed only on the evidence that livestack.match_evidence asks for.

What stays in place on the sensor while the sky moves is no star (livestack.stationary): where sources lie on
the same pixels in both lists, the others are asked first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from livestack.asterisms import MIRRORED, guesses, spread_order
from livestack.candidates import blind_guesses, shifted
from livestack.false_sources import crowded_sources, on_lines
from livestack.fitting import REWEIGHTED, fit_bend, fit_robustly
from livestack.geometry import Matrix, Points, apply, scale, size
from livestack.match_evidence import LEAST_MATCHES, Matched, doubt
from livestack.stationary import (
    BRIGHT_STAY_PX,
    FAINT_STAY_PX,
    Pairs,
    drifts_slowly,
    match,
    only_warm_pixels_stay,
    staying,
    still_in_place,
    wide_ones,
)
from livestack.warp import Bend, Warp
from measure.stars import Stars

MIN_STARS = 6

_STEADY_SCALE = 1.1
"""By no more than this factor may a fit leave its guess: what drifts off was none."""
_SEARCH_RADII_PX = (4.0, 2.5, 1.5, 1.5, 1.5)
_ROUGH_ROUNDS = 2
_SCALES = (0.25, 4.0)
_CLIPPED = 3
_OUTLIER, _CLOSE_PX = 6.0, 0.5
"""A match is out if it is off by so many times the usual error, and by so many pixels."""
_CENTROID_FLOOR_PX = 0.02
_BEND_ROUNDS = ((3.0, 12.0), (3.0, 6.0), (3.0, 3.0), (2.0, 3.0), (1.5, 3.0), (1.5, 3.0))
"""Radii in pixels to match within, and how far a bend may swing up beyond its stars."""


@dataclass(frozen=True, slots=True, eq=False)
class Transform:
    """``matrix`` is 3×3, sub → reference; ``pairs`` (N, 2) index the matched stars of sub and reference.

    ``bend`` comes on top where the stars ask for it: distortion moves with the field, not with the stars.
    """

    matrix: Matrix
    rms_px: float
    pairs: Pairs
    bend: Bend | None = None

    @property
    def warp(self) -> Warp:
        """Matrix and bend."""
        return Warp(self.matrix, self.bend)

    @property
    def n_matches(self) -> int:
        """How many stars the fit rests on."""
        return len(self.pairs)


@dataclass(frozen=True, slots=True)
class Lost:
    """No transform could be believed; ``reason`` is a word to group by, ``detail`` says it in a sentence."""

    reason: str
    detail: str


def find_transform(stars: Stars, reference: Stars, start: Matrix | None = None) -> Transform | Lost:
    """Find what takes ``stars`` onto ``reference``; ``start`` is the transform of the sub before, if any."""
    if len(stars) < MIN_STARS:
        return Lost("too few stars", f"{len(stars)} stars found, {MIN_STARS} are needed")
    if len(reference) < MIN_STARS:
        return Lost("no match", f"the reference has {len(reference)} stars, {MIN_STARS} are needed")
    own, others = crowded_sources(stars.xy), crowded_sources(reference.xy)
    if own.clumps.any() or others.clumps.any():
        thinned = _Search(_Listed.of(stars, own.all), _Listed.of(reference, others.all))
        found = _found(thinned, start)
        if isinstance(found, Transform):
            return found
    return _found(_Search(_Listed.of(stars, own.lines), _Listed.of(reference, others.lines)), start)


def _found(search: _Search, start: Matrix | None) -> Transform | Lost:
    stars, reference = search.sub.stars, search.reference.stars
    for whose, listed in (("its", stars), ("the reference's", reference)):
        if len(listed) < MIN_STARS:
            what = f"all but {len(listed)} of {whose} sources lie in rows, columns, lines or clumps"
            return Lost("no match", f"{what}, as edges, trails and halos do")
    pairs = staying(search.reference.tree, search.sub.places, FAINT_STAY_PX)
    found = _in_motion(search, pairs, start) if len(pairs) else None
    if found is None and start is not None:
        found = next(search.near(start), None)
    if found is None:
        found = next(search.blind(), None)
    if found is None:
        detail = f"none of its {len(stars)} stars fall on the reference's {len(reference)}"
        if search.doubts:
            detail += f" beyond doubt: {search.doubts[0]}"
        return Lost("no match", detail)
    rests = np.isin(search.sub.which[pairs[:, 0]], found.pairs[:, 0])
    if 2 * rests.sum() > len(pairs) and only_warm_pixels_stay(stars, reference, pairs):
        what = f"its {len(pairs)} sources that stay in place on the sensor are narrower than its stars"
        return Lost("no match", f"{what}: warm pixels, which a dark or a defect map takes away")
    return found


def _in_motion(search: _Search, pairs: Pairs, start: Matrix | None) -> Transform | None:
    """The transform of what does not stay in place on the sensor; None where all of it may be sky."""
    places, tree = search.sub.places, search.reference.tree
    most_move = 2 * len(pairs) < min(len(places), len(tree.data))
    for rest, wide in search.moving(pairs):
        found = None if start is None else next(rest.near(start), None)
        if found is None and (wide or most_move or start is None):
            found = next(rest.blind_alike(), None)
        if found is None:
            continue
        still = still_in_place(found.warp, places, tree, pairs)
        if still.any():
            clean = search.without(pairs[still])
            return found if clean is None else clean.refined(found.matrix) or found
    return None


@dataclass(frozen=True, slots=True, eq=False)
class _Listed:
    """Sources of one frame; ``which`` (N) are their indices in its list."""

    stars: Stars
    which: Pairs
    places: Points
    variance: NDArray[np.float64]
    log_flux: NDArray[np.float64]
    tree: cKDTree

    @classmethod
    def of(cls, stars: Stars, false: NDArray[np.bool_]) -> _Listed:
        """Those of a list that may be stars."""
        which = np.flatnonzero(~false)
        return cls._taken(stars.take(which), which)

    @classmethod
    def _taken(cls, stars: Stars, which: Pairs) -> _Listed:
        places = stars.xy
        usable = ~stars.saturated & (stars.flux > 0)
        log_flux = np.log(np.where(usable, stars.flux, np.nan))
        return cls(stars, which, places, _variance(stars), log_flux, cKDTree(places))

    def only(self, some: Pairs) -> _Listed:
        """Some, by their indices here."""
        return self._taken(self.stars.take(some), self.which[some])

    def without(self, some: Pairs) -> _Listed:
        """All but some, by their indices here."""
        return self.only(np.delete(np.arange(len(self.stars)), some))

    @property
    def spread(self) -> Points:
        """Places (N, 2), the brightest of each part of the field first."""
        return self.places[spread_order(self.places)]


@dataclass(slots=True, eq=False)
class _Search:
    """The search for what takes one list onto another; ``doubts`` says why transforms were refused."""

    sub: _Listed
    reference: _Listed
    doubts: list[str] = field(default_factory=list)
    _most_matches: int = 0

    def without(self, pairs: Pairs) -> _Search | None:
        """The same without these sources; None if that leaves too few."""
        if min(len(self.sub.which), len(self.reference.which)) - len(pairs) < MIN_STARS:
            return None
        return _Search(self.sub.without(pairs[:, 0]), self.reference.without(pairs[:, 1]))

    def moving(self, pairs: Pairs) -> Iterator[tuple[_Search, bool]]:
        """The same with what may be stars beside the sources that stay in place: those that are wider, which
        is told with them, then all, then those that hardly move.
        """
        rest = self.without(pairs)
        wide = [
            np.setdiff1d(np.flatnonzero(wide_ones(listed.stars, stay)), stay)
            for listed, stay in ((self.sub, pairs[:, 0]), (self.reference, pairs[:, 1]))
        ]
        if min(len(which) for which in wide) >= MIN_STARS:
            yield _Search(self.sub.only(wide[0]), self.reference.only(wide[1])), True
        if rest is not None:
            yield rest, False
        rest = self.without(match(self.reference.tree, self.sub.places, BRIGHT_STAY_PX))
        if rest is not None and drifts_slowly(rest.sub.places, rest.reference.tree):
            yield rest, False

    def near(self, start: Matrix) -> Iterator[Transform]:
        """Transforms to be believed of those that lie within one sub's drift of ``start``."""
        return self._believable(shifted(self.sub.places, self.reference.places, start))

    def blind(self) -> Iterator[Transform]:
        """Transforms to be believed of any shift, turn and scale."""
        return self._believable(blind_guesses(self.sub.spread, self.reference.spread))

    def blind_alike(self) -> Iterator[Transform]:
        """Those of any shift and turn between frames of one telescope."""
        return self._believable(guesses(self.sub.spread, self.reference.spread, alike=True))

    def _believable(self, candidates: Iterator[Matrix]) -> Iterator[Transform]:
        if min(len(self.sub.which), len(self.reference.which)) >= MIN_STARS:
            found = (self.refined(guess) for guess in candidates)
            yield from (each for each in found if each is not None)

    def refined(self, guess: Matrix, *, straight: bool = False) -> Transform | None:
        """Match all stars by nearest neighbours from ``guess`` on and fit again, closer every round.

        Radii grow with the pixels of a sub that are larger than the reference's. A sub seen in a mirror is
        mirrored back first.
        """
        pixel = round(size(guess), 2)  # or the fit would depend on where the guess came from
        if not np.isfinite(guess).all() or not _SCALES[0] < pixel < _SCALES[1]:
            return None
        hand = MIRRORED if scale(guess) < 0 else np.eye(3)
        source, target, tree = apply(hand, self.sub.places), self.reference.places, self.reference.tree
        coarse = max(1.0, pixel)
        variance_s, variance_t = pixel**2 * self.sub.variance, self.reference.variance
        matrix, pairs = guess @ hand, np.empty((0, 2), dtype=np.intp)
        for radius in _SEARCH_RADII_PX:
            before, pairs = pairs, match(tree, apply(matrix, source), coarse * radius)
            if len(pairs) < LEAST_MATCHES:
                return None
            if np.array_equal(before, pairs):
                continue
            i, j = pairs.T
            rounds = _ROUGH_ROUNDS if radius > _SEARCH_RADII_PX[-1] else REWEIGHTED
            fitted = fit_robustly(source[i], target[j], variance_s[i] + variance_t[j], rounds)
            if fitted is None:
                return None
            matrix = fitted
        pairs, matrix = self._without_outliers(source, matrix, pairs, pixel)
        lines = on_lines(target[pairs[:, 1]]) if not straight else np.zeros(0, dtype=bool)
        if lines.any():
            others = self.without(pairs[lines])
            found = None if others is None else others.refined(matrix @ hand, straight=True)
            if others is not None:
                self._keep(others.doubts, others._most_matches)
            return found
        if not 1 / _STEADY_SCALE < size(matrix) / pixel < _STEADY_SCALE:
            return None
        warp = Warp(matrix)
        for radius, swing in _BEND_ROUNDS:  # from the middle outwards
            i, j = pairs.T
            bend = fit_bend(apply(matrix, source[i]), target[j], variance_s[i] + variance_t[j], swing)
            if bend is None:
                warp = Warp(matrix)
                break
            warp = Warp(matrix, bend)
            pairs = match(tree, warp.forwards(source), coarse * radius)
        return self._believed(Warp(matrix @ hand, warp.bend), pairs, coarse * _SEARCH_RADII_PX[-1])

    def _without_outliers(
        self, source: Points, matrix: Matrix, pairs: Pairs, pixel: float
    ) -> tuple[Pairs, Matrix]:
        """The matches without those far beyond their errors, and the fit to these."""
        for _ in range(_CLIPPED):
            i, j = pairs.T
            variance = pixel**2 * self.sub.variance[i] + self.reference.variance[j]
            square = ((apply(matrix, source[i]) - self.reference.places[j]) ** 2).sum(axis=1)
            limit = _OUTLIER**2 * float(np.median(square / variance)) * variance
            good = square < np.maximum(limit, _CLOSE_PX**2)
            if good.all() or good.sum() < LEAST_MATCHES:
                break
            fitted = fit_robustly(source[i[good]], self.reference.places[j[good]], variance[good])
            if fitted is None:
                break
            pairs, matrix = pairs[good], fitted
        return pairs, matrix

    def _believed(self, warp: Warp, pairs: Pairs, radius: float) -> Transform | None:
        if len(pairs) < LEAST_MATCHES:
            return None
        moved = warp.forwards(self.sub.places)
        why = doubt(
            Matched(
                moved=moved,
                target=self.reference.places,
                tree=self.reference.tree,
                pairs=pairs,
                radius=radius,
                log_flux=self.sub.log_flux,
                log_flux_target=self.reference.log_flux,
            )
        )
        if why is not None:
            self._keep([why], len(pairs))
            return None
        i, j = pairs.T
        square = ((moved[i] - self.reference.places[j]) ** 2).sum(axis=1)
        indices = np.column_stack((self.sub.which[i], self.reference.which[j]))
        return Transform(warp.matrix, float(np.sqrt(np.mean(square))), indices, warp.bend)

    def _keep(self, doubts: list[str], matches: int) -> None:
        if matches > self._most_matches:
            self._most_matches, self.doubts = matches, doubts


def _variance(stars: Stars) -> NDArray[np.float64]:
    """Variance of each centroid, per axis, in px²: (σ_PSF / SNR)² and a floor for what pixels do to it."""
    blur = np.where(stars.saturated, 5.0, 1.0)
    error: NDArray[np.float64] = blur * stars.fwhm_px / 2.355 / np.maximum(stars.snr, 1.0)
    return error**2 + (_CENTROID_FLOOR_PX * blur) ** 2
