"""A newcomer's first two commands, in a fresh clone, on a machine that has Python and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import PROJECT

pytestmark = pytest.mark.slow
KEPT = ("PIP_", "SSL_", "LANG", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "UV_INDEX", "UV_DEFAULT_INDEX")
"""What tells how the network is reached."""


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment without caches, without uv, with what Debian's base has on the PATH."""
    home = tmp_path / "bare-home"
    home.mkdir()
    python = Path(sys.base_prefix) / "bin" / "python3"
    # A clone of somebody else's checkout is refused otherwise, as in a container that runs as root.
    (home / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")
    kept = {name: os.environ[name] for name in os.environ if name.upper().startswith(KEPT)}
    return kept | {
        "HOME": str(home),
        "PATH": "/usr/bin:/bin",
        "PYTHON": str(python),
        "TMPDIR": str(home),
        "UV_CACHE_DIR": str(home / "uv-cache"),
    }


def test_make_demo_from_a_fresh_clone(tmp_path: Path, bare: dict[str, str]) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(PROJECT), str(clone)], env=bare, check=True)
    durations = []
    for _ in range(2):
        started = time.monotonic()
        done = subprocess.run(
            ["make", "-s", "demo"],
            cwd=clone,
            env=bare,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        durations.append(time.monotonic() - started)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        assert "pictures" in done.stdout
        pictures = [Path(word) for word in done.stdout.split() if word.endswith(".png")]
        assert pictures
        assert all((clone / picture).is_file() for picture in pictures)
    assert durations[0] < 300, "with the installation"
    assert durations[1] < 120, "without"
    status = ["git", "-C", str(clone), "status", "--porcelain"]
    assert subprocess.run(status, env=bare, capture_output=True, text=True, check=True).stdout == "", (
        "it leaves no mess"
    )
