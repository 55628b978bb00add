"""The rules of combining: against plain numpy and astropy, as properties, and as laws of noise."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from astropy.stats import sigma_clip as astropy_sigma_clip
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from library.combine import combine_stack
from library.errors import LibraryError
from library.kernels.network import sorting_network
from library.methods import Method, Rule, default_method, efficiency

Stack = NDArray[np.float32]

METHODS = [
    "average",
    "median",
    "sigma_clip",
    "sigma_clip:low=3,high=2.5,centre=mean,spread=std,floor=off",
    "sigma_clip:low=3,high=3,centre=median,spread=std,rounds=1",
    "winsorized",
    "winsorized:low=4,high=3",
    "percentile",
    "linear_fit",
]


def stack_of(n: int, seed: int = 0, *, hits: float = 0.0) -> Stack:
    """Frames of 1000 ± 10, whole numbers, some pixels hit upwards."""
    rng = np.random.default_rng(seed)
    frames = np.rint(rng.normal(1000, 10, (n, 30, 41)))
    frames[rng.random(frames.shape) < hits] += rng.uniform(100, 5000)
    return frames.astype(np.float32)


def mean_of(stack: Stack, keep: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(np.where(keep, stack, 0).sum(axis=0, dtype=np.float64) / keep.sum(axis=0))


@pytest.mark.parametrize("n", range(70))
def test_the_network_sorts_any_number(n: int) -> None:
    """A network sorts everything if it sorts zeros and ones (Knuth); some of those, and normal samples."""
    rng = np.random.default_rng(n)
    rows = np.concatenate([rng.random((20, n)), np.tri(n + 1, n)[:, ::-1], np.tri(n + 1, n)])
    expected = np.sort(rows, axis=1)
    for upper, lower in sorting_network(n):
        rows[:, [upper, lower]] = np.sort(rows[:, [upper, lower]], axis=1)
    np.testing.assert_array_equal(rows, expected)


def mad(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """As astropy's mad_std; its compiled path takes another MAD from the second round on."""
    away = np.abs(values - np.nanmedian(values, axis=axis, keepdims=True))
    return np.asarray(1.482602218505602 * np.nanmedian(away, axis=axis))


@pytest.mark.filterwarnings("ignore:All-NaN slice")  # astropy may reject all samples of a pixel
@pytest.mark.parametrize("n", [4, 7, 10, 25, 50])
@pytest.mark.parametrize(("centre", "spread"), [("median", "mad"), ("median", "std"), ("mean", "std")])
@pytest.mark.parametrize("rounds", [1, 5])
def test_sigma_clip_is_astropys(n: int, centre: str, spread: str, rounds: int) -> None:
    stack = stack_of(n, n, hits=0.03)
    text = f"sigma_clip:low=3,high=2.5,centre={centre},spread={spread},rounds={rounds}"
    got, rejected = combine_stack(stack, Method.parse(text))
    clipped = astropy_sigma_clip(
        stack.astype(np.float64),
        sigma_lower=3,
        sigma_upper=2.5,
        maxiters=rounds,
        cenfunc={"median": np.nanmedian, "mean": np.nanmean}[centre],
        stdfunc={"mad": mad, "std": np.nanstd}[spread],
        axis=0,
    )
    mask = np.ma.getmaskarray(clipped)
    alike = (~mask).sum(axis=0) >= 3  # from fewer we cut nothing; astropy may leave one
    assert alike.mean() > 0.85
    np.testing.assert_allclose(got[alike], clipped.mean(axis=0).data[alike], rtol=1e-6)
    assert rejected == pytest.approx(mask.mean(), abs=1e-9 if alike.all() else 0.02)


@pytest.mark.parametrize("n", [3, 6, 20])
def test_percentile_average_and_median_are_numpys(n: int) -> None:
    stack = stack_of(n, hits=0.05)
    middle = np.median(stack, axis=0)
    keep = (stack >= middle * np.float64(0.9)) & (stack <= middle * np.float64(1.2))
    keep |= ~keep.any(axis=0)
    got, rejected = combine_stack(stack, Method.parse("percentile:low=0.1,high=0.2"))
    np.testing.assert_allclose(got, mean_of(stack, keep), rtol=1e-6)
    assert rejected == pytest.approx(1 - keep.mean())
    np.testing.assert_allclose(combine_stack(stack, Method.parse("median"))[0], middle, rtol=1e-6)
    np.testing.assert_allclose(
        combine_stack(stack, Method.parse("average"))[0], stack.mean(axis=0, dtype=float), rtol=1e-6
    )


