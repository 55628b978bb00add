"""Where compiled loops are kept, by their content. numba is not needed to know, nor is it loaded here.

numba looks for changes in the compiled function's own file alone, not in what it calls. So the code is kept
by the content of its module, of all kernels that this one imports, and of the module that says how they are
compiled: after an update nothing stale runs, and what has not changed is not compiled again.
"""

from __future__ import annotations

import ast
import hashlib
import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path


def folder_of(module: str) -> Path:
    """The folder for what was compiled of a module of kernels, as it is now."""
    top = Path(
        os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    )
    return top / "firstlight" / "kernels" / _content(module)


def is_kept(module: str) -> bool:
    """Whether code that was compiled for a module of kernels is there from an earlier run."""
    try:
        return any(folder_of(module).rglob("*.nbi"))
    except RuntimeError:  # nobody's home is known
        return False


@cache
def _how() -> bytes:
    return Path(__file__).with_name("compiling.py").read_bytes()


@cache
def _content(module: str) -> str:
    """A digest of a module and of what it imports from a package of kernels, however far down."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_bytes()
    sha256 = hashlib.sha256(_how() + module.encode() + b"\0" + source)
    imported = (node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom))
    for name in sorted({name for name in imported if name and name.split(".")[-2:-1] == ["kernels"]}):
        sha256.update(_content(name).encode())
    return sha256.hexdigest()[:16]
