"""One kernel on all processors. The kernels run outside Python's lock, so that plain threads will do.

numba's own ``parallel=True`` would compile several times longer, and its threads don't survive a fork.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

_PIECES_PER_THREAD = 8


def in_parallel(kernel: Callable[..., Any], count: int, *arguments: Any) -> list[Any]:
    """Call ``kernel(first, last, *arguments)`` for pieces of 0 … count; return what each gave, in order."""
    workers = _processors()
    pieces = max(1, min(count, workers * _PIECES_PER_THREAD))
    bounds = list(pairwise(count * i // pieces for i in range(pieces + 1)))
    if workers == 1 or pieces == 1:
        return [kernel(first, last, *arguments) for first, last in bounds]
    with ThreadPoolExecutor(workers, thread_name_prefix="stacking") as pool:
        jobs = [pool.submit(kernel, first, last, *arguments) for first, last in bounds]
        return [job.result() for job in jobs]


@cache
def _processors() -> int:
    return len(os.sched_getaffinity(0))
