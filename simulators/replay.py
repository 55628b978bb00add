"""A recorded night: FITS files of a folder, in the order in which they were taken."""

from __future__ import annotations

import gzip
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_ENDINGS = tuple(f".{fits}{gz}" for fits in ("fits", "fit", "fts") for gz in ("", ".gz"))
_KINDS = ("BIAS", "DARK", "FLAT")


class RecordingError(Exception):
    """A folder that cannot be played; says which, and what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One file of a recording."""

    path: Path
    kind: str
    """LIGHT, BIAS, DARK or FLAT."""

    width: int
    height: int
    pixel_um: float | None
    started: datetime | None
    exposure_s: float

    def content(self) -> bytes:
        """The FITS file, unpacked and else as it is; raises ``OSError`` or ``EOFError`` (cut short)."""
        with _open(self.path) as file:
            return bytes(file.read())


def read_recording(folder: Path) -> list[Recorded]:
    """The folder's FITS files (``.gz`` too) by the times in their headers, else by name.

    :raises RecordingError: no folder, no FITS file in it, a file that is none, or frames of several sizes.
    """
    try:
        paths = sorted(p for p in folder.iterdir() if p.name.lower().endswith(_ENDINGS))
    except OSError as error:
        raise RecordingError(f"cannot play {folder}: {error.strerror}") from error
    if not paths:
        raise RecordingError(f"nothing to play in {folder}: no file ends in {', '.join(_ENDINGS)}")
    frames = [_recorded(path) for path in paths]
    sizes = {(frame.width, frame.height) for frame in frames}
    if len(sizes) > 1:
        listed = " and ".join(f"{w} × {h}" for w, h in sorted(sizes))
        raise RecordingError(f"one camera cannot play {folder}: its frames are {listed} pixels")
    if all(frame.started for frame in frames):
        frames.sort(key=lambda frame: frame.started or datetime.min.replace(tzinfo=UTC))
    return frames


def _open(path: Path) -> Any:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")


def _recorded(path: Path) -> Recorded:
    from astropy.io import fits

    try:
        with _open(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # real headers are untidy, and go out as they are
            header = fits.Header.fromfile(file, padding=False)
            width, height = int(header["NAXIS1"]), int(header["NAXIS2"])
            kind = str(header.get("IMAGETYP", header.get("FRAME", "LIGHT"))).upper()
            pixel_um = _number(header.get("XPIXSZ", header.get("PIXSIZE1")))
            exposure_s = _number(header.get("EXPTIME", header.get("EXPOSURE"))) or 0.0
            started = _time(str(header.get("DATE-OBS", "")))
    except (OSError, EOFError, KeyError, ValueError, TypeError) as error:
        raise RecordingError(f"cannot play {path}: not an image in FITS ({error})") from error
    return Recorded(
        path=path,
        kind=next((name for name in _KINDS if name in kind), "LIGHT"),
        width=width,
        height=height,
        pixel_um=pixel_um,
        started=started,
        exposure_s=exposure_s,
    )


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _time(text: str) -> datetime | None:
    """Times come with and without a zone; without one they are UTC."""
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
