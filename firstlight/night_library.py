"""Which library a night's frames go into, and the mark by which they are known among other nights' there."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from firstlight.config import default_library
from firstlight.errors import FirstlightError
from library.opening import read_file, resolved
from library.writing import write_durably

_MARK = "night.json"


def library_for(root: Path, given: Path | None) -> Path:
    """The folder whose library a night on ``root`` uses; ``given`` is what ``--library`` names.

    A night that was begun keeps its library: in its own root, as all nights of before, or where its mark
    says. Others take ``given``, or else the default library.

    Raises
    ------
    FirstlightError
        if ``given`` is not where the night's frames are, if these are gone, or if the mark or the settings
        cannot be read.
    """
    begun = root if _has_library(root) else _marked(root)[1]
    if begun is None:
        return resolved(given or default_library())
    if not _has_library(begun):
        if given is None or not _has_library(given):
            raise FirstlightError(
                f"{begun}: the library of the night on {root} is not there: mount its disk, or say with "
                "--library where it is now"
            )
        return resolved(given)
    if given is not None and resolved(given) != begun:
        raise FirstlightError(
            f"the night on {root} has its frames in the library of {begun}: leave --library out to go on "
            "there, or give another --root to begin another night"
        )
    return begun


def night_mark(root: Path, library: Path) -> str | None:
    """What marks the frames of the night on ``root`` in that library; made when the night begins.

    ``None`` for a night whose library is in its own root: its frames need no mark.
    """
    if library == root:
        return None
    mark, there = _marked(root)
    if mark is None or there != library:
        mark = mark or uuid.uuid4().hex[:12]
        write_durably(root / _MARK, [json.dumps({"night": mark, "library": str(library)}).encode() + b"\n"])
    return mark


def _has_library(folder: Path) -> bool:
    return (folder / "library").is_dir()


def _marked(root: Path) -> tuple[str, Path] | tuple[None, None]:
    file = root / _MARK
    try:
        said = json.loads(read_file(file))
        night, library = said["night"], Path(said["library"])
    except (FileNotFoundError, NotADirectoryError):
        return None, None
    except OSError as error:
        raise FirstlightError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(file) from error
    if not isinstance(night, str) or not (night.isascii() and night.isalnum() and len(night) <= 32):
        raise _unreadable(file)
    return night, library


def _unreadable(file: Path) -> FirstlightError:
    return FirstlightError(
        f"{file}: is not what was written there; it says which night this is: put it back from a copy, or "
        "begin another night with another --root"
    )
