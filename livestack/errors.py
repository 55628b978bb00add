"""The live stack's errors. A sub that doesn't fit is no error but a value, see ``livestack.events``."""

from __future__ import annotations


class LiveStackError(Exception):
    """Base of every error of this room."""


class MismatchError(LiveStackError):
    """A master does not have the shape of the frame."""
