"""The exact methods by which subs on disk are combined, as ``--method`` names them."""

from __future__ import annotations

from library.errors import LibraryError
from library.methods import Method
from livestack.errors import LiveStackError

METHODS = {
    "mean": "average",
    "median": "median",
    "sigma": "sigma_clip:low=3,high=3",
    "winsorized": "winsorized:low=3,high=3",
    "percentile": "percentile:low=0.2,high=0.1",
    "linear-fit": "linear_fit:low=5,high=3.5",
}
"""What each stands for among :mod:`library.methods`, with limits for lights: those of Siril (sigma,
winsorized) and PixInsight. A master's are wider, as nothing flies through it."""


def stacking_method(text: str) -> Method:
    """From "sigma" or "sigma:low=4,high=2.5,rounds=5,floor=off"; parameters as in :meth:`Method.parse`.

    Raises :class:`LiveStackError` for what is no method, and says what there is.
    """
    name, _, parameters = text.strip().lower().replace("_", "-").partition(":")
    if name not in METHODS:
        raise LiveStackError(f"there is no method {name!r}; choose of {', '.join(METHODS)}")
    rule, _, defaults = METHODS[name].partition(":")
    try:
        return Method.parse(f"{rule}:{','.join(filter(None, (defaults, parameters)))}")
    except LibraryError as error:
        raise LiveStackError(str(error)) from error
