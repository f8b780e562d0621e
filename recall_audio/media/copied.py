"""A WAV file's samples as they are, under a header and chunks of our own."""

from collections.abc import Callable, Sequence
from pathlib import Path

from recall_audio.errors import ItemError
from recall_audio.media.riff import Chunk, WavFormat
from recall_audio.media.wav import StemWriter

_BITS = {"PCM_16": ("16", "int16"), "PCM_24": ("24", "float32"), "FLOAT": ("32f", "float32")}
_AT_ONCE = 1 << 18


def copy_wav(source: Path, target: Path, chunks: Callable[[WavFormat], Sequence[Chunk]]) -> None:
    """Write the samples of `source` to `target`; nothing else of it goes along.

    Args:
        source: a WAV file of 16, 24 or 32f bits, as :class:`StemWriter` writes them.
        target: the file to write.
        chunks: given the format, what is to stand beside the samples.

    Raises:
        ItemError: the file is not there, or no such WAV.
        MachineError: the disk is full.
    """
    import soundfile

    wrong = ItemError(
        f"{source} is no stem that this version wrote.", "Process the recording again.", code="not_audio"
    )
    if not source.is_file():
        raise ItemError(f"{source} is not there.", "Process the recording again.", code="missing_file")
    try:
        with soundfile.SoundFile(source) as samples:
            if samples.subtype not in _BITS:
                raise wrong
            bits, dtype = _BITS[samples.subtype]
            kind = WavFormat(samples.samplerate, bits, samples.channels)
            with StemWriter(target, kind.rate_hz, bits, kind.n_channels, chunks(kind)) as copy:
                while len(block := samples.read(_AT_ONCE // kind.n_channels, dtype=dtype)):
                    copy.write(block)
    except soundfile.LibsndfileError:
        raise wrong from None
