"""Ports for servers that cannot be told to take any that is free, or that come back on the same one."""

from __future__ import annotations

import random
import socket

_BELOW_THE_KERNELS = range(20_000, 32_000)
"""Linux gives 32768 and up to whoever connects or binds port 0: such a port may be gone before it is used."""


def free_port() -> int:
    """A port that nobody listens on, and that the kernel gives to nobody unasked."""
    for port in random.SystemRandom().sample(_BELOW_THE_KERNELS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
