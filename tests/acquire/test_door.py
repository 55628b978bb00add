"""What a server says becomes values or is refused: types, elements, names, numbers, amounts."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquire.indi.door import LONGEST_NAME, LONGEST_TEXT, MOST_DEVICES, MOST_ELEMENTS
from acquire.indi.mirror import Mirror
from tests.acquire.clocks import FakeClock


class Door:
    """A mirror, and the lines of what it refuses."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.mirror = Mirror(FakeClock(), self.lines.append)
        self.mirror.apply({"type": "connected"})

    def tell(self, name: str = "X", kind: str = "number", /, **changes: Any) -> None:
        message: dict[str, Any] = {"type": "property", "device": "D", "name": name, "kind": kind}
        message |= {"state": "Ok", "permission": "rw", "timestamp": "", "elements": [element("A")]}
        self.mirror.apply(message | changes)


def element(name: str, value: object = 1.0, low: object = 0.0, high: object = 0.0) -> dict[str, object]:
    return {"name": name, "label": "", "value": value, "min": low, "max": high}


@pytest.mark.parametrize(
    ("name", "kind", "changes", "reason"),
    [
        ("CCD_EXPOSURE", "switch", {"elements": [element("CCD_EXPOSURE_VALUE", True)]}, "it is a switch"),
        ("CCD_EXPOSURE", "number", {}, "no element CCD_EXPOSURE_VALUE"),
        ("EQUATORIAL_EOD_COORD", "number", {"elements": [element("DEC")]}, "no element RA"),
        ("CONNECTION", "number", {}, "INDI's standard has a switch"),
        (
            "FILTER_SLOT",
            "number",
            {"elements": [element("FILTER_SLOT_VALUE", 1.0, 1.0, 1e9)]},
            "1e.09 makes no sense",
        ),
        ("X" * 10_000, "number", {}, "a property's name has more than 200"),
        ("X", "number", {"device": "D" * 10_000}, "a device's name has more than 200"),
        ("X", "number", {"elements": [element("E" * 10_000)]}, "an element's name has more than 200"),
        ("X\udc80", "number", {}, "a property's name has characters that cannot be printed"),
        ("X\x1b[2J", "number", {}, "cannot be printed"),
        ("", "number", {}, "a property's name is missing"),
        ("X", "number", {"elements": [element("A\n")]}, "cannot be printed"),
        ("X", "number", {"state": "Fine"}, "INDI does not know"),
        ("X", "number", {"elements": [element(f"E{n}") for n in range(MOST_ELEMENTS + 1)]}, "more than"),
    ],
)
def test_what_is_refused_is_one_line(name: str, kind: str, changes: dict[str, Any], reason: str) -> None:
    door = Door()
    for _ in range(3):
        door.tell(name, kind, **changes)
    [line] = door.lines
    assert line.startswith("the INDI server's ")
    assert len(line) < 300
    assert line.isprintable()
    assert re.search(reason, line)
    assert door.mirror.get("D", name) is None


def test_a_property_that_turns_into_another_type_is_known_no_more() -> None:
    door = Door()
    good = [element("CCD_EXPOSURE_VALUE")]
    door.tell("CCD_EXPOSURE", elements=good)
    assert door.mirror.get("D", "CCD_EXPOSURE") is not None
    door.tell("CCD_EXPOSURE", "switch", elements=good)
    assert door.mirror.get("D", "CCD_EXPOSURE") is None
    door.tell("CCD_EXPOSURE", elements=good)
    assert door.mirror.get("D", "CCD_EXPOSURE") is not None
    assert len(door.lines) == 1


_HUGE = 10**400


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, _HUGE, True, "5", None], ids=str)
def test_what_is_no_number_is_no_reading_and_no_limit(value: object) -> None:
    door = Door()
    door.tell(elements=[element("A", value, value, 5.0), element("B", 2.0, 1.0, value)])
    found = door.mirror.get("D", "X")
    assert found is not None
    assert found.number("A") is None
    assert found.number("B") == 2.0
    assert found.number("C") is None
    assert (found.limits("A"), found.limits("B")) == (None, None)


def test_texts_are_made_fit_for_a_log() -> None:
    door = Door()
    door.tell("X", "text", elements=[element("A", "a\udcff\x1b[2J\nb"), element("B", "y" * 1_000_000)])
    door.mirror.apply({"type": "message", "device": "D", "text": "\x07" + "z" * 1_000_000})
    found = door.mirror.get("D", "X")
    assert found is not None
    assert found.text("A") == "a\ufffd\ufffd[2J\ufffdb"
    assert len(found.text("B")) == LONGEST_TEXT
    assert len(door.mirror.last_message("D")) == LONGEST_TEXT
    assert door.mirror.last_message("D").isprintable()


def test_too_much_of_everything_is_bounded_and_so_is_the_log() -> None:
    door = Door()
    for number in range(MOST_DEVICES + 500):
        door.tell(device=f"D{number}")
        door.mirror.apply({"type": "message", "device": f"unknown {number}", "text": "x"})
        door.tell("Y" * (LONGEST_NAME + 1 + number))
    assert len(door.mirror.devices()) == MOST_DEVICES
    assert len(door.lines) < 60
    assert sum("more than 200 devices" in line for line in door.lines) == 3
    assert any("others like it are not told" in line for line in door.lines)


_anything = st.none() | st.booleans() | st.floats() | st.integers() | st.text()


@given(
    name=st.sampled_from(["CCD_EXPOSURE", "CONNECTION", "FILTER_SLOT", "X"]) | st.text(),
    kind=st.sampled_from(["number", "switch", "text", "light", "blob", "?"]),
    elements=st.lists(
        st.fixed_dictionaries(
            {
                "name": st.sampled_from(["CCD_EXPOSURE_VALUE", "CONNECT"]) | st.text(),
                "label": _anything,
                "value": _anything,
                "min": _anything,
                "max": _anything,
            }
        ),
        max_size=3,
    ),
)
def test_whatever_is_told_the_mirror_holds_values_of_their_kind(
    name: str, kind: str, elements: list[dict[str, Any]]
) -> None:
    door = Door()
    door.tell(name, kind, elements=elements)
    found = door.mirror.get("D", name)
    assert (found is None) == bool(door.lines)
    if found is None:
        return
    kinds = {"number": float, "switch": bool, "text": str, "light": str, "blob": type(None)}
    assert all(type(each.value) is kinds[found.kind] for each in found.elements.values())
    assert all(math.isfinite(each.min) and math.isfinite(each.max) for each in found.elements.values())