def plain_winsorized(samples: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """What is kept, by the published procedure, with the MAD to begin with."""
    kept = np.sort(samples)
    for turn in itertools.count():
        if len(kept) < 3:
            return kept
        clamped, centre = kept.copy(), float(np.median(kept))
        sigma = 1.482602218505602 * float(np.median(np.abs(kept - centre)))
        if sigma == 0:
            centre, sigma = float(kept.mean()), float(kept.std())
        if sigma == 0:
            return kept
        for step in itertools.count():
            before, beyond = sigma, np.abs(clamped - centre) >= 5 * sigma
            if turn == 0:
                clamped[beyond] = centre
            clamped = np.clip(clamped, centre - 1.5 * sigma, centre + 1.5 * sigma)
            centre, sigma = float(clamped.mean()), 1.134 * float(clamped.std(ddof=1))
            if step > 0 and abs(before - sigma) < 0.0005 * before:
                break
        inside = kept[(kept >= centre - low * sigma) & (kept <= centre + high * sigma)]
        if len(inside) in {0, len(kept)}:
            return kept
        kept = inside
    raise AssertionError


def plain_linear_fit(samples: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """What is kept: ends far from the least-squares line through the sorted samples are cut."""
    kept = np.sort(samples)
    while len(kept) > 3:
        at = np.arange(len(kept))
        residual = kept - np.polyval(np.polyfit(at, kept, 1), at)
        spread = np.abs(residual).mean()
        first = int(np.argmax(residual >= -low * spread))
        last = len(kept) - int(np.argmax((residual <= high * spread)[::-1]))
        if first >= last or last - first == len(kept):
            break
        kept = kept[first:last]
    return kept


@pytest.mark.parametrize("n", [3, 5, 8, 15, 40])
def test_winsorized_and_linear_fit_are_the_plain_procedures(n: int) -> None:
    stack = np.random.default_rng(n).normal(1000, 10, (n, 8, 25)).astype(np.float32)
    stack[0, :3] += 300
    for text, plain, low, high in (
        ("winsorized:low=3,high=2.5,floor=off", plain_winsorized, 3, 2.5),
        ("linear_fit:low=4,high=3", plain_linear_fit, 4, 3),
    ):
        got, rejected = combine_stack(stack, Method.parse(text))
        kept = [plain(samples, low, high) for samples in stack.reshape(n, -1).T.astype(np.float64)]
        np.testing.assert_allclose(got.ravel(), [each.mean() for each in kept], rtol=1e-6)
        assert rejected == pytest.approx(1 - sum(map(len, kept)) / stack.size)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), text=st.sampled_from(METHODS), n=st.integers(1, 12))
def test_the_order_of_the_frames_does_not_matter(data: st.DataObject, text: str, n: int) -> None:
    values = st.floats(-1e4, 1e5, width=32)
    stack = data.draw(arrays(np.float32, (n, 2, 3), elements=values))
    order = data.draw(st.permutations(range(n)))
    method = Method.parse(text)
    one, other = combine_stack(stack, method), combine_stack(stack[list(order)], method)
    assert one[0].tobytes() == other[0].tobytes()
    assert one[1] == other[1]
    assert (one[0] >= stack.min(axis=0)).all()
    assert (one[0] <= stack.max(axis=0)).all()


@pytest.mark.parametrize("text", METHODS)
@pytest.mark.parametrize("n", [1, 2, 3, 9, 33])
def test_frames_that_are_all_alike_are_their_master(text: str, n: int) -> None:
    for value in (0.0, 42.0, 0.1, 65535.0):
        got, rejected = combine_stack(np.full((n, 3, 70), value, np.float32), Method.parse(text))
        assert (got == np.float32(value)).all()
        assert rejected == 0


@pytest.mark.parametrize("text", METHODS)
def test_one_or_two_frames_are_averaged(text: str) -> None:
    pair = np.array([[[1.0, 5.0]], [[2.0, 9000.0]]], np.float32)
    np.testing.assert_array_equal(combine_stack(pair, Method.parse(text))[0], pair.mean(axis=0))
    np.testing.assert_array_equal(combine_stack(pair[:1], Method.parse(text))[0], pair[0])


