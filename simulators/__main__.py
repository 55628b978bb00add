"""``python -m simulators``: the observatory as a process of its own."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

from simulators.equipment import EquipmentError, equipment
from simulators.faults import FaultFileError, load
from simulators.heavens.atmosphere import Conditions
from simulators.server import HOST, device_names, run
from simulators.stock import DEVICES, run_stock


def main() -> int:
    """Serve, after one JSON line on standard output that says where."""
    parser = argparse.ArgumentParser(prog="python -m simulators", description=__doc__)
    parser.add_argument("--port", type=int, default=7624, help="0 takes any free port")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same sky and sensor")
    parser.add_argument("--speed", type=float, default=1.0, help="simulated seconds per real second")
    parser.add_argument("--truth", type=Path, help="append what each frame was made from, as JSON lines")
    parser.add_argument(
        "--faults", type=Path, metavar="FILE.toml", help="what shall go wrong (docs/simulator/faults.md)"
    )
    parser.add_argument("--camera", metavar="NAME", help="a camera's profile, such as ASI2600MC")
    parser.add_argument("--replay", type=Path, metavar="DIR", help="play the FITS files of a folder")
    parser.add_argument("--altaz", action="store_true", help="an alt-azimuth mount: the field turns")
    parser.add_argument(
        "--stock", action="store_true", help="Debian's INDI simulators instead, with our stars"
    )
    parser.add_argument("--air", action="store_true", help="extinction, refraction, moon and twilight as now")
    parser.add_argument(
        "--clouds", type=float, default=0.0, metavar="SHARE", help="their mean cover, 0 to 1; brings --air"
    )
    parser.add_argument("--follow-stdin", action="store_true", help="end when standard input ends")
    args = parser.parse_args()
    if not 0 < args.speed < math.inf or args.seed < 0:
        parser.error("--speed must be a positive number and --seed not negative")
    if not 0.0 <= args.clouds <= 1.0:
        parser.error("--clouds must be from 0 to 1")
    if args.stock and (args.camera or args.replay or args.faults or args.altaz):
        parser.error("--stock goes with --port alone")

    try:
        faults = load(args.faults) if args.faults else None
        devices = equipment(
            camera=args.camera,
            replay=args.replay,
            altaz=args.altaz,
            conditions=Conditions(cloud_cover=args.clouds) if args.air or args.clouds else None,
        )
    except (FaultFileError, EquipmentError) as error:
        parser.error(str(error))

    def announce(port: int) -> None:
        ready = {"host": HOST, "port": port, "devices": DEVICES if args.stock else device_names()}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()

    if args.stock:
        return run_stock(args.port, announce)
    return run(
        args.port,
        args.seed,
        args.speed,
        args.truth,
        announce,
        follow_stdin=args.follow_stdin,
        faults=faults,
        equipment=devices,
    )


if __name__ == "__main__":
    sys.exit(main())
