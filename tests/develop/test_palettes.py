"""Palettes against a nebula whose lines are known: a ring of OIII in a disc of Ha, with SII at its rim."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from develop.colour import bands_of, compose
from develop.errors import DevelopError
from develop.palettes import best_palette, palette, wants

SHAPE = (240, 320)
NOISE = 3.0
LINES = {"S": "SII", "H": "Ha", "O": "OIII"}


@dataclass(frozen=True)
class Layer:
    pixels: NDArray[np.float32]
    coverage: NDArray[np.float32]


def radius() -> NDArray[np.float64]:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    distance: NDArray[np.float64] = np.hypot(x - 160, y - 120)
    return distance


SHAPES = {
    "Ha": np.exp(-((radius() / 60) ** 4)),
    "OIII": np.exp(-((radius() / 30) ** 4)),
    "SII": np.exp(-(((radius() - 50) / 10) ** 2)),
}


@cache
def stars() -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    light = np.zeros(SHAPE)
    for _ in range(150):
        cx, cy, flux = rng.uniform(5, SHAPE[1] - 5), rng.uniform(5, SHAPE[0] - 5), rng.uniform(300, 4000)
        light += flux * np.exp(-0.5 * ((x - cx) ** 2 + (y - cy) ** 2) / 1.5**2)
    return light


def layer(nebula: float, line: str | None, stars_gain: float, sky: float, seed: int) -> Layer:
    pixels = sky + stars_gain * stars() + np.random.default_rng(seed).normal(0, NOISE, SHAPE)
    if line is not None:
        pixels += nebula * SHAPES[line]
    return Layer(pixels.astype(np.float32), np.ones(SHAPE, dtype=np.float32))


STACKS: dict[str | None, Layer] = {
    "H-alpha 7nm": layer(300, "Ha", 0.06, 120, 1),
    "O-III": layer(100, "OIII", 0.05, 200, 2),
    "S2": layer(60, "SII", 0.06, 90, 3),
}
BROAD: dict[str | None, Layer] = {
    "Red": layer(60, "Ha", 0.8, 900, 4),
    "Green": layer(20, "OIII", 1.0, 700, 5),
    "Blue": layer(20, "OIII", 0.7, 500, 6),
}
LUM: dict[str | None, Layer] = {"L": layer(80, "Ha", 2.5, 2000, 7)}


def made(layers: dict[str | None, Layer], name: str | None = None, scnr: float = 0.0) -> NDArray[np.float32]:
    picture = compose(layers, name, scnr=scnr)
    assert picture is not None
    return picture


@pytest.mark.parametrize("letters", ["SHO", "HSO", "HOO", "OHS", "HSS", "SOO", "hos"])
def test_each_line_shows_where_its_letter_says(letters: str) -> None:
    picture = made(STACKS, letters)
    assert np.abs(np.median(picture[radius() > 110], axis=0)).max() < NOISE
    for channel, letter in enumerate(letters.upper()):
        shape = SHAPES[LINES[letter]]
        dark = stars() < 0.1
        likeness = np.corrcoef(picture[..., channel][dark], shape[dark])[0, 1]
        assert likeness > 0.9
    assert picture.dtype == np.float32


def test_faint_lines_come_up_to_ha_but_not_their_noise() -> None:
    picture = made(STACKS, "SHO")
    for channel, (line, most) in enumerate((("SII", 60.0), ("Ha", 300.0), ("OIII", 100.0))):
        there = (SHAPES[line] > 0.9) & (stars() < 0.1)
        bright = float(np.median(picture[..., channel][there]))
        gain = bright / most
        assert gain <= 3.1
        assert bright == pytest.approx(300, rel=0.15) or gain == pytest.approx(3.0, rel=0.1)
        assert picture[..., channel][(radius() > 110) & (stars() < 0.1)].std() < 3.2 * NOISE


def test_a_line_that_is_not_there_stays_noise() -> None:
    nothing = Layer(STACKS["S2"].pixels - (60 * SHAPES["SII"]).astype(np.float32), STACKS["S2"].coverage)
    picture = made(STACKS | {"S2": nothing}, "SHO")
    assert np.abs(picture[..., 0][(radius() < 40) & (stars() < 0.1)]).mean() < 3 * NOISE


@pytest.mark.parametrize("scnr", [0.0, 1.0])
@pytest.mark.parametrize("share", [0.04, 0.1, 0.3])
def test_the_sky_is_neutral_where_ha_fills_nearly_all_of_the_picture(share: float, scnr: float) -> None:
    """Ha's densest values are nebula then; SII and OIII are as faint and as local as ever."""
    y = np.mgrid[: SHAPE[0], : SHAPE[1]][0]
    dark = y < share * SHAPE[0]
    stacks: dict[str | None, Layer] = {
        name: Layer(each.pixels.copy(), each.coverage) for name, each in STACKS.items()
    }
    stacks["H-alpha 7nm"].pixels[~dark] += 200.0
    picture = made(stacks, "SHO", scnr)
    red, green, blue = (float(np.median(picture[..., channel][dark])) for channel in range(3))
    assert max(abs(red - green), abs(blue - green)) < 0.05 * 200.0
    if scnr == 0:
        assert float(np.median(picture[..., 1][~dark])) == pytest.approx(200.0, rel=0.1)


