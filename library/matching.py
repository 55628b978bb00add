"""Which calibration fits a frame, and why: hard keys, stated tolerances, and reasons in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from library.coverage import Calibration, Coverage, Match, NearMiss
from library.fitness import Tolerances, distance, notes_on, ruled_out_by, temperature_c
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.store import Library

NEAR_MISSES_TOLD = 5


DEFAULT_TOLERANCES = Tolerances()


def match(
    source: Library | Iterable[FrameRecord],
    frame: FrameMeta,
    *,
    tolerances: Tolerances = DEFAULT_TOLERANCES,
) -> Calibration:
    """Find the calibration of a light, or of a flat (its flat-dark or bias), among a library's masters.

    Given records, all of them are candidates. Camera, size, binning, gain, offset, read mode and Bayer
    pattern must be the same; unknown on both sides counts as the same. Camera, gain and offset known on one
    side only do not match; read mode and Bayer pattern then do, and the reasons say so. Darks and
    flat-darks keep the tolerances, flats need the same filter. Of those that fit, the nearest in
    temperature wins, then in exposure, then the one of more frames, then the newer.
    """
    if isinstance(source, Library):
        source = source.find(master=True)
    by_kind: dict[FrameKind, list[FrameRecord]] = {kind: [] for kind in FrameKind}
    for record in source:
        by_kind[record.meta.kind].append(record)
    chooser = _Chooser(frame, by_kind, tolerances)
    if frame.kind is FrameKind.FLAT:
        flat_dark = chooser.choose(FrameKind.FLAT_DARK, FrameKind.DARK)
        return Calibration(
            dark=_not_needed("a flat has its flat-dark or bias"),
            bias=_bias_beside(flat_dark, chooser),
            flat=_not_needed("a flat is not flattened"),
            flat_dark=flat_dark,
            defects=_not_needed("a flat is not mended"),
        )
    dark = chooser.choose(FrameKind.DARK)
    return Calibration(
        dark=dark,
        bias=_bias_beside(dark, chooser),
        flat=chooser.choose(FrameKind.FLAT),
        flat_dark=_not_needed("it was taken off within the master flat"),
        defects=chooser.choose(FrameKind.DEFECTS),
    )


def _bias_beside(dark: Match, chooser: _Chooser) -> Match:
    if dark.usable:
        return _not_needed("the matching dark contains the bias; it would be subtracted twice")
    return chooser.choose(FrameKind.BIAS)


def _not_needed(reason: str) -> Match:
    return Match(record=None, coverage=Coverage.NOT_NEEDED, reasons=(reason,))


@dataclass(frozen=True, slots=True)
class _Chooser:
    frame: FrameMeta
    by_kind: dict[FrameKind, list[FrameRecord]]
    tolerances: Tolerances

    def choose(self, *kinds: FrameKind) -> Match:
        """The best that fits, of the first kind that has one."""
        ruled_out: list[NearMiss] = []
        for kind in kinds:
            fitting = []
            for record in self.by_kind[kind]:
                against = ruled_out_by(self.frame, record.meta, self.tolerances)
                if against:
                    ruled_out.append(NearMiss(record=record, ruled_out_by=tuple(against)))
                else:
                    fitting.append(record)
            if fitting:
                return self._chosen(min(fitting, key=self._rank))
        if not ruled_out:
            return Match(
                record=None,
                coverage=Coverage.MISSING,
                reasons=(f"there is no master {kinds[0].replace('_', '-')}",),
            )
        ruled_out.sort(key=lambda miss: (len(miss.ruled_out_by), miss.record.path.name))
        near = tuple(ruled_out[:NEAR_MISSES_TOLD])
        reasons = tuple(f"{miss.record.path.name}: {'; '.join(miss.ruled_out_by)}" for miss in near)
        return Match(record=None, coverage=Coverage.INCOMPATIBLE, reasons=reasons, near_misses=near)

    def _chosen(self, record: FrameRecord) -> Match:
        notes = notes_on(self.frame, record.meta, self.tolerances)
        frames = "1 frame" if record.meta.n_combined == 1 else f"{record.meta.n_combined} frames"
        return Match(
            record=record,
            coverage=Coverage.ACCEPTABLE if notes else Coverage.EXACT,
            reasons=(f"{record.path.name}: {frames}{self._from_frame(record.meta)}", *notes),
        )

    def _rank(self, record: FrameRecord) -> tuple[float, float, int, float, str]:
        meta = record.meta
        newest = -meta.date_obs.timestamp() if meta.date_obs else 0.0
        away_c = distance(temperature_c(self.frame), temperature_c(meta))
        away_s = distance(self.frame.exposure_s, meta.exposure_s)
        exposure_counts = meta.kind in {FrameKind.DARK, FrameKind.FLAT_DARK}
        return (
            round(away_c, 1),  # what a sensor can tell
            round(away_s, 3) if exposure_counts else 0.0,
            -meta.n_combined,
            newest,
            str(record.path),
        )

    def _from_frame(self, found: FrameMeta) -> str:
        wanted_c, found_c = temperature_c(self.frame), temperature_c(found)
        if found.kind is FrameKind.FLAT or wanted_c is None or found_c is None:
            return ""
        return f", {found_c - wanted_c:+.1f} °C from the frame"
