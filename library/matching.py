"""Which calibration fits a frame, and why: hard keys, stated tolerances, and reasons in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np

from library.comparison import Comparison, compare
from library.coverage import Calibration, Coverage, Match, NearMiss, Verdict
from library.fitness import EXPOSURE, TEMPERATURE, temperature_c
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.residual import (
    DOUBLING_C,
    bias_residual_adu,
    dark_residual_adu,
    flat_residual_adu,
    modelled_residual_adu,
)
from library.shelves import Shelf
from library.store import Library
from library.tolerances import Tolerances, read_tolerances
from numerics.counting import counted

NEAR_MISSES_TOLD = 5
DEFAULT_TOLERANCES = Tolerances()

_PARTS = {
    FrameKind.DARK: ("D", "dark was taken off"),
    FrameKind.BIAS: ("BD", "bias was taken off"),
    FrameKind.FLAT: ("F", "flat was applied"),
}
"""Letters of :attr:`FrameMeta.calibrated` that say a master of this kind was applied, and that in words."""

_BEST_FIRST = tuple(Coverage)
_Shelves = Mapping[FrameKind, Shelf]
_shelves: WeakKeyDictionary[Library, tuple[int, _Shelves]] = WeakKeyDictionary()


def match(
    source: Library | Iterable[FrameRecord],
    frame: FrameMeta,
    *,
    tolerances: Tolerances | None = None,
    level_adu: float | None = None,
) -> Calibration:
    """Find the calibration of a light, or of a flat (its flat-dark or bias), among a library's masters.

    Given records, all of them are candidates. What must agree, and how far it may differ, is in
    :mod:`library.fitness`; what may be applied unasked, in :class:`Match`. Where no dark fits, a dark model
    may stand in; where there is none, the dark that is only of another temperature is told, and the bias is
    what may be applied. Tolerances not given are the library's own. ``level_adu`` is the light's own level,
    for the noise that its flat leaves. Raises :class:`LibraryError` for tolerances that cannot be read.
    """
    if isinstance(source, Library):
        tolerances = tolerances or read_tolerances(source.folder.parent)
        shelves = _shelves_of(source)
    else:
        shelves = _shelve(source)
    return _Chooser(frame, shelves, tolerances or DEFAULT_TOLERANCES, level_adu).calibration()


def judge(record: FrameRecord, frame: FrameMeta, *, tolerances: Tolerances = DEFAULT_TOLERANCES) -> Match:
    """How a master that somebody has chosen fits a frame; its record is given, whatever comes out."""
    chooser = _Chooser(frame, _shelve([record]), tolerances, None)
    compared = compare(chooser.shelves[record.meta.kind], frame, tolerances)
    coverage = None
    if compared.n_against[0]:
        only_temperature = TEMPERATURE in compared.shelf.names and len(compared.only_temperature_differs())
        coverage = Coverage.TEMPERATURE if only_temperature else Coverage.INCOMPATIBLE
    elif record.meta.kind is FrameKind.DARK_MODEL:
        coverage = Coverage.MODELLED
    return chooser.chosen(compared, 0, (), coverage)


def already_done(frame: FrameMeta, kind: FrameKind) -> Match | None:
    """The answer for what a frame's header says was applied to it already: not again; ``None`` if it was not.

    A dark takes the bias with it.
    """
    letters, what = _PARTS[kind]
    if not set(letters) & set(frame.calibrated):
        return None
    return _not_needed(f"its header says that its {what} already (CALSTAT {frame.calibrated} or the like)")


def _shelves_of(library: Library) -> _Shelves:
    """The library's masters, read again only when they have changed, by whomever."""
    revision = library.masters_revision()
    known = _shelves.get(library)
    if known is None or known[0] != revision:
        known = _shelves[library] = (revision, _shelve(library.find(master=True, retired=None)))
    return known[1]


def _shelve(records: Iterable[FrameRecord]) -> _Shelves:
    by_kind: dict[FrameKind, list[FrameRecord]] = {kind: [] for kind in FrameKind}
    for record in records:
        by_kind[record.meta.kind].append(record)
    return {kind: Shelf(kind, masters) for kind, masters in by_kind.items()}


