"""The session's errors; each says what happened and what to do next."""


class FirstlightError(Exception):
    """Base of every error that a user can act on."""


class SessionRunningError(FirstlightError):
    """A night is running on this root already."""


class NoSessionError(FirstlightError):
    """No night is running on this root."""
