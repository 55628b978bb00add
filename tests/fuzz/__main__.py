"""``python -m tests.fuzz --inputs N --seed S``: damaged inputs for every reader; 1 if one was taken badly."""

from __future__ import annotations

import argparse
import faulthandler
import sys
import time

from tests.fuzz.running import feed, input_of, run, watched
from tests.fuzz.targets import TARGETS


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run it."""
    faulthandler.enable()  # a decoder's crash tells where it was
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, metavar="N", help="in all (default 10,000)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="another one, other inputs")
    parser.add_argument("--target", choices=[each.name for each in TARGETS], help="one alone")
    parser.add_argument(
        "--only", type=int, metavar="NUMBER", help="one input of --target; it is left in fuzz-input"
    )
    arguments = parser.parse_args()
    if arguments.only is not None:
        target = next(each for each in TARGETS if each.name == arguments.target)
        with open("fuzz-input", "wb") as file:  # noqa: PTH123
            file.write(input_of(target, arguments.seed, arguments.only))
        with watched():
            for fault in feed(target, arguments.seed, range(arguments.only, arguments.only + 1))[1]:
                _say(str(fault))
        return 0
    bad, all_fed, began = 0, 0, time.monotonic()
    for target, fed, seconds, faults in run(arguments.inputs, arguments.seed, only=arguments.target):
        all_fed += fed
        bad += len(faults)
        _say(f"{target.name:22} {fed:6} inputs  {seconds:6.1f} s  {len(faults)} places")
        for fault in faults:
            _say(f"    {fault}")
    _say(f"{all_fed} inputs in {time.monotonic() - began:.0f} s, {bad} places where one was taken badly")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
