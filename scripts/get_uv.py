"""Put uv into .tools/bin, from the wheel that uv.lock names and to the byte that it names.

Needs Python 3.11 and nothing else: neither pip nor venv, which some distributions leave out.
Prints the path of the uv to use: the one on the PATH if there is one.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
TARGET = PROJECT / ".tools" / "bin" / "uv"


def locked_wheel() -> tuple[str, str]:
    """URL and sha256 of uv's wheel for this machine."""
    import tomllib  # not there before Python 3.11, which main() tells in words

    machine = platform.machine()
    libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    lock = tomllib.loads((PROJECT / "uv.lock").read_text())
    uv = next(package for package in lock["package"] if package["name"] == "uv")
    for wheel in uv["wheels"]:
        tags = wheel["url"].rsplit("/", 1)[1].removesuffix(".whl").split("-")[-1]
        if libc in tags and tags.endswith(machine):
            return wheel["url"], wheel["hash"].removeprefix("sha256:")
    sys.exit(f"uv has no wheel for {machine} with {libc}: install uv by hand and put it on the PATH")


def download(url: str, sha256: str) -> bytes:
    """The wheel's bytes, or the end of the program with the reason."""
    reason = ""
    for attempt in range(3):
        try:
            with urllib.request.urlopen(url, timeout=60) as reply:
                data = reply.read()
        except OSError as error:
            reason = str(error)
            time.sleep(1 + attempt)
            continue
        if hashlib.sha256(data).hexdigest() == sha256:
            return bytes(data)
        reason = "what arrived is not the file that uv.lock names"
    sys.exit(f"uv could not be fetched: {reason}. Check the network, or install uv by hand (pip install uv).")


def from_pip() -> bool:
    """Ask pip, which knows of mirrors and proxies that urllib does not."""
    folder = TARGET.parent.parent
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), "uv"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0 and TARGET.exists()


def main() -> None:
    """Print the path of a uv that works."""
    if sys.version_info < (3, 11):  # noqa: UP036 - an older one must be told so
        sys.exit(
            f"firstlight needs Python 3.11 or newer; this is {platform.python_version()} "
            "(make PYTHON=python3.12 picks another)"
        )
    if found := shutil.which("uv"):
        print(found)
        return
    if not TARGET.exists() and not from_pip():
        wheel = zipfile.ZipFile(io.BytesIO(download(*locked_wheel())))
        member = next(name for name in wheel.namelist() if name.endswith(".data/scripts/uv"))
        TARGET.parent.mkdir(parents=True, exist_ok=True)
        part = TARGET.with_suffix(f".part-{os.getpid()}")
        part.write_bytes(wheel.read(member))
        part.chmod(0o755)
        part.replace(TARGET)
    print(TARGET)


if __name__ == "__main__":
    main()
