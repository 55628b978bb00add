"""Finding bit rot: every file is read again and compared with the digest that it was written with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from library.catalogue import Catalogue
from library.connection import damaged
from library.digests import Digest, append_digests, read_digests
from library.scan import digest_file

NOTED_AT_ONCE = 64
"""So many results go into the catalogue together; a verification that is killed goes on after them."""

CHANGED, GONE = "its bytes have changed", "it is gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A file that is not what was written; ``path`` is relative to the library's folder."""

    path: str
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a verification has come."""

    done: int
    total: int
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class _Task:
    path: str
    sha256: str
    size_bytes: int
    frame_id: str | None


def verify(
    catalogue: Catalogue,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    within: timedelta | None = None,
    threads: int | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Iterator[Fault]:
    """Read all files, the one verified longest ago first, and yield what is wrong as it is found.

    With ``within``, files found whole so recently are left out, which is how an interrupted verification
    goes on. Files that the catalogue has lost but ``SHA256SUMS`` knows are missed too. The catalogue is
    not locked meanwhile; a master that is replaced while it is read is read again. Digests that
    ``SHA256SUMS`` lacks (a power cut can lose its end) are noted in it.
    """
    folder, digests = catalogue.folder, read_digests(catalogue.folder)
    tasks = _tasks(catalogue, digests, None if within is None else now() - within)
    waiting = iter(tasks)
    total_bytes = sum(task.size_bytes for task in tasks)
    done, done_bytes = 0, 0
    whole: list[_Task] = []
    threads = threads or os.cpu_count() or 1
    with ThreadPoolExecutor(threads, "verify") as pool:
        running: dict[Future[str | None], _Task] = {}
        while True:
            for task in islice(waiting, 2 * threads - len(running)):
                running[pool.submit(_problem, folder / task.path, task.sha256)] = task
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task, problem = running.pop(future), future.result()
                if problem and (newer := _replaced(catalogue, task)):
                    running[pool.submit(_problem, folder / newer.path, newer.sha256)] = newer
                    continue
                done, done_bytes = done + 1, done_bytes + task.size_bytes
                on_progress(
                    Progress(done=done, total=len(tasks), done_bytes=done_bytes, total_bytes=total_bytes)
                )
                if problem:
                    _forget(catalogue, task)
                    yield _fault(task.path, problem)
                else:
                    whole.append(task)
            if len(whole) >= NOTED_AT_ONCE:
                _note(catalogue, whole, digests, now())
                whole = []
    _note(catalogue, whole, digests, now())


def _tasks(catalogue: Catalogue, digests: dict[str, Digest], since: datetime | None) -> list[_Task]:
    """What is to be read, the longest unread first."""
    query = """
        SELECT path, sha256, size_bytes, frame_id, verified.at FROM frame
        LEFT JOIN verified USING (path, sha256) ORDER BY verified.at NULLS FIRST, frame.id
    """
    rows = catalogue.rows(query)
    known = {str(row["path"]) for row in rows}
    lost = [
        _Task(path, digest.sha256, digest.size_bytes or 0, digest.frame_id)
        for path, digest in digests.items()
        if path not in known
    ]
    return lost + [
        _Task(row["path"], row["sha256"], row["size_bytes"], row["frame_id"])
        for row in rows
        if since is None or row["at"] is None or _moment(catalogue, row["at"]) < since
    ]


def _moment(catalogue: Catalogue, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise damaged(catalogue.folder, f"a date of `verify` is {text!r}") from error


def _problem(file: Path, sha256: str) -> str | None:
    try:
        return None if digest_file(file) == sha256 else CHANGED
    except FileNotFoundError:
        return GONE
    except OSError as error:
        return f"it cannot be read: {error.strerror}"


def _replaced(catalogue: Catalogue, task: _Task) -> _Task | None:
    """The file as it is entered now, if that is not what was read."""
    rows = catalogue.rows("SELECT * FROM frame WHERE path = ?", (task.path,))
    newer = [_Task(row["path"], row["sha256"], row["size_bytes"], row["frame_id"]) for row in rows]
    return newer[0] if newer and newer[0].sha256 != task.sha256 else None


def _forget(catalogue: Catalogue, task: _Task) -> None:
    """It was whole once; now it is the first to be read the next time."""
    with catalogue.writing() as connection:
        connection.execute("DELETE FROM verified WHERE path = ?", (task.path,))


def _fault(path: str, problem: str) -> Fault:
    if path.startswith("masters/"):
        remedy = "delete it and run `firstlight library masters build`, or restore it from a backup"
    else:
        remedy = "restore it from a backup"
    if problem in {CHANGED, GONE}:
        meant = "changed it on purpose" if problem == CHANGED else "do not want it back"
        remedy += f"; if you {meant}, run `firstlight library rebuild --trust-files`"
    return Fault(path=path, problem=problem, remedy=remedy)


def _note(catalogue: Catalogue, whole: list[_Task], digests: dict[str, Digest], at: datetime) -> None:
    if not whole:
        return
    moment = at.astimezone(UTC).isoformat()
    with catalogue.writing() as connection:
        connection.executemany(
            "INSERT OR REPLACE INTO verified (path, sha256, at) VALUES (?, ?, ?)",
            [(task.path, task.sha256, moment) for task in whole],
        )
        if missing := {
            task.path: Digest(task.sha256, task.size_bytes, task.frame_id)
            for task in whole
            if task.path not in digests
        }:
            newer = read_digests(catalogue.folder)
            append_digests(catalogue.folder, {p: digest for p, digest in missing.items() if p not in newer})
