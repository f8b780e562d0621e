"""Whole Opus files are recognised, and decoded at 16 kHz as truly as by the way around 48 kHz."""

import struct
import sys
from collections.abc import Callable
from pathlib import Path

import makers
import numpy as np
import pytest
import render
import voices
from hypothesis import given
from hypothesis import strategies as st

from recall_audio.media import opus
from recall_audio.media.decode import decode
from recall_audio.media.pcm_file import open_work
from recall_audio.typing import FloatArray

VOICE = render.to_int16(voices.speak_spans(voices.VOICES[1], 8.0, seed=5, pause_s=(0.3, 0.8))[0])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an undamaged file."""
    return makers.encoded(VOICE, tmp_path_factory.mktemp("opus") / "x.ogg", "ogg")


def read(path: Path, data: bytes) -> opus.WholeOpus | None:
    """Return what bytes are as a file."""
    path.write_bytes(data)
    return opus.whole_opus(path)


def pages(data: bytes) -> list[bytes]:
    """Return the pages of a file."""
    starts = [i for i in range(len(data)) if data[i : i + 4] == b"OggS"]
    return [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]


def test_a_whole_file_is_as_long_as_what_was_encoded_and_its_chunks_are_all_of_it(whole: Path) -> None:
    found = opus.whole_opus(whole)
    assert found is not None
    assert found.n_samples == len(VOICE)
    assert sum(found.chunks) == whole.stat().st_size


@given(at=st.integers(0, 1 << 20), bit=st.integers(0, 7))
def test_a_file_with_any_bit_turned_over_is_not_whole(
    tmp_path_factory: pytest.TempPathFactory, whole: Path, at: int, bit: int
) -> None:
    data = bytearray(whole.read_bytes())
    data[at % len(data)] ^= 1 << bit
    assert read(tmp_path_factory.getbasetemp() / "turned.ogg", bytes(data)) is None


CHANGES: dict[str, Callable[[list[bytes]], bytes]] = {
    "cut within a page": lambda p: b"".join(p)[:-1],
    "last page missing": lambda p: b"".join(p[:-1]),
    "page missing": lambda p: b"".join(p[:4] + p[5:]),
    "page twice": lambda p: b"".join(p[:5] + p[4:]),
    "two links": lambda p: b"".join(p + p),
    "bytes behind it": lambda p: b"".join(p) + b"more",
    "zeros before it": lambda p: bytes(100) + b"".join(p),
    "headers alone": lambda p: b"".join(p[:2]),
    "nothing": lambda _p: b"",
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_one_unbroken_link_is_not_whole(change: str, whole: Path, tmp_path: Path) -> None:
    assert read(tmp_path / "y.ogg", CHANGES[change](pages(whole.read_bytes()))) is None


@pytest.mark.parametrize("ticks", [-48_000, -960, 1, 960, 48_000])
def test_a_timestamp_that_is_not_the_sum_of_the_packets_is_not_whole(
    ticks: int, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opus, "_is_intact", lambda *_: True)
    found = pages(whole.read_bytes())
    assert read(tmp_path / "y.ogg", b"".join(found)) == opus.whole_opus(whole)
    page = bytearray(found[5])
    struct.pack_into("<q", page, 6, struct.unpack_from("<q", page, 6)[0] + ticks)
    assert read(tmp_path / "y.ogg", b"".join((*found[:5], page, *found[6:]))) is None


def test_what_is_not_one_mono_stream_without_gain_is_not_whole(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opus, "_is_intact", lambda *_: True)
    data = whole.read_bytes()
    head = data.index(b"OpusHead")
    for at, value in ((8, 16), (9, 2), (10, 1), (16, 1), (18, 255)):
        changed = bytearray(data)
        changed[head + at] = value
        assert read(tmp_path / "y.ogg", bytes(changed)) is None, at


def likeness(x: FloatArray, y: FloatArray) -> float:
    """Return the correlation of two signals."""
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


def test_decoded_at_16_khz_it_is_as_true_to_the_original_and_lies_in_the_same_place(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sphn", reason="extra quick; .ci/run installs it")
    quick = decode(whole, tmp_path / "quick.s16", "ogg")
    monkeypatch.setattr(opus, "is_installed", lambda: False)
    slow = decode(whole, tmp_path / "slow.s16", "ogg")
    assert quick.source == slow.source
    assert quick.findings == slow.findings
    assert quick.n_samples == slow.n_samples == len(VOICE)
    original, by_quick, by_slow = (
        np.asarray(x, dtype=np.float64) for x in (VOICE, open_work(quick.path), open_work(slow.path))
    )
    assert likeness(original, by_quick) > likeness(original, by_slow) - 0.001
    best = max(range(-3, 4), key=lambda lag: likeness(np.roll(by_quick, lag), by_slow))
    assert best == 0


def test_a_file_that_the_quick_decoder_refuses_is_decoded_all_the_same(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        def __init__(self, rate_hz: int) -> None:
            self.n_calls = 0

        def append_bytes(self, _data: bytes) -> FloatArray:
            self.n_calls += 1
            if self.n_calls > 3:
                raise PanicException
            return np.ones(100)

    class PanicException(BaseException):
        pass

    monkeypatch.setitem(sys.modules, "sphn", type("Package", (), {"OpusStreamReader": Refusing}))
    monkeypatch.setattr(opus, "is_installed", lambda: True)
    tried = decode(whole, tmp_path / "a.s16", "ogg")
    monkeypatch.setattr(opus, "is_installed", lambda: False)
    decode(whole, tmp_path / "b.s16", "ogg")
    assert tried.path.read_bytes() == (tmp_path / "b.s16").read_bytes()
