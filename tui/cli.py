"""The command line. Nothing heavy is imported until a command needs it: ``--help`` must answer at once."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from acquire.errors import AcquireError
from firstlight import __version__
from firstlight.errors import FirstlightError
from library.errors import LibraryError
from tui import commands, stacking
from tui.library.parser import add_library
from tui.terminal import accept_any_letter, plain, warn

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    """Every command and option there is."""
    top = Parser(
        prog="firstlight",
        description="Camera control and live stacking for astrophotographers, from a terminal.",
        epilog="firstlight COMMAND --help says more of one.",
    )
    top.add_argument("--version", action="version", version=f"firstlight {__version__}")
    add = top.add_subparsers(dest="command", metavar="COMMAND", required=True).add_parser

    demo = add("demo", help="a whole simulated night, no hardware needed")
    _face(demo)
    _root(
        demo, "where everything goes (default: a new folder below ./firstlight-demo); an old one is resumed"
    )
    demo.add_argument("--seed", type=_seed, default=1, metavar="N", help="which sky and weather (default 1)")
    demo.add_argument(
        "--subs", type=_positive(int), default=30, metavar="N", help="lights in all (default 30)"
    )
    _speed(demo, 60.0)
    demo.set_defaults(run=commands.demo)

    simulate = add("simulate", help="the simulated observatory alone, as an INDI server")
    simulate.add_argument(
        "--port", type=_port, default=7624, metavar="P", help="default 7624; 0 takes any free one"
    )
    simulate.add_argument(
        "--seed", type=_seed, default=1, metavar="N", help="which sky and weather (default 1)"
    )
    _speed(simulate, 1.0)
    simulate.add_argument("--camera", metavar="NAME", help="a camera's profile, such as ASI2600MC")
    simulate.add_argument(
        "--faults", type=Path, metavar="FILE.toml", help="what shall go wrong (docs/simulator/faults.md)"
    )
    simulate.add_argument("--altaz", action="store_true", help="an alt-azimuth mount: the field turns")
    simulate.add_argument(
        "--air", action="store_true", help="extinction, refraction, moon and twilight as now"
    )
    simulate.add_argument(
        "--clouds", type=_share, default=0.0, metavar="SHARE", help="their mean cover, 0 to 1; brings --air"
    )
    simulate.add_argument(
        "--replay", type=Path, metavar="DIR", help="a camera that plays the FITS files of a folder"
    )
    simulate.add_argument(
        "--stock",
        action="store_true",
        help="Debian's INDI simulators instead, with our stars (needs indi-bin)",
    )
    simulate.set_defaults(run=commands.simulate)

    run = add("run", help="shoot a plan")
    run.add_argument("plan", type=Path, metavar="PLAN.toml", help="what to shoot; the demo leaves an example")
    run.add_argument("--indi", metavar="HOST:PORT", help="the INDI server (default 127.0.0.1:7624)")
    _root(run, "where stacks, pictures and journal go (default: $FIRSTLIGHT_ROOT or ~/firstlight)")
    run.add_argument(
        "--library",
        type=Path,
        metavar="DIR",
        help="where frames go and masters come from (default: the library of all nights, docs/settings.md)",
    )
    _face(run)
    run.set_defaults(run=commands.run)

    attach = add("attach", help="come back to a night that is running")
    _root(attach, "the night's folder (default: that of the night started last)")
    _face(attach)
    attach.set_defaults(run=commands.attach)

    _subs(add)

    stacking.register(add)
    _add_compose(add)
    add_library(add)

    _doctor(add)
    return top


def _add_compose(add: Callable[..., argparse.ArgumentParser]) -> None:
    compose = add("compose", help="one colour picture from the stacks of several filters")
    compose.add_argument("stacks", type=Path, nargs="+", metavar="STACK", help="one aligned FITS a filter")
    compose.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.fits", help="linear colour")
    compose.add_argument(
        "--palette",
        metavar="P",
        help="RGB, LRGB, HaRGB, HaLRGB, Foraxx, SHO, HSO, HOO… (default: the best that the filters allow)",
    )
    compose.add_argument(
        "--scnr", type=_share, default=0.0, metavar="SHARE", help="of a line palette's green to take, 0 to 1"
    )
    compose.add_argument("--preview", type=Path, metavar="P.png", help="a stretched picture")
    compose.set_defaults(run=commands.compose)


def _subs(add: Callable[..., argparse.ArgumentParser]) -> None:
    subs = add("subs", help="tonight's subs with their grades; take one out of the stack, or put it back")
    subs.add_argument(
        "what",
        nargs="?",
        default="list",
        choices=("list", "out", "back", "rules", "restack"),
        help="list them (default), take out, put back, change the rules by which subs go out, stack again",
    )
    subs.add_argument(
        "which", nargs="*", metavar="SUB|RULE=NUMBER", help="numbers or ids, as the list has them; or rules"
    )
    _root(subs, "the night's folder (default: that of the night started last)")
    subs.add_argument("--json", action="store_true", help="the list as one JSON object a line")
    subs.set_defaults(run=commands.subs)


def _doctor(add: Callable[..., argparse.ArgumentParser]) -> None:
    doctor = add("doctor", help="what is here, what is missing, how to get it")
    doctor.add_argument(
        "--indi",
        metavar="HOST:PORT",
        help="an INDI server whose devices to look at, with their filters and limits",
    )
    _root(doctor, "the folder to look at (default: $FIRSTLIGHT_ROOT or ~/firstlight)")
    doctor.add_argument("--json", action="store_true", help="one JSON object a line")
    doctor.set_defaults(run=commands.doctor)


def _face(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--headless", action="store_true", help="lines and a progress bar instead of the screen"
    )
    command.add_argument("--json", action="store_true", help="one JSON object a line; implies --headless")


def _root(command: argparse.ArgumentParser, text: str) -> None:
    command.add_argument("--root", type=Path, metavar="DIR", help=text)


def _speed(command: argparse.ArgumentParser, default: float) -> None:
    command.add_argument(
        "--speed",
        type=_positive(float),
        default=default,
        metavar="X",
        help=f"how much faster than real time the simulated clock runs (default {default:g})",
    )


def _positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = kind(text)
        if not 0 < value < 1e6:
            raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
        return value

    parse.__name__ = kind.__name__
    return parse


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 up")
    return int(text)


def _share(text: str) -> float:
    if not 0.0 <= float(text) <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return float(text)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text} is not a port (0 to 65535)")
    return int(text)


class Parser(argparse.ArgumentParser):
    """One whose errors go through the terminal's door: an argument may be a file's name."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and exit."""
        super().error(plain(message))


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit status. A user's mistake is one line on stderr, never a traceback."""
    accept_any_letter()
    arguments = parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us has gone; there is nobody to tell
        return EXIT_USAGE
    except (AcquireError, FirstlightError, LibraryError) as error:
        warn(f"firstlight: {error}")
        return EXIT_USAGE
    return status


if __name__ == "__main__":
    sys.exit(main())