@dataclass(frozen=True, slots=True)
class _Chooser:
    frame: FrameMeta
    shelves: _Shelves
    tolerances: Tolerances
    level_adu: float | None
    compared: dict[FrameKind, Comparison] = field(default_factory=dict)

    def calibration(self) -> Calibration:
        """What to calibrate the frame with."""
        if self.frame.kind is FrameKind.LIGHT:
            done = {kind: already_done(self.frame, kind) for kind in _PARTS}
            dark = done[FrameKind.DARK] or self._dark()
            return Calibration(
                dark=dark,
                bias=done[FrameKind.BIAS] or self._bias_beside(dark),
                flat=done[FrameKind.FLAT] or self._choose(FrameKind.FLAT),
                flat_dark=_not_needed("it was taken off within the master flat"),
                defects=self._choose(FrameKind.DEFECTS),
            )
        if self.frame.kind is FrameKind.FLAT:
            done_of_flat = already_done(self.frame, FrameKind.BIAS)
            flat_dark = done_of_flat or self._choose(FrameKind.FLAT_DARK, FrameKind.DARK)
            return Calibration(
                dark=_not_needed("a flat has its flat-dark or bias"),
                bias=done_of_flat or self._bias_beside(flat_dark),
                flat=_not_needed("a flat is not flattened"),
                flat_dark=flat_dark,
                defects=_not_needed("a flat is not mended"),
            )
        none = _not_needed(f"a {self.frame.kind.replace('_', ' ')} is not calibrated; it is what calibrates")
        return Calibration(dark=none, bias=none, flat=none, flat_dark=none, defects=none)

    def _bias_beside(self, dark: Match) -> Match:
        if dark.usable:
            return _not_needed("the matching dark contains the bias; it would be subtracted twice")
        return self._choose(FrameKind.BIAS)

    def _dark(self) -> Match:
        """A dark that fits, or else a model, or else a dark of another temperature, which is told only."""
        darks, models = self._compare(FrameKind.DARK), self._compare(FrameKind.DARK_MODEL)
        near = _nearest(darks, models)
        if len(rows := darks.fitting()):
            return self.chosen(darks, darks.best(rows), near)
        if len(rows := models.fitting()):
            return self.chosen(models, models.best(rows), near, Coverage.MODELLED)
        if len(rows := darks.only_temperature_differs()):
            return self.chosen(darks, darks.best(rows), near, Coverage.TEMPERATURE)
        return _none(FrameKind.DARK, near)

    def _choose(self, *kinds: FrameKind) -> Match:
        """The best of the first kind; one of a later kind, if it fits better."""
        compared = [self._compare(kind) for kind in kinds]
        near = _nearest(*compared)
        found = [self.chosen(each, each.best(rows), near) for each in compared if len(rows := each.fitting())]
        if not found:
            return _none(kinds[0], near)
        return min(found, key=lambda answer: _BEST_FIRST.index(answer.coverage))

    def _compare(self, kind: FrameKind) -> Comparison:
        if kind not in self.compared:
            self.compared[kind] = compare(self.shelves[kind], self.frame, self.tolerances)
        return self.compared[kind]

    def chosen(
        self,
        compared: Comparison,
        row: int,
        near: tuple[NearMiss, ...],
        coverage: Coverage | None = None,
    ) -> Match:
        """The answer that is one row of a shelf."""
        record = compared.shelf.records[row]
        notes = compared.told(row, *(set(Verdict) - {Verdict.SAME}))
        if record.meta.kind is FrameKind.BIAS and self.frame.kind is FrameKind.LIGHT:
            notes.append("a bias leaves the dark current in")
        if coverage is None:
            coverage = Coverage.ACCEPTABLE if notes else Coverage.EXACT
        return Match(
            record=record,
            coverage=coverage,
            reasons=(self._introduced(record), *notes),
            residual_noise_adu=self._residual_adu(record),
            fields=compared.fields(row),
            near_misses=tuple(miss for miss in near if miss.record is not record)[:NEAR_MISSES_TOLD],
        )

    def _introduced(self, record: FrameRecord) -> str:
        """The master's name, its depth, and how far its temperature is from the frame's."""
        meta = record.meta
        if meta.kind is FrameKind.DARK_MODEL:
            return f"{record.path.name}: a dark is synthesised for this exposure and temperature"
        frames = counted(meta.n_combined, "frame")
        wanted_c, found_c = temperature_c(self.frame), temperature_c(meta)
        if meta.kind is FrameKind.FLAT or wanted_c is None or found_c is None:
            return f"{record.path.name}: {frames}"
        return f"{record.path.name}: {frames}, {found_c - wanted_c:+.1f} °C from the frame"

    def _residual_adu(self, record: FrameRecord) -> float | None:
        master = record.meta
        match master.kind:
            case FrameKind.DARK_MODEL:
                return modelled_residual_adu(self.frame, record)
            case FrameKind.DARK | FrameKind.FLAT_DARK:
                return dark_residual_adu(self.frame, master, self._bias_like(master))
            case FrameKind.FLAT:
                return flat_residual_adu(master, self.level_adu)
            case FrameKind.BIAS:
                return bias_residual_adu(self.frame, master, self._dark_like(master))
            case _:
                return None

    def _bias_like(self, master: FrameMeta) -> FrameMeta | None:
        """A bias of the same settings whose noise is known."""
        biases = self.shelves[FrameKind.BIAS]
        rows = np.flatnonzero(biases.same_settings(master) & biases.noise_known)
        return biases.records[int(rows[0])].meta if len(rows) else None

    def _dark_like(self, master: FrameMeta) -> FrameMeta | None:
        """Of the darks of the same settings the one whose dark signal has to be scaled least."""
        compared = self._compare(FrameKind.DARK)
        rows = np.flatnonzero(compared.shelf.same_settings(master) & compared.shelf.exposed)
        if not len(rows) or not self.frame.exposure_s:
            return None
        doublings = compared.away_in(TEMPERATURE)[rows] / DOUBLING_C
        doublings += np.abs(np.log2(compared.shelf.low_of(EXPOSURE)[rows] / self.frame.exposure_s))
        return compared.shelf.records[int(rows[np.argmin(doublings)])].meta


def _nearest(*compared: Comparison) -> tuple[NearMiss, ...]:
    """The near misses of several kinds together; one more than is told, for one may be the answer."""
    most = NEAR_MISSES_TOLD + 1
    misses = [
        (off, number, row) for number, each in enumerate(compared) for off, row in each.near_misses(most)
    ]
    return tuple(compared[number].near_miss(row) for _, number, row in sorted(misses)[:most])


def _none(kind: FrameKind, near: tuple[NearMiss, ...]) -> Match:
    if not near:
        name = "defect map" if kind is FrameKind.DEFECTS else f"master {kind.replace('_', '-')}"
        return Match(record=None, coverage=Coverage.MISSING, reasons=(f"there is no {name}",))
    near = near[:NEAR_MISSES_TOLD]
    reasons = tuple(f"{miss.record.path.name}: {'; '.join(miss.ruled_out_by)}" for miss in near)
    return Match(record=None, coverage=Coverage.INCOMPATIBLE, reasons=reasons, near_misses=near)


def _not_needed(reason: str) -> Match:
    return Match(record=None, coverage=Coverage.NOT_NEEDED, reasons=(reason,))
