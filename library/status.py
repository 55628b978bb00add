"""What a library holds, as values: for each setting of a camera, a grid of temperature × exposure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from library.frames import FrameKind, FrameMeta, FrameRecord
from library.master_groups import groups_of


class MasterState(StrEnum):
    """Whether there is a master of some subs."""

    CURRENT = "current"
    STALE = "stale"
    """It has subs in it that are no longer live, or there are newer ones."""

    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Frames that belong into one master, and that master; flats have a filter, others an exposure."""

    kind: FrameKind
    temp_c: int | None
    exposure_s: float | None
    filter: str | None
    subs: int
    oldest: datetime | None
    newest: datetime | None
    """The subs' dates, or without subs the master's."""

    master: MasterState
    n_combined: int
    modelled: bool
    """Whether a dark model covers it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One camera at one setting: what has to be equal for a dark to fit."""

    camera: str
    gain: float | None
    offset: float | None
    binning: tuple[int, int]
    read_mode: str | None
    width: int
    height: int
    lights: int
    defect_maps: int
    dark_models: int
    cells: tuple[Cell, ...]

    def of(self, kind: FrameKind) -> tuple[Cell, ...]:
        """The cells of one kind."""
        return tuple(cell for cell in self.cells if cell.kind is kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How much of the disk a kind of frame takes."""

    kind: FrameKind
    master: bool
    frames: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A whole library; retired frames are counted in ``shares`` and ``retired`` alone."""

    setups: tuple[Setup, ...]
    shares: tuple[Share, ...]
    retired: int


_Key = tuple[object, ...]
_CALIBRATION = (FrameKind.BIAS, FrameKind.DARK, FrameKind.FLAT_DARK, FrameKind.FLAT)


def status(subs: Iterable[FrameRecord], masters: Iterable[FrameRecord]) -> Status:
    """Sum up what a library has, retired ones too."""
    by_setup: dict[_Key, list[tuple[FrameRecord, bool]]] = defaultdict(list)
    sizes: dict[tuple[FrameKind, bool], list[int]] = defaultdict(list)
    retired = 0
    for record, master in [*((sub, False) for sub in subs), *((each, True) for each in masters)]:
        sizes[record.meta.kind, master].append(record.size_bytes)
        retired += record.retired_at is not None
        if record.retired_at is None:
            by_setup[_setup_key(record.meta)].append((record, master))
    return Status(
        setups=tuple(_setup(by_setup[key]) for key in sorted(by_setup, key=repr)),
        shares=tuple(
            Share(kind=kind, master=master, frames=len(each), size_bytes=sum(each))
            for (kind, master), each in sorted(sizes.items())
        ),
        retired=retired,
    )


def _setup_key(meta: FrameMeta) -> _Key:
    return (meta.camera, meta.gain, meta.offset, meta.binning, meta.read_mode, meta.width, meta.height)


def _setup(frames: Sequence[tuple[FrameRecord, bool]]) -> Setup:
    meta = frames[0][0].meta
    of_kind: dict[FrameKind, list[FrameRecord]] = {kind: [] for kind in FrameKind}
    masters = {record.id for record, master in frames if master}
    for record, _ in frames:
        of_kind[record.meta.kind].append(record)
    models = of_kind[FrameKind.DARK_MODEL]
    cells = [
        _cell(group.records, masters, group.temp_c, models)
        for kind in _CALIBRATION
        for group in groups_of(of_kind[kind])
    ]
    return Setup(
        camera=meta.camera,
        gain=meta.gain,
        offset=meta.offset,
        binning=meta.binning,
        read_mode=meta.read_mode,
        width=meta.width,
        height=meta.height,
        lights=len(of_kind[FrameKind.LIGHT]),
        defect_maps=len(of_kind[FrameKind.DEFECTS]),
        dark_models=len(models),
        cells=tuple(cells),
    )


def _cell(
    records: Sequence[FrameRecord], masters: set[int], temp_c: int | None, models: Sequence[FrameRecord]
) -> Cell:
    meta = records[0].meta
    subs = [record.meta for record in records if record.id not in masters]
    made = [record.meta for record in records if record.id in masters]
    dates = [each.date_obs for each in subs or made if each.date_obs]
    best = max(
        made, key=lambda each: (_state(each, subs) is MasterState.CURRENT, each.n_combined), default=None
    )
    is_dark = meta.kind in {FrameKind.DARK, FrameKind.FLAT_DARK}
    return Cell(
        kind=meta.kind,
        temp_c=temp_c,
        exposure_s=meta.exposure_s if is_dark else None,
        filter=meta.filter if meta.kind is FrameKind.FLAT else None,
        subs=len(subs),
        oldest=min(dates, default=None),
        newest=max(dates, default=None),
        master=MasterState.MISSING if best is None else _state(best, subs),
        n_combined=0 if best is None else best.n_combined,
        modelled=is_dark and any(_covers(model.meta, temp_c, meta.exposure_s) for model in models),
    )


def _state(master: FrameMeta, subs: Sequence[FrameMeta]) -> MasterState:
    """A master may hold fewer frames than there are, since unfit ones are left out, but not older ones."""
    if not subs:
        return MasterState.CURRENT
    newest = max((sub.date_obs for sub in subs if sub.date_obs), default=None)
    has_newer = newest and master.date_obs and (newest - master.date_obs).total_seconds() > 1
    return MasterState.STALE if has_newer or master.n_combined > len(subs) else MasterState.CURRENT


def _covers(model: FrameMeta, temp_c: float | None, exposure_s: float | None) -> bool:
    """Within the model's ranges, to the half degree that ``temp_c`` was rounded by."""
    temps, exposures = model.temp_range_c, model.exposure_range_s
    if temp_c is None or exposure_s is None or temps is None or exposures is None:
        return False
    return temps[0] - 0.5 <= temp_c <= temps[1] + 0.5 and exposures[0] <= exposure_s <= exposures[1]
