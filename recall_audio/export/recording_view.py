"""Define what an exporter gets of one recording: plain values, no folder, no file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from recall_audio.core.spans import simultaneous
from recall_audio.model.alignment import PartAlignment
from recall_audio.model.labels import safe_name
from recall_audio.model.options import ClipOptions
from recall_audio.model.outcome import Ending
from recall_audio.model.talk import Talk
from recall_audio.model.transcript import Word

Rows = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class StemFile:
    """One stem that was written.

    Attributes:
        file: path below the recording's folder, with ``/``.
        rate_hz: its sample rate.
        n_samples: its length at that rate.
    """

    file: str
    rate_hz: int
    n_samples: int


@dataclass(frozen=True, slots=True)
class ExportView:
    """One recording, all times on the mix's clock.

    Attributes:
        recording_id: the recording.
        duration_s: the mix's duration.
        segments: label to ``[[start_s, end_s], ...]``, sorted, without overlaps; silent speakers included.
        names: label to the real name, None where there is none.
        stems: label to stem, where one was written.
        talk: the figures and events.
        labels: participant id to label, for the parts.
        parts: the alignment of each part.
        mix: path of the mixed recording below the recording's folder, or None.
        root: prefix of the paths in formats that name audio files: the recording's folder, absolute, or empty
            for paths relative to it.
        out: the folder below which the files will be written, absolute if `root` is; None for the
            recording's folder.
        clips: how speech is cut into clips for a transcriber.
        origin: what the API says of the meeting: ``bot_id, title, platform, started_at``, the ``metadata`` of
            bot and recording as JSON, and the ``status`` of its processing; None where unknown.
        ending: how its processing ended.
        words: label to the words of the recording's transcript that have times, where there is one.
    """

    recording_id: str
    duration_s: float
    segments: Mapping[str, Rows]
    names: Mapping[str, str | None]
    talk: Talk
    stems: Mapping[str, StemFile] = field(default_factory=dict)
    labels: Mapping[int, str] = field(default_factory=dict)
    parts: Sequence[PartAlignment] = ()
    mix: str | None = None
    root: str = ""
    out: str | None = None
    clips: ClipOptions = field(default_factory=ClipOptions)
    origin: Mapping[str, str | None] = field(default_factory=dict)
    ending: Ending = field(default_factory=lambda: Ending("complete"))
    words: Mapping[str, Sequence[Word]] = field(default_factory=dict)

    @property
    def session(self) -> str:
        """Return the recording's id as one word without spaces."""
        return safe_name(self.recording_id, "recording")

    def path(self, file: str) -> str:
        """Return the path of one of the recording's files for a manifest."""
        return f"{self.root.rstrip('/')}/{file}" if self.root else file

    def written(self, file: str) -> str:
        """Return the path of a file that a writer makes for a manifest."""
        return self.path(file) if self.out is None else f"{self.out.rstrip('/')}/{file}"

    def said(self, label: str, start_s: float, end_s: float) -> str:
        """Return the words of a speaker whose middles lie in a stretch, as one text."""
        found = (
            w.text
            for w in self.words.get(label, ())
            if w.start_s is not None and w.end_s is not None and start_s <= (w.start_s + w.end_s) / 2 < end_s
        )
        return readable(" ".join(found))

    def by_time(self) -> list[tuple[float, float, str]]:
        """Return ``(start_s, end_s, label)`` of every segment, by start."""
        rows = ((float(a), float(b), label) for label, spans in self.segments.items() for a, b in spans)
        return sorted(rows)

    def overlaps(self) -> list[tuple[float, float, tuple[str, ...]]]:
        """Return ``(start_s, end_s, labels)`` of each stretch in which the same two or more speak."""
        return simultaneous(self.segments)


def readable(text: str | None) -> str:
    """Return a name fit for display.

    Surrogates are replaced, control and format characters removed, runs of white space made one space.
    """
    kept = (
        c if c.isprintable() or c.isspace() else "\ufffd" if "\ud800" <= c <= "\udfff" else ""
        for c in text or ""
    )
    return " ".join("".join(kept).split())
