"""Frames between the worker and its parent: sizes, a JSON header, and bytes that nobody touches."""

from __future__ import annotations

import json
import struct
from typing import Any

PREFIX = struct.Struct("!IQ")
"""Length of the header, length of the payload."""

Message = dict[str, Any]


def pack(message: Message, payload_size: int = 0) -> bytes:
    """Everything of a frame but its payload."""
    header = json.dumps(message, separators=(",", ":")).encode()
    return PREFIX.pack(len(header), payload_size) + header


def unpack(header: bytes) -> Message:
    """Inverse of :func:`pack` for the header's bytes."""
    message: Message = json.loads(header)
    return message
