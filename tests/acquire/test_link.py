"""The worker and its link over a real connection, against a server that says what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from acquire.clock import RealClock
from acquire.errors import DeviceLostError, ServerUnreachableError
from acquire.indi.link import WorkerLink
from acquire.indi.properties import Blob
from tests.acquire.wire_servers import ScriptedServer, scripted_server
from tests.ports import free_port

PROJECT = Path(__file__).parents[2]
CAMERA = "a camera & co"
DEFINITIONS = """
<defNumberVector device="a camera &amp; co" name="CCD_EXPOSURE" label="Expose" state="Idle" perm="rw">
<defNumber name="CCD_EXPOSURE_VALUE" label="Duration (s)" format="%g" min="0.5" max="100" step="1">
1</defNumber>
</defNumberVector>
<defSwitchVector device="a camera &amp; co" name="CONNECTION" label="" group="" state="Ok" perm="rw"
rule="OneOfMany">
<defSwitch name="CONNECT" label="Connect">On</defSwitch><defSwitch name="DISCONNECT" label="">Off</defSwitch>
</defSwitchVector>
<defTextVector device="a camera &amp; co" name="DRIVER_INFO" label="" group="Main" state="Idle" perm="ro">
<defText name="DRIVER_INTERFACE" label="">2</defText></defTextVector>
<defLightVector device="a camera &amp; co" name="STATUS" label="" group="Main" state="Ok">
<defLight name="SHUTTER" label="Shutter">Busy</defLight></defLightVector>
<defBLOBVector device="a camera &amp; co" name="CCD1" label="" group="Main" state="Idle" perm="ro">
<defBLOB name="CCD1" label="Image"/></defBLOBVector>
"""


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as script:
        script.definitions = DEFINITIONS
        yield script


@pytest.fixture
async def link(server: ScriptedServer) -> AsyncIterator[WorkerLink]:
    async with WorkerLink("127.0.0.1", server.port, RealClock()) as link:
        await seen(link, lambda: link.mirror.get(CAMERA, "CCD1") is not None)
        yield link


async def seen(link: WorkerLink, look: Callable[[], bool]) -> None:
    await link.mirror.wait_for(look, device=CAMERA, what="it", timeout_s=60)


async def next_blob(link: WorkerLink, since: int) -> Blob:
    def look() -> Blob | None:
        blob = link.mirror.blob(CAMERA, "CCD1")
        return blob if blob and blob.serial > since else None

    return await link.mirror.wait_for(look, device=CAMERA, what="a BLOB", timeout_s=60)


async def test_what_a_driver_defines_is_mirrored(link: WorkerLink) -> None:
    exposure = link.mirror.get(CAMERA, "CCD_EXPOSURE")
    assert exposure is not None
    assert (exposure.kind, exposure.state, exposure.writable) == ("number", "Idle", True)
    value = exposure.elements["CCD_EXPOSURE_VALUE"]
    assert (value.value, value.min, value.max, value.label) == (1.0, 0.5, 100.0, "Duration (s)")
    connection = link.mirror.get(CAMERA, "CONNECTION")
    assert connection is not None
    assert connection.on() == "CONNECT"
    kinds = {found.name: found.kind for found in link.mirror.properties(CAMERA)}
    assert kinds["DRIVER_INFO"] == "text"
    assert kinds["STATUS"] == "light"
    assert kinds["CCD1"] == "blob"


async def test_values_reach_the_server(server: ScriptedServer, link: WorkerLink) -> None:
    heard: list[str] = []
    all_heard = asyncio.Event()

    def hear(text: str) -> None:
        heard.append(text)
        if "</newSwitchVector>" in "".join(heard):
            all_heard.set()

    server.hears = hear
    link.enable_blobs(CAMERA)
    link.send(CAMERA, "CCD_EXPOSURE", {"CCD_EXPOSURE_VALUE": 12.25})
    link.send(CAMERA, "NOT_THERE", {"X": 1})
    link.send(CAMERA, "CONNECTION", {"DISCONNECT": True})
    await asyncio.wait_for(all_heard.wait(), 60)
    said = "".join(heard)
    assert "12.25" in said
    assert "Also</enableBLOB>" in said
    assert said.index("newNumberVector") < said.index("newSwitchVector")


async def test_updates_and_deletions(server: ScriptedServer, link: WorkerLink) -> None:
    server.say(
        '<setNumberVector device="a camera &amp; co" name="CCD_EXPOSURE" state="Busy">'
        '<oneNumber name="CCD_EXPOSURE_VALUE">0.75</oneNumber></setNumberVector>'
        '<message device="a camera &amp; co" message="the shutter sticks"/>'
    )
    await seen(link, lambda: link.mirror.last_message(CAMERA) == "the shutter sticks")
    exposure = link.mirror.get(CAMERA, "CCD_EXPOSURE")
    assert exposure is not None
    assert (exposure.state, exposure.elements["CCD_EXPOSURE_VALUE"].value) == ("Busy", 0.75)
    server.say('<delProperty device="a camera &amp; co" name="CCD_EXPOSURE"/>')
    await seen(link, lambda: link.mirror.get(CAMERA, "CCD_EXPOSURE") is None)
    waiting = asyncio.create_task(seen(link, lambda: False))
    await asyncio.sleep(0)
    server.say('<delProperty device="a camera &amp; co"/>')
    with pytest.raises(DeviceLostError, match="its driver has ended"):
        await waiting


@pytest.mark.parametrize("size", [1, 2880, 52_185_600])
async def test_a_blob_arrives_whole(server: ScriptedServer, link: WorkerLink, size: int) -> None:
    data = os.urandom(min(size, 1 << 20)) * (1 + size // (1 << 20))
    data = data[:size]
    server.say_blob(CAMERA, data)
    blob = await next_blob(link, link.mirror.serial)
    assert (blob.declared, blob.arrived, blob.format) == (size, size, ".fits")
    assert blob.data == data


async def test_short_and_empty_blobs_are_told_as_such(server: ScriptedServer, link: WorkerLink) -> None:
    for data, declared in ((b"short", 5_000_000), (b"", 0), (b"short again", 100)):
        since = link.mirror.serial
        server.say_blob(CAMERA, data, declared=declared)
        blob = await next_blob(link, since)
        assert blob.data == b""
        assert blob.arrived < max(1, blob.declared)
    since = link.mirror.serial
    server.say_blob(CAMERA, b"whole")
    assert (await next_blob(link, since)).data == b"whole"


async def test_a_blob_that_kills_the_library_costs_one_connection(
    server: ScriptedServer, link: WorkerLink
) -> None:
    server.say_blob(CAMERA, b"whole")
    await next_blob(link, 0)
    since = link.mirror.serial
    server.say_blob(CAMERA, b"", declared=1000)  # libindiclient 2.1.2 dies of this with SIGSEGV
    with contextlib.suppress(DeviceLostError):
        assert (await next_blob(link, since)).data == b""
    await asyncio.wait_for(link.wait_connected(), 60)
    await seen(link, lambda: link.mirror.get(CAMERA, "CCD1") is not None)
    since = link.mirror.serial
    server.say_blob(CAMERA, b"whole again")
    assert (await next_blob(link, since)).data == b"whole again"


async def test_a_blob_does_not_come_twice(server: ScriptedServer, link: WorkerLink) -> None:
    since = link.mirror.serial
    server.say_blob(CAMERA, b"once")
    assert (await next_blob(link, since)).data == b"once"
    since = link.mirror.serial
    server.say_blob_state(CAMERA, "Alert")
    assert (await next_blob(link, since)).data == b""


async def test_the_server_goes_and_comes_back(server: ScriptedServer, link: WorkerLink) -> None:
    waiting = asyncio.create_task(seen(link, lambda: False))
    await asyncio.sleep(0)
    server.hang_up()
    with pytest.raises(DeviceLostError, match="closed the connection"):
        await waiting
    with pytest.raises(DeviceLostError):
        link.send(CAMERA, "CCD_EXPOSURE", {"CCD_EXPOSURE_VALUE": 1})
    assert link.mirror.devices() == ()
    await asyncio.wait_for(link.wait_connected(), 60)
    await seen(link, lambda: link.mirror.get(CAMERA, "CCD1") is not None)


async def test_the_worker_is_killed_and_comes_back(link: WorkerLink) -> None:
    killed = link.worker_pid
    assert killed is not None
    waiting = asyncio.create_task(seen(link, lambda: False))
    await asyncio.sleep(0)
    os.kill(killed, signal.SIGKILL)
    with pytest.raises(DeviceLostError, match="SIGKILL"):
        await waiting
    await asyncio.wait_for(link.wait_connected(), 60)
    assert link.worker_pid not in {None, killed}


async def test_no_server() -> None:
    port = free_port()
    with pytest.raises(ServerUnreachableError, match=rf"127\.0\.0\.1:{port}.*--indi HOST:PORT"):
        async with WorkerLink("127.0.0.1", port, RealClock()):
            pass


async def test_a_killed_parent_leaves_no_worker(server: ScriptedServer) -> None:
    program = f"""
