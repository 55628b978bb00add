"""XISF as pixels and FITS cards: PixInsight's and N.I.N.A.'s format (XISF 1.0 specification).

Monolithic files; the first image, of one plane or three, in any of the specification's codecs.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from library.cards import Card, CardValue, parse_card, to_ascii
from library.formats.image import Data, ForeignImage, decoding, justify, refused

FORMAT = "XISF"
MAGIC = b"XISF0100"

_NAMESPACE = "{http://www.pixinsight.com/xisf}"
_STRUCTURE = re.compile(
    r"SIMPLE|BITPIX|NAXIS\d*|EXTEND|BZERO|BSCALE|END|[PG]COUNT|XTENSION|ROWORDER|CHECKSUM|DATASUM"
)
_SAMPLES = {"UInt8": "u1", "UInt16": "u2", "UInt32": "u4", "Float32": "f4", "Float64": "f8"}
_CODECS = {"zlib", "lz4", "lz4hc", "zstd"}
_MOST_SUBBLOCKS = 4096
_LARGEST_HEADER = 64_000_000

_PROPERTIES: dict[str, tuple[str, float]] = {
    "Instrument:Camera:Name": ("INSTRUME", 1),
    "Instrument:Camera:Gain": ("EGAIN", 1),
    "Instrument:Camera:ISOSpeed": ("ISOSPEED", 1),
    "Instrument:Camera:XBinning": ("XBINNING", 1),
    "Instrument:Camera:YBinning": ("YBINNING", 1),
    "Instrument:ExposureTime": ("EXPTIME", 1),
    "Instrument:Filter:Name": ("FILTER", 1),
    "Instrument:Sensor:Temperature": ("CCD-TEMP", 1),
    "Instrument:Sensor:TargetTemperature": ("SET-TEMP", 1),
    "Instrument:Telescope:Name": ("TELESCOP", 1),
    "Instrument:Telescope:FocalLength": ("FOCALLEN", 1000),  # metres
    "Observation:Object:Name": ("OBJECT", 1),
    "Observation:Time:Start": ("DATE-OBS", 1),
}
"""XISF's own properties that stand for a keyword where the keyword is missing, and the factor to its unit."""


def open_image(data: Data, _number: int = 0) -> ForeignImage:
    """Look at the first image of a file. Raises :class:`UnreadableImageError`.

    Rows are stored from the top.
    """
    with decoding(data, FORMAT):
        image = _first_image(data)
        sides = [int(n) for n in image.get("geometry", "").split(":")]
        if len(sides) != 3 or sides[2] not in {1, 3}:
            raise refused(
                data, f"holds an image of {image.get('geometry')}, neither one plane nor three planes"
            )
        width, height, planes = sides
        sample = image.get("sampleFormat", "")
        if sample not in _SAMPLES:
            raise refused(data, f"holds pixels of {sample or 'no type'}, which are no light")
        stored = np.dtype(f"{'>' if image.get('byteOrder') == 'big' else '<'}{_SAMPLES[sample]}")
        block = _Block(data, image)
        justify(data, FORMAT, (height, width, planes), stored, block.size, packed=block.codec is not None)
        notes: list[str] = []
        cards = list(_keywords(image, notes))
        cards += _from_properties(image, {card[0] for card in cards})
        cards.append(("ROWORDER", "TOP-DOWN", "XISF stores rows from the top"))
    if stored.kind == "f" and image.get("bounds", "").replace(" ", "") == "0:1":
        notes.append("pixels are 0…1")
    wanted, interleaved = width * height * planes * stored.itemsize, image.get("pixelStorage") == "Normal"

    def load() -> NDArray[Any]:
        flat = np.frombuffer(block.read(wanted), stored)
        if interleaved:
            pixels = flat.reshape(height, width, planes)
        else:
            pixels = np.moveaxis(flat.reshape(planes, height, width), 0, -1)
        return np.ascontiguousarray(pixels if planes == 3 else pixels[..., 0], stored.newbyteorder("="))

    return ForeignImage(
        data=data,
        format=FORMAT,
        height=height,
        width=width,
        planes=planes,
        dtype=stored.newbyteorder("="),
        cards=tuple(cards),
        load=load,
        end=block.start + block.size,
        notes=tuple(notes),
    )


def _first_image(data: Data) -> ET.Element:
    head = data.piece(0, 16)
    if len(head) < 16 or not head.startswith(MAGIC):
        raise ValueError("it does not begin as XISF does")
    length = struct.unpack("<I", head[8:12])[0]
    if length > min(data.size - 16, _LARGEST_HEADER):
        raise ValueError(f"its header of {length} bytes is not there")
    text = data.piece(16, length).rstrip(b"\0")
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise ValueError("its header defines entities, which no XISF does")
    image = ET.fromstring(text).find(f"{_NAMESPACE}Image")  # noqa: S314 - it defines no entities
    if image is None:
        raise ValueError("there is no image in it")
    return image