@pytest.mark.parametrize(
    ("text", "n"),
    [
        *itertools.product(["median", "sigma_clip", "winsorized", "percentile"], [5, 12, 30]),
        *itertools.product(["linear_fit"], [12, 30]),  # fewer than about ten drag the line along
    ],
)
def test_a_hit_in_one_frame_does_not_reach_the_master(text: str, n: int) -> None:
    stack = stack_of(n)
    method = Method.parse(text)
    clean, _ = combine_stack(stack, method, least_sigma=10.0)
    stack[n // 2, ::3] += 20_000
    dirty, rejected = combine_stack(stack, method, least_sigma=10.0)
    assert np.abs(dirty - clean).max() < 25
    assert rejected >= (0 if text == "median" else 0.99 / 3 / n)


@pytest.mark.parametrize("text", [text for text in METHODS if text != "median"])
@pytest.mark.parametrize("n", [5, 16, 50])
def test_noise_falls_with_the_root_of_n(text: str, n: int) -> None:
    """A sample from the tails costs more than its share, at most six shares of it for these rules."""
    stack = np.random.default_rng(n).normal(1000, 10, (n, 200, 200)).astype(np.float32)
    got, rejected = combine_stack(stack, Method.parse(text), least_sigma=10.0)
    ideal = 10 / np.sqrt(n)
    assert got.std() < 1.015 * ideal / np.sqrt(1 - 6 * rejected)
    assert got.std() > ideal * 0.98
    assert got.mean() == pytest.approx(1000, abs=0.3)


@pytest.mark.parametrize("n", [3, 5, 9, 16, 51])
def test_the_medians_noise_is_what_its_efficiency_says(n: int) -> None:
    stack = np.random.default_rng(n).normal(1000, 10, (n, 200, 300)).astype(np.float32)
    got, _ = combine_stack(stack, Method.parse("median"))
    assert got.std() == pytest.approx(10 / np.sqrt(n * efficiency(Method.parse("median"), n)), rel=0.04)


def test_samples_that_are_not_finite_are_left_out() -> None:
    stack = np.array([1, np.nan, 3, np.inf, 5], np.float32).reshape(5, 1, 1)
    for text in METHODS:
        assert combine_stack(stack, Method.parse(text))[0] == 3
    assert np.isnan(combine_stack(np.full((3, 1, 1), np.nan, np.float32), Method.parse("average"))[0]).all()


def test_few_samples_that_agree_by_chance_reject_no_good_one() -> None:
    stack = np.array([100, 100, 100, 100, 101], np.float32).reshape(5, 1, 1)
    assert combine_stack(stack, Method.parse("sigma_clip"))[0] == 100
    assert combine_stack(stack, Method.parse("sigma_clip"), least_sigma=0.5)[0] == pytest.approx(100.2)


@given(
    rule=st.sampled_from(list(Rule)),
    low=st.integers(1, 9),
    high=st.floats(1, 9),
    rounds=st.integers(1, 100),
    centre=st.sampled_from(["mean", "median"]),
    spread=st.sampled_from(["std", "mad"]),
    floor=st.booleans(),
)
def test_a_method_is_read_as_it_is_written(
    rule: Rule, low: float, high: float, rounds: int, centre: str, spread: str, floor: bool
) -> None:
    high = float(f"{high:.3g}")
    method = Method(rule=rule, low=low, high=high, rounds=rounds, centre=centre, spread=spread, floor=floor)
    again = Method.parse(str(method))
    assert str(again) == str(method)
    assert again.cards() == method.cards()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mode", "no method 'mode'; choose of average, median"),
        ("average:low=3", "no parameter 'low=3'; it has: none"),
        ("winsorized:centre=mean", "it has: low, high, rounds, floor"),
        ("sigma_clip:low=0.2", "low is 0.2; give at least 1"),
        ("sigma_clip:low=nan", "low is nan"),
        ("sigma_clip:rounds=0", "rounds is 0"),
        ("sigma_clip:spread=iqr", "spread is mad or std"),
        ("sigma_clip:floor=perhaps", "perhaps"),
        ("percentile:high=much", "much"),
    ],
)
def test_what_is_no_method_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(LibraryError, match=says):
        Method.parse(text)


def test_the_default_depends_on_the_number_of_frames_alone() -> None:
    assert [default_method(n).rule for n in (1, 2, 3, 100)] == [Rule.AVERAGE] * 2 + [Rule.SIGMA_CLIP] * 2
