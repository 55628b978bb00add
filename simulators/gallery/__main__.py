"""``python -m simulators.gallery [-o DIR]``: the page of pictures, and where it is."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from simulators.gallery import cameras, optics, sensor, sky
from simulators.gallery.page import write_page

SECTIONS = {
    "sky": ("The sky", "What comes down: showpieces, moon, twilight, clouds, passers-by.", sky.pictures),
    "optics": ("The optics", "What the telescope makes of it.", optics.pictures),
    "sensor": ("The sensor", "What is left of it when it has been counted and read.", sensor.pictures),
    "cameras": ("The cameras", "Every profile, on the small refractor.", cameras.pictures),
}


def main() -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="python -m simulators.gallery", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("gallery"), metavar="DIR")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; all")
    args = parser.parse_args()
    if unknown := set(args.sections) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    wanted = [section for name, section in SECTIONS.items() if not args.sections or name in args.sections]
    try:
        count = write_page(args.output, ((title, words, make()) for title, words, make in wanted))
    except OSError as error:
        parser.error(f"cannot write {args.output}: {error.strerror}")
    sys.stdout.write(f"{count} pictures: {args.output / 'index.html'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
