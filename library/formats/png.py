"""PNG of 16 bits as pixels, by libpng (``imagecodecs``). One of 8 bits is a picture, and no frame."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from library.errors import NotAFrameError
from library.formats.image import Data, ForeignImage, decoding, justify, refused

FORMAT = "PNG"

_MAGIC = b"\x89PNG\r\n\x1a\n"
_END = b"IEND\xaeB`\x82"
_GREY, _RGB, _GREY_ALPHA, _RGBA = 0, 2, 4, 6
_SAMPLES = {_GREY: 1, _RGB: 3, _GREY_ALPHA: 2, _RGBA: 4}


def open_image(data: Data, _number: int = 0) -> ForeignImage:
    """Look at a file. Raises :class:`UnreadableImageError`, :class:`NotAFrameError`."""
    with decoding(data, FORMAT):
        head = data.piece(0, 33)
        if not head.startswith(_MAGIC) or head[12:16] != b"IHDR":
            raise ValueError("it does not begin as PNG does")
        width, height, bits, colour = struct.unpack(">IIBB", head[16:26])
    if bits != 16 or colour not in _SAMPLES:
        raise NotAFrameError(
            f"{data.name}: a PNG of {min(bits, 8)} bits is a picture to look at, and no frame; "
            "save it with 16 bits",
            "8-bit PNG pictures",
        )
    samples = _SAMPLES[colour]
    justify(data, FORMAT, (height, width, samples), np.dtype(np.uint16), data.size, packed=True)
    if not data.piece(data.size - 64, 64).rstrip(b"\0").endswith(_END):
        raise refused(data, "is cut short: it has no end; check that it was copied whole")
    planes = 3 if samples >= 3 else 1

    def load() -> NDArray[Any]:
        import imagecodecs

        pixels = np.asarray(imagecodecs.png_decode(data.piece(0, data.size)))
        pixels = pixels.reshape(height, width, -1)[..., :planes]
        return np.ascontiguousarray(pixels if planes == 3 else pixels[..., 0])

    return ForeignImage(
        data=data,
        format=FORMAT,
        height=height,
        width=width,
        planes=planes,
        dtype=np.dtype(np.uint16),
        cards=(("ROWORDER", "TOP-DOWN", "PNG stores rows from the top"),),
        load=load,
        end=data.size,
        notes=("its alpha channel is left out",) if samples in {2, 4} else (),
    )
