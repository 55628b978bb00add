"""Work that one process does for all on a machine, while others that want it wait: compiling.

A mark beside the compiled code says that it is done. While it is being done a lock on a file beside the mark
is held; it goes with its process, so that one that is killed leaves the work to the next.
"""

from __future__ import annotations

import fcntl
import hashlib
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from numerics.cache import folder_of


def mark_of(name: str, modules: Iterable[str], way: Path) -> Path | None:
    """The mark of what is compiled of these modules of kernels, in the way that the file ``way`` has.

    It is another one after an update, and on another machine. None where nothing can be kept.
    """
    try:
        folders = [folder_of(module) for module in modules]
    except RuntimeError:  # nobody's home is known
        return None
    sha256 = hashlib.sha256(way.read_bytes())
    for word in (*(folder.name for folder in folders), sys.version, version("numba"), platform.node()):
        sha256.update(word.encode() + b"\0")
    return folders[0].parent / f"{name}-{sha256.hexdigest()[:16]}.done"


def once(mark: Path, work: Callable[[], object]) -> bool:
    """Do the work and set its mark, unless that is set, maybe after waiting; whether it was done here.

    Where no file can be locked or written it is done all the same.
    """
    with _alone(mark.with_suffix(".lock")):
        if mark.exists():
            return False
        work()
        with suppress(OSError):
            mark.touch()
    return True


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("wb")
    except OSError:
        yield
        return
    with file:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
