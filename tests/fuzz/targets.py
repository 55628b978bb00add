"""What is fed with damaged inputs: each reads one as the program does, and lets only our own errors pass."""

from __future__ import annotations

import gzip
import json
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from acquire.errors import AcquireError
from acquire.plan_file import read_plan
from firstlight.choosing import read_optimise_dark
from firstlight.errors import FirstlightError
from firstlight.folder_watch import FolderWatch
from firstlight.paths import Root
from library.errors import LibraryError
from library.frames import FrameKind
from library.importing.rules import load_rules
from library.importing.take import How, take_in
from library.masters import build_masters
from library.reading import adu_notes, read_frame, read_meta, read_overscan_adu, read_rows
from library.rebuilding import rebuild
from library.store import Library
from library.templates import file_template
from library.tolerances import read_tolerances
from library.windows import open_pixels
from livestack.basis import read_basis
from livestack.checkpoint import held_in
from livestack.errors import LiveStackError
from livestack.ledger import LINES, Ledger
from tests.fuzz import formats
from tests.library.frames import INDI_CARDS, fits_bytes, stamp

OURS = (LibraryError, FirstlightError, AcquireError, LiveStackError)


@dataclass(frozen=True, slots=True)
class Target:
    """Valid inputs, how they are damaged, and what reads one; ``folder`` is empty each time."""

    name: str
    kind: str
    inputs: Callable[[], tuple[bytes, ...]]
    read: Callable[[bytes, Path], None]
    share: float = 1.0
    """How many of a run's inputs go here, beside the others."""


def _pixels() -> NDArray[np.uint16]:
    return np.random.default_rng(5).normal(1000, 20, (48, 64)).astype(np.uint16)


@cache
def plain_fits() -> tuple[bytes, ...]:
    cards = (*INDI_CARDS, ("GAIN", 100, ""), ("OFFSET", 30, ""), ("FILTER", "L", ""), ("NCOMBINE", 3, ""),
             ("BIASSEC", "[1:8,1:48]", ""), ("TRIMSEC", "[9:64,1:48]", ""), ("BAYERPAT", "RGGB", ""),
             ("FRAMEID", "abc", ""), ("OBJECT", "M 27", ""))  # fmt: skip
    planes = np.random.default_rng(1).random((16, 20, 3)).astype(np.float32)
    return fits_bytes(_pixels(), cards), fits_bytes(planes), gzip.compress(fits_bytes(_pixels(), cards))


@cache
def packed_fits() -> tuple[bytes, ...]:
    from astropy.io import fits

    made = []
    for compression in ("RICE_1", "GZIP_1", "GZIP_2", "PLIO_1", "HCOMPRESS_1"):
        for pixels in (_pixels(), _pixels().astype(np.float32)):
            if compression == "PLIO_1" and pixels.dtype.kind == "f":
                continue
            file = BytesIO()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                image = pixels if compression != "PLIO_1" else pixels.astype(np.int32)
                unit = fits.CompImageHDU(image, compression_type=compression)
                fits.HDUList([fits.PrimaryHDU(), unit]).writeto(file)
            made.append(file.getvalue())
    return tuple(made)


def _read_fits(data: bytes, folder: Path, name: str = "x.fits") -> None:
    (folder / "night").mkdir()
    file = folder / "night" / name
    file.write_bytes(data)
    for read in (read_meta, read_overscan_adu, adu_notes, lambda path: read_frame(path, in_adu=True)):
        with suppress(*OURS):
            read(file)
    with suppress(*OURS):
        read_rows(file, slice(0, 4))
    with suppress(*OURS):
        open_pixels(file).window(slice(2, 5), slice(3, 9))
    clock = iter(range(0, 10_000, 30))
    watch = FolderWatch(file.parent, lambda: float(next(clock)))
    for _ in range(3):
        watch.poll()
    with Library.open(folder) as library:
        for imported in take_in(library, [file], how=How.COPY):
            if imported.reason and "cannot be taken in" in imported.reason:  # the last net has caught it
                raise AssertionError(imported.reason)
        library.find()
    rebuild(folder / "library")


def _reads(name: str) -> Callable[[bytes, Path], None]:
    return lambda data, folder: _read_fits(data, folder, name)


def _read_png(data: bytes, folder: Path) -> None:
    _read_fits(formats.summed(data), folder, "x.png")


