"""``gsc``: answers Debian's CCD simulator, which asks a command of this name for stars.

``gsc -c RA DEC -r ARCMIN -m LO HI -n N`` (degrees), one line a star in the form that INDI's
``ccd_simulator.cpp`` scans: ``%10s %f %f %f %f %f %d %d %4s %2s %f %d``.

The simulator waits for the answer with each exposure, so this module imports next to nothing: it reads tiles
of the sky from the user's cache. A tile that is not there yet is made from the catalogue, which takes longer.
"""

from __future__ import annotations

import math
import os
import sys

TILE_DEG = 0.5
_BANDS = round(180 / TILE_DEG)
_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  # pathlib costs 10 ms to import
_SOURCES = (f"{_HERE}/catalogue.py", f"{_HERE}/heavens/tycho2.py", "/usr/share/astrometry")


class Question:
    """A circle of the sky in degrees, a range of magnitudes, how many stars at most, and whose sky."""

    # A dataclass or a named tuple would be shorter; importing either costs milliseconds.
    def __init__(
        self, ra: float, dec: float, radius_deg: float, low: float, high: float, count: int, seed: int
    ) -> None:
        self.ra, self.dec, self.radius_deg = ra, dec, radius_deg
        self.low, self.high = low, high
        self.count, self.seed = count, seed


def main(argv: list[str] | None = None) -> int:
    """Print the brightest N stars of the circle, brightest first."""
    words = sys.argv[1:] if argv is None else argv
    question = _plainly(words)
    if question is None:
        _whole_python()
        from simulators.gsc_tiles import parse

        question = parse(words)
    sys.stdout.write("".join(star_lines(question)))
    return 0


def _plainly(words: list[str]) -> Question | None:
    """The question as the simulator puts it; ``None`` for any other way, which argparse may read."""
    try:
        flag_c, ra, dec, flag_r, radius, flag_m, low, high, flag_n, count = words
        if (flag_c, flag_r, flag_m, flag_n) != ("-c", "-r", "-m", "-n"):
            return None
        return Question(float(ra), float(dec), float(radius) / 60, float(low), float(high), int(count), 1)
    except ValueError:
        return None


def star_lines(question: Question) -> list[str]:
    """The answer's lines, brightest first."""
    ra0, dec0 = math.radians(question.ra), math.radians(question.dec)
    sin0, cos0 = math.sin(dec0), math.cos(dec0)
    least = math.cos(math.radians(question.radius_deg))
    found = []
    for tile in tiles_near(question.ra % 360.0, question.dec, question.radius_deg):
        numbers = _tile(*tile, question.seed)
        for at in range(0, len(numbers), 3):
            mag = numbers[at]
            if mag >= question.high:  # a tile has its bright stars first
                break
            if mag < question.low:
                continue
            ra, dec = math.radians(numbers[at + 1]), math.radians(numbers[at + 2])
            if sin0 * math.sin(dec) + cos0 * math.cos(dec) * math.cos(ra - ra0) >= least:
                found.append((mag, ra, dec))
    found.sort()
    lines = []
    for number, (mag, ra, dec) in enumerate(found[: question.count]):
        east = math.cos(dec) * math.sin(ra - ra0)
        north = math.sin(dec) * cos0 - math.cos(dec) * sin0 * math.cos(ra - ra0)
        away = math.degrees(math.asin(min(math.hypot(east, north), 1.0))) * 60
        angle = math.degrees(math.atan2(east, north)) % 360
        lines.append(
            f"F{number:09d} {math.degrees(ra):10.6f} {math.degrees(dec):+10.6f} 0.2 {mag:5.2f} 0.05 0 0"
            f" GAIA  F {away:7.3f} {angle:3.0f}\n"
        )
    return lines


def tile_columns(band: int) -> int:
    """How many tiles there are around the sky in a band of declination."""
    return max(int(360 / TILE_DEG * math.cos(math.radians((band + 0.5) * TILE_DEG - 90))), 1)


def tiles_near(ra_deg: float, dec_deg: float, radius_deg: float) -> list[tuple[int, int]]:
    """(band, column) of each tile that the circle can touch."""
    first = max(int((dec_deg - radius_deg + 90) / TILE_DEG), 0)
    last = min(int((dec_deg + radius_deg + 90) / TILE_DEG), _BANDS - 1)
    half_deg = 180.0
    if abs(dec_deg) + radius_deg < 90:  # else the circle holds a pole, and with it every right ascension
        sine = math.sin(math.radians(radius_deg)) / math.cos(math.radians(dec_deg))
        half_deg = math.degrees(math.asin(sine))
    tiles = []
    for band in range(first, last + 1):
        columns = tile_columns(band)
        start = math.floor((ra_deg - half_deg) / 360 * columns)
        stop = math.floor((ra_deg + half_deg) / 360 * columns)
        tiles += sorted({(band, column % columns) for column in range(start, stop + 1)})
    return tiles


def _tile(band: int, column: int, seed: int) -> memoryview[float]:
    """Magnitude, right ascension and declination of each star, in degrees, the bright ones first."""
    folder = f"{_cache()}/{_edition()}-{seed}"
    path = f"{folder}/{band}-{column}"
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # as above
            return memoryview(file.read()).cast("d")
    except OSError:
        _whole_python()
        from simulators.gsc_tiles import make_tile

        content = make_tile(band, column, seed)
        try:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103  # as above
            with open(f"{path}.{os.getpid()}", "wb") as file:  # noqa: PTH123  # as above
                file.write(content)
            os.replace(f"{path}.{os.getpid()}", path)  # noqa: PTH105  # as above
        except OSError as error:
            sys.stderr.write(f"gsc: stars are not kept, so each answer takes long: {error}\n")
        return memoryview(content).cast("d")


def _cache() -> str:
    base = os.environ.get("XDG_CACHE_HOME") or f"{os.path.expanduser('~')}/.cache"  # noqa: PTH111  # as above
    return f"{base}/firstlight/gsc"


def _edition() -> str:
    """Changes with the catalogue's program and with the catalogues installed."""
    stamps = []
    for path in _SOURCES:
        try:
            stamps.append(f"{os.stat(path).st_mtime_ns:x}")  # noqa: PTH116  # as above
        except OSError:
            stamps.append("0")
    return "-".join(stamps)


def _whole_python() -> None:
    """Make the installed packages importable where Python was started without them (``-S``)."""
    if sys.flags.no_site:
        import site

        site.main()


if __name__ == "__main__":
    sys.exit(main())
