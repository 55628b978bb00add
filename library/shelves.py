"""The masters of one kind as columns, so that thousands are compared with a frame at once."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from library.coverage import Value, Verdict
from library.cutting import can_be_turned, pattern_at
from library.fitness import (
    BAYER,
    DATE,
    EXPOSURE,
    ORIGIN,
    ROTATOR,
    ROWS,
    SIZE,
    TEMPERATURE,
    Quantity,
    quantities_of,
    settings_of,
)
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.tolerances import Tolerances

VERDICTS = tuple(Verdict)
"""A verdict's code is its place here: from the same to what rules out."""

SAME, CUT, TURNED, WITHIN, UNKNOWN, OUTSIDE, DIFFERS = (np.int8(code) for code in range(len(VERDICTS)))
_UNKNOWN_CODE, _NEVER_SEEN = 0, -1
_NOWHERE = (math.nan,) * 4
_JUST = 1 + 1e-9
"""A difference of just the tolerance is within it, whatever the last bit says."""


class Shelf:
    """All masters of one kind, retired ones too, in the order of their paths."""

    def __init__(self, kind: FrameKind, records: Iterable[FrameRecord]) -> None:
        self.kind = kind
        self.records = sorted(records, key=lambda record: (str(record.path), record.sha256))
        self.settings, self.quantities = settings_of(kind), quantities_of(kind)
        self.names = (*(key.name for key in self.settings), *(key.name for key in self.quantities))
        self._codes: tuple[dict[Value, int], ...] = tuple({None: _UNKNOWN_CODE} for _ in self.settings)
        metas = [record.meta for record in self.records]
        codes = np.array([self._coded(meta, new=True) for meta in metas], np.int32)
        codes = codes.reshape(len(metas), len(self.settings))
        # An origin of 0, 0 that is told and one that is not are one setting, but only the first can be cut.
        told = np.array([meta.origin is not None for meta in metas], np.int32)
        distinct, first, self._setting_of = np.unique(
            np.column_stack((codes, told)), axis=0, return_index=True, return_inverse=True
        )
        self._distinct = distinct[:, :-1]
        self._distinct_metas = [metas[row] for row in first]
        corners = [
            (*meta.origin, meta.width, meta.height) if meta.origin else _NOWHERE
            for meta in self._distinct_metas
        ]
        self._extents = np.array(corners, np.float64).reshape(len(corners), 4)
        nowhere = (math.nan, math.nan)
        spans = [[quantity.span(meta) or nowhere for meta in metas] for quantity in self.quantities]
        low_high = np.array(spans, np.float64).reshape(len(self.quantities), len(metas), 2)
        self.low, self.high = np.ascontiguousarray(np.moveaxis(low_high, 2, 0))
        self._unknown = np.isnan(self.low)
        self.n_combined = np.array([meta.n_combined for meta in metas], np.int64)
        self.exposed = np.array([bool(meta.exposure_s) for meta in metas], bool)
        self.noise_known = np.array([meta.noise_adu is not None for meta in metas], bool)
        self.retired = np.array([record.retired_at is not None for record in self.records], bool)

    def __len__(self) -> int:
        return len(self.records)

    def _coded(self, meta: FrameMeta, *, new: bool = False) -> list[int]:
        """A number for the value of each setting; the same number means the same value."""
        keys = [_comparable(setting.value(meta)) for setting in self.settings]
        pairs = zip(self._codes, keys, strict=True)
        if new:
            return [codes.setdefault(key, len(codes)) for codes, key in pairs]
        return [codes.get(key, _NEVER_SEEN) for codes, key in pairs]

    def low_of(self, name: str) -> NDArray[np.float64]:
        """A quantity of every master (of a model, where its range begins), NaN where it is not known."""
        row: NDArray[np.float64] = self.low[[quantity.name for quantity in self.quantities].index(name)]
        return row

    def same_settings(self, meta: FrameMeta) -> NDArray[np.bool_]:
        """Which masters have just the hard keys of ``meta``."""
        same: NDArray[np.bool_] = (self._distinct == np.array(self._coded(meta), np.int32)).all(axis=1)
        return same[self._setting_of]

    def judge(self, frame: FrameMeta, tolerances: Tolerances) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        """Verdicts (fields, masters), and how far each master is from the frame (quantities, masters)."""
        one_sided = np.array(
            [UNKNOWN if name in tolerances.unknown_fits else DIFFERS for name in self.names], np.int8
        )
        n_settings = len(self.settings)
        verdicts = np.empty((len(self.names), len(self)), np.int8)
        wanted = np.array(self._coded(frame), np.int32)
        unknown = (self._distinct == _UNKNOWN_CODE) | (wanted == _UNKNOWN_CODE)
        other = np.where(unknown, one_sided[:n_settings], DIFFERS)
        distinct = np.where(self._distinct == wanted, SAME, other)
        self._turn(distinct, frame)
        self._cut(distinct, frame)
        np.take(distinct.T, self._setting_of, axis=1, out=verdicts[:n_settings])
        away = np.zeros((len(self.quantities), len(self)))
        for row, quantity in enumerate(self.quantities):
            field = n_settings + row
            away[row], verdicts[field] = self._judge(row, quantity, frame, tolerances, one_sided[field])
        return verdicts, away

    def _turn(self, distinct: NDArray[np.int8], frame: FrameMeta) -> None:
        """Let masters fit that would if their rows lay the other way round; mosaics are compared so."""
        rows, bayer = self.names.index(ROWS), self.names.index(BAYER)
        for row in np.flatnonzero(distinct[:, rows] == DIFFERS):
            meta = self._distinct_metas[row]
            if can_be_turned(meta, frame):
                distinct[row, rows] = TURNED
                if meta.bayer_pattern is not None and frame.bayer_pattern is not None:
                    found = pattern_at(meta, frame)
                    distinct[row, bayer] = SAME if found == frame.bayer_pattern else DIFFERS

    def _cut(self, distinct: NDArray[np.int8], frame: FrameMeta) -> None:
        """Let settings fit whose masters cover the frame and more; mosaics are compared where it begins."""
        if frame.origin is None:
            return
        left, top, width, height = self._extents.T
        covering = (left <= frame.origin[0]) & (left + width >= frame.origin[0] + frame.width)
        covering &= (top <= frame.origin[1]) & (top + height >= frame.origin[1] + frame.height)
        size, origin, bayer = (self.names.index(name) for name in (SIZE, ORIGIN, BAYER))
        for row in np.flatnonzero(covering & (distinct[:, size] != SAME)):
            distinct[row, size] = CUT
            distinct[row, origin] = np.where(distinct[row, origin] == SAME, SAME, CUT)
            found = pattern_at(self._distinct_metas[row], frame)
            if found is not None and frame.bayer_pattern is not None:
                distinct[row, bayer] = SAME if found == frame.bayer_pattern else DIFFERS

    def _judge(
        self, row: int, quantity: Quantity, frame: FrameMeta, tolerances: Tolerances, one_sided: np.int8
    ) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        low, high, unknown = self.low[row], self.high[row], self._unknown[row]
        told_only = self.kind in quantity.told_only
        one_sided = UNKNOWN if told_only else one_sided
        span = quantity.span(frame)
        if span is None:
            if quantity.name == DATE:  # a frame that is yet to be shot
                one_sided = SAME
            return np.zeros(len(self)), np.where(unknown, SAME, one_sided)
        wanted = span[0]
        tolerance = quantity.tolerance(tolerances, self.kind, wanted) * _JUST
        if quantity.name == ROTATOR:
            turn = 180.0 if tolerances.rotator_half_turn else 360.0
            around = np.abs(low - wanted) % turn
            away = np.minimum(around, turn - around)
        else:
            away = np.maximum(low - wanted, wanted - high)
        away = np.fmax(away, 0.0)  # which makes an unknown distance none
        in_range = self.kind is FrameKind.DARK_MODEL and quantity.name in {TEMPERATURE, EXPOSURE}
        same = 0.0 if in_range else max(quantity.same_within, quantity.same_fraction * abs(wanted))
        verdicts = np.where(
            away <= tolerance, OUTSIDE if in_range else WITHIN, OUTSIDE if told_only else DIFFERS
        )
        verdicts[away <= min(same, tolerance)] = SAME
        verdicts[unknown] = one_sided
        return away, verdicts


def _comparable(value: Value) -> Value:
    """What two spellings of one value share."""
    return value.strip().casefold() if isinstance(value, str) else value
