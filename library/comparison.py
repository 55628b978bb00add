"""Every master of a shelf against one frame: which fits best, and the reasons in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from library.coverage import Field, NearMiss, Value, Verdict
from library.cutting import can_be_turned, pattern_at
from library.fitness import BAYER, DATE, DAY_S, EXPOSURE, ORIGIN, ROTATOR, TEMPERATURE, Quantity, Setting
from library.frames import FrameKind, FrameMeta
from library.shelves import CUT, DIFFERS, SAME, VERDICTS, Shelf
from library.tolerances import Tolerances

_Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """``verdicts`` (fields, masters), ``away`` (quantities, masters), ``n_against`` fields that rule out."""

    shelf: Shelf
    frame: FrameMeta
    tolerances: Tolerances
    verdicts: NDArray[np.int8]
    away: NDArray[np.float64]
    n_against: NDArray[np.int64]

    def fitting(self) -> _Rows:
        """The masters that nothing rules out."""
        return np.flatnonzero(self.n_against == 0)

    def only_temperature_differs(self) -> _Rows:
        """The masters that nothing but their temperature rules out."""
        column = self.shelf.names.index(TEMPERATURE)
        return np.flatnonzero((self.n_against == 1) & (self.verdicts[column] == DIFFERS))

    def away_in(self, name: str) -> NDArray[np.float64]:
        """How far each master is from the frame in a quantity; zeros where this kind has no such field."""
        names = [quantity.name for quantity in self.shelf.quantities]
        return self.away[names.index(name)] if name in names else np.zeros(len(self.shelf))

    def best(self, rows: _Rows) -> int:
        """Of these masters one whose fields are all the same, if there is one; then the nearest.

        Nearest in temperature to a tenth of a degree, in exposure, in the rotator's angle; of flats then in
        time, to the day, since dust moves; then the one of most frames; then one that need not be cut; then
        the nearest in time, or the newest for a frame without a date.
        """
        verdicts = self.verdicts[:, rows]
        cut = (verdicts == CUT).any(axis=0)
        inexact = (verdicts > max(SAME, CUT)).any(axis=0)
        nearest_c = np.round(self.away_in(TEMPERATURE)[rows], 1)
        nearest_s = np.round(self.away_in(EXPOSURE)[rows], 3)
        nearest_deg = np.round(self.away_in(ROTATOR)[rows], 1)
        dates = self.shelf.low[-1, rows]  # DATE is the last of every kind's quantities
        days = -dates if self.frame.date_obs is None else self.away_in(DATE)[rows]
        days = np.where(np.isnan(dates), np.inf, days)
        night = np.floor(days) if self.shelf.kind is FrameKind.FLAT else np.zeros(len(rows))
        fewest = -self.shelf.n_combined[rows]
        order = np.lexsort((rows, days, cut, fewest, night, nearest_deg, nearest_s, nearest_c, inexact))
        return int(rows[order[0]])

    def near_misses(self, most: int) -> list[tuple[float, int]]:
        """How far off those ruled out are, and which they are: by the fewest fields, then the nearest."""
        rows = np.flatnonzero(self.n_against)
        wanted_s = self.frame.exposure_s or 1.0
        off = np.round(
            1e4 * self.n_against[rows]
            + 1e2 * np.minimum(self.away_in(TEMPERATURE)[rows], 99.0)
            + 1e2 * np.minimum(self.away_in(EXPOSURE)[rows] / wanted_s, 0.9)
        )
        off += rows / len(self.shelf)  # of equals, the first in the order of paths
        nearest = np.argpartition(off, most)[:most] if len(rows) > most else np.arange(len(rows))
        return sorted((float(off[i]), int(rows[i])) for i in nearest)

    def near_miss(self, row: int) -> NearMiss:
        """What rules a master out, in words."""
        record = self.shelf.records[row]
        against = self.told(row, Verdict.DIFFERS)
        if record.retired_at is not None:
            against.append(f"retired: {record.retired_because}" if record.retired_because else "retired")
        return NearMiss(record=record, ruled_out_by=tuple(against))

    def fields(self, row: int) -> tuple[Field, ...]:
        """One master against the frame, field by field."""
        meta = self.shelf.records[row].meta
        values = [(key.value(self.frame), self._found(key, meta)) for key in self.shelf.settings]
        values += [(_value(key, self.frame), _value(key, meta)) for key in self.shelf.quantities]
        return tuple(
            Field(name=name, wanted=wanted, found=found, verdict=VERDICTS[code])
            for name, (wanted, found), code in zip(
                self.shelf.names, values, self.verdicts[:, row], strict=True
            )
        )

    def told(self, row: int, *verdicts: Verdict) -> list[str]:
        """The fields of one master that have these verdicts, in words."""
        return [
            self._in_words(row, field, VERDICTS[code])
            for field, code in enumerate(self.verdicts[:, row].tolist())
            if VERDICTS[code] in verdicts and not (code == CUT and self.shelf.names[field] == ORIGIN)
        ]

    def _found(self, key: Setting, meta: FrameMeta) -> Value:
        """A setting of a master; the mosaic of one that is cut or turned is that where the frame begins."""
        cut = (meta.width, meta.height) != (self.frame.width, self.frame.height)
        moved = key.name == BAYER and (cut or can_be_turned(meta, self.frame))
        return pattern_at(meta, self.frame) if moved else key.value(meta)

    def _in_words(self, row: int, field: int, verdict: Verdict) -> str:
        meta, settings = self.shelf.records[row].meta, self.shelf.settings
        if field < len(settings):
            key = settings[field]
            return _in_words(key.label, key.value(self.frame), self._found(key, meta), verdict)
        quantity = field - len(settings)
        away = float(self.away[quantity, row])
        return self._quantity_in_words(self.shelf.quantities[quantity], meta, verdict, away)

    def _quantity_in_words(self, key: Quantity, meta: FrameMeta, verdict: Verdict, away: float) -> str:
        wanted, found = key.span(self.frame), key.span(meta)
        if wanted is None or found is None:
            shown = [None if span is None else key.show(span[0]) for span in (wanted, found)]
            return _in_words(key.label, shown[0], shown[1], verdict)
        tolerance = key.tolerance(self.tolerances, self.shelf.kind, wanted[0])
        if key.name == DATE:
            return f"{key.show(away)} between them, at most {tolerance:g} wanted"
        if found[0] != found[1]:
            return (
                f"{key.label} {key.show(wanted[0])} is outside {key.show(found[0])} to {key.show(found[1])}"
            )
        allowed = "" if verdict is Verdict.OUTSIDE else f" ± {tolerance:g}{key.unit}"
        return f"{key.label} {key.show(found[0])}, wanted {key.show(wanted[0])}{allowed}"


def compare(shelf: Shelf, frame: FrameMeta, tolerances: Tolerances) -> Comparison:
    """Compare every master of a shelf with a frame."""
    verdicts, away = shelf.judge(frame, tolerances)
    against = np.count_nonzero(verdicts == DIFFERS, axis=0) + shelf.retired
    return Comparison(shelf, frame, tolerances, verdicts, away, against)


def _in_words(label: str, wanted: Value, found: Value, verdict: Verdict) -> str:
    if verdict is Verdict.CUT:
        return f"cut from {found}"
    if verdict is Verdict.TURNED:
        return f"turned over: its rows are {found}, the frame's {wanted}"
    if verdict is Verdict.UNKNOWN:
        return f"{label} is known of the {'frame' if found is None else 'master'} only"
    return f"{label} {_shown(found)}, wanted {_shown(wanted)}"


def _shown(value: Value) -> str:
    if value is None:
        return "unknown"
    return value if isinstance(value, str) else f"{value:g}"


def _value(key: Quantity, meta: FrameMeta) -> Value:
    span = key.span(meta)
    if span is None:
        return None
    if key.name == DATE:
        return datetime.fromtimestamp(span[0] * DAY_S, UTC).isoformat(timespec="seconds")
    return span[0] if span[0] == span[1] else f"{key.show(span[0])} to {key.show(span[1])}"
