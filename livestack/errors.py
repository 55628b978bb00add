"""The live stack's errors. A sub that doesn't fit is no error but a value, see ``livestack.events``."""

from __future__ import annotations


class LiveStackError(Exception):
    """Base of every error of this room."""


class MismatchError(LiveStackError):
    """A master does not have the shape of the frame."""


class StateError(LiveStackError):
    """A stack's folder is in use, or cannot be used as it is."""


class UnknownSubError(LiveStackError):
    """No sub of this id ever came to the stack."""


class NotAlignedError(LiveStackError):
    """A sub that could not be aligned cannot be put into the stack."""


class CheckpointError(LiveStackError):
    """A checkpoint is not what was written; the stack is made again from its subs."""


class CometError(LiveStackError):
    """How the comet moves cannot be told from what was given."""


class CanvasError(LiveStackError):
    """Panels that do not make one picture, or too large a one."""
