"""Which frames a command is about: options that ``list``, ``retire`` and ``expire`` share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from library.frames import FrameRecord
    from library.store import Library

_NEAR_C = 0.5


def choosing_options(command: argparse.ArgumentParser) -> None:
    """``--kind``, ``--camera``, ``--temp``, ``--exposure``, ``--filter``, ``--masters`` and ``--subs``."""
    command.add_argument("--kind", help="bias, dark, flat, flat_dark, light, defects or dark_model only")
    command.add_argument("--camera", metavar="NAME", help="of cameras with this in their names")
    command.add_argument("--temp", type=float, metavar="C", help="at this temperature, to half a degree")
    command.add_argument("--exposure", type=float, metavar="S", help="of this exposure")
    command.add_argument("--filter", metavar="NAME", help="through this filter")
    which = command.add_mutually_exclusive_group()
    which.add_argument("--masters", action="store_true", help="masters only")
    which.add_argument("--subs", action="store_true", help="single frames only")


def is_anything_chosen(arguments: argparse.Namespace) -> bool:
    """Whether any of the options is given."""
    values = (arguments.kind, arguments.camera, arguments.temp, arguments.exposure, arguments.filter)
    return any(value is not None for value in values) or arguments.masters or arguments.subs


def chosen(
    library: Library, arguments: argparse.Namespace, *, retired: bool | None = False
) -> list[FrameRecord]:
    """The frames for which all that is given is so, oldest first."""
    from library.errors import LibraryError
    from library.fitness import temperature_c
    from library.frames import FrameKind

    kinds = {kind.value for kind in FrameKind}
    if arguments.kind is not None and arguments.kind not in kinds:
        raise LibraryError(f"there is no kind {arguments.kind!r}; choose of {', '.join(sorted(kinds))}")
    found = library.find(
        kind=None if arguments.kind is None else FrameKind(arguments.kind),
        filter=arguments.filter,
        master=True if arguments.masters else False if arguments.subs else None,
        retired=retired,
    )
    if arguments.camera is not None:
        found = [each for each in found if arguments.camera.lower() in each.meta.camera.lower()]
    if arguments.temp is not None:
        temps = [(each, temperature_c(each.meta)) for each in found]
        found = [each for each, temp in temps if temp is not None and abs(temp - arguments.temp) <= _NEAR_C]
    if arguments.exposure is not None:
        found = [each for each in found if _is_near(each.meta.exposure_s, arguments.exposure)]
    return found


def _is_near(exposure_s: float | None, wanted_s: float) -> bool:
    return exposure_s is not None and abs(exposure_s - wanted_s) <= 0.005 * wanted_s
