"""``firstlight doctor``: what is here, what is missing, and how to get it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from firstlight.config import parse_address

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


def examine(root: Path, indi: str) -> list[Finding]:
    """Look at this machine, the root folder and the INDI server's address; changes nothing."""
    return [
        _python(),
        *(_package(name) for name in PACKAGES),
        _indi_client(),
        _folder(root),
        _server(indi),
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


def _folder(root: Path) -> Finding:
    place = next(folder for folder in (root, *root.resolve().parents) if folder.exists())
    writable = os.access(place, os.W_OK)
    free_gb = shutil.disk_usage(place).free / 1e9
    return Finding(
        what="root folder",
        found=writable and free_gb > 1,
        required=True,
        detail=f"{root}: {'writable' if writable else 'not writable'}, {free_gb:.1f} GB free",
        remedy="give another folder with --root, or make room",
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


def _tool(command: str, purpose: str, remedy: str) -> Finding:
    path = shutil.which(command)
    return Finding(
        what=command, found=path is not None, required=False, detail=path or purpose, remedy=remedy
    )


def _graphics() -> Finding:
    term = os.environ.get("TERM", "")
    colour = os.environ.get("COLORTERM", "") in {"truecolor", "24bit"}
    return Finding(
        what="terminal",
        found=colour or "256" in term or "kitty" in term,
        required=False,
        detail=f"TERM={term or 'not set'}, {'24-bit colour' if colour else 'colour not announced'}",
        remedy="a terminal with 24-bit colour shows the picture best (COLORTERM=truecolor)",
    )
