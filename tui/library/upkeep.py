"""``library verify``, ``rebuild``, ``retire`` and ``expire``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from library.opening import resolved
from numerics.counting import counted
from tui.library.choosing import choosing_options, chosen, is_anything_chosen
from tui.library.options import json_option, library_of, library_option, opened
from tui.terminal import overwrite, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from library.frames import FrameRecord
    from library.store import Library
    from tui.library.parser import Add

_TOLD_EVERY_S = 0.5


def register(add: Add) -> None:
    """Add the commands to the parser."""
    verify = add("verify", help="read every file again and find what has rotted; 1 if something is wrong")
    verify.add_argument(
        "--since", type=float, metavar="DAYS", help="leave out what was found whole within so many days"
    )
    rebuild = add("rebuild", help="make the catalogue again from the files")
    rebuild.add_argument(
        "--trust-files", action="store_true", help="take files as they are now, and forget missing ones"
    )
    retire = add("retire", help="use frames no more; their files stay")
    retire.add_argument("frames", nargs="*", metavar="PATH|ID", help="which, besides or instead of options")
    retire.add_argument("--because", default="by hand", metavar="TEXT", help="the reason, for later")
    retire.add_argument("--undo", action="store_true", help="take them back")
    expire = add("expire", help="retire what is older than some days")
    expire.add_argument("--older-than", type=float, required=True, metavar="DAYS", help="by DATE-OBS")
    for command in (retire, expire):
        choosing_options(command)
        command.add_argument("--dry-run", action="store_true", help="only say which")
    for command, run in ((verify, _verify), (rebuild, _rebuild), (retire, _retire), (expire, _expire)):
        library_option(command)
        json_option(command)
        command.set_defaults(run=run)


def _verify(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from library.verifying import Progress, verify

    meter = _Meter("verified")
    read = Progress(0, 0, 0, 0)

    def on_progress(progress: Progress) -> None:
        nonlocal read
        read = progress
        meter.tell(progress.done, progress.total, f"{progress.done_bytes / 1e9:.1f} GB")

    faults = 0
    within = None if arguments.since is None else timedelta(days=arguments.since)
    with opened(arguments) as library:
        for fault in verify(library.catalogue, within=within, on_progress=on_progress):
            faults += 1
            meter.clear()
            say(
                json.dumps(asdict(fault))
                if arguments.json
                else f"{fault.path}: {fault.problem}; {fault.remedy}"
            )
    meter.clear()
    if not arguments.json:
        say(
            f"{counted(read.done, 'file')} read ({read.done_bytes / 1e9:.2f} GB), {faults or 'nothing'} wrong"
        )
    return 1 if faults else 0


def _rebuild(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from library.rebuilding import rebuild
    from library.store import library_folder

    meter = _Meter("read")
    started = time.monotonic()
    folder = library_folder(library_of(arguments))
    done = rebuild(folder, trust_files=arguments.trust_files, on_progress=meter.tell)
    seconds = time.monotonic() - started
    meter.clear()
    if arguments.json:
        say(json.dumps({**asdict(done), "seconds": round(seconds, 3)}, default=str))
        return 0
    say(
        f"{counted(done.frames, 'frame')}, {counted(done.masters, 'master')} in {seconds:.1f} s; "
        f"digests computed: {done.digested}"
    )
    if done.moved_aside:
        say(f"the damaged catalogue lies at {done.moved_aside}; delete it when you like")
    for path in done.refused:
        say(f"{path}: refused: {done.reasons[path]}")
    for path in done.missing:
        told = "forgotten" if arguments.trust_files else "`--trust-files` forgets it"
        say(f"{path}: it is gone; restore it from a backup ({told})")
    return 0


def _retire(arguments: argparse.Namespace) -> int:
    from library.errors import LibraryError

    if not arguments.frames and not is_anything_chosen(arguments):
        raise LibraryError("nothing is chosen; name paths or ids, or choose by --kind, --camera, --temp …")
    with opened(arguments) as library:
        records = _named(library, arguments.frames) if arguments.frames else None
        if records is None or is_anything_chosen(arguments):
            found = chosen(library, arguments, retired=None)
            records = found if records is None else [each for each in records if each in found]
        records = [each for each in records if (each.retired_at is not None) == arguments.undo]
        if not arguments.dry_run:
            if arguments.undo:
                library.reinstate(records)
            else:
                library.retire(records, arguments.because)
        _tell(library, records, arguments, "live again" if arguments.undo else "retired")
    return 0


def _expire(arguments: argparse.Namespace) -> int:
    from library.errors import LibraryError

    try:
        before = datetime.now(UTC) - timedelta(days=arguments.older_than)
    except (OverflowError, ValueError):  # beyond the calendar, or no number
        before = None
    if before is None or arguments.older_than < 0:
        raise LibraryError(f"--older-than {arguments.older_than:g}: give a number of days")
    with opened(arguments) as library:
        records = [
            each for each in chosen(library, arguments) if each.meta.date_obs and each.meta.date_obs < before
        ]
        if not arguments.dry_run:
            library.retire(records, f"older than {arguments.older_than:g} days")
        _tell(library, records, arguments, "retired")
    return 0


def _named(library: Library, names: Sequence[str]) -> list[FrameRecord]:
    """Frames by id, by path in the library's folder, or by any path."""
    from library.errors import LibraryError

    records = library.find(retired=None)
    by_id = {each.meta.frame_id: each for each in records if each.meta.frame_id}
    by_path = {resolved(each.path): each for each in records}
    found = []
    for name in names:
        places = (library.folder / name, Path(name))
        record = by_id.get(name) or next(
            (by_path[resolved(p)] for p in places if resolved(p) in by_path), None
        )
        if record is None:
            raise LibraryError(f"{name}: no frame of that path or id; `firstlight library list` has them all")
        found.append(record)
    return found


