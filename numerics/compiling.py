"""How the loops over pixels are compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba import config, njit

from numerics.cache import folder_of

Kernel = Callable[..., Any]

FAST = {"contract", "reassoc", "nsz", "arcp", "afn"}
"""What the compiler may do to floats in a ``fast`` kernel; not-a-number keeps its meaning."""


def kernel(*, fast: bool = False, inline: bool = False) -> Callable[[Kernel], Kernel]:
    """Compile a function at its first call, to run outside Python's lock, and keep the result on disk.

    ``fast`` lets sums be reordered and products contracted; ``inline`` is for small functions within loops.
    """
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": FAST if fast else False,
        "inline": "always" if inline else "never",
    }

    def compiled(function: Kernel) -> Kernel:
        try:
            with _kept_in_its_folder(function.__module__):
                kept: Kernel = njit(cache=True, **options)(function)
        except RuntimeError:  # no folder can be written
            kept = njit(**options)(function)
        return kept

    return compiled


@contextmanager
def _kept_in_its_folder(module: str) -> Iterator[None]:
    before: str = vars(config)["CACHE_DIR"]
    vars(config)["CACHE_DIR"] = str(folder_of(module))
    try:
        yield
    finally:
        vars(config)["CACHE_DIR"] = before
