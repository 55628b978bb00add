"""Whether a sensor has changed since its calibration was shot: the newest session against those before.

A session is frames without twelve hours between any two; the ones before the newest make the reference. Each
change has its error and a limit below which it does not matter: it counts if it is beyond both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from library.defects import Limits, settings_of
from library.drift_measures import (
    Value,
    flat_change,
    fresh_excess,
    gain_e_per_adu,
    levels,
    noise,
)
from library.frames import FrameKind, FrameMeta, FrameRecord
from library.master_groups import groups_of

_APART = timedelta(hours=12)
_MOST_BEFORE = 20
_DARKNESS = (FrameKind.BIAS, FrameKind.DARK)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftLimits:
    """What matters; ``sigma`` is for all: how significant a change has to be besides."""

    sigma: float = 5.0
    offset_noises: float = 0.1
    """Offset: this share of one frame's noise."""

    noise_share: float = 0.05
    gain_share: float = 0.03
    rate_share: float = 0.15
    """Dark rate: a sensor 1 °C off changes by 12 % alone."""

    hot_pixels: int = 5
    flat_share: float = 0.01
    """Flats: shading, or the light of 16×16 pixels, by this share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One figure before and after; ``sigma`` is how many errors the change is."""

    what: str
    before: float
    after: float
    unit: str
    sigma: float
    matters: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """The comparison of one kind of settings at one temperature (flats: of one filter)."""

    camera: str
    of: str
    before: tuple[datetime, datetime]
    after: tuple[datetime, datetime]
    frames: tuple[int, int]
    changes: tuple[Change, ...]

    @property
    def stale(self) -> bool:
        """Whether the masters made of the older frames no longer describe the sensor."""
        return any(change.matters for change in self.changes)


def check_drift(records: Iterable[FrameRecord], *, limits: DriftLimits | None = None) -> list[Drift]:
    """Compare the newest session of each setting with those before; one session alone says nothing.

    ``records`` are subs (``library.find(master=False)``); those without a date do not count.
    """
    limits = limits or DriftLimits()
    by_settings: dict[tuple[object, ...], list[FrameRecord]] = defaultdict(list)
    for record in records:
        if record.meta.date_obs and record.meta.kind in {*_DARKNESS, FrameKind.FLAT}:
            by_settings[settings_of(record.meta)].append(record)
    found = []
    for key in sorted(by_settings, key=repr):
        same = by_settings[key]
        biases = [r for r in same if r.meta.kind is FrameKind.BIAS]
        by_temp: dict[int | None, list[FrameRecord]] = defaultdict(list)
        for group in groups_of(r for r in same if r.meta.kind is FrameKind.DARK):
            by_temp[group.temp_c].extend(group.records)
        for temp_c, darks in by_temp.items() or {None: []}.items():
            found.append(_darkness([*darks, *biases], same[0].meta, temp_c, limits))
        flats = groups_of(r for r in same if r.meta.kind is FrameKind.FLAT)
        found += [_flats(group.records, biases, limits) for group in flats]
    return [drift for drift in found if drift is not None]


def _darkness(
    records: Sequence[FrameRecord], meta: FrameMeta, temp_c: int | None, limits: DriftLimits
) -> Drift | None:
    split = _sessions(records)
    if split is None:
        return None
    old, new = split
    changes = [*_level_changes(old, new, limits), *_hot_changes(old, new, limits)]
    before, after = noise(old), noise(new)
    if before and after:
        changes.insert(
            0, _compared("noise", before, after, "ADU", limits.sigma, limits.noise_share * before.value)
        )
    at = "" if temp_c is None else f" at {temp_c} °C"
    return _drift(old, new, f"darks and biases{at}", meta.camera, changes)


def _level_changes(old: list[FrameRecord], new: list[FrameRecord], limits: DriftLimits) -> list[Change]:
    """Offset and rate where both sessions can tell them apart, else the level of equal exposures."""
    sigma = noise(old) or noise(new)
    least = max(limits.offset_noises * (sigma.value if sigma else 0.0), 0.5)
    before, after = levels(old), levels(new)
    if before.rate and after.rate:
        return [
            _compared("offset", before.offset, after.offset, "ADU", limits.sigma, least),
            _compared(
                "dark rate",
                before.rate,
                after.rate,
                "ADU/s",
                limits.sigma,
                max(limits.rate_share * abs(before.rate.value), 1e-4),
            ),
        ]
    changes = []
    for seconds in _common_exposures(old, new):
        before, after = (levels([r for r in some if _exposure(r) == seconds]) for some in (old, new))
        what = f"level at {seconds:g} s"
        changes.append(_compared(what, before.offset, after.offset, "ADU", limits.sigma, least))
    return changes


