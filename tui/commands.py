"""What each command of the command line does. Imports are inside: each command loads what it needs."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from library.opening import resolved
from tui.terminal import say, warn

if TYPE_CHECKING:
    from firstlight.launch import SessionSpec, Started
    from firstlight.paths import Root

EXIT_FAILED, EXIT_USAGE = 1, 2
DEMO_LINGER_S = 15.0
"""A demo ends by itself; a real night's summary waits for its user."""


def demo(arguments: argparse.Namespace) -> int:
    """``firstlight demo``: write the demo's plan and shoot it with the embedded observatory."""
    from datetime import datetime

    from firstlight.config import new_demo_root
    from firstlight.demo import plan_toml
    from firstlight.launch import SessionSpec, Simulated
    from firstlight.paths import Root

    root = Root(resolved(arguments.root or new_demo_root(datetime.now().astimezone())))
    root.create()
    plan = root.path / "plan.toml"
    plan.write_text(plan_toml(arguments.subs), encoding="utf-8")
    simulated = Simulated(seed=arguments.seed, speed=arguments.speed)
    return follow_session(SessionSpec(root=str(root.path), plan=str(plan), simulated=simulated), arguments)


def run(arguments: argparse.Namespace) -> int:
    """``firstlight run``: shoot a plan with the devices of an INDI server."""
    from acquire.plan_file import read_plan
    from firstlight.config import DEFAULT_INDI, default_root, parse_address
    from firstlight.launch import SessionSpec
    from firstlight.night_library import library_for

    indi = arguments.indi or DEFAULT_INDI
    parse_address(indi)
    read_plan(arguments.plan)  # a mistake in it is told before anything starts
    root = resolved(arguments.root or default_root())
    library = library_for(root, arguments.library)
    spec = SessionSpec(root=str(root), library=str(library), plan=str(resolved(arguments.plan)), indi=indi)
    return follow_session(spec, arguments)


def attach(arguments: argparse.Namespace) -> int:
    """``firstlight attach``: look at a night that runs."""
    from firstlight.config import last_root
    from firstlight.paths import Root

    return _follow(Root(resolved(arguments.root or last_root())), arguments)


def subs(arguments: argparse.Namespace) -> int:
    """``firstlight subs``: the night's subs, and what a second shell may ask of its stack."""
    from tui.subs import subs as run_subs

    return run_subs(arguments)


def follow_session(spec: SessionSpec, arguments: argparse.Namespace) -> int:
    """Start a session and look at it."""
    from pathlib import Path

    from firstlight.config import remember_root
    from firstlight.launch import start_session
    from firstlight.paths import Root

    where = f"the INDI server at {spec.indi}" if spec.indi else "the simulated observatory"
    if sys.stderr.isatty():
        warn(f"Connecting to {where} …")
    started = start_session(spec)
    root = Root(Path(spec.root))
    remember_root(root.path)
    return _follow(root, arguments, started)


def _follow(root: Root, arguments: argparse.Namespace, started: Started | None = None) -> int:
    """Show a session on the face that was asked for, or that fits: no terminal, no screen."""
    import asyncio

    from firstlight.client import FinishedSession, SessionClient, follow
    from firstlight.terminal import Colours, colours_of

    async def attached() -> SessionClient | FinishedSession:
        return await (SessionClient.connect(root) if started is None else follow(root, started))

    async def lines() -> int:
        from tui.headless import print_json, print_lines

        client = await attached()
        try:
            return await (print_json(client) if arguments.json else print_lines(client))
        finally:
            await client.close()

    async def screen() -> int:
        colours = colours_of(os.environ)
        os.environ["TEXTUAL_COLOR_SYSTEM"] = colours.value  # Textual reads it when it is imported
        from tui.app import NightApp

        client = await attached()
        try:
            linger_s = DEMO_LINGER_S if arguments.command == "demo" else None
            app = NightApp(client, linger_s=linger_s, true_colour=colours is Colours.TRUE)
            await app.run_async()
            return app.return_code or 0
        finally:
            await client.close()

    headless = arguments.json or arguments.headless or not (sys.stdin.isatty() and sys.stdout.isatty())
    return asyncio.run(lines() if headless else screen())


def simulate(arguments: argparse.Namespace) -> int:
    """``firstlight simulate``: the observatory alone, until Ctrl-C."""
    if arguments.stock:
        from simulators.stock import run_stock

        others = ("camera", "replay", "faults", "altaz", "air", "clouds")
        if any(getattr(arguments, name) for name in others):
            warn("firstlight: --stock goes with --port alone")
            return EXIT_USAGE
        return run_stock(arguments.port)
    from simulators.equipment import EquipmentError, equipment
    from simulators.faults import FaultFileError, load
    from simulators.heavens.atmosphere import Conditions
    from simulators.server import HOST, device_names
    from simulators.server import run as serve

    def announce(port: int) -> None:
        say(f"The simulated observatory is at {HOST}:{port} and has: {', '.join(device_names())}.")
        say(f"Ctrl-C ends it. Elsewhere: firstlight run PLAN.toml --indi {HOST}:{port}")

    try:
        faults = load(arguments.faults) if arguments.faults else None
        devices = equipment(
            camera=arguments.camera,
            replay=arguments.replay,
            altaz=arguments.altaz,
            conditions=Conditions(cloud_cover=arguments.clouds)
            if arguments.air or arguments.clouds
            else None,
        )
    except (EquipmentError, FaultFileError) as error:
        warn(f"firstlight: {error}")
        return EXIT_USAGE
    return serve(
        port=arguments.port,
        seed=arguments.seed,
        speed=arguments.speed,
        announce=announce,
        faults=faults,
        equipment=devices,
    )


def compose(arguments: argparse.Namespace) -> int:
    """``firstlight compose``: one colour picture from the stacks of several filters."""
    from firstlight.composing import compose_files

    made = compose_files(
        arguments.stacks,
        arguments.output,
        palette_name=arguments.palette,
        scnr=arguments.scnr,
        preview=arguments.preview,
    )
    say(f"{made.palette} of {', '.join(made.filters)} is in {arguments.output}")
    return 0


def doctor(arguments: argparse.Namespace) -> int:
    """``firstlight doctor``: fails only when something is missing that firstlight cannot do without."""
    from firstlight.config import DEFAULT_INDI, default_root
    from firstlight.doctor import examine

    connect = arguments.indi is not None
    findings = examine(arguments.root or default_root(), arguments.indi or DEFAULT_INDI, connect=connect)
    for each in findings:
        if arguments.json:
            say(json.dumps({"event": "finding"} | asdict(each)))
            continue
        mark = "ok     " if each.found else "MISSING" if each.required else "absent "
        say(f"{mark}  {each.what:24} {each.detail}")
        if not each.found and each.remedy:
            say(f"{'':9}{'':24} → {each.remedy}")
    return EXIT_FAILED if any(each.required and not each.found for each in findings) else 0
