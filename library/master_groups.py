"""Which frames belong into one master: settings that must be equal, temperatures and angles that are near."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from library.fitness import temperature_c
from library.frames import FrameKind, FrameMeta, FrameRecord

SETTLED_C = 1.0
"""A sensor this near to its set point is at it: it is a cooled camera, and counts as the set point."""

SPAN_C = 2.0
"""The temperatures of one master of an uncooled camera lie within this: ±1 °C, matching's tolerance."""

SPAN_DEG = 2.0
_Key = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Frames of one master, by name; ``key`` is what tells it from the others of its kind."""

    key: _Key
    records: tuple[FrameRecord, ...]
    temp_c: int | None

    @property
    def meta(self) -> FrameMeta:
        """The first frame's, for what all have in common."""
        return self.records[0].meta


def groups_of(records: Iterable[FrameRecord]) -> list[Group]:
    """The groups of frames, which are of one kind, in an order that does not depend on theirs.

    Equal are camera, size, origin, binning, gain, offset, read mode, Bayer pattern, row order, unit,
    and what was done to them before; exposure (but for
    biases and flats); filter, telescope and focal length of flats. A cooled camera's frames count as their
    set point. Those of an uncooled one are split at the widest gap between their temperatures until each
    group lies within 2 °C: a run that drifts from −9.4 to −10.6 °C is one master, though rounding would
    make it three. Rotator angles of flats are split likewise.
    """
    by_settings: dict[_Key, list[FrameRecord]] = defaultdict(list)
    for record in records:
        by_settings[_settings(record.meta)].append(record)
    groups = []
    for key in sorted(by_settings, key=repr):
        near, span = (_rotator, SPAN_DEG) if key[0] == FrameKind.FLAT else (_own_temp_c, SPAN_C)
        for number, some in enumerate(_split(by_settings[key], near, span)):
            ordered = tuple(sorted(some, key=lambda record: record.path.name))
            temps = [t for record in ordered if (t := _counted_c(record.meta)) is not None]
            groups.append(
                Group(key=(*key, number), records=ordered, temp_c=round(fmean(temps)) if temps else None)
            )
    return groups


def nominal_temp_c(meta: FrameMeta) -> int | None:
    """The whole degree that a frame counts as: its set point if the sensor was there, else the sensor's."""
    temp_c = _counted_c(meta)
    return None if temp_c is None else round(temp_c)


def unusual(meta: FrameMeta) -> tuple[str, ...]:
    """What else tells frames apart; nothing of raw frames in ADU whose first row is the top, or not said."""
    parts = {
        "rows": "BOTTOM-UP" if meta.row_order == "BOTTOM-UP" else "",
        "unit": "" if meta.unit == "adu" else meta.unit,
        "less": meta.calibrated,
    }
    return tuple(f"{name} {value}" for name, value in parts.items() if value)


def _settings(meta: FrameMeta) -> _Key:
    key: _Key = (
        meta.kind,
        meta.camera,
        meta.width,
        meta.height,
        meta.origin,
        meta.binning,
        meta.gain,
        meta.offset,
        meta.read_mode,
        meta.bayer_pattern,
        *unusual(meta),
    )
    if meta.kind is FrameKind.FLAT:
        return (*key, meta.filter, meta.telescope, meta.focal_length_mm)
    exposure_s = None if meta.kind is FrameKind.BIAS or meta.exposure_s is None else round(meta.exposure_s, 3)
    set_point = round(meta.set_temp_c, 1) if _is_settled(meta) and meta.set_temp_c is not None else None
    return (*key, exposure_s, set_point)


def _is_settled(meta: FrameMeta) -> bool:
    temp_c = temperature_c(meta)
    return meta.set_temp_c is not None and temp_c is not None and abs(meta.set_temp_c - temp_c) <= SETTLED_C


def _counted_c(meta: FrameMeta) -> float | None:
    return meta.set_temp_c if _is_settled(meta) else temperature_c(meta)


def _own_temp_c(record: FrameRecord) -> float | None:
    return None if _is_settled(record.meta) else temperature_c(record.meta)


def _rotator(record: FrameRecord) -> float | None:
    return record.meta.rotator_deg


def _split(
    records: Sequence[FrameRecord], value_of: Callable[[FrameRecord], float | None], span: float
) -> list[list[FrameRecord]]:
    """Groups whose values lie within the span, in order; what has no value is a group by itself."""
    unknown = [record for record in records if value_of(record) is None]
    known = sorted(
        ((value, record) for record in records if (value := value_of(record)) is not None),
        key=lambda pair: (pair[0], pair[1].path.name),
    )
    return ([unknown] if unknown else []) + _split_sorted(known, span)


def _split_sorted(known: list[tuple[float, FrameRecord]], span: float) -> list[list[FrameRecord]]:
    if not known:
        return []
    if known[-1][0] - known[0][0] <= span:
        return [[record for _, record in known]]
    widest = max(range(1, len(known)), key=lambda i: known[i][0] - known[i - 1][0])
    return _split_sorted(known[:widest], span) + _split_sorted(known[widest:], span)
