"""Where things are by default: the library, the root folder, the server, the night that was started last."""

from __future__ import annotations

import difflib
import os
import tomllib
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from firstlight.errors import FirstlightError
from library.opening import read_text, resolved

DEFAULT_INDI = "127.0.0.1:7624"
_KEYS = ("library",)


def default_root() -> Path:
    """``$FIRSTLIGHT_ROOT``, or ``~/firstlight``."""
    return Path(os.environ.get("FIRSTLIGHT_ROOT") or Path.home() / "firstlight")


def config_file() -> Path:
    """The user's own settings; the file need not exist."""
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(config) / "firstlight" / "config.toml"


def default_library() -> Path:
    """The library of all nights: see :func:`library_and_why`, which may raise."""
    return library_and_why()[0]


def library_and_why() -> tuple[Path, str]:
    """The library of all nights, and which setting names it.

    ``$FIRSTLIGHT_LIBRARY``, or ``library`` in :func:`config_file`, or else the default root.

    Raises
    ------
    FirstlightError
        for a file that cannot be read or has a value that is no good.
    """
    if given := os.environ.get("FIRSTLIGHT_LIBRARY"):
        return Path(given).expanduser(), "$FIRSTLIGHT_LIBRARY"
    if configured := _configured_library():
        return configured, str(config_file())
    why = "$FIRSTLIGHT_ROOT" if os.environ.get("FIRSTLIGHT_ROOT") else "the default: no setting names another"
    return default_root(), why


def _configured_library() -> Path | None:
    file = config_file()
    try:
        settings = tomllib.loads(read_text(file))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise FirstlightError(f"{file}: cannot be read: {reason}; correct it or move it away") from error
    for key in settings:
        if key not in _KEYS:
            close = difflib.get_close_matches(key, _KEYS, n=1)
            hint = f'did you mean "{close[0]}"?' if close else f"allowed are {', '.join(_KEYS)}"
            raise FirstlightError(f"{file}: {key}: no such key; {hint}")
    library = settings.get("library")
    if library is None:
        return None
    if not isinstance(library, str) or not library.startswith(("/", "~")):
        raise FirstlightError(
            f'{file}: library: must be a folder such as "~/astro" or "/data/astro", not {library!r}'
        )
    try:
        return Path(library).expanduser()
    except RuntimeError as error:  # "~nobody"
        raise FirstlightError(f"{file}: library: {library}: {error}") from error


def new_demo_root(now: datetime) -> Path:
    """A folder of its own for each demo, below the present one."""
    return Path("firstlight-demo") / f"{now:%Y-%m-%d-%H%M%S}"


def state_folder() -> Path:
    """Where this program remembers things between two commands."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "firstlight"


def _last_root_file() -> Path:
    return state_folder() / "last-root"


def remember_root(root: Path) -> None:
    """Note the root of the night just started, so that ``firstlight attach`` finds it."""
    file = _last_root_file()
    with suppress(OSError):  # a home that cannot be written costs the convenience, no more
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{resolved(root)}\n")


def last_root() -> Path:
    """The root of the night that was started last, or the default one."""
    with suppress(OSError, UnicodeDecodeError):
        if text := read_text(_last_root_file()).strip():
            return Path(text)
    return default_root()


def parse_address(text: str) -> tuple[str, int]:
    """Split "HOST:PORT" (the port defaults to INDI's 7624; IPv6 in brackets).

    Raises
    ------
    FirstlightError
        when it is neither.
    """
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        host, port = text, "7624"
    host = host.strip("[]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise FirstlightError(f"--indi {text!r} is not HOST:PORT, as in {DEFAULT_INDI}")
    return host, int(port)