_PLAN = b"""\
name = "M 27"
[equipment]
camera = "CCD Simulator"
[camera]
gain = 100
offset = 30
temperature_c = -10.0
binning = 2
[target]
name = "M 27"
ra = "19:59:36"
dec = "+22:43:16"
[[lights]]
filter = "L"
exposure_s = 60
count = 3
[calibration]
dark = 3
[options]
order = "by_filter"
[end]
mount = "park"
"""


def _read_plan(data: bytes, folder: Path) -> None:
    (folder / "plan.toml").write_bytes(data)
    with suppress(*OURS):
        read_plan(folder / "plan.toml")


_CONFIG = b"""\
[tolerances]
temperature_c = 2.0
[masters]
method = "sigma_clip"
[files]
template = "%t/%T_%e_%D"
[defects]
hot_sigma = 8.0
[matching]
optimise_dark = "modelled"
[[rule]]
match = "*.fits"
CAMERA = "ASI2600MM"
GAIN = 100
"""


def _read_config(data: bytes, folder: Path) -> None:
    (folder / "library.toml").write_bytes(data)
    for read in (read_tolerances, file_template, read_optimise_dark):
        with suppress(*OURS):
            read(folder)
    with suppress(*OURS), Library.open(folder) as library:
        library.add(fits_bytes(), stamp("f1", kind=FrameKind.BIAS))
        build_masters(library)
    with suppress(*OURS):
        load_rules(folder / "library.toml")


@cache
def _journal() -> tuple[bytes, ...]:
    from tests.fuzz.journals import lines

    return (lines(),)


def _read_journal(data: bytes, folder: Path) -> None:
    from firstlight.events import decode
    from firstlight.state import reduce_all
    from tui.headless import bar
    from tui.subs import newest_night, table

    root = Root(folder)
    root.journals.mkdir(parents=True)
    (root.journals / "a.jsonl").write_bytes(data)
    with suppress(*OURS):
        table(newest_night(root))
    events = []
    for line in data.splitlines():
        with suppress(*OURS):
            events.append(decode(line))
    bar(reduce_all(events))


@cache
def _checkpoint() -> tuple[bytes, ...]:
    header = {"held": {"frame_ids": ["a"], "noises_adu": [1.0], "exposures_s": [60.0]}, "arrays": []}
    from zlib import crc32

    from livestack.checkpoint import _MAGIC

    text = json.dumps(header).encode()
    return (f"{_MAGIC} {crc32(text):08x}\n".encode() + text + b"\n" + bytes(100),)


def _read_checkpoint(data: bytes, folder: Path) -> None:
    from zlib import crc32

    from livestack.checkpoint import _MAGIC

    lines = data.split(b"\n", 2)
    if len(lines) > 1:  # its sum is right, so that what lies behind it is looked at
        lines[0] = f"{_MAGIC} {crc32(lines[1]):08x}".encode()
    (folder / "planes").write_bytes(b"\n".join(lines))
    with suppress(*OURS):
        held_in(folder / "planes")


@cache
def _ledger() -> tuple[bytes, ...]:
    from tests.livestack.test_ledger import INSIDE, entry

    with TemporaryDirectory(prefix="firstlight-fuzz-") as folder:
        ledger = Ledger(Path(folder))
        for name in "abc":
            ledger.add(entry(name, n_patches=3))
        ledger.refer_to("a")
        ledger.move("b", INSIDE, None)
        ledger.flush()
        ledger.close()
        return (Path(folder, LINES).read_bytes(),)


def _read_ledger(data: bytes, folder: Path) -> None:
    from zlib import crc32

    (folder / LINES).write_bytes(data)
    text = data.split(b"\n", 1)[0]
    (folder / "basis.json").write_bytes(f"{crc32(text):08x}\n".encode() + text + b"\n")
    with suppress(*OURS):
        read_basis(folder)
    with suppress(*OURS):
        ledger = Ledger(folder)
        try:
            for frame_id in list(ledger.entries):
                with suppress(*OURS):
                    ledger.placed(frame_id)
        finally:
            ledger.close()


def _upkeep() -> tuple[bytes, ...]:
    lines = b"# 5760 bytes, f1\n" + b"0" * 64 + b"  2026-03-01/M_27/light.fits\n"
    retired = (
        b'{"path": "frames/x.fits", "frame_id": "f1", "at": "2026-03-01T00:00:00+00:00", "because": "x"}\n'
    )
    return lines * 2, retired * 2


