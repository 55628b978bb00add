"""The stacking process when the session that it serves is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("request_line", [b'{"work": true}\n', b'{"work": tr'], ids=["whole", "torn"])
def test_a_session_that_is_gone_is_no_traceback(tmp_path: Path, request_line: bytes) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    left = pictures / ".L.fits.part-0123abcd"
    left.write_bytes(b"half")
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "firstlight.stacker", str(write_end)),
                *(str(tmp_path / "stacks" / "x"), str(pictures), "M 27"),
            ],
            input=request_line,
            pass_fds=[write_end],
            capture_output=True,
            check=False,
            timeout=300,
        )
    finally:
        os.close(write_end)
    assert done.returncode == 0
    assert not done.stderr
    assert not left.exists(), "what a stacker left that was killed stays for ever"
