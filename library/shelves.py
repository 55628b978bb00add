"""The masters of one kind as columns, so that thousands are compared with a frame at once."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from library.coverage import Value, Verdict
from library.fitness import (
    DATE,
    EXPOSURE,
    ROTATOR,
    TEMPERATURE,
    Quantity,
    quantities_of,
    settings_of,
)
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.tolerances import Tolerances

VERDICTS = tuple(Verdict)
"""A verdict's code is its place here: from the same to what rules out."""

SAME, WITHIN, UNKNOWN, OUTSIDE, DIFFERS = (np.int8(code) for code in range(len(VERDICTS)))
_UNKNOWN_CODE, _NEVER_SEEN = 0, -1
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
        self._distinct, self._setting_of = np.unique(
            codes.reshape(len(metas), len(self.settings)), axis=0, return_inverse=True
        )
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
        distinct = np.where(self._distinct == wanted, SAME, other).T
        np.take(distinct, self._setting_of, axis=1, out=verdicts[:n_settings])
        away = np.zeros((len(self.quantities), len(self)))
        for row, quantity in enumerate(self.quantities):
            field = n_settings + row
            away[row], verdicts[field] = self._judge(row, quantity, frame, tolerances, one_sided[field])
        return verdicts, away

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
