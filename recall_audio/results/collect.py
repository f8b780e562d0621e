"""Collect every recording below a folder into one set of tables, one recording in memory at a time."""

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from recall_audio.errors import ItemError, UsageError
from recall_audio.export.tables import TABLE_WRITERS
from recall_audio.files import atomic, read_json, sweep_parts_of
from recall_audio.model.outcome import WITH_RESULTS, CountCallback, Ending, Finding, ending_of
from recall_audio.model.pseudonyms import Pseudonyms
from recall_audio.pipeline.documents import (
    Layout,
    as_this_version_writes,
    folders_at,
    need,
    read_documents,
    recording_folders,
    upload_written,
)
from recall_audio.pipeline.talk import remeasure_talk, view_of
from recall_audio.results.pseudonymise import recode_documents, recoded_posteriors
from recall_audio.results.records import typed_frame
from recall_audio.storage import parse_location

if TYPE_CHECKING:
    import pandas as pd
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from recall_audio.export.recording_view import ExportView, readable
from recall_audio.export.tables import ENDING, TABLES, Row, Table, Type, cells_of, columns_of, joined_reasons
from recall_audio.model.persons import Merge, PersonIndex, SharedKey, lasting_keys, shared_keys_of


@dataclass(frozen=True, slots=True)
class Ended:
    """How one recording's processing ended.

    Attributes:
        bot_id: its bot.
        recording_id: the recording.
        ending: status and reasons.
    """

    bot_id: str
    recording_id: str
    ending: Ending


Chunk = tuple[Table, Sequence[Row]]


@dataclass(frozen=True, slots=True)
class Loaded:
    """One recording as it is collected.

    Attributes:
        ended: how its processing ended.
        view: its results.
        people: label to what ``speakers.json`` says of them (``email``, ``extra_data``).
        shared: keys that several participants of it have, which joined them or did not.
    """

    ended: Ended
    view: ExportView
    people: Mapping[str, Mapping[str, Any]]
    shared: Sequence[SharedKey] = ()


@dataclass(frozen=True, slots=True)
class Appearance:
    """What the tables over all recordings need of one participant, times in seconds.

    Attributes:
        recording_id: the meeting.
        name: readable name, may be empty.
        talk_s: their talk; None where it is not known.
        all_talk_s: everyone's talk; None where someone's is not known, so that shares of it are of the known
            speakers only.
        duration_s: the meeting's duration.
        presence_s: their presence; None where it is not known.
        counts: turns, floor taken, backchannel candidates, interruptions made and received.
    """

    recording_id: str
    name: str
    talk_s: float | None
    all_talk_s: float | None
    duration_s: float
    presence_s: float | None
    counts: tuple[int | None, ...]


UNKNOWN = "their speech is known in no meeting"
COUNTS = ("turns", "floor_taken", "backchannel_candidates", "interruptions_made", "interruptions_received")
SHARES = ("share_of_talk", "share_of_meeting", "share_of_presence")


def _no_rows(_: ExportView) -> Iterator[Row]:
    return iter(())


def _person_columns() -> dict[str, Type]:
    columns: dict[str, Type] = {"person": "string", "name": "string", "n_meetings": "integer"}
    columns |= {"n_silent_meetings": "integer", "n_unknown_meetings": "integer"}
    columns |= {"talk_s": "number", "meeting_s": "number"}
    columns |= {f"{share}_{kind}": "number" for share in SHARES for kind in ("mean", "pooled")}
    columns |= {name: "integer" for name in COUNTS}  # noqa: C420 - keeps the literal type
    return columns | {"turns_per_hour_pooled": "number", "reasons": "string"}


_PEOPLE: dict[str, Type] = {
    "recording_id": "string",
    "speaker": "string",
    "name": "string",
    "person": "string",
    "ids": "string",
}
_RECORDING: dict[str, Type] = {"recording_id": "string", "bot_id": "string"}
RECORDINGS = Table("recordings", _RECORDING | ENDING, _no_rows)
PEOPLE = Table("people", _PEOPLE, _no_rows)
MERGES = Table("merges", columns_of(Merge), _no_rows)
PERSONS = Table("persons", _person_columns(), _no_rows)
ALL_TABLES: tuple[Table, ...] = (*TABLES, RECORDINGS, PEOPLE, MERGES, PERSONS)
"""Every table that :func:`collect_rows` gives."""


