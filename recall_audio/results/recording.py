"""Open a recording's results as tables, arrays and plots.

::

    import recall_audio as ra
    rec = ra.open("data/BOT_ID/RECORDING_ID")
    rec.talk                                   # DataFrame, one row a speaker
    y, sr = rec.stem("Ann_Lee").load(60, 90)   # float32, librosa's conventions
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recall_audio import batch
from recall_audio.errors import ItemError, UsageError
from recall_audio.export.tables import columns_of
from recall_audio.fetch import Settings
from recall_audio.media.wav import Stem
from recall_audio.model.labels import label_of
from recall_audio.model.options import FetchOptions, Options
from recall_audio.pipeline import documents
from recall_audio.pipeline.documents import folders_at, upload_written
from recall_audio.results import records as frames
from recall_audio.results.records import (
    data_frame,
    pair_records,
    part_records,
    segment_records,
    speaker_records,
)
from recall_audio.storage import ensure_file, ensure_files, parse_location
from recall_audio.typing import Samples

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from recall_audio.model.alignment import PartAudio


class Recording:
    """One processed recording. Every property reads the files of its folder.

    Attributes:
        folder: the recording's folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not (self.folder / "recording.json").is_file():
            raise UsageError(
                f"{folder} is no recording's folder: it has no recording.json.",
                "Give OUT/BOT_ID/RECORDING_ID, as `recall-audio run` made it.",
            )

    @cached_property
    def documents(self) -> documents.Documents:
        """Return every JSON file of the folder as plain values, by kind."""
        return documents.read_documents(self.folder)

    @property
    def facts(self) -> dict[str, Any]:
        """Return what the API says of the meeting, with None where it says nothing.

        Keys: bot_id, recording_id, title, platform, started_at, completed_at, expires_at, bot_metadata,
        recording_metadata.
        """
        document = documents.need(self.documents, "recording")
        bot, recording = document["bot"], document["recording"]
        names = ("title", "started_at", "completed_at", "expires_at")
        return {
            "bot_id": bot["id"],
            "recording_id": recording["id"],
            "platform": bot.get("platform"),
            **{name: recording.get(name) for name in names},
            "bot_metadata": bot.get("metadata") or {},
            "recording_metadata": recording.get("metadata") or {},
        }

    @property
    def title(self) -> str:
        """Return the meeting's title, else the bot's name, or an id."""
        from recall_audio.report.values import title

        return title(self.documents)

    @property
    def duration_s(self) -> float:
        """Return the length of the mix in seconds."""
        return float(documents.need(self.documents, "alignment")["mix"]["duration_s"])

    @property
    def segments(self) -> "pd.DataFrame":
        """Return who speaks when: speaker, start_s, end_s, in order of time."""
        return frames.record_frame(frames.SEGMENT_COLUMNS, segment_records(self.documents))

    @property
    def turns(self) -> "pd.DataFrame":
        """Return a row a turn: one speaker's segments joined across short silences, in order of time.

        >>> rec.turns[~rec.turns["backchannel_candidate"]].groupby("speaker")["talk_s"].median()
        """
        return frames.event_frame(self.documents, "turns")

    @property
    def pairs(self) -> "pd.DataFrame":
        """Return a row a pair of speakers: seconds in which both speak, and their share of the shorter talk.

        >>> rec.pairs.sort_values("overlap_s", ascending=False).head(3)
        """
        return frames.record_frame(frames.PAIR_COLUMNS, pair_records(self.documents))

    def windows(self, length: str | float, step: str | float | None = None) -> "pd.DataFrame":
        """Return talk in windows, a row a window and speaker.

        >>> rec.windows("60s").pivot(index="start_s", columns="speaker", values="talk_s")

        Args:
            length: of a window: ``"60s"``, ``"5min"``, or seconds. The last one ends with the meeting.
            step: from one window's start to the next one's; `length` where None.

        Returns:
            start_s, end_s, length_s, speaker, talk_s, share_of_talk (of all talk in the window; NaN where no
            one speaks), speech_s (at least one speaks), overlap_s (two or more do); ``_low`` and ``_high``.
        """
        return frames.window_frame(self.documents, length, step, documents.read_posteriors(self.folder))

    @property
    def transcript(self) -> "pd.DataFrame":
        """Return what was said, a row a segment, in order of time; an ItemError says how to make it.

        >>> rec.transcript[rec.transcript["text"].str.contains("budget", case=False)]
        """
        return frames.transcript_frame(self.folder)

    def score(self, against: str | Path, **options: Any) -> "pd.DataFrame":
        """Compare the speech found with an annotation, a row a collar.

        >>> rec.score("annotated.rttm", collars_ms=[250])[["collar", "der", "jer"]]

        Args:
            against: an RTTM file, taken as the reference, or ``"speaker-timeline"``, the platform's.
            options: ``role``, ``collars_ms``, ``skip_overlap`` as of
                :func:`recall_audio.results.score.score_recording`.

        Raises:
            UsageError: there is no such file.
            ItemError: it is no RTTM, or the recording has no timeline.
            MachineError: the extra ``score`` is not installed.
        """
        from recall_audio.results.score import Score, score_recording, scores_table

        if str(against) == "speaker-timeline":
            ensure_files(self.folder, ("source/speaker_timeline",))
        scores = score_recording(self.folder, str(against), **options)
        return frames.typed_frame(columns_of(Score), scores_table(scores)[1])

    @property
    def talk(self) -> "pd.DataFrame":
        """Return a row a speaker (the index): talk and its shares with 95 % intervals, NaN if not known."""
        columns = {"speaker": "string", **frames.TALK_COLUMNS}
        return frames.record_frame(columns, speaker_records(self.documents)).set_index("speaker")

    @property
    def parts(self) -> "pd.DataFrame":
        """Return a row a part: its place on the mix's clock."""
        return frames.record_frame(frames.PART_COLUMNS, part_records(self.documents))

    @property
    def overlap(self) -> "pd.DataFrame":
        """Return the overlap of each pair in seconds, with each speaker's own talk on the diagonal.

        NaN stands where a speaker's audio is not known. :attr:`pairs` is the same a row a pair, without the
        diagonal.
        """
        talk = documents.need(self.documents, "talk")
        talk_s = {label: figures["talk_s"] for label, figures in talk["speakers"].items()}
        table = data_frame((list(talk_s), [[0.0] * len(talk_s)] * len(talk_s))).astype("float64")
        table.index = table.columns.copy()
        for pair in (p for p in talk["pairs"] if p["overlap_s"]):
            table.loc[pair["a"], pair["b"]] = table.loc[pair["b"], pair["a"]] = pair["overlap_s"]
        for label, seconds in talk_s.items():
            table.loc[label, label] = seconds or 0.0
        unknown = [label for label, seconds in talk_s.items() if seconds is None]
        table.loc[unknown, :] = table.loc[:, unknown] = math.nan
        return table

    @property
    def warnings(self) -> list[str]:
        """Return what to know before using the numbers, a sentence each."""
        return [w["message"] for w in documents.need(self.documents, "run")["warnings"]]

    @property
    def speakers(self) -> dict[str, str | None]:
        """Return label to real name."""
        found = documents.need(self.documents, "speakers")["speakers"]
        return {label: person["name"] for label, person in found.items()}

    def sources(self) -> "tuple[Samples | None, list[PartAudio]]":
        """Return the downloaded mix and parts, decoded to 16 kHz, for ``ra.align``."""
        from recall_audio.pipeline.job import decoded_sources

        ensure_files(self.folder, ("source/",))
        return decoded_sources(self.folder)

    def stem(self, label: str) -> Stem:
        """Return one participant's track, by label or by real name.

        That of a silent participant holds zeros, and needs no file.

        >>> y, sr = rec.stem("Ann Lee").load(start_s=60, end_s=90)

        Raises:
            ItemError: no stem of that participant was made, or there is no such participant.
        """
        label = label_of(self.speakers, label)
        found = {s["participant"]: s for s in documents.need(self.documents, "stems")["stems"]}
        if label in found:
            stem = found[label]
            path = None if stem["file"] is None else ensure_file(self.folder, stem["file"])
            return Stem(label, path, stem["rate_hz"], stem["n_samples"])
        raise ItemError(f"No stem of {label!r}.", f"There are: {', '.join(found) or 'none'}.", code="no_stem")

    @cached_property
    def features(self) -> "pd.DataFrame":
        """Measure each voice where its speaker speaks alone, a row a turn: pitch, level, pace, brightness.

        Takes about a minute for an hour of talk, once. A missing figure is NA, never NaN, and the column
        ``reasons`` says why. The columns: :class:`recall_audio.model.turns.VoiceFeatures`.
        """
        from recall_audio.results.voice_features import features_table, measure_features

        ensure_files(self.folder, ("stems/",))
        found = data_frame(features_table(measure_features(self.folder)))
        figures = [c for c in found.columns if c not in ("speaker", "backchannel_candidate", "reasons")]
        return found.astype(dict.fromkeys(figures, "Float64"))

    def export(self, form: str, into: str | Path | None = None) -> list[Path]:
        """Write the results in another tool's format, and return the files written.

        Args:
            form: as of ``recall-audio export --to``: ``rttm``, ``textgrid``, ``whisper``, ...
            into: the target folder; None writes to ``export/<form>`` below the recording's.

        Raises:
            UsageError: there is no such format.
        """
        from recall_audio.results.export import export_recording

        return upload_written(export_recording(self.folder, form, None if into is None else Path(into)))

    def merge_transcripts(
        self, files: Iterable[str | Path], into: str | Path | None = None
    ) -> "pd.DataFrame":
        """Merge a transcriber's files into one transcript, write it in every format, and return a table.

        Args:
            files: transcripts in any known format: one a stem, named after it; one of a multichannel file;
                Recall.ai's own; or ``mixed.json``, of the mix.
            into: the target folder; None writes to ``transcript`` below the recording's, and makes it the
                recording's transcript.

        Returns:
            A row a segment, in order of time: start_s, end_s, speaker, text, in_speech.

        Raises:
            UsageError: a file belongs to no stem.
            ItemError: a file is no transcript.
        """
        from recall_audio.results.transcripts import merge_files, read_files

        paths = [Path(file) for file in files]
        upload_written(merge_files(self.folder, paths, into=None if into is None else Path(into)))
        vars(self).pop("documents", None)  # they have changed
        columns = ["start_s", "end_s", "speaker", "text", "in_speech"]
        said = read_files(self.documents, paths).segments
        return data_frame((columns, [[getattr(s, c) for c in columns] for s in said]))

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw who speaks when, a lane a speaker, silent ones too, and return the matplotlib Axes."""
        from recall_audio.pipeline.talk import presence_in
        from recall_audio.report.plots import plot_timeline

        unknown = self.documents.get("talk", {}).get("unknown", {})
        segments = documents.need(self.documents, "segments")["speakers"]
        spoken = {label: None if label in unknown else rows for label, rows in segments.items()}
        return plot_timeline(spoken, self.duration_s, ax, self.speakers, presence_in(self.documents))

    def plot_shares(self, ax: "Axes | None" = None) -> "Axes":
        """Draw each person's share of all talk with its interval, and return the matplotlib Axes."""
        from recall_audio.report.plots import plot_shares

        return plot_shares(documents.need(self.documents, "talk"), ax, self.speakers)

    def plot_overlap(self, ax: "Axes | None" = None) -> "Axes":
        """Draw who speaks at once with whom, in seconds and shares, and return the matplotlib Axes."""
        from recall_audio.report.plots import plot_overlap

        return plot_overlap(documents.need(self.documents, "talk"), ax, self.speakers)

    def plot_alignment(self, ax: "Axes | None" = None) -> "Axes":
        """Draw how well each part fits where it lies, with steps and status, and return the Axes."""
        from recall_audio.report.plots import plot_alignment

        owners = {
            i: self.speakers[label] or label for i, label in documents.labels_by_id(self.documents).items()
        }
        parts = documents.need(self.documents, "alignment")["parts"]
        return plot_alignment(parts, self.duration_s, ax, owners)

    def __repr__(self) -> str:
        return f"Recording({str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """Return what Jupyter shows: who speaks when, who spoke how much, and the warnings."""
        if "talk" not in self.documents:
            return f"<p>{escape(repr(self))}: not processed</p>"
        from recall_audio.report.style import as_image

        warnings = "".join(f"<li>{escape(w)}</li>" for w in self.warnings)
        table: Any = self.talk
        shown = as_image(self.plot, f"Who speaks when in {self.folder.name}")
        return f"<p><b>{escape(self.folder.name)}</b></p>{shown}{table.round(3).to_html()}<ul>{warnings}</ul>"


def open(folder: str | Path) -> Recording:
    """Open a recording's results.

    Args:
        folder: ``OUT/BOT_ID/RECORDING_ID``, or a folder that holds just one such; ``s3://...`` too.

    Raises:
        UsageError: there is none, or several.
    """
    found = folders_at(parse_location(str(folder)))
    if len(found) != 1:
        message = f"{folder} holds {len(found)} recordings, one was expected."
        raise UsageError(message, f"Give e.g. {found[0]}.")
    return Recording(found[0])


def open_many(root: str | Path) -> list[Recording]:
    """Open every processed recording at or below a folder, in the order of their starts.

    >>> pd.concat({rec.title: rec.windows("60s") for rec in ra.open_many("data")}, names=["meeting"])

    Args:
        root: holds recordings, at any depth that ``recall-audio run`` makes; ``s3://...`` too.

    Raises:
        UsageError: there is no recording.
    """
    found = [Recording(folder) for folder in folders_at(parse_location(str(root)))]
    processed = [rec for rec in found if "talk" in rec.documents]
    return sorted(processed, key=lambda rec: (str(rec.facts["started_at"] or ""), str(rec.folder)))


def run(
    bot_ids: str | Iterable[str],
    out: str | Path = "recall-audio-out",
    options: Options | None = None,
    *,
    fetch_options: FetchOptions | None = None,
    settings: Settings | None = None,
    force: bool = False,
) -> list[Recording]:
    """Fetch and process meetings, skipping what is done already.

    Args:
        bot_ids: one bot id or several; an address of Recall.ai's dashboard or API holds one too.
        out: the output folder, or ``s3://BUCKET/PREFIX``.
        options: how to process; defaults where None.
        fetch_options: how to download; defaults where None.
        settings: key and region; from the environment or ``.env`` where None.
        force: do everything again.

    Returns:
        The recordings that have results, in order.

    Raises:
        UsageError: what was given is no bot id.
        KeyRefused: the API refuses the key.
        MachineError: the disk is full, or this machine lacks a decoder.
        ItemError: no recording came to a result; the message says why.
    """
    ids = batch.read_bot_ids([bot_ids] if isinstance(bot_ids, str) else bot_ids)
    request = batch.Request.at(
        parse_location(str(out)), fetch_options or FetchOptions(), options or Options()
    )
    outcomes = batch.run(ids, lambda: settings or Settings.from_environment(), replace(request, force=force))
    found = [open(o.folder) for o in outcomes if o.status in ("done", "partial") and o.folder]
    if not found:
        raise ItemError("; ".join(o.message for o in outcomes) or "No bot id was given.", code="no_result")
    return found
