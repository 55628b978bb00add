"""Between :class:`FrameRecord` and a row of the catalogue."""

from __future__ import annotations

import dataclasses
import sqlite3
from datetime import datetime
from pathlib import Path

from library.frames import FrameKind, FrameMeta, FrameRecord

SqlValue = str | int | float | None
Row = dict[str, SqlValue]

_AS_THEY_ARE = tuple(
    field.name
    for field in dataclasses.fields(FrameMeta)
    if field.name not in {"kind", "binning", "origin", "date_obs", "temp_range_c", "exposure_range_s"}
)


def to_row(path: str, sha256: str, size_bytes: int, meta: FrameMeta, *, is_master: bool) -> Row:
    """The columns of a frame that its file says."""
    return {
        "path": path,
        "sha256": sha256,
        "size_bytes": size_bytes,
        "is_master": is_master,
        "kind": meta.kind.value,
        "x_binning": meta.binning[0],
        "y_binning": meta.binning[1],
        "x_origin": meta.origin[0] if meta.origin else None,
        "y_origin": meta.origin[1] if meta.origin else None,
        "date_obs": meta.date_obs.isoformat() if meta.date_obs else None,
        "temp_from_c": meta.temp_range_c[0] if meta.temp_range_c else None,
        "temp_to_c": meta.temp_range_c[1] if meta.temp_range_c else None,
        "exposure_from_s": meta.exposure_range_s[0] if meta.exposure_range_s else None,
        "exposure_to_s": meta.exposure_range_s[1] if meta.exposure_range_s else None,
        **{name: getattr(meta, name) for name in _AS_THEY_ARE},
    }


def to_record(row: sqlite3.Row, root: Path) -> FrameRecord:
    """A row as a record; ``root`` is the library's folder."""
    meta = FrameMeta(
        kind=FrameKind(row["kind"]),
        binning=(row["x_binning"], row["y_binning"]),
        origin=None if row["x_origin"] is None else (row["x_origin"], row["y_origin"]),
        date_obs=datetime.fromisoformat(row["date_obs"]) if row["date_obs"] else None,
        temp_range_c=_pair(row["temp_from_c"], row["temp_to_c"]),
        exposure_range_s=_pair(row["exposure_from_s"], row["exposure_to_s"]),
        **{name: row[name] for name in _AS_THEY_ARE},
    )
    return FrameRecord(
        id=row["id"],
        path=root / row["path"],
        sha256=row["sha256"],
        size_bytes=row["size_bytes"],
        meta=meta,
        retired_at=datetime.fromisoformat(row["retired_at"]) if row["retired_at"] else None,
        retired_because=row["retired_because"],
    )


def _pair(low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (low, high)
