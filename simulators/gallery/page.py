"""Pictures for the eye: stretches, and the page that shows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Values = NDArray[np.floating] | NDArray[np.uint16]
Picture8 = NDArray[np.uint8]

_STYLE = """
body { background: #15171a; color: #c9ced6; font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 92rem; padding: 0 1.5rem }
h1, h2 { color: #fff; font-weight: 600 } h2 { margin-top: 3rem }
.shelf { display: grid; gap: 1.5rem; grid-template-columns: repeat(auto-fill, minmax(26rem, 1fr)) }
figure { margin: 0 } img { width: 100%; image-rendering: pixelated; background: #000 }
figcaption b { color: #fff; display: block } a { color: #8ab4f8 }
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """One figure: ``(height, width)`` or ``(height, width, 3)`` bytes."""

    title: str
    caption: str
    image: Picture8


def stretch(frame: Values, soft: float = 20.0, low: float = 0.5, high: float = 99.9) -> Picture8:
    """Frame to grey or colour by arcsinh between two percentiles; the larger ``soft``, the more the faint."""
    values: NDArray[np.float32] = np.asarray(frame, np.float32)
    sample = values[:: max(values.shape[0] // 500, 1), :: max(values.shape[1] // 500, 1)]
    axis = (0, 1)
    bottom, top = np.percentile(sample, (low, high), axis=axis)
    share = np.clip((values - bottom) / np.maximum(np.max(top - bottom), 1e-6), 0.0, 1.0)
    return bytes_of(np.arcsinh(share * soft) / np.arcsinh(soft))


def night(frame: Values, background: float = 0.12) -> Picture8:
    """Frame as imaging programs show it: the black point 2.8 robust deviations below the sky, then the
    midtones' transfer function m(x) = (m−1)x/((2m−1)x − m) that brings the sky to ``background``."""
    values = np.asarray(frame, np.float32)
    sky = np.median(values, axis=(0, 1))
    deviation = 1.4826 * np.median(np.abs(values - sky), axis=(0, 1)) + 1e-6
    low = sky - 2.8 * deviation
    span = np.max(np.percentile(values, 99.95, axis=(0, 1)) - low)
    share = np.clip((values - low) / span, 0.0, 1.0)
    dark = float(np.mean((sky - low) / span))
    m = dark * (1.0 - background) / (dark * (1.0 - 2.0 * background) + background)
    shown: NDArray[np.float32] = (m - 1.0) * share / ((2.0 * m - 1.0) * share - m)
    return bytes_of(shown)


def linear(frame: Values, bottom: float, top: float) -> Picture8:
    """Frame to grey between two levels: for pictures that are to be compared."""
    return bytes_of(np.clip((np.asarray(frame, np.float32) - bottom) / (top - bottom), 0.0, 1.0))


def bytes_of(share: NDArray[np.floating]) -> Picture8:
    """0–1 to 0–255."""
    return np.asarray(np.rint(255.0 * share), np.uint8)


def smaller(frame: Values, width: int = 620) -> NDArray[np.float32]:
    """The mean of square blocks, so that the picture is at most about ``width`` wide."""
    n = max(-(-frame.shape[1] // width), 1)
    rows, cols = frame.shape[0] // n, frame.shape[1] // n
    blocks = frame[: rows * n, : cols * n].reshape(rows, n, cols, n, *frame.shape[2:])
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))


def larger(image: Picture8, times: int) -> Picture8:
    """Each pixel as a square."""
    return np.repeat(np.repeat(image, times, axis=0), times, axis=1)


def middle(frame: Values, width: int, height: int) -> Values:
    """A cut-out about the centre."""
    top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
    cut: Values = frame[max(top, 0) : top + height, max(left, 0) : left + width]
    return cut


def in_row(*images: Picture8, gap: int = 4) -> Picture8:
    """Pictures of one height beside each other."""
    between = np.full((images[0].shape[0], gap, *images[0].shape[2:]), 90, np.uint8)
    parts = [part for image in images for part in (image, between)]
    return np.concatenate(parts[:-1], axis=1)


def chart(
    x: NDArray[np.floating], lines: Iterable[tuple[str, NDArray[np.floating]]], x_label: str, y_label: str
) -> Picture8:
    """Curves over one axis, with the range in words: enough to see their shape."""
    width, height, edge = 620, 380, 44
    drawing = Image.new("RGB", (width, height), "#0d0f12")
    draw = ImageDraw.Draw(drawing)
    lines = list(lines)
    everything = np.concatenate([y for _, y in lines])
    y1 = float(everything.max()) * 1.05
    y0 = float(everything.min()) * 0.95 if everything.min() > 0.5 * y1 else min(0.0, float(everything.min()))
    colours = ("#8ab4f8", "#f28b82", "#81c995", "#fdd663", "#c58af9", "#78d9ec", "#ff8bcb")
    draw.rectangle((edge, edge // 2, width - edge // 2, height - edge), outline="#555a61")
    for tick in np.linspace(y0, y1, 5):
        y = height - edge - (tick - y0) / (y1 - y0) * (height - 1.5 * edge)
        draw.text((4, y - 6), f"{tick:.3g}", fill="#9aa0a6")
    for tick in np.linspace(float(x.min()), float(x.max()), 5):
        place = edge + (tick - x.min()) / np.ptp(x) * (width - 1.5 * edge)
        draw.text((place - 12, height - edge + 4), f"{tick:.4g}", fill="#9aa0a6")
    for index, (name, y) in enumerate(lines):
        colour = colours[index % len(colours)]
        across = edge + (x - x.min()) / np.ptp(x) * (width - 1.5 * edge)
        up = height - edge - (y - y0) / (y1 - y0) * (height - 1.5 * edge)
        draw.line(list(zip(across.tolist(), up.tolist(), strict=True)), fill=colour, width=2)
        draw.text((edge + 150 + 110 * index, 6), name, fill=colour)
    draw.text((width // 2 - 3 * len(x_label), height - 18), x_label, fill="#c9ced6")
    draw.text((edge, 6), y_label, fill="#c9ced6")
    return np.asarray(drawing)


def write_page(folder: Path, sections: Iterable[tuple[str, str, Iterable[Picture]]]) -> int:
    """Write the pictures and ``index.html``; sections are (title, words, pictures). How many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    body: list[str] = []
    count = 0
    for title, words, pictures in sections:
        body.append(f"<h2>{escape(title)}</h2><p>{escape(words)}</p><div class=shelf>")
        for picture in pictures:
            count += 1
            name = f"{count:03d}.png"
            Image.fromarray(picture.image).save(folder / name)
            body.append(
                f"<figure><a href={name}><img src={name} alt='{escape(picture.title, quote=True)}'></a>"
                f"<figcaption><b>{escape(picture.title)}</b>{escape(picture.caption)}</figcaption></figure>"
            )
        body.append("</div>")
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8><title>The simulated observatory</title>"
        f"<style>{_STYLE}</style><h1>The simulated observatory</h1>"
        "<p>What is modelled, by which formula and from which source: docs/simulator.md.</p>"
        + "".join(body)
        + "</html>"
    )
    (folder / "index.html").write_text(page, encoding="utf-8")
    return count
