"""What real drivers define when they are asked is taken in without a complaint."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from acquire.clock import RealClock
from acquire.indi.link import WorkerLink
from acquire.indi.mirror import Mirror
from tests.acquire.wire_servers import scripted_server

PEERS = Path(__file__).resolve().parents[3] / "shared" / "peers" / "indi-xml"
CAPTURED = sorted(PEERS.glob("*.xml"))
_DEFINED = re.compile(r"""<def\w+Vector\s+device=["']([^"']+)["']\s+name=["']([^"']+)["']""")
"""One driver defines a vector without a name, which the client library drops."""


async def all_there(mirror: Mirror, names: set[tuple[str, str]], what: str) -> None:
    def look() -> bool:
        return all(mirror.get(*name) for name in names)

    await mirror.wait_for(look, device="", what=what, timeout_s=30)


@pytest.mark.slow
@pytest.mark.skipif(not CAPTURED, reason=f"needs the captured definitions in {PEERS}")
async def test_every_captured_definition_is_swallowed() -> None:
    wanted: dict[Path, set[tuple[str, str]]] = {}
    for file in CAPTURED:
        text = file.read_text(encoding="utf-8")
        wanted[file] = set(_DEFINED.findall(text))
        refused: list[str] = []
        async with scripted_server() as server:
            server.definitions = text
            async with WorkerLink("127.0.0.1", server.port, RealClock(), refused.append) as link:
                await all_there(link.mirror, wanted[file], file.name)
        assert refused == [], file.name
    assert sum(map(len, wanted.values())) > 300
