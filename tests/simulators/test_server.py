from __future__ import annotations

import resource
import signal
import socket
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "simulators"]


def test_a_busy_port_is_one_clear_line_and_a_failure() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [*COMMAND, "--port", str(port)], capture_output=True, text=True, timeout=20, check=False
        )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    assert f"127.0.0.1:{port}" in ended.stderr


@pytest.mark.parametrize(
    "options",
    [["--speed", "0"], ["--seed", "-1"], ["--port", "99999999"], ["--truth", "/nowhere/truth.jsonl"]],
)
def test_bad_options_are_refused_without_a_traceback(options: list[str]) -> None:
    ended = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr
    assert ended.stderr


def test_it_ends_with_its_standard_input() -> None:
    ended = subprocess.run(
        [*COMMAND, "--port", "0", "--follow-stdin"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(
        [*COMMAND, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b'"port"' in process.stdout.readline()
        process.send_signal(number)
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == b""
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # From start to end; of the processor's time, which does not grow with what others do.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 5.0