@dataclass(slots=True)
class _Everyone:
    """The few numbers that are kept of every participant."""

    join: bool = True
    people: PersonIndex = field(default_factory=PersonIndex)
    seen: list[tuple[str, str, Appearance]] = field(default_factory=list)

    def add(self, recording: Loaded) -> None:
        view = recording.view
        doubted = {(key.key, i) for key in recording.shared if key.apart for i in key.participant_ids}
        self.people.merges += _merges_within(recording)
        for label, speaker in view.talk.speakers.items():
            person = recording.people.get(label, {})
            ids = list(person.get("participant_ids") or ())
            keys = lasting_keys(person.get("email"), person.get("extra_data"))
            keys = tuple(k for k in keys if not any((k, i) in doubted for i in ids)) if self.join else ()
            self.people.add(view.recording_id, label, keys)
            all_talk_s = None if view.talk.unknown else view.talk.talk_s
            talk = (speaker.talk_s, all_talk_s, view.duration_s, speaker.presence_s)
            counts = tuple(getattr(speaker, name) for name in COUNTS)
            name = readable(view.names.get(label))
            shown = " ".join(map(str, ids))
            self.seen.append((label, shown, Appearance(view.recording_id, name, *talk, counts)))


def _merges_within(recording: Loaded) -> Iterator[Merge]:
    """Yield what gave participants of one recording one label."""
    here, labels = recording.view.recording_id, recording.view.labels
    for key in (key for key in recording.shared if not key.apart):
        first, *others = [i for i in key.participant_ids if i in labels] or [0]
        for i in others:
            yield Merge(key.key, here, labels[i], here, labels[first], ids=f"{first} {i}")


def collect_rows(recordings: Iterable[Loaded | Ended], *, join: bool = True) -> Iterator[Chunk]:
    """Yield the rows of every table, recording by recording, then those over all recordings.

    Args:
        recordings: taken one by one; none is kept in memory. One without results is an :class:`Ended`.
        join: take participants of several recordings for one person where an email or a lasting id agrees.
    """
    everyone = _Everyone(join)
    for recording in recordings:
        ended = recording if isinstance(recording, Ended) else recording.ended
        yield RECORDINGS, [(ended.recording_id, ended.bot_id, ended.ending.status, ended.ending.text)]
        if isinstance(recording, Ended):
            continue
        everyone.add(recording)
        for table in TABLES:
            yield table, list(table.rows(recording.view))
    codes = everyone.people.persons()
    seen = [(code, *labelled) for code, labelled in zip(codes, everyone.seen, strict=True)]
    yield PEOPLE, [(a.recording_id, label, a.name, code, ids) for code, label, ids, a in seen]
    yield MERGES, [cells_of(merge) for merge in everyone.people.merges]
    order: dict[str, list[Appearance]] = {}
    for code, _, _, appearance in seen:
        order.setdefault(code, []).append(appearance)
    yield PERSONS, [person_row(code, theirs) for code, theirs in order.items()]