class _Block:
    """The bytes of an image's pixels: attached to the header, or within it as text."""

    def __init__(self, data: Data, image: ET.Element) -> None:
        self._data, self._inline = data, b""
        self.start = self.size = 0
        method, *rest = image.get("location", "").split(":")
        if method == "attachment" and len(rest) == 2:
            self.start, self.size = int(rest[0]), int(rest[1])
            if self.start < 16 or self.size < 0 or self.start + self.size > data.size:
                raise ValueError(
                    f"it is cut short: pixels end at {self.start + self.size} of {data.size} bytes"
                )
        elif method == "inline" and rest:
            self._inline = _decoded(rest[0], image.text or "")
            self.size = len(self._inline)
        elif method == "embedded" and (inside := image.find(f"{_NAMESPACE}Data")) is not None:
            self._inline = _decoded(inside.get("encoding", ""), inside.text or "")
            self.size = len(self._inline)
            image = inside
        else:
            raise ValueError(f"its pixels are at {image.get('location')!r}, and not in this file")
        self.codec: str | None = None
        self._unshuffled = 1
        self._pieces: tuple[tuple[int, int], ...] = ()
        if packing := image.get("compression"):
            self._parse(packing, image.get("subblocks", ""))

    def _parse(self, packing: str, subblocks: str) -> None:
        name, size, *item = packing.split(":")
        self.codec = name.removesuffix("+sh")
        if self.codec not in _CODECS:
            raise ValueError(f"its pixels are packed by {name!r}")
        if name.endswith("+sh"):
            self._unshuffled = int(item[0])
        self._pieces = ((self.size, int(size)),)
        if subblocks:
            pairs = [each.split(",") for each in subblocks.split(":")[:_MOST_SUBBLOCKS]]
            self._pieces = tuple((int(packed), int(plain)) for packed, plain in pairs)
        if min(min(pair) for pair in self._pieces) < 0 or sum(p for p, _ in self._pieces) > self.size:
            raise ValueError("its packed pieces do not fit")

    def read(self, wanted: int) -> bytes:
        """All of it, unpacked; exactly so many bytes. Raises ValueError and what codecs raise."""
        raw = self._inline or self._data.piece(self.start, self.size)
        if self.codec is None:
            if len(raw) < wanted:
                raise ValueError(f"it is cut short: {len(raw)} of {wanted} bytes of pixels")
            return raw[:wanted]
        if sum(plain for _, plain in self._pieces) != wanted:
            raise ValueError(f"its packed pixels are not the {wanted} bytes of its geometry")
        parts, at = list[bytes](), 0
        for packed, plain in self._pieces:
            parts.append(_unpacked(self.codec, raw[at : at + packed], plain))
            at += packed
        whole = b"".join(parts)
        if len(whole) != wanted:
            raise ValueError(f"it unpacks to {len(whole)} of {wanted} bytes of pixels")
        return _in_order(whole, self._unshuffled)


def _unpacked(codec: str, packed: bytes, size: int) -> bytes:
    """No more than ``size`` bytes are ever made."""
    if codec == "zlib":
        return zlib.decompressobj().decompress(packed, size) if size else b""
    import imagecodecs

    if codec == "zstd":
        return bytes(imagecodecs.zstd_decode(packed, out=size))
    return bytes(imagecodecs.lz4_decode(packed, header=False, out=size))


def _in_order(data: bytes, item: int) -> bytes:
    """Undo byte shuffling: first bytes of all items, then the second ones and so on; a rest stays."""
    if item <= 1:
        return data
    whole = len(data) // item * item
    shuffled = np.frombuffer(data, np.uint8, count=whole).reshape(item, -1)
    return np.ascontiguousarray(shuffled.T).tobytes() + data[whole:]


def _decoded(encoding: str, text: str) -> bytes:
    if encoding == "base64":
        return base64.b64decode(text)
    if encoding == "hex":
        return binascii.unhexlify("".join(text.split()))
    raise ValueError(f"its pixels are written in {encoding!r}")


def _keywords(image: ET.Element, notes: list[str]) -> Iterator[Card]:
    for element in image.findall(f"{_NAMESPACE}FITSKeyword"):
        name = element.get("name", "").strip().upper()
        text, comment = element.get("value", ""), element.get("comment", "")
        if _STRUCTURE.fullmatch(name):
            continue
        if name in {"HISTORY", "COMMENT"}:
            yield name, text.strip().strip("'") or comment, ""
        elif re.fullmatch(r"[A-Z0-9_-]{1,8}", name):
            value = parse_card(f"{name:8}= {text}".encode("latin-1", "replace"))[1]
            if isinstance(value, str) and len(to_ascii(value)) > 68:
                notes.append(f"{name} is cut to the 68 characters of a card")
            yield name, value, comment
        elif name:
            yield "COMMENT", f"{name} = {text}", ""


def _from_properties(image: ET.Element, here: set[str]) -> Iterator[Card]:
    for element in image.findall(f"{_NAMESPACE}Property"):
        keyword, factor = _PROPERTIES.get(element.get("id", ""), ("", 1.0))
        text = (element.get("value") or element.text or "").strip()
        if not keyword or keyword in here or not text:
            continue
        value: CardValue = text.removesuffix("Z") if keyword == "DATE-OBS" else text
        if element.get("type", "").startswith(("Float", "Int", "UInt")):
            value = parse_card(f"{keyword:8}= {text}".encode())[1]
            value = value * factor if isinstance(value, float | int) and factor != 1 else value
        yield keyword, value, "from the XISF property"
    if "IMAGETYP" not in here and (kind := image.get("imageType")):
        yield "IMAGETYP", kind, "from XISF's imageType"
    cfa = image.find(f"{_NAMESPACE}ColorFilterArray")
    if cfa is not None and "BAYERPAT" not in here and (pattern := cfa.get("pattern", "")):
        yield "BAYERPAT", pattern[:68], "from XISF's ColorFilterArray"
