"""Strategies for bytes: samples of a corpus, changed here and there, and cuts of them."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

_AWKWARD = (
    b"\n", b"\r", b"\r\n", b"\n\n", b"\0", b"\xff", b"\xc3", b'"', b"\\", b"{", b"}", b"[", b"]",
    b"null", b"-1", b"1e999", b"9" * 40, b"data: ", b"event: ", b": ", b"[DONE]", b"\\ud800", b"{}",
)  # fmt: skip

AWKWARD = st.sampled_from(_AWKWARD)


@st.composite
def changed(draw: st.DrawFn, samples: Sequence[bytes], *, most_changes: int = 4) -> bytes:
    """Draw a sample with a few changes: something put in, taken out, doubled or overwritten."""
    data = draw(st.sampled_from(samples))
    for _ in range(draw(st.integers(0, most_changes))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.integers(0, 40))
        match draw(st.integers(0, 3)):
            case 0:
                data = data[:at] + draw(st.one_of(AWKWARD, st.binary(max_size=6))) + data[at:]
            case 1:
                data = data[:at] + data[at + size :]
            case 2:
                data = data[: at + size] + data[at:]
            case _:
                data = data[:at] + draw(AWKWARD) + data[at + size :]
    return data


def anything(samples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Return a strategy of changed samples, and now and then of bytes without any sense."""
    return st.one_of(
        changed(samples),
        changed(samples),
        st.binary(max_size=200),
        st.lists(AWKWARD, max_size=20).map(b"".join),
    )


def pieces(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Return `data` cut at `places`, which may lie anywhere; every piece has something in it."""
    cuts = sorted({place % len(data) for place in places}) if data else []
    begins, ends = [0, *cuts], [*cuts, len(data)]
    return [data[a:b] for a, b in zip(begins, ends, strict=True) if a < b]


PLACES = st.lists(st.integers(0, 1 << 20), max_size=8)