def person_row(code: str, seen: Sequence[Appearance]) -> Row:
    """Return one person's means over meetings and their pooled figures.

    A person may have two labels in one meeting (they left, and came back as another participant). That counts
    as one meeting: talk and presence are added before a mean is taken. A meeting in which their talk is not
    known counts in `n_meetings` and `n_unknown_meetings`, and in no figure; a meeting in which another's is
    not known has no share of all talk.
    """
    all_calls = [_call(list(same)) for _, same in groupby(sorted(seen, key=_meeting), key=_meeting)]
    calls = [call for call in all_calls if call.talk_s is not None]
    cells: list[Any] = []
    reasons: dict[str, str] = {}
    for share, denominator in zip(SHARES, ("all_talk_s", "duration_s", "presence_s"), strict=True):
        pairs = [(call.talk_s or 0.0, whole) for call in calls if (whole := getattr(call, denominator))]
        if share == "share_of_talk" and (n := sum(call.all_talk_s is None for call in calls)):
            reasons[share] = f"{n} of their meetings left out, because another speaker is not known there"
        if pairs:
            cells += [
                sum(talk_s / whole_s for talk_s, whole_s in pairs) / len(pairs),
                sum(talk_s for talk_s, _ in pairs) / sum(whole_s for _, whole_s in pairs),
            ]
        else:
            cells += [None, None]
            reasons[share] = "no meeting of theirs has its denominator" if calls else UNKNOWN
    counts = [sum(call.counts[i] or 0 for call in calls) if calls else None for i in range(len(COUNTS))]
    meeting_s = sum(call.duration_s for call in calls)
    rate = (counts[0] or 0) * 3600.0 / meeting_s if meeting_s else None
    if rate is None:
        reasons["turns_per_hour_pooled"] = "their meetings have no length" if calls else UNKNOWN
    if not calls:
        reasons |= dict.fromkeys(("talk_s", *COUNTS), UNKNOWN)
    name = next((appearance.name for appearance in seen if appearance.name), "")
    silent = sum(call.talk_s == 0 for call in calls)
    talk_s = sum(call.talk_s or 0.0 for call in calls) if calls else None
    n_unknown = len(all_calls) - len(calls)
    head = (code, name, len(all_calls), silent, n_unknown, talk_s, meeting_s)
    return (*head, *cells, *counts, rate, joined_reasons(reasons))


def _meeting(appearance: Appearance) -> str:
    return appearance.recording_id


def _call(same: Sequence[Appearance]) -> Appearance:
    """Combine one person's appearances in one meeting into one."""
    first = same[0]
    talk = [appearance.talk_s for appearance in same if appearance.talk_s is not None]
    presences = [appearance.presence_s for appearance in same if appearance.presence_s is not None]
    return Appearance(
        recording_id=first.recording_id,
        name=first.name,
        talk_s=sum(talk) if len(talk) == len(same) else None,
        all_talk_s=first.all_talk_s,
        duration_s=first.duration_s,
        presence_s=sum(presences) if len(presences) == len(same) else None,
        counts=tuple(
            None if None in column else sum(n for n in column if n is not None)
            for column in zip(*(appearance.counts for appearance in same), strict=True)
        ),
    )


def collect_recordings(
    root: Path,
    form: str,
    into: Path | None = None,
    progress: CountCallback | None = None,
    pseudonyms: Pseudonyms | None = None,
    *,
    join: bool = True,
) -> tuple[list[Path], list[ItemError]]:
    """Write ``<into>/<table>.<form>`` for every table.

    Args:
        root: holds recordings' folders, at any depth that ``recall-audio run`` makes.
        form: a name of :data:`recall_audio.export.tables.TABLE_WRITERS`.
        into: the target folder; None writes to ``ROOT/tables``, or with pseudonyms to
            ``ROOT/tables-pseudonymised``.
        progress: callback with the recordings done and their number.
        pseudonyms: codes that replace names, ids and emails before anything is measured or merged.
        join: as for :func:`collect_rows`.

    Returns:
        The files written, and why recordings were left out (not processed, damaged).

    Raises:
        UsageError: there is no such format, or no recording.
        MachineError: Parquet needs an extra that is not installed, or the disk is full.
    """
    if form not in TABLE_WRITERS:
        raise UsageError(f"There is no format {form!r}.", f"Choose one of {', '.join(TABLE_WRITERS)}.")
    folders, left_out = recording_folders(root), list[ItemError]()
    target = into or root / ("tables-pseudonymised" if pseudonyms else "tables")
    loaded = _load_each(folders, left_out, progress or (lambda *_: None), pseudonyms)
    return _write_tables(collect_rows(loaded, join=join), form, target), left_out


def _write_tables(chunks: Iterable[Chunk], form: str, target: Path) -> list[Path]:
    """Write every table to a file in `target`, as its rows come, and return the files."""
    writer_class = TABLE_WRITERS[form]
    paths = {t.name: target / f"{t.name}{writer_class.suffix}" for t in ALL_TABLES}
    sweep_parts_of(paths.values())
    with contextlib.ExitStack() as stack:
        streams = {name: stack.enter_context(atomic(path)) for name, path in paths.items()}
        writer = writer_class(streams, ALL_TABLES)
        for table, rows in chunks:
            writer.write(table, rows)
        writer.close()
    return list(paths.values())


