"""``<root>/library.toml``: what the owner of a library wants otherwise; each room reads its own section."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from library.errors import LibraryError
from library.opening import read_text

CONFIG_NAME = "library.toml"


def config_section(root: Path, name: str) -> dict[str, Any]:
    """The section ``[name]`` of the library's configuration, empty if there is none.

    Sections of others are nobody's business here. Raises :class:`LibraryError` for a file that is no TOML.
    """
    file = root / CONFIG_NAME
    try:
        section = tomllib.loads(read_text(file)).get(name, {})
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise LibraryError(f"{file}: cannot be read: {reason}; correct it or move it away") from error
    if not isinstance(section, dict):
        raise config_error(root, name, f"is {section!r}, not a section")
    return section


def config_error(root: Path, key: str, what: str) -> LibraryError:
    """One sentence on a value that is no good, to be raised by whoever reads it."""
    return LibraryError(f"{root / CONFIG_NAME}: {key} {what}; correct it")