def _tell(library: Library, records: Sequence[FrameRecord], arguments: argparse.Namespace, done: str) -> None:
    paths = [each.path.relative_to(library.folder).as_posix() for each in records]
    if arguments.json:
        for path in paths:
            say(json.dumps({"path": path, "done": None if arguments.dry_run else done}))
        return
    for path in paths:
        say(path)
    if done == "retired":
        for master in _made_of_these_alone(library, records):
            say(f"{master.path.name} was made of such frames alone and stays in use; retire it too:")
            say(f"  firstlight library retire {master.path.relative_to(library.folder).as_posix()}")
    say(f"{len(paths)} {'would be ' * arguments.dry_run}{done}; no file is deleted")


def _made_of_these_alone(library: Library, retired: Sequence[FrameRecord]) -> list[FrameRecord]:
    """Live masters none of whose frames is left when these are gone."""
    from library.master_groups import groups_of
    from library.master_header import IMAGE_TYPES

    gone = {record.id for record in retired}
    found = []
    for kind in sorted({record.meta.kind for record in retired} & set(IMAGE_TYPES)):
        masters = [each for each in library.find(kind=kind, master=True) if each.id not in gone]
        live = [each for each in library.find(kind=kind, master=False) if each.id not in gone]
        theirs = [each for each in retired if each.meta.kind is kind]
        made = {each.id for each in masters}
        for group in groups_of([*masters, *live, *theirs]):
            others = {record.id for record in group.records} - made
            if others and others <= gone:
                found += [record for record in group.records if record.id in made]
    return found


class _Meter:
    """How far something is, on a terminal's last line."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._told = 0.0
        self._shown = False

    def tell(self, done: int, total: int, more: str = "") -> None:
        """Say it, not too often."""
        if sys.stderr.isatty() and time.monotonic() - self._told > _TOLD_EVERY_S:
            self._told, self._shown = time.monotonic(), True
            overwrite(f"{self._verb} {done} of {total}  {more}")

    def clear(self) -> None:
        """Make room for a line of its own."""
        if self._shown:
            overwrite()
            self._shown = False
