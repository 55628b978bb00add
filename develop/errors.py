"""What can go wrong when a picture is developed."""

from __future__ import annotations


class DevelopError(Exception):
    """Base of this room's errors; the text says what, and what to do."""