def _hot_changes(old: list[FrameRecord], new: list[FrameRecord], limits: DriftLimits) -> list[Change]:
    """Pixels that have become hot, as a defect map has it, in the longest exposure that both have."""
    common = [s for s in _common_exposures(old, new) if s > 0]
    if not common:
        return []
    seconds = common[-1]
    a, b = ([r for r in some if _exposure(r) == seconds] for some in (old, new))
    excess, sigma = fresh_excess(a, b)
    own = noise(a) or noise(b)
    e_per_adu = a[0].meta.egain_e_per_adu or 1.0
    hot = Limits().hot_noise ** 2 * (own.value**2 if own else float(np.median(sigma)) ** 2) * e_per_adu
    least = np.maximum(Limits().warm_sigma * sigma, hot)
    fresh, gone = int(np.count_nonzero(excess > least)), int(np.count_nonzero(excess < -least))
    lone = " (some may be cosmic rays: shoot 3 or more)" if min(len(a), len(b)) < 2 else ""
    return [
        Change(
            what="hot pixels",
            before=float(gone),
            after=float(fresh),
            unit="pixels",
            sigma=Limits().warm_sigma,
            matters=fresh >= limits.hot_pixels,
            text=f"{fresh} new hot pixels, {gone} no longer hot, in {seconds:g} s{lone}",
        )
    ]


def _flats(
    records: Sequence[FrameRecord], biases: Sequence[FrameRecord], limits: DriftLimits
) -> Drift | None:
    split = _sessions(records)
    if split is None:
        return None
    old, new = split
    changes = []
    pedestal = levels(biases).offset.value if biases else 0.0
    own = noise(biases)
    if own:
        gains = [gain_e_per_adu(some, pedestal, own.value) for some in (old, new)]
        if gains[0] and gains[1]:
            least = limits.gain_share * gains[0].value
            changes.append(_compared("gain", gains[0], gains[1], "e⁻/ADU", limits.sigma, least))
    surface, left, error = flat_change(old, new, pedestal)
    depth = float(np.ptp(surface))
    dust = (np.abs(left) > limits.sigma * error) & (np.abs(left) > limits.flat_share)
    worst = float(left.ravel()[np.argmax(np.abs(left))])
    changes += [
        Change(
            what="shading",
            before=0.0,
            after=depth,
            unit="share",
            sigma=depth / float(np.median(error)),
            matters=depth > limits.flat_share and depth > limits.sigma * float(np.median(error)),
            text=f"shading has changed by {depth:.1%} across the field",
        ),
        Change(
            what="dust",
            before=0.0,
            after=float(dust.sum()),
            unit="blocks",
            sigma=float(np.max(np.abs(left) / error)),
            matters=int(dust.sum()) >= 2,
            text=f"{int(dust.sum())} of {dust.size} blocks of 16×16 pixels differ, the worst by {worst:+.1%}",
        ),
    ]
    meta = old[0].meta
    return _drift(old, new, f"flats, filter {meta.filter or 'none'}", meta.camera, changes)


def _compared(what: str, before: Value, after: Value, unit: str, sigma: float, least: float) -> Change:
    step, error = after.value - before.value, float(np.hypot(before.error, after.error))
    significance = abs(step) / error
    matters = significance > sigma and abs(step) > least
    share = f" ({step / before.value:+.1%})" if before.value else ""
    return Change(
        what=what,
        before=before.value,
        after=after.value,
        unit=unit,
        sigma=significance,
        matters=matters,
        text=f"{what} {before.value:.4g} → {after.value:.4g} {unit}{share}, {significance:.1f} σ",
    )


def _sessions(records: Sequence[FrameRecord]) -> tuple[list[FrameRecord], list[FrameRecord]] | None:
    """The newest frames before the last session, and those of the last session; None without a gap."""
    ordered = sorted(records, key=lambda r: (_date(r), r.path.name))
    for i in range(len(ordered) - 1, 0, -1):
        if _date(ordered[i]) - _date(ordered[i - 1]) > _APART:
            return _newest_of_each(ordered[:i]), _newest_of_each(ordered[i:])
    return None


def _newest_of_each(records: Sequence[FrameRecord]) -> list[FrameRecord]:
    """At most twenty of each exposure, the newest: what a long history adds is little."""
    by_exposure: dict[float, list[FrameRecord]] = defaultdict(list)
    for record in records:
        by_exposure[_exposure(record)].append(record)
    return [record for some in by_exposure.values() for record in some[-_MOST_BEFORE:]]


def _common_exposures(old: Sequence[FrameRecord], new: Sequence[FrameRecord]) -> list[float]:
    return sorted({_exposure(r) for r in old} & {_exposure(r) for r in new})


def _exposure(record: FrameRecord) -> float:
    return 0.0 if record.meta.kind is FrameKind.BIAS else round(record.meta.exposure_s or 0.0, 3)


def _date(record: FrameRecord) -> datetime:
    assert record.meta.date_obs is not None
    return record.meta.date_obs


def _drift(
    old: Sequence[FrameRecord], new: Sequence[FrameRecord], of: str, camera: str, changes: Sequence[Change]
) -> Drift:
    spans = [(min(map(_date, some)), max(map(_date, some))) for some in (old, new)]
    return Drift(
        camera=camera,
        of=of,
        before=spans[0],
        after=spans[1],
        frames=(len(old), len(new)),
        changes=tuple(changes),
    )
