"""What a fault does to an element on its way out of a driver: change it, delay it, double it, lose it."""

from __future__ import annotations

import base64
import copy
import io
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from simulators.faults.injector import Injector
from simulators.faults.plan import Fault

_Out = list[tuple[ET.Element, float]]
"""Elements, each with the real seconds by which it is late."""


def disturbed(faults: Injector, element: ET.Element) -> Iterable[tuple[ET.Element, float]]:
    """What leaves in the place of an element; the element itself unless a fault is due."""
    if element.tag == "setBLOBVector" and len(element) and (fault := faults.due(*_BLOBS)):
        return _BLOBS[fault.name](element, fault)
    if element.get("name") == "CCD_TEMPERATURE" and faults.running("temperature_unreadable"):
        return [(_with_text(element, "nan"), 0.0)]
    return [(element, 0.0)]


def _lose(_element: ET.Element, _fault: Fault) -> _Out:
    return []


def _double(element: ET.Element, _fault: Fault) -> _Out:
    return [(element, 0.0), (element, 0.0)]


def _delay(element: ET.Element, fault: Fault) -> _Out:
    return [(element, fault.number("delay_real_s"))]


def _truncate(element: ET.Element, fault: Fault) -> _Out:
    """Fewer bytes than declared, and whole base64 nonetheless."""
    content = _content(element)
    return _with_content(element, content[: int(len(content) * fault.number("keep_fraction"))], len(content))


def _lie_of_size(element: ET.Element, fault: Fault) -> _Out:
    content = _content(element)
    return _with_content(element, content, int(len(content) * fault.number("declared_factor")))


def _noise(element: ET.Element, _fault: Fault) -> _Out:
    size = len(_content(element))
    noise = np.random.default_rng(size).bytes(size)
    return _with_content(element, noise, size)


def _bin(element: ET.Element, fault: Fault) -> _Out:
    """A frame binned otherwise than ordered, whose header says so."""
    n = round(fault.number("binning"))

    def change(data: Any, header: Any) -> Any:
        for axis in "XY":
            header[f"{axis}BINNING"] = n * header[f"{axis}BINNING"]
            header[f"{axis}PIXSZ"] = n * header[f"{axis}PIXSZ"]
        return data[: data.shape[0] // n * n : n, : data.shape[1] // n * n : n]

    return _changed(element, change)


def _crop(element: ET.Element, fault: Fault) -> _Out:
    """A frame with fewer rows than ordered, as from a readout that was cut short."""
    keep = fault.number("keep_fraction")
    return _changed(element, lambda data, _header: data[: max(1, int(len(data) * keep))])


_BLOBS: dict[str, Callable[[ET.Element, Fault], _Out]] = {
    "blob_lost": _lose,
    "blob_truncated": _truncate,
    "blob_wrong_size": _lie_of_size,
    "blob_not_fits": _noise,
    "blob_wrong_binning": _bin,
    "blob_wrong_frame": _crop,
    "blob_duplicate": _double,
    "blob_late": _delay,
}


def _content(element: ET.Element) -> bytes:
    return base64.b64decode(element[0].text or "")


def _with_content(element: ET.Element, content: bytes, declared: int) -> _Out:
    changed = copy.deepcopy(element)
    changed[0].set("size", str(declared))
    changed[0].text = base64.b64encode(content).decode()
    return [(changed, 0.0)]


def _changed(element: ET.Element, change: Callable[[Any, Any], Any]) -> _Out:
    from astropy.io import fits

    with fits.open(io.BytesIO(_content(element))) as hdus:
        header = hdus[0].header.copy()
        data = np.ascontiguousarray(change(hdus[0].data, header))
    buffer = io.BytesIO()
    fits.PrimaryHDU(data, header).writeto(buffer)
    return _with_content(element, buffer.getvalue(), len(buffer.getvalue()))


def _with_text(element: ET.Element, text: str) -> ET.Element:
    changed = copy.deepcopy(element)
    for member in changed:
        member.text = text
    return changed
