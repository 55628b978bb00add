"""One camera, one run: a lock for every device of a server, held by the session that uses it.

The kernel lets go of a lock however its session ends. A session that ends in order leaves no note in the
lock's file; a note that is found there was left by one that was killed, perhaps in the middle of an exposure.
"""

from __future__ import annotations

import fcntl
import hashlib
import ipaddress
import json
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from firstlight.config import state_folder
from firstlight.errors import FirstlightError

_HERE = "this machine"


class DeviceBusyError(FirstlightError):
    """Another run uses the device."""


class DeviceLocks:
    """The locks of one server's devices, for one root's session."""

    def __init__(self, host: str, port: int, root: Path, folder: Path | None = None) -> None:
        self._server = f"{_canonical(host)}:{port}"
        self._root = root
        self._folder = folder or state_folder() / "locks"
        self._held = ExitStack()
        self.left_by_a_killed_run = False
        """Whether one of the devices was in use by a session that did not end in order."""

    def claim(self, devices: Iterable[str]) -> None:
        """Lock the devices until :meth:`release`. Raises :class:`DeviceBusyError`."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FirstlightError(f"cannot make the folder {self._folder}: {error.strerror}") from error
        for device in dict.fromkeys(devices):
            self._held.enter_context(self._locked(device))

    def release(self) -> None:
        """Let go of all of them."""
        self._held.close()

    @contextmanager
    def _locked(self, device: str) -> Iterator[None]:
        name = hashlib.sha256(f"{self._server} {device}".encode()).hexdigest()[:24]
        fd = os.open(self._folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            note = _note(fd)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DeviceBusyError(
                    f'"{device}" at {self._server} is in use by the run on {note or "another root"}. '
                    f"Look at it with: firstlight attach{f' --root {note}' if note else ''}"
                ) from None
            self.left_by_a_killed_run |= bool(note)
            os.pwrite(fd, json.dumps({"root": str(self._root)}).encode(), 0)
            yield
            os.ftruncate(fd, 0)
        finally:
            os.close(fd)


def _note(fd: int) -> str:
    """The root of the session that has the lock, or had it when it was killed."""
    with suppress(ValueError, TypeError, KeyError):
        return str(json.loads(os.pread(fd, 10_000, 0))["root"])
    return ""


def _canonical(host: str) -> str:
    """One name for one machine: "localhost", "127.0.0.1" and our own address are the same server."""
    try:
        addresses = sorted({str(info[4][0]) for info in socket.getaddrinfo(host, None)})
    except OSError:
        return host.lower()
    for text in addresses:
        with suppress(ValueError):
            if ipaddress.ip_address(text).is_loopback or _is_ours(text):
                return _HERE
    return addresses[0] if addresses else host.lower()


def _is_ours(address: str) -> bool:
    """Whether this machine has the address: a socket can be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))
        return True
    return False
