from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from simulators.gallery.page import Picture, linear, middle, night, smaller, stretch, write_page


class Sources(HTMLParser):
    """The pictures that a page shows."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if tag == "img" and name == "src" and value]


def shown(folder: Path) -> list[str]:
    page = Sources()
    page.feed((folder / "index.html").read_text(encoding="utf-8"))
    return page.found


def test_the_optics_make_a_page_of_pictures_that_show_something(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "simulators.gallery", "-o", str(tmp_path), "optics"],
        capture_output=True,
        text=True,
        check=True,
    )
    pictures = shown(tmp_path)
    assert made.stdout.startswith(f"{len(pictures)} pictures")
    assert len(pictures) >= 10
    for name in pictures:
        values = np.asarray(Image.open(tmp_path / name).convert("L"))
        assert np.ptp(values) > 60
    assert {path.name for path in tmp_path.iterdir()} == {"index.html", *pictures}


def test_an_unknown_section_is_named(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "simulators.gallery", "-o", str(tmp_path), "opticks"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 2
    assert "opticks; there are sky, optics, sensor, cameras" in made.stderr


def test_titles_are_text_and_not_markup(tmp_path: Path) -> None:
    picture = Picture("<b>'a' & b", "c < d", np.zeros((4, 5), np.uint8))
    assert write_page(tmp_path, [("<i>", "words", [picture])]) == 1
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<b>'a'" not in page
    assert "&lt;b&gt;&#x27;a&#x27; &amp; b" in page


def test_stretches_keep_order_and_use_the_range() -> None:
    rng = np.random.default_rng(1)
    sky = rng.normal(1000.0, 10.0, (200, 300)).astype(np.float32)
    sky[50, 60], sky[51, 61:120] = 60_000.0, 1500.0
    seen = night(sky)
    assert np.median(seen) == pytest.approx(0.12 * 255, abs=2)
    assert seen[50, 60] == 255
    assert seen[51, 80] > seen[100, 100]
    assert linear(np.array([[0.0, 5.0, 20.0]]), 0.0, 10.0).tolist() == [[0, 128, 255]]
    ramp = np.linspace(0.0, 1.0, 1000).reshape(1, -1).repeat(4, axis=0)
    assert np.all(np.diff(stretch(ramp)[0].astype(int)) >= 0)


def test_smaller_is_the_mean_and_middle_is_the_middle() -> None:
    frame = np.arange(48, dtype=np.float64).reshape(6, 8)
    assert smaller(frame, 4).tolist() == [
        [4.5, 6.5, 8.5, 10.5],
        [20.5, 22.5, 24.5, 26.5],
        [36.5, 38.5, 40.5, 42.5],
    ]
    assert middle(frame, 2, 2).tolist() == [[19.0, 20.0], [27.0, 28.0]]