def test_a_gradient_of_the_sky_is_not_taken_for_nebula() -> None:
    y = np.mgrid[: SHAPE[0], : SHAPE[1]][0]
    stacks: dict[str | None, Layer] = {
        name: Layer((each.pixels + np.float32(8 * y / SHAPE[0])).astype(np.float32), each.coverage)
        for name, each in STACKS.items()
    }
    plain, sloped = made(STACKS, "SHO"), made(stacks, "SHO")
    assert np.median(sloped[:40] - plain[:40], axis=(0, 1)) == pytest.approx([0, 0, 0], abs=12)


@settings(max_examples=12, deadline=None)
@given(st.permutations(list(STACKS)), st.sampled_from(sorted("".join(p) for p in permutations("SHO"))))
def test_neither_the_order_of_the_stacks_nor_of_the_letters_changes_a_line(
    names: list[str], letters: str
) -> None:
    picture = made({name: STACKS[name] for name in names}, letters)
    whole = made(STACKS, "SHO")
    for channel, letter in enumerate(letters):
        assert (picture[..., channel] == whole[..., "SHO".index(letter)]).all()


@settings(max_examples=10, deadline=None)
@given(st.floats(0.05, 20), st.floats(-500, 5000))
def test_the_unit_and_the_pedestal_of_a_line_do_not_matter(gain: float, pedestal: float) -> None:
    moved = Layer((STACKS["O-III"].pixels * gain + pedestal).astype(np.float32), STACKS["O-III"].coverage)
    plain = made(STACKS, "HOO")
    other = made(STACKS | {"O-III": moved}, "HOO")
    # The gain of a line is held between an eighth and eight.
    if 0.4 < gain < 8:
        assert other == pytest.approx(plain, abs=0.5)
    assert (other[..., 0] == plain[..., 0]).all()


@pytest.mark.parametrize(
    ("bands", "best"),
    [
        ("Ha OIII SII", "SHO"), ("Ha OIII SII R G B", "SHO"), ("L R G B Ha", "HaLRGB"), ("L R G B", "LRGB"),
        ("R G B Ha", "HaRGB"), ("R G B", "RGB"), ("Ha OIII", "HOO"), ("Ha OIII L", "HOO"), ("Ha SII", "SHH"),
        ("OIII SII", "SOO"), ("Ha", None), ("L Ha", None), ("R G", None), ("", None),
    ],
)  # fmt: skip
def test_the_best_that_the_filters_allow(bands: str, best: str | None) -> None:
    assert best_palette(bands.split()) == best


def test_the_best_palette_is_what_is_composed() -> None:
    lines: dict[str | None, Layer] = {name: STACKS[name] for name in ("H-alpha 7nm", "O-III")}
    assert (made(lines) == made(lines, "HOO")).all()
    assert (made(STACKS) == made(STACKS, "sho")).all()
    assert compose({"Ha": STACKS["H-alpha 7nm"]}) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [("SHO", "needs SII"), ("hargb", "needs R and G and B"), ("XYZ", "no palette"), ("HHH", "no palette")],
)
def test_a_palette_that_cannot_be_says_why(name: str, said: str) -> None:
    lines: dict[str | None, Layer] = {each: STACKS[each] for each in ("H-alpha 7nm", "O-III")}
    with pytest.raises(DevelopError, match=said):
        compose(lines, name)


