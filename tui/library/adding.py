"""``library add`` and ``library export``: frames of others in, frames of ours out."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.library.options import json_option, library_option, opened
from tui.terminal import overwrite, say, say_lines

if TYPE_CHECKING:
    from library.importing.rules import Rule
    from library.importing.take import Imported
    from tui.library.parser import Add

_KEEPS_ITS_HEADER = """\
What is already here keeps its header. To have it otherwise, correct the library's files and run
`firstlight library rebuild --trust-files`, or remove them, run that, and add the originals again."""


def register(add: Add) -> None:
    """Add the commands to the parser."""
    command = add(
        "add",
        help="take frames of others in, files and folders: FITS, XISF, TIFF, PNG, SER, raw files of cameras",
    )
    command.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="file, or folder and all below it"
    )
    how = command.add_mutually_exclusive_group()
    for name, what in (
        ("copy", "copy them into the library (default)"),
        ("move", "remove each original once its copy is durable and read back"),
        ("link", "hard link (or symbolic link to another disk); the original is not altered"),
    ):
        how.add_argument(f"--{name}", dest="how", action="store_const", const=name, help=what)
    command.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="KEYWORD=VALUE",
        help="fill in what headers leave out, such as CAMERA=…, GAIN=…, IMAGETYP=dark; may be repeated",
    )  # fmt: skip
    command.add_argument(
        "--rules", type=Path, metavar="FILE", help="TOML with [[rule]] tables of such values"
    )
    command.add_argument(
        "--from-name",
        metavar="TEMPLATE",
        help="read values out of file names, in Ekos's or N.I.N.A.'s tokens",
    )
    command.add_argument("--override", action="store_true", help="--set and --from-name beat the headers")
    command.add_argument("--dry-run", action="store_true", help="tell what would be done, and do nothing")
    library_option(command)
    json_option(command)
    command.set_defaults(run=run, how="copy")

    command = add("export", help="copy frames and masters out of it, under names of your own")
    command.add_argument("folder", type=Path, metavar="FOLDER", help="where they go")
    command.add_argument(
        "--template", help="names in Ekos's or N.I.N.A.'s tokens (default: as in the library)"
    )
    command.add_argument("--kind", help="bias, dark, flat, flat_dark, light, defects or dark_model only")
    library_option(command)
    json_option(command)
    command.set_defaults(run=run_export)


def run(arguments: argparse.Namespace) -> int:
    """Take the frames in, with a line for each that has something to tell; 1 if one was refused."""
    from library.importing.files import find_files, names_of
    from library.importing.take import How, Outcome, take_in

    rules = _rules(arguments)
    found = find_files(arguments.paths)
    counts: Counter[Outcome] = Counter()
    notes: defaultdict[str, list[Path]] = defaultdict(list)
    failed = False
    with opened(arguments, begins=True) as library:
        taking = take_in(library, found.files, how=How(arguments.how), rules=rules, dry_run=arguments.dry_run)
        for number, imported in enumerate(taking, start=1):
            counts[imported.outcome] += 1
            if arguments.json:
                say(json.dumps(_facts(imported)))
            else:
                _clear_progress()
                say_lines(_lines(imported))
                _progress(f"{number} of {len(found.files)}")
            for note in imported.notes:
                notes[note].append(imported.source)
            named = imported.source in arguments.paths
            failed |= imported.outcome is Outcome.REFUSED or (imported.outcome is Outcome.LEFT and named)
    if not arguments.json:
        _clear_progress()
        for note, sources in notes.items():
            say(f"{len(sources)} × {note} ({names_of(sources)})")
        summary = [f"{count} {outcome}" for outcome, count in counts.items()] or ["no frame found"]
        for sort, others in found.told().items():
            summary.append(f"{len(others)} {sort} left alone ({names_of(others)})")
        say(", ".join(summary))
        if counts[Outcome.HERE] and (arguments.settings or arguments.rules or arguments.from_name):
            say(_KEEPS_ITS_HEADER)
    return int(failed)


def run_export(arguments: argparse.Namespace) -> int:
    """Copy the frames out, with a line for each."""
    from library.errors import LibraryError
    from library.export import export
    from library.frames import FrameKind
    from library.templates import writing_template

    template = arguments.template and writing_template(arguments.template, LibraryError)
    kinds = {kind.value for kind in FrameKind}
    if arguments.kind is not None and arguments.kind not in kinds:
        raise LibraryError(f"there is no kind {arguments.kind!r}; choose of {', '.join(sorted(kinds))}")
    with opened(arguments) as library:
        records = library.find(kind=arguments.kind and FrameKind(arguments.kind))
        if not records and not arguments.json:
            say("no frame to export")
        for done in export(library.folder.parent, records, arguments.folder, template or None):
            if arguments.json:
                facts = {"source": str(done.record.path), "path": str(done.path), "is_new": done.is_new}
                say(json.dumps(facts))
            else:
                say(f"{'exported' if done.is_new else 'already there'}  {done.path}")
    return 0


def _rules(arguments: argparse.Namespace) -> list[Rule]:
    from library.errors import LibraryError
    from library.importing.rules import Rule, load_rules, setting
    from library.templates import Template

    rules = []
    try:
        values = {key: value for text in arguments.settings for key, value in setting(text).items()}
        rules.append(Rule(origin="--set", values=values, override=arguments.override))
        if arguments.from_name:
            template = Template(arguments.from_name)
            rules.append(Rule(origin="its name", from_name=template, override=arguments.override))
    except ValueError as error:
        raise LibraryError(str(error)) from error
    return rules + (load_rules(arguments.rules) if arguments.rules else [])


def _facts(imported: Imported) -> dict[str, Any]:
    meta = imported.meta
    described = meta and {
        "kind": meta.kind.value,
        "camera": meta.camera,
        "exposure_s": meta.exposure_s,
        "sensor_temp_c": meta.sensor_temp_c,
        "gain": meta.gain,
        "offset": meta.offset,
        "binning": list(meta.binning),
        "filter": meta.filter,
        "date_obs": meta.date_obs.isoformat() if meta.date_obs else None,
        "n_combined": meta.n_combined,
        "frame_id": meta.frame_id,
    }
    return {
        "source": str(imported.source),
        "outcome": imported.outcome.value,
        "path": str(imported.path) if imported.path else None,
        **(described or {}),
        "filled": list(imported.filled),
        "notes": list(imported.notes),
        "reason": imported.reason,
    }


def _lines(imported: Imported) -> list[str]:
    meta = imported.meta
    known = [
        meta.kind.value.replace("_", "-") if meta else None,
        f"{meta.exposure_s:g} s" if meta and meta.exposure_s is not None else None,
        f"{meta.sensor_temp_c:.1f} °C" if meta and meta.sensor_temp_c is not None else None,
        f"gain {meta.gain:g}" if meta and meta.gain is not None else None,
        meta.camera if meta else None,
    ]
    head = f"{imported.outcome:13} {imported.source}  {', '.join(part for part in known if part)}".rstrip()
    reason = imported.reason and imported.reason.removeprefix(f"{imported.source}: ")
    details = [*imported.filled, *([reason] if reason else [])]
    return [head, *(f"{'':13} {detail}" for detail in details)]


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        overwrite(text)


def _clear_progress() -> None:
    if sys.stderr.isatty():
        overwrite()