def _read_upkeep(data: bytes, folder: Path) -> None:
    with Library.open(folder) as library:
        library.add(fits_bytes(), stamp("f1"))
    (folder / "library/frames/SHA256SUMS").write_bytes(data)
    (folder / "library/retired.jsonl").write_bytes(data)
    with Library.open(folder) as library:
        library.find(retired=None)
    rebuild(folder / "library")


@cache
def _catalogue() -> tuple[bytes, ...]:
    with TemporaryDirectory(prefix="firstlight-fuzz-") as folder:
        with Library.open(folder) as library:
            for name in ("f1", "f2"):
                library.add(fits_bytes(), stamp(name))
        return (Path(folder, "library/catalogue.sqlite").read_bytes(),)


def _read_catalogue(data: bytes, folder: Path) -> None:
    with Library.open(folder) as library:
        for seed, name in enumerate(("f1", "f2")):
            library.add(fits_bytes(seed=seed), stamp(name))
    for old in (folder / "library").glob("catalogue.sqlite*"):
        old.unlink()
    (folder / "library/catalogue.sqlite").write_bytes(data)
    with suppress(*OURS), Library.open(folder) as library:
        library.find(retired=None)
    done = rebuild(folder / "library")
    assert done.frames == 2


@cache
def _indi() -> tuple[bytes, ...]:
    messages = (
        {"type": "connected"},
        {"type": "property", "device": "CCD", "name": "CCD_EXPOSURE", "kind": "number", "state": "Idle",
         "permission": "rw", "group": "Main", "label": "Expose", "serial": 1,
         "elements": [{"name": "CCD_EXPOSURE_VALUE", "label": "s", "value": 1.0, "min": 0.0, "max": 3600.0,
                       "step": 1.0, "format": "%g"}]},
        {"type": "message", "device": "CCD", "text": "hello"},
        {"type": "deleted", "device": "CCD", "name": None},
    )  # fmt: skip
    return ("\n".join(map(json.dumps, messages)).encode(),)


def _read_indi(data: bytes, folder: Path) -> None:
    import asyncio

    from acquire.clock import RealClock
    from acquire.indi.mirror import Mirror

    async def told() -> None:
        mirror = Mirror(RealClock())
        for line in data.splitlines():
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(message, dict) and isinstance(message.get("type"), str):
                mirror.apply(message, line)

    asyncio.run(told())


_XML = (
    b'<defNumberVector device="CCD" name="CCD_EXPOSURE" label="Expose" group="Main" state="Idle" perm="rw">'
    b'<defNumber name="CCD_EXPOSURE_VALUE" label="s" format="%5.2f" min="0" max="3600" step="1">1</defNumber>'
    b'</defNumberVector><setBLOBVector device="CCD" name="CCD1"><oneBLOB name="CCD1" size="8" format=".fits">'
    b'QUJDREVGR0g=</oneBLOB></setBLOBVector><message device="CCD" message="hello"/>'
)


def _read_xml(data: bytes, folder: Path) -> None:
    from acquire.indi.sieve import Gauge, TooMuchError

    gauge = Gauge()
    with suppress(TooMuchError):
        for at in range(0, len(data), 100):
            piece = data[at : at + 100]
            gauge.feed(piece, len(piece))


TARGETS = (
    Target("fits", "fits", plain_fits, _read_fits, 3.0),
    Target("packed fits", "fits", packed_fits, _read_fits, 3.0),
    Target("xisf", "xml", formats.xisf, _reads("x.xisf")),
    Target("tiff", "numbers", formats.tiff, _reads("x.tif")),
    Target("ser", "numbers", formats.ser, _reads("x.ser")),
    Target("png", "numbers", formats.png, _read_png),
    Target("camera raw", "numbers", formats.dng, _reads("x.dng")),
    Target("plan", "text", lambda: (_PLAN,), _read_plan),
    Target("library.toml", "text", lambda: (_CONFIG,), _read_config),
    Target("journal", "text", _journal, _read_journal),
    Target("checkpoint", "text", _checkpoint, _read_checkpoint),
    Target("ledger", "text", _ledger, _read_ledger),
    Target("sums and retirements", "text", _upkeep, _read_upkeep, 0.3),
    Target("catalogue", "bytes", _catalogue, _read_catalogue, 0.3),
    Target("indi messages", "text", _indi, _read_indi),
    Target("indi xml", "xml", lambda: (_XML,), _read_xml),
)