def _load_each(
    folders: list[Path],
    left_out: list[ItemError],
    progress: CountCallback,
    pseudonyms: Pseudonyms | None,
) -> Iterator[Loaded | Ended]:
    """Load recordings one by one, and append to `left_out` why one cannot be loaded."""
    for n_done, folder in enumerate(folders, 1):
        try:
            with as_this_version_writes():
                loaded = _load(folder, pseudonyms)
        except ItemError as error:
            left_out.append(ItemError(f"{folder}: {error.message}", error.hint, code=error.code))
            yield _ended(folder, pseudonyms, error)
        else:
            yield loaded
        progress(n_done, len(folders))


def _ended(folder: Path, pseudonyms: Pseudonyms | None, error: ItemError) -> Ended:
    """Return how a recording ended that cannot be loaded: as its ``run.json`` says, else for this error."""
    ending = Ending("failed", (Finding(error.code, error.message),))
    with contextlib.suppress(ItemError), as_this_version_writes():
        found = ending_of(read_json(Layout(folder).run, "run"))
        # Without separate audio there is no talk, and nothing is damaged.
        if found.status not in WITH_RESULTS or error.code == "missing_file":
            ending = found
    if not Layout(folder).run.is_file():
        ending = ending_of(None)
    bot_id, recording_id = folder.parent.name, folder.name
    if pseudonyms is not None:  # a message may name people
        bot_id, recording_id = pseudonyms.code("id", bot_id), pseudonyms.code("id", recording_id)
        ending = replace(ending, reasons=tuple(replace(r, message="", where="") for r in ending.reasons))
    return Ended(bot_id, recording_id, ending)


def _load(folder: Path, pseudonyms: Pseudonyms | None) -> Loaded:
    documents, posteriors = read_documents(folder), None
    if pseudonyms is not None:
        documents, recoded = recode_documents(documents, pseudonyms)
        posteriors = recoded_posteriors(folder, recoded)
    speakers = need(documents, "speakers")
    people = {label: dict(p) for label, p in speakers["speakers"].items()}
    view = view_of(documents, remeasure_talk(documents, posteriors))
    ended = Ended(str(documents["recording"]["bot"]["id"]), view.recording_id, view.ending)
    return Loaded(ended, view, people, shared_keys_of(speakers))


def collect(out: str | Path, into: str | Path | None = None) -> "dict[str, pd.DataFrame]":
    """Return every recording below a folder as one set of data frames.

    ``recall-audio collect`` writes the same tables. Nothing is written unless `into` is given.

    >>> tables = ra.collect("data")
    >>> tables["speakers"].merge(tables["meetings"][["recording_id", "title", "started_at"]])

    Args:
        out: holds recordings, at any of ``OUT``, ``OUT/BOT_ID``; ``s3://...`` too.
        into: the folder in which the tables are written as CSV too; None writes nothing.

    Returns:
        Name to table: meetings, segments, turns, transitions, overlaps, speakers, pairs, directed, parts, and
        over all of them recordings, people, merges, persons. A warning names each recording left out.

    Raises:
        UsageError: there is no recording.
    """
    found: dict[str, list[Row]] = {table.name: [] for table in ALL_TABLES}
    left_out: list[ItemError] = []
    folders = folders_at(parse_location(str(out)))  # of a store, fetches the documents

    def kept() -> Iterator[Chunk]:
        for table, rows in collect_rows(_load_each(folders, left_out, lambda *_: None, None)):
            found[table.name].extend(rows)
            yield table, rows

    if into is None:
        for _ in kept():
            pass
    else:
        upload_written(_write_tables(kept(), "csv", Path(into)))
    for error in left_out:
        warnings.warn(f"left out: {error}", stacklevel=2)
    return {table.name: typed_frame(table.columns, found[table.name]) for table in ALL_TABLES}
