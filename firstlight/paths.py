"""Where a night keeps its things, below one root folder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from firstlight.errors import FirstlightError, SessionRunningError
from library.naming import safe_name

LOCK_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class Root:
    """The folder that ``--root`` names: library, journals, pictures, and the running session's socket."""

    path: Path

    @property
    def journals(self) -> Path:
        """One JSON-lines file a run."""
        return self.path / "journal"

    @property
    def pictures(self) -> Path:
        """Stacks (FITS) and previews (PNG)."""
        return self.path / "pictures"

    def stack(self, target: str, plan_id: str) -> Path:
        """Where the live stack of a plan's lights keeps its state."""
        return self.path / "stacks" / f"{safe_name(target)}_{safe_name(plan_id)}"

    @property
    def log(self) -> Path:
        """What the session's processes print."""
        return self.path / "session.log"

    def create(self) -> None:
        """Make the folders; an error names the folder and the reason."""
        for folder in (self.path, self.journals, self.pictures):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise FirstlightError(
                    f"cannot make the folder {folder}: {error.strerror}. Give another one with --root."
                ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the root for one session; the kernel lets go of it however the process ends.

        A session that is about to end is given :data:`LOCK_PATIENCE_S` to do so.

        Raises
        ------
        SessionRunningError
            if another session holds it.
        """
        fd = os.open(self.path / "session.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + LOCK_PATIENCE_S
            while not _flock(fd):
                if time.monotonic() > deadline:
                    raise SessionRunningError(
                        f"a night is running on {self.path} already. "
                        f"Look at it with: firstlight attach --root {self.path}"
                    )
                time.sleep(0.05)
            yield
        finally:
            os.close(fd)

    @contextmanager
    def socket_address(self) -> Iterator[str]:
        """The session socket's address, valid inside the ``with``.

        A Unix socket's address holds 107 bytes, which a deep root exceeds; an open folder's does not.
        """
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise FirstlightError(
                f"{self.path} is not a folder that can be opened: {error.strerror}"
            ) from error
        try:
            yield f"/proc/self/fd/{fd}/session.sock"
        finally:
            os.close(fd)


def _flock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