def test_stacks_of_several_sizes_make_nothing() -> None:
    cut = Layer(STACKS["O-III"].pixels[:-2], STACKS["O-III"].coverage[:-2])
    assert compose(STACKS | {"O-III": cut}) is None
    with pytest.raises(DevelopError, match="OIII 320 × 238"):
        compose(STACKS | {"O-III": cut}, "SHO")


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_scnr_takes_green_away_and_leaves_the_rest(share: float) -> None:
    plain, less = made(STACKS, "SHO"), made(STACKS, "SHO", share)
    assert (less[..., [0, 2]] == plain[..., [0, 2]]).all()
    neutral = (plain[..., 0] + plain[..., 2]) / 2
    taken, above = plain[..., 1] - less[..., 1], plain[..., 1] - neutral
    assert (taken[above <= 0] == 0).all()
    assert taken[above > 150] == pytest.approx(share * above[above > 150], rel=0.1)
    sky = (radius() > 110) & (stars() < 0.1)
    assert taken[sky].mean() < 0.2 * NOISE
    with pytest.raises(DevelopError, match="0 "):
        compose(STACKS, "SHO", scnr=1.5)


@pytest.mark.parametrize("with_l", [False, True])
def test_ha_makes_the_nebula_redder_and_leaves_stars_and_sky(with_l: bool) -> None:
    base = BROAD | (LUM if with_l else {})
    ha: dict[str | None, Layer] = {"Ha": layer(400, "Ha", 0.06, 120, 8)}
    plain, mixed = made(base), made(base | ha)
    assert (mixed[..., 1:] == plain[..., 1:]).all()
    nebula, sky = (SHAPES["Ha"] > 0.5) & (stars() < 0.1), (radius() > 110) & (stars() < 0.1)
    assert np.median(mixed[nebula][:, 0]) > 3 * np.median(plain[nebula][:, 0])
    assert mixed[sky][:, 0].mean() == pytest.approx(plain[sky][:, 0].mean(), abs=0.15 * NOISE)
    star = (stars() > 1000) & (radius() > 110)
    assert mixed[star].mean(axis=0) == pytest.approx(plain[star].mean(axis=0), rel=0.05)


def test_a_dual_band_filter_on_a_colour_camera_is_two_lines() -> None:
    ha, oiii = STACKS["H-alpha 7nm"].pixels, STACKS["O-III"].pixels
    colour = Layer(np.dstack([ha, 0.9 * oiii, 1.1 * oiii]), np.ones(SHAPE, dtype=np.float32))
    by_lines = made({"Ha": STACKS["H-alpha 7nm"], "OIII": STACKS["O-III"]})
    assert made({"L-eXtreme": colour}) == pytest.approx(by_lines, abs=0.01)
    assert set(bands_of({None: colour})) == {"R", "G", "B"}
    assert set(bands_of({"L-eXtreme": colour, "S2": STACKS["S2"]})) == {"Ha", "OIII", "SII"}


def test_foraxx_is_gold_where_sulphur_and_hydrogen_are_and_blue_where_oxygen_is() -> None:
    picture = made(STACKS, "foraxx")
    dark = stars() < 0.1
    rim = picture[dark & (np.abs(radius() - 50) < 5)].mean(axis=0)
    core = picture[dark & (radius() < 15)].mean(axis=0)
    assert rim[0] > 2 * rim[2]
    assert core[2] > 0.8 * core[1]
    assert wants(palette("FORAXX")) == ("SII", "Ha", "OIII")


@pytest.mark.parametrize("name", ["SHO", "Foraxx"])
def test_what_one_line_has_not_seen_has_no_colour(name: str) -> None:
    pixels, coverage = STACKS["S2"].pixels.copy(), STACKS["S2"].coverage.copy()
    coverage[:, :40] = 0
    pixels[:, :40] = 0
    pixels[:20] = np.nan
    picture = made(STACKS | {"S2": Layer(pixels, coverage)}, name)
    assert np.isnan(picture[:, :40]).all()
    assert np.isnan(picture[:20]).all()
    assert np.isfinite(picture[20:, 40:]).all()
    nothing = Layer(pixels, np.zeros(SHAPE, dtype=np.float32))
    assert np.isnan(made(STACKS | {"S2": nothing}, name)).all()


@pytest.mark.parametrize(
    "layers", [STACKS, BROAD | LUM | {"Ha": STACKS["H-alpha 7nm"]}], ids=["SHO", "HaLRGB"]
)
def test_beside_the_stacks_there_is_room_for_the_result_alone(layers: dict[str | None, Layer]) -> None:
    large = {
        name: Layer(np.tile(each.pixels, (8, 8)), np.ones((1920, 2560), dtype=np.float32))
        for name, each in layers.items()
    }
    tracemalloc.start()
    try:
        picture = made(large)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.6 * picture.nbytes + 40e6
