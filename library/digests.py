"""The digests of the frames in text files beside them, so that they outlive the catalogue.

``frames/SHA256SUMS`` and ``masters/SHA256SUMS`` hold a line for each file, as ``sha256sum`` writes it, with
its size and its frame's id in a comment above: ``cd frames && sha256sum -c SHA256SUMS`` checks them without
us. The last line of a file is the one that counts. A line that a crash or a full disk has torn is no line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from library.writing import write_durably

MANIFEST = "SHA256SUMS"
TOPS = ("frames", "masters")

_LONGEST_LINE = 65_536
_COMMENT = re.compile(r"# (\d{1,18}) bytes(?:, (.*))?")
_LINE = re.compile(r"(\\?)([0-9a-f]{64}) [ *](.+)")


@dataclass(frozen=True, slots=True)
class Digest:
    """What was known of a file when it was entered; a line of another program has neither size nor id."""

    sha256: str
    size_bytes: int | None
    frame_id: str | None


def read_digests(folder: Path) -> dict[str, Digest]:
    """The digests of a library by path relative to its ``folder``, in the order of entry."""
    digests: dict[str, Digest] = {}
    for top in TOPS:
        digests |= {f"{top}/{name}": digest for name, digest in _read(folder / top / MANIFEST).items()}
    return digests


def append_digests(folder: Path, digests: Mapping[str, Digest]) -> None:
    """Add lines; whoever calls holds the library's write lock."""
    for top in TOPS:
        if lines := _lines(top, digests):
            append_text(folder / top / MANIFEST, lines)


def replace_digests(folder: Path, top: str, digests: Mapping[str, Digest]) -> None:
    """Make these all that ``frames`` or ``masters`` has; the lock is held, and a crash does no harm."""
    write_durably(folder / top / MANIFEST, [_lines(top, digests).encode("utf-8", "surrogateescape")])


def forget_digest(folder: Path, path: str) -> None:
    """Leave out one file, if it is there."""
    top, _, name = path.partition("/")
    digests = _read(folder / top / MANIFEST)
    if digests.pop(name, None) is not None:
        replace_digests(folder, top, {f"{top}/{other}": digest for other, digest in digests.items()})


def append_text(file: Path, text: str, *, durably: bool = False) -> None:
    """Append whole lines in one write; what was torn of a line before them is taken away first."""
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        _take_away_torn_line(descriptor)
        rest = memoryview(text.encode("utf-8", "surrogateescape"))
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if durably:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take_away_torn_line(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        longest = min(size, _LONGEST_LINE)
        tail = os.pread(descriptor, longest, size - longest)
        os.ftruncate(descriptor, size - longest + tail.rfind(b"\n") + 1)


def _read(manifest: Path) -> dict[str, Digest]:
    try:
        text = manifest.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return {}
    digests: dict[str, Digest] = {}
    size_bytes, frame_id = None, None
    for line in text.split("\n")[:-1]:
        if comment := _COMMENT.fullmatch(line):
            size_bytes, frame_id = int(comment[1]), comment[2]
            continue
        if match := _LINE.fullmatch(line):
            name = _unescape(match[3]) if match[1] else match[3]
            digests.pop(name, None)
            digests[name] = Digest(match[2], size_bytes, frame_id)
        size_bytes, frame_id = None, None
    return digests


def _lines(top: str, digests: Mapping[str, Digest]) -> str:
    return "".join(
        _entry(path[len(top) + 1 :], of) for path, of in digests.items() if path.startswith(f"{top}/")
    )


def _entry(name: str, digest: Digest) -> str:
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    identity = f", {digest.frame_id}" if digest.frame_id else ""
    comment = "" if digest.size_bytes is None else f"# {digest.size_bytes} bytes{identity}\n"
    mark = "" if escaped == name else "\\"
    return f"{comment}{mark}{digest.sha256}  {escaped}\n"


def _unescape(name: str) -> str:
    return re.sub(r"\\([nr\\])", lambda match: {"n": "\n", "r": "\r", "\\": "\\"}[match[1]], name)
