"""How much of a server's stream is too much, measured byte by byte and in pieces of any size."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquire.indi.sieve import BLOB_S, LONGEST_TAG, LONGEST_TEXT, MIB, MOST_TOLD, Gauge, TooMuchError

BLOB = b'<setBLOBVector device="C" name="CCD1"><oneBLOB name="CCD1" size="%d" format=".fits">'
END = b"</oneBLOB></setBLOBVector>"
DEFINITION = (
    b"""<defTextVector device='C' name="T" label="a > b"><defText name="x">y</defText></defTextVector>"""
)


def feed(gauge: Gauge, *pieces: bytes) -> None:
    for piece in pieces:
        gauge.feed(piece, len(piece))


def pieces(data: bytes, count: int) -> Iterator[bytes]:
    yield from [data] * count


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        ([BLOB % 1000, b"QUJD" * 20_000], "an image that does not end"),
        ([BLOB % 10**11, *pieces(b"QUJD" * MIB, 60)], "an image that does not end"),
        ([b'<setBLOBVector><oneBLOB name="CCD1">', *pieces(b"QUJD" * MIB, 60)], "does not end"),
        ([b"<defText>", b"x" * (LONGEST_TEXT + 1)], "a text of more than"),
        ([b'<defText name="', b"x" * LONGEST_TAG], "a tag of more than"),
        ([b"<" + b"x" * (LONGEST_TAG + 1)], "a tag of more than"),
        ([b"x" * (LONGEST_TEXT + 1)], "a text of more than"),
        (pieces(b"<defText label='%s'>" % (b"l" * 60_000), 1 + MOST_TOLD // 60_000), "of definitions"),
        (pieces(b"<message message='%s'/>" % (b"m" * 60_000), 1 + MOST_TOLD // 60_000), "and messages"),
    ],
)
def test_what_is_beyond_measure(stream: Iterator[bytes], said: str) -> None:
    with pytest.raises(TooMuchError, match=said):
        feed(Gauge(), *stream)


@pytest.mark.parametrize("size", [1, 1000, 10_000_000])
def test_a_blob_of_the_size_it_declares_passes(size: int) -> None:
    base64 = b"QUJD" * -(-size // 3)
    lines = base64[: 4 * MIB]
    with_ends = b"".join(lines[at : at + 72] + b"\n" for at in range(0, len(lines), 72))
    feed(Gauge(), BLOB % size, with_ends, base64[4 * MIB :], END, DEFINITION)


def test_a_camera_with_more_pixels_may_send_more() -> None:
    big = [BLOB % 400_000_000, *pieces(b"QUJD" * MIB, 120), END]
    with pytest.raises(TooMuchError):
        feed(Gauge(), *big)
    gauge = Gauge()
    gauge.expect("C", 151e6)
    feed(gauge, *big)
    for pixels in (0.0, -1.0, float("nan"), float("inf"), 1e18):
        gauge = Gauge()
        gauge.expect("C", pixels)
        with pytest.raises(TooMuchError):
            feed(gauge, *big)


def test_a_blob_has_its_time() -> None:
    now = 0.0
    gauge = Gauge(lambda: now)
    feed(gauge, BLOB % 1000, b"QUJD")
    now += BLOB_S - 1
    gauge.tick()
    now += 2
    with pytest.raises(TooMuchError, match="sending one image for more than"):
        gauge.tick()
    gauge = Gauge(lambda: now)
    feed(gauge, BLOB % 3, b"QUJD", END)
    now += 1e6
    gauge.tick()


@given(st.lists(st.integers(1, 40), min_size=1), st.binary(max_size=300))
def test_the_measure_does_not_depend_on_how_the_stream_is_cut(cuts: list[int], noise: bytes) -> None:
    stream = DEFINITION + noise + BLOB % 30 + b"QUJD" * 10 + END + DEFINITION

    def verdict(parts: list[bytes]) -> str:
        gauge = Gauge()
        try:
            feed(gauge, *parts)
        except TooMuchError as error:
            return str(error)
        return f"passed, {gauge.told} bytes told"

    parts, at, turn = [], 0, 0
    while at < len(stream):
        parts.append(stream[at : at + cuts[turn % len(cuts)]])
        at, turn = at + len(parts[-1]), turn + 1
    assert verdict(parts) == verdict([stream])
