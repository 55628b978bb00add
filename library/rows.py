"""Between :class:`FrameRecord` and a row of the catalogue."""

from __future__ import annotations

import dataclasses
import sqlite3
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from library.errors import CannotBeIndexedError
from library.frames import FrameKind, FrameMeta, FrameRecord

SqlValue = str | int | float | None
Row = dict[str, SqlValue]

_AS_THEY_ARE = tuple(
    field.name
    for field in dataclasses.fields(FrameMeta)
    if field.name not in {"kind", "binning", "origin", "date_obs", "temp_range_c", "exposure_range_s"}
)
_INTEGERS, _MOST = 2**63, 2**31
_SIZES = {"width", "height", "x_binning", "y_binning", "n_combined"}
_WHOLE = _SIZES | {"id", "size_bytes", "is_master", "x_origin", "y_origin", "is_stale"}
_NUMBERS = {"temp_from_c", "temp_to_c", "exposure_from_s", "exposure_to_s"} | {
    field.name for field in dataclasses.fields(FrameMeta) if field.type == "float | None"
}
_REQUIRED = (_WHOLE - {"x_origin", "y_origin"}) | {"path", "sha256", "kind", "camera", "calibrated"}


def to_row(path: str, sha256: str, size_bytes: int, meta: FrameMeta, *, is_master: bool) -> Row:
    """The columns of a frame that its file says.

    Raises :class:`CannotBeIndexedError` for a value that SQLite cannot hold.
    """
    row: Row = {
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
    for column, value in row.items():
        if isinstance(value, int) and not -_INTEGERS <= value < _INTEGERS:
            raise CannotBeIndexedError(f"{path}: its {column} is {value:.3g}, which no frame has; correct it")
        if isinstance(value, str) and not _is_unicode(value):
            what = "name" if column == "path" else column
            raise CannotBeIndexedError(f"{path}: its {what} is no UTF-8 text; rename or correct it")
    return row


def to_record(row: sqlite3.Row, root: Path) -> FrameRecord:
    """A row as a record; ``root`` is the library's folder.

    Raises ``ValueError`` or ``TypeError`` for a row that no frame of ours has given: it is damaged.
    """
    if wrong := _wrong_columns(tuple(row.keys()), tuple(map(type, row))):
        raise TypeError(f"{', '.join(wrong)} of frame {row['path']!r}")
    if not all(0 < row[column] <= _MOST for column in _SIZES):
        raise ValueError(f"size, binning or count of frame {row['path']!r}")
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


@lru_cache(maxsize=4096)
def _wrong_columns(columns: tuple[str, ...], types: tuple[type, ...]) -> list[str]:
    """Columns whose type none of ours has; rows of a library have a handful of combinations."""
    fitting: dict[str, set[type]] = {"text": {str}, "whole": {int}, "number": {int, float}}
    wrong = []
    for column, found in zip(columns, types, strict=True):
        may_lack = column not in _REQUIRED
        kind = "whole" if column in _WHOLE else "number" if column in _NUMBERS else "text"
        if found not in fitting[kind] and not (may_lack and found is type(None)):
            wrong.append(column)
    return wrong


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _pair(low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (low, high)