import asyncio
from acquire.clock import RealClock
from acquire.indi.link import WorkerLink
async def main():
    async with WorkerLink("127.0.0.1", {server.port}, RealClock()) as link:
        print(link.worker_pid, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=subprocess.PIPE, cwd=PROJECT
    )
    assert parent.stdout is not None
    worker = int(await parent.stdout.readline())
    parent.kill()
    await parent.communicate()
    async with asyncio.timeout(60):
        while server.clients or _runs(worker):
            await asyncio.sleep(0.01)


def _runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "\nState:\tZ" not in status.read_text()


async def test_the_worker_leaves_quietly(server: ScriptedServer) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        worker = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "acquire.indi.worker", "127.0.0.1", str(server.port), str(theirs.fileno())),
            pass_fds=[theirs.fileno()],
            stderr=subprocess.PIPE,
        )
        theirs.close()
        ours.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(ours, 100)
    _, errors = await asyncio.wait_for(worker.communicate(), 60)
    assert b"terminate" not in errors
    assert b"Traceback" not in errors
    assert worker.returncode == 0


def test_the_worker_starts_light() -> None:
    program = (
        "import sys, acquire.indi.worker; print(sorted({'numpy', 'astropy', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=PROJECT,
    )
    assert done.stdout.splitlines()[-1] == "[]"
