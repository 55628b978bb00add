"""``--stock``: Debian's INDI simulators under its own ``indiserver``, with our stars for their camera."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

PROGRAM = "indiserver"
DRIVERS = (
    "indi_simulator_ccd",
    "indi_simulator_wheel",
    "indi_simulator_telescope",
    "indi_simulator_focus",
)
DEVICES = ["CCD Simulator", "Filter Simulator", "Telescope Simulator", "Focuser Simulator"]
_PATIENCE_S = 5.0


def run_stock(port: int, announce: Callable[[int], None] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM; the exit status. ``announce`` is told the port as the server starts."""
    if missing := [name for name in (PROGRAM, *DRIVERS) if shutil.which(name) is None]:
        _say(f"--stock needs {', '.join(missing)}: apt install indi-bin")
        return 1
    if port == 0:
        _say("--stock needs a --port of its own: indiserver cannot take any that is free")
        return 2
    with tempfile.TemporaryDirectory(prefix="firstlight-stock-") as folder, _stars(Path(folder)) as path:
        # A group of its own: Ctrl-C reaches us alone, and we end the server, which ends its drivers.
        command = [PROGRAM, "-p", str(port), "-u", f"{folder}/socket", *DRIVERS]
        env = os.environ | {"PATH": path}
        with subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, process_group=0
        ) as server:
            return _attend(server, lambda: announce(port) if announce else None)


@contextlib.contextmanager
def _stars(folder: Path) -> Iterator[str]:
    """A PATH on which ``gsc`` is ours: Python without what it takes time to find (see ``simulators.gsc``)."""
    command = folder / "gsc"
    root = str(Path(__file__).resolve().parents[1])
    start = f"import sys; sys.path.insert(0, {root!r}); from simulators.gsc import main; sys.exit(main())"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -ISc {shlex.quote(start)} "$@"\n')
    command.chmod(0o755)
    yield f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def _attend(server: subprocess.Popen[bytes], started: Callable[[], None]) -> int:
    """Wait for the server's end or for ours."""

    def leave(*_: object) -> None:
        raise KeyboardInterrupt

    # SIGINT too: a shell starts what it puts into the background with that one ignored.
    before = {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        started()
        status = server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _end(server)
    _say(f"{PROGRAM} ended with status {status}; is its port free?")
    return 1


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server and whatever it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(_PATIENCE_S)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)  # drivers that outlived it
            return


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201  # a command's own message
