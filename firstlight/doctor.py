"""``firstlight doctor``: what is here, what is missing, and how to get it."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from acquire.errors import AcquireError
from acquire.indi.survey import survey
from firstlight.config import config_file, library_and_why, parse_address
from firstlight.errors import FirstlightError
from firstlight.night_library import library_for
from firstlight.terminal import Colours, colours_of

PACKAGES = ("pyindi-client", "numpy", "astropy", "astroalign", "sep", "opencv-python-headless", "textual")
TOOLS = (
    ("indiserver", "drives real equipment, and the stock simulators", "apt install indi-bin"),
    ("fitsverify", "checks the FITS files in the tests", "apt install fitsverify"),
    ("siril-cli", "opens the stacks in the tests", "apt install siril"),
    ("solve-field", "solves images in the tests", "apt install astrometry.net astrometry-data-tycho2"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked for. A missing thing that is ``required`` keeps firstlight from working."""

    what: str
    found: bool
    required: bool
    detail: str
    remedy: str = ""


def examine(root: Path, indi: str, *, connect: bool = False) -> list[Finding]:
    """Look at this machine, the root folder and the INDI server with its devices; changes nothing.

    With ``connect``, devices that are not connected are, for as long as it takes to look at them.
    """
    server = _server(indi)
    return [
        _python(),
        *(_package(name) for name in PACKAGES),
        _indi_client(),
        *_settings(root),
        _root_folder(root),
        server,
        *(_devices(indi, connect=connect) if server.found else ()),
        *(_tool(*tool) for tool in TOOLS),
        _graphics(),
    ]


def _python() -> Finding:
    return Finding(
        what="Python",
        found=sys.version_info >= (3, 11),
        required=True,
        detail=f"{platform.python_version()} on {platform.machine()}",
        remedy="install Python 3.11 or newer",
    )


def _package(name: str) -> Finding:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(what=name, found=False, required=True, detail="not installed", remedy="make setup")
    return Finding(what=name, found=True, required=True, detail=version)


def _indi_client() -> Finding:
    """Load PyIndi where it can do no harm: it is C++, and may be built for another machine."""
    probe = subprocess.run(
        [sys.executable, "-c", "import PyIndi; PyIndi.BaseClient"],
        check=False,
        capture_output=True,
        text=True,
    )
    return Finding(
        what="INDI client library",
        found=probe.returncode == 0,
        required=True,
        detail="loads" if probe.returncode == 0 else (probe.stderr.strip().splitlines() or ["crashed"])[-1],
        remedy="make setup; its wheels are for Linux on x86-64 and aarch64",
    )


def _settings(root: Path) -> Iterator[Finding]:
    """Where the settings come from, and which library they lead to."""
    file = config_file()
    try:
        library, why = library_and_why()
        night = library_for(root.resolve(), None)
    except FirstlightError as error:
        yield Finding(
            what="settings", found=False, required=True, detail=str(error), remedy="see docs/settings.md"
        )
        return
    said = str(file) if file.is_file() else f"{file} is not there, and need not be"
    yield Finding(what="settings", found=True, required=False, detail=said)
    if night != library.resolve():
        library, why = night, f"it belongs to the night on {root}"
    state = "" if (library / "library").is_dir() else "empty yet, "
    yield _folder("library", library, f"{why}; {state}", "choose another: docs/settings.md; or make room")


def _root_folder(root: Path) -> Finding:
    return _folder("root folder", root, "", "give another folder with --root, or make room")


def _folder(what: str, folder: Path, about: str, remedy: str) -> Finding:
    place = next(each for each in (folder, *folder.resolve().parents) if each.exists())
    writable = os.access(place, os.W_OK)
    free_gb = shutil.disk_usage(place).free / 1e9
    return Finding(
        what=what,
        found=writable and free_gb > 1,
        required=True,
        detail=f"{folder}: {about}{'writable' if writable else 'not writable'}, {free_gb:.1f} GB free",
        remedy=remedy,
    )


def _server(indi: str) -> Finding:
    try:
        socket.create_connection(parse_address(indi), timeout=2).close()
    except OSError as error:
        detail, found = f"{indi}: {error.strerror or error}", False
    else:
        detail, found = f"{indi} answers", True
    return Finding(
        what="INDI server",
        found=found,
        required=False,
        detail=detail,
        remedy="start one (indiserver DRIVER…), or firstlight simulate; the demo needs none",
    )


def _devices(indi: str, *, connect: bool) -> Iterator[Finding]:
    """The server's devices, and what they can be set to."""
    try:
        found = asyncio.run(survey(*parse_address(indi), connect=connect))
    except AcquireError as error:
        yield Finding(what="INDI devices", found=False, required=False, detail=str(error))
        return
    if not found:
        yield Finding(
            what="INDI devices",
            found=False,
            required=False,
            detail=f"{indi} has none",
            remedy="start the server with your devices' drivers",
        )
    for each in found:
        state = "" if each.connected else ", not connected"
        yield Finding(
            what=each.name,
            found=each.problem is None,
            required=False,
            detail=each.problem or (", ".join(each.roles) or "of no kind that is used here") + state,
            remedy="is it powered and plugged in?",
        )
        for fact, value in each.facts:
            yield Finding(what=f"  {fact}", found=True, required=False, detail=value)
        if not each.connected and not each.facts and not connect and each.roles:
            detail = f"known once it is connected: firstlight doctor --indi {indi}"
            yield Finding(what="  settings", found=True, required=False, detail=detail)


def _tool(command: str, purpose: str, remedy: str) -> Finding:
    path = shutil.which(command)
    return Finding(
        what=command, found=path is not None, required=False, detail=path or purpose, remedy=remedy
    )


def _graphics() -> Finding:
    term, colours = os.environ.get("TERM", ""), colours_of(os.environ)
    shown = {
        Colours.TRUE: "24-bit colour",
        Colours.MANY: "256 colours: pictures look grey",
        Colours.FEW: "few colours: pictures look grey",
    }
    return Finding(
        what="terminal",
        found=colours is Colours.TRUE,
        required=False,
        detail=f"TERM={term or 'not set'}, {shown[colours]}",
        remedy="if it can show 24-bit colour, say so: export COLORTERM=truecolor",
    )
