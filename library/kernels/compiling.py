"""How the loops over pixels are compiled, and where what was compiled is kept.

numba keeps compiled code and looks for changes in the compiled function's own file alone, not in what it
calls. So the code is kept by the content of its module and of all kernels that this one imports: after an
update nothing stale runs, and what has not changed is not compiled again.
"""

from __future__ import annotations

import ast
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from numba import config, njit

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
            with _kept_by_content(function.__module__):
                kept: Kernel = njit(cache=True, **options)(function)
        except RuntimeError:  # no folder can be written
            kept = njit(**options)(function)
        return kept

    return compiled


def is_kept(module: str) -> bool:
    """Whether code that was compiled for a module of kernels is there from an earlier run."""
    import_module(module)
    return any(_folder(module).rglob("*.nbi"))


@contextmanager
def _kept_by_content(module: str) -> Iterator[None]:
    before: str = vars(config)["CACHE_DIR"]
    vars(config)["CACHE_DIR"] = str(_folder(module))
    try:
        yield
    finally:
        vars(config)["CACHE_DIR"] = before


def _folder(module: str) -> Path:
    top = Path(vars(config)["CACHE_DIR"] or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return top / "firstlight" / "kernels" / _content(module)


@cache
def _content(module: str) -> str:
    """A digest of a module and of what it imports from a package of kernels, however far down."""
    source = Path(str(sys.modules[module].__file__)).read_bytes()
    sha256 = hashlib.sha256(module.encode() + b"\0" + source)
    imported = (node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom))
    for name in sorted({name for name in imported if name and name.split(".")[-2:-1] == ["kernels"]}):
        sha256.update(_content(name).encode())
    return sha256.hexdigest()[:16]
