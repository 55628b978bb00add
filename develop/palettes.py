"""Which colours the filters at hand allow, and what each palette wants."""

from __future__ import annotations

from collections.abc import Collection

from develop.errors import DevelopError

BROAD = ("R", "G", "B")
_LETTERS = {"S": "SII", "H": "Ha", "O": "OIII"}
_NAMED = {
    "RGB": BROAD,
    "LRGB": ("L", *BROAD),
    "HaRGB": ("Ha", *BROAD),
    "HaLRGB": ("Ha", "L", *BROAD),
    "Foraxx": ("SII", "Ha", "OIII"),
}
_AUTOMATIC = ("SHO", "HaLRGB", "LRGB", "HaRGB", "RGB", "HOO", "SHH", "SOO")
"""Best first."""


def palette(name: str) -> str:
    """A palette's own spelling: RGB, LRGB, HaRGB, HaLRGB, Foraxx, or three letters of S, H and O.

    The letters say what red, green and blue show: SHO is Hubble's, HOO the two-line one. Raises
    :class:`DevelopError` for what is none.
    """
    for known in _NAMED:
        if name.lower() == known.lower():
            return known
    letters = name.upper()
    if len(letters) == 3 and set(letters) <= _LETTERS.keys() and len(set(letters)) > 1:
        return letters
    raise DevelopError(
        f'there is no palette "{name}"; choose of {", ".join(_NAMED)}, '
        "or three letters of S, H and O for red, green and blue, such as SHO, HSO or HOO"
    )


def wants(name: str) -> tuple[str, ...]:
    """The bands that a palette (in its own spelling) is made of; of letters, those of red, green and blue."""
    return _NAMED.get(name) or tuple(_LETTERS[letter] for letter in name)


def is_narrow(name: str) -> bool:
    """Whether a palette shows lines alone, so that its stars need not be white."""
    return not set(BROAD) & set(wants(name))


def best_palette(bands: Collection[str]) -> str | None:
    """The best that these bands allow, or None: three lines before broad bands before two lines."""
    return next((each for each in _AUTOMATIC if set(wants(each)) <= set(bands)), None)


def check(name: str, bands: Collection[str]) -> None:
    """Raise :class:`DevelopError`, naming what is missing, if the bands do not make the palette."""
    missing = [band for band in dict.fromkeys(wants(name)) if band not in bands]
    if missing:
        have = ", ".join(bands) or "no filter that is known"
        raise DevelopError(
            f"the palette {name} needs {' and '.join(missing)}; there is {have}: "
            f"add the stack of {' and '.join(missing)}, or choose another palette"
        )
