"""What editors read of a WAV is there, whatever people are called, and hides the samples from nobody."""

import struct
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path

import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from recall_audio.media.bext import Origin, WavFormat, bext, header, ixml

KIND = WavFormat(48_000, "24", 1)


@given(st.text(), st.text(), st.sampled_from([1, 2, 5]))
def test_any_name_gives_chunks_of_even_length_and_xml_that_parses(name: str, reference: str, n: int) -> None:
    origin = Origin(name, reference)
    for kind in (KIND, WavFormat(16_000, "16", n), WavFormat(8_000, "32f", n)):
        chunks = bext(origin, kind), ixml(origin, kind, [name] * n)
        assert [c[0] for c in chunks] == [b"bext", b"iXML"]
        assert [len(c[1]) % 2 for c in chunks] == [0, 0]
        assert len(chunks[0][1]) > 602
        root = ET.fromstring(chunks[1][1])  # noqa: S314 - written a moment ago
        assert len(list(root.iter("TRACK"))) == n


def test_the_time_reference_counts_from_midnight_at_the_files_own_rate() -> None:
    at = datetime(2026, 11, 20, 23, 59, 59, 250_000, tzinfo=UTC)
    origin = Origin("Ann", "r", at)
    expected = 86_399 * 48_000 + 12_000
    assert struct.unpack_from("<Q", bext(origin, KIND)[1], 338)[0] == expected
    root = ET.fromstring(ixml(origin, KIND, ["Ann"])[1])  # noqa: S314 - written a moment ago
    high = int(root.findtext("SPEED/TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI"))
    low = int(root.findtext("SPEED/TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO"))
    assert (high << 32) + low == expected
    assert Origin("Ann", "r").samples_since_midnight(48_000) == 0


@pytest.mark.parametrize("names", [["a"], ["a", "b"], ["Zoë", "b", "c"], ["a"] * 10])
@pytest.mark.parametrize("n_data", [960_000, 6_000_000_000])
def test_libsndfile_finds_the_samples_behind_them_on_both_sides_of_4_gib(
    names: list[str], n_data: int, tmp_path: Path
) -> None:
    kind = WavFormat(48_000, "16", len(names))
    n_data -= n_data % kind.frame_bytes
    origin = Origin(", ".join(names), "rec")
    head = header(kind, n_data, (bext(origin, kind), ixml(origin, kind, names)))
    with (tmp_path / "a.wav").open("wb") as stream:
        stream.write(head)
        stream.truncate(len(head) + n_data)  # a hole: takes no room
    info = sf.info(tmp_path / "a.wav")
    assert (info.frames, info.channels) == (n_data // kind.frame_bytes, len(names))
    assert info.format == ("RF64" if n_data > 2**32 else "WAV" if len(names) < 3 else "WAVEX")
