"""Bytes decide what a file is: signatures by the formats' own standards, and never an exception."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_audio.model.containers import CONTAINERS, HEAD_BYTES, is_text, recognise

# MPEG-1 layer III, 64 kb/s, 44.1 kHz, mono: 144 * 64000 / 44100 = 208 bytes (ISO 11172-3, 2.4.3.1).
FRAME = b"\xff\xfb\x50\xc0" + bytes(204)
# MPEG-2 layer III, 32 kb/s, 16 kHz: 72 * 32000 / 16000 = 144 bytes (ISO 13818-3).
FRAME_16K = b"\xff\xf3\x48\xc0" + bytes(140)

SIGNATURES = {
    "ogg": b"OggS\x00\x02" + bytes(40),
    "flac": b"fLaC\x00\x00\x00\x22" + bytes(34),
    "mp4": b"\x00\x00\x00\x20ftypM4A " + bytes(20),
    "wav": b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(20),
    "mp3": b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(20),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_each_container_is_recognised_by_its_signature(container: str) -> None:
    assert recognise(SIGNATURES[container]) == container


@pytest.mark.parametrize("riff", [b"RF64\xff\xff\xff\xffWAVEds64", b"BW64\xff\xff\xff\xffWAVEds64"])
def test_wav_past_4_gib_is_wav(riff: bytes) -> None:
    assert recognise(riff) == "wav"


@pytest.mark.parametrize("frame", [FRAME, FRAME_16K])
def test_untagged_mp3_is_known_by_frames_that_follow_each_other(frame: bytes) -> None:
    assert recognise(frame * 10) == "mp3"


def test_an_mp3_that_begins_inside_a_frame_is_still_an_mp3() -> None:
    assert recognise(FRAME[50:] + FRAME * 8) == "mp3"


def test_an_mp3_of_two_frames_is_an_mp3_only_when_nothing_else_is_there() -> None:
    assert recognise(FRAME * 2) == "mp3"
    assert recognise(FRAME * 2 + b"\x01" * 300) is None


def test_frames_of_different_kinds_are_no_chain() -> None:
    assert recognise((FRAME + FRAME_16K) * 5) is None


def test_flac_behind_an_id3_tag_is_flac() -> None:
    assert recognise(b"ID3\x03\x00\x00\x00\x00\x00\x05" + bytes(5) + SIGNATURES["flac"]) == "flac"


@pytest.mark.parametrize("seed", range(8))
def test_headerless_pcm_is_neither_a_container_nor_text(seed: int) -> None:
    level = 10 ** (seed - 7) * 32_000
    pcm = (np.random.default_rng(seed).standard_normal(HEAD_BYTES // 2) * level).clip(-32768, 32767)
    head = pcm.astype("<i2").tobytes()
    assert recognise(head) is None
    assert not is_text(head)


@pytest.mark.parametrize("head", [b"", b"\x00" * 4096, b"\xff" * 4096])
def test_digital_silence_and_nothing_at_all_are_neither(head: bytes) -> None:
    assert recognise(head) is None
    assert not is_text(head)


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE html><html><body>403</body></html>",
        '<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>',
        '{"detail": "Not found."}',
        "[]",
        "ffconcat version 1.0\nfile secret.wav\n",
        "#EXTM3U\n#EXTINF:10,\nhttp://example.com/a.ts\n",
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
        "zażółć " * 400,
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_text_in_any_usual_encoding_and_no_container(text: str, encoding: str) -> None:
    head = text.encode(encoding)
    assert is_text(head)
    assert recognise(head) is None


@given(st.binary(max_size=600))
def test_no_bytes_raise(head: bytes) -> None:
    assert recognise(head) in (*CONTAINERS, None)
    assert is_text(head) in (True, False)


@given(st.sampled_from([*SIGNATURES.values(), FRAME * 4]), st.data())
def test_no_damaged_or_cut_head_raises(head: bytes, data: st.DataObject) -> None:
    damaged = bytearray(head[: data.draw(st.integers(0, len(head)))])
    for at in data.draw(st.lists(st.integers(0, max(len(damaged) - 1, 0)), max_size=8 if damaged else 0)):
        damaged[at] = data.draw(st.integers(0, 255))
    assert recognise(bytes(damaged)) in (*CONTAINERS, None)
    assert is_text(bytes(damaged)) in (True, False)


@given(st.sampled_from([-2, -257]), st.lists(st.integers(-32768, 32767), min_size=600, max_size=600))
def test_samples_that_begin_like_a_byte_order_mark_are_no_text(first: int, rest: list[int]) -> None:
    """Noise around 0, and loud sound, whatever the first sample is."""
    loud = np.array([first, *rest], dtype="<i2").tobytes()
    quiet = np.array([first, *(200 + r % 3000 for r in rest)], dtype="<i2").tobytes()
    assert not is_text(loud)
    assert not is_text(quiet)


def test_a_page_in_utf_16_is_text() -> None:
    page = "<html><body>Sign in to go on, naïve reader</body></html>"
    assert is_text(b"\xff\xfe" + page.encode("utf-16-le"))
    assert is_text(b"\xfe\xff" + page.encode("utf-16-be"))
