"""Encode WAV files as FLAC, MP3 or Opus with the ffmpeg found on this machine."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from recall_audio.errors import MachineError, install_line
from recall_audio.files import create_file

FFMPEG_HINT = f"Install ffmpeg, or run: {install_line('ffmpeg')}, or write WAV."

SUFFIXES = {"flac": ".flac", "mp3": ".mp3", "opus": ".opus"}
"""Formats that can be encoded, and their file name suffixes."""

_FFMPEG_OPTIONS: dict[str, dict[str, Any]] = {
    "flac": {"format": "flac", "acodec": "flac"},
    "mp3": {"format": "mp3", "acodec": "libmp3lame", "q:a": 2},
    "opus": {"format": "ogg", "acodec": "libopus", "b:a": "32k"},
}


def find_ffmpeg() -> str | None:
    """Return the path of an ffmpeg: that on the PATH, else that of imageio-ffmpeg, else None."""
    found = shutil.which("ffmpeg")
    if found is not None:
        return found
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None


def encode(wav: Path, target: Path, kind: str) -> None:
    """Encode a WAV file as `target`, which appears once it is complete.

    Args:
        wav: the source.
        target: file to write.
        kind: ``flac`` (lossless), ``mp3`` (about 100 kb/s for speech, with its delay in the tag) or
            ``opus`` (32 kb/s a channel).

    Raises:
        MachineError: ``no_encoder``: there is no ffmpeg, or it lacks this encoder; or the disk is full.
    """
    import ffmpeg

    program = find_ffmpeg()
    if program is None:
        raise MachineError(f"{kind.upper()} needs ffmpeg, and there is none.", FFMPEG_HINT, code="no_encoder")
    # `file:` keeps a name that begins with a dash, or looks like an address, a file's name.
    source = ffmpeg.input(f"file:{wav.absolute()}", format="wav", protocol_whitelist="file")
    options = {**_FFMPEG_OPTIONS[kind], "map_metadata": -1, "fflags": "+bitexact", "flags:a": "+bitexact"}
    quiet = ("-nostdin", "-hide_banner", "-loglevel", "error", "-y")

    def run(to: Path) -> None:
        command = source.output(f"file:{to.absolute()}", **options).compile(cmd=program)
        _run([*command, *quiet], kind)

    create_file(target, run)


def _run(command: list[str], kind: str) -> None:
    # A child process gets an environment without the API key.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RECALL_")}
    done = subprocess.run(  # noqa: S603 - a fixed command, no shell
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode == 0:
        return
    said = done.stderr.decode("utf-8", "replace")
    if "No space left" in said or "Disk quota" in said:
        raise MachineError(
            "No room left on the disk for the encoded file.", "Free some space.", code="disk_full"
        )
    raise MachineError(
        f"ffmpeg could not encode {kind.upper()}: exit {done.returncode}.", FFMPEG_HINT, code="no_encoder"
    )
