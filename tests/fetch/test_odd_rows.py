"""In every list of every document one bad row costs itself alone, and its loss is said."""

import datetime
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from fetch.lab import ANN, BOB, Lab, after, make_meeting
from hypothesis import given, settings
from hypothesis import strategies as st

from recall_audio.errors import ItemError
from recall_audio.fetch import bot as bots
from recall_audio.fetch import participants
from recall_audio.fetch.api import payloads, protocol
from recall_audio.fetch.artifacts import find_artifacts
from recall_audio.fetch.participants import read_parts
from recall_audio.model.options import FetchOptions
from recall_audio.model.outcome import Finding
from recall_audio.standin import Fault, Reply, State

Json = dict[str, Any]
Found = tuple[set[Any], int]
"""What was read of a list, by id, and how many losses were said."""

NOW = datetime.datetime.now(datetime.UTC)
AT = {"absolute": "2026-01-12T09:00:00Z", "relative": 1.0}
DONE = {"code": "done", "sub_code": None}


def person(n: int) -> Json:
    return ANN | {"id": n}


def artifact(n: int) -> Json:
    data = {"download_url": f"https://x.recall.ai/{n}"}
    return {"id": f"id{n}", "status": DONE, "data": data, "format": "mp3"}


def recording(n: int) -> Json:
    return {"id": f"id{n}", "status": DONE, "media_shortcuts": {}, "metadata": {}}


def listed_bot(n: int) -> Json:
    return {"id": f"id{n}", "meeting_url": {"platform": "zoom"}, "status_changes": [DONE], "recordings": []}


def change(n: int) -> Json:
    return {"code": f"code_{n}", "sub_code": None, "created_at": AT["absolute"]}


def event(n: int) -> Json:
    return {"participant": person(n), "action": "join", "timestamp": AT}


def speaking(n: int) -> Json:
    return {"participant": person(n), "start_timestamp": AT, "end_timestamp": AT}


def part(n: int) -> Json:
    return {"id": f"p{n}", "participant": person(n), "start_timestamp": AT, "duration": 1.0}


class OneList:
    """An API with one list, of separate audio."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = rows

    def list_rows(self, kind: str, **_: Any) -> list[Any]:
        return list(self._rows) if kind == "audio_separate" else []


def lost(notes: Sequence[Finding]) -> int:
    """How many rows some notes say were left out."""
    counts = [f.message.split(": ")[1].split(" ")[0] for f in notes if f.code == "rows_dropped"]
    return sum(map(int, counts))


def read_bots(rows: list[Any]) -> Found:
    found, odd = payloads.usable_rows(rows, "bots", lambda row: bots._listed_bot(row, NOW))
    return {one.bot_id for one in found}, len(odd)


def read_recordings(rows: list[Any]) -> Found:
    found = payloads.bot(listed_bot(0) | {"recordings": rows})
    assert found.facts["recording_ids"] == [*(r.recording_id for r in found.recordings), *found.unreadable]
    return {r.recording_id for r in found.recordings}, len(found.unreadable)


def read_artifacts(rows: list[Any]) -> Found:
    """Only the first artifact that is done is used."""
    api: Any = OneList(rows)
    found = find_artifacts(api, payloads.recording(recording(0)))
    assert found.separate is not None
    return ({*NAMED} if found.separate.is_done else set()), lost(found.notes)


def read_changes(rows: list[Any]) -> Found:
    """Of the changes only the last counts."""
    found = payloads.bot(listed_bot(0) | {"status_changes": [*rows, change(9)]})
    assert found.code == "code_9"
    return {"code_0", "code_1", "code_2"}, lost(found.notes)


def reading(read: Callable[[Any], participants.Read]) -> Callable[[list[Any]], Found]:
    def ids(rows: list[Any]) -> Found:
        found = read(rows)
        return {p.participant_id for p in found.participants}, found.n_dropped

    return ids


def read_the_parts(rows: list[Any]) -> Found:
    found = read_parts(rows)
    return {e.participant.participant_id for e in found.entries}, len(found.unusable)


@dataclass(frozen=True)
class Listing:
    """One list of the API: how its n-th good row is made, how it is read, and what good rows give."""

    row: Callable[[int], Json]
    read: Callable[[list[Any]], Found]
    good: Sequence[Any] = (0, 1, 2)


NAMED = ("id0", "id1", "id2")
LISTS = {
    "bots": Listing(listed_bot, read_bots, NAMED),
    "recordings": Listing(recording, read_recordings, NAMED),
    "artifacts": Listing(artifact, read_artifacts, NAMED),
    "status changes": Listing(change, read_changes, ("code_0", "code_1", "code_2")),
    "participants": Listing(person, reading(participants.participants)),
    "events": Listing(event, reading(participants.events)),
    "timeline": Listing(speaking, reading(participants.speaker_timeline)),
    "parts": Listing(part, read_the_parts),
}

NUMBERS = ("NaN", "-Infinity", "1e999", "9" * 5000, "-1e300")
WRONG = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20),
    st.sampled_from(NUMBERS).map(lambda text: f"@{text}@"), st.just("x" * 20_000), st.just([]), st.just({}),
    st.lists(st.none(), max_size=3),
)  # fmt: skip


def through_json(value: Any) -> Any:
    """What arrives of a value, in which numbers that no float holds stand as a sender may write them."""
    text = json.dumps(value)
    for number in NUMBERS:
        text = text.replace(f'"@{number}@"', number)
    return protocol.parse_json(text.encode(), "it")


@st.composite
def bad_rows(draw: st.DrawFn, row: Callable[[int], Json]) -> Any:
    """A row that is wrong as a whole, lacks a field, or has a wrong value in one, or inside one."""
    good, kind = row(7), draw(st.sampled_from(["whole", "lacks", "field", "inner"]))
    if kind == "whole":
        return draw(WRONG)
    name = draw(st.sampled_from(sorted(good)))
    inner = good[name]
    if kind == "lacks":
        return {k: v for k, v in good.items() if k != name}
    if kind == "inner" and isinstance(inner, dict) and inner:
        return good | {name: inner | {draw(st.sampled_from(sorted(inner))): draw(WRONG)}}
    return good | {name: draw(WRONG)}


@pytest.mark.parametrize("name", LISTS)
def test_one_bad_row_costs_itself_and_is_said(name: str) -> None:
    listing = LISTS[name]

    def is_usable(row: Any) -> bool:
        try:
            return listing.read([row])[1] == 0
        except ItemError:
            return False

    @given(bad=bad_rows(listing.row), place=st.integers(0, 3))
    @settings(max_examples=60, deadline=None)
    def holds(bad: Any, place: int) -> None:
        rows = [listing.row(n) for n in range(3)]
        rows.insert(place, bad)
        arrived = through_json(rows)
        found, n_lost = listing.read(arrived)
        assert found >= {*listing.good}, "the others survive"
        assert n_lost == (0 if is_usable(arrived[place]) else 1), "what is lost is said, and nothing else is"

    holds()


@pytest.mark.parametrize("value", [7, "x", {}, {"id": 1}, True])
def test_what_is_no_list_is_a_loss_and_no_end(value: Any) -> None:
    found = payloads.bot(listed_bot(0) | {"status_changes": value, "recordings": value})
    assert (found.recordings, len(found.unreadable)) == ((), 1) or found.recordings[0].recording_id == "1"
    assert lost(found.notes) == (0 if isinstance(value, dict) else 1)
    for read in (participants.participants, participants.events, participants.speaker_timeline, read_parts):
        with pytest.raises(ItemError):
            read(value)


@pytest.mark.parametrize("odd", [None, 7, "x", [], {"id": None}, {"id": "a" * 999}, {"id": {}}])
def test_an_odd_shortcut_is_looked_for_in_its_list_and_costs_no_other(odd: Any) -> None:
    shortcuts = {name: artifact(n) for n, name in enumerate(payloads._SHORTCUTS)}
    for name in shortcuts:
        found = payloads.recording(recording(0) | {"media_shortcuts": shortcuts | {name: odd}})
        made = [found.mixed, found.events, found.video, found.transcript, found.title]
        assert sum(a is None for a in made) == 1
        assert lost(found.notes) == (0 if odd is None else 1)
        assert odd is None or name in found.notes[0].message


@pytest.mark.parametrize("word", ["from_next_year", "", "DONE", "x" * 300])
def test_codes_platforms_kinds_and_fields_of_tomorrow_pass_through(word: str) -> None:
    status = {"code": word, "sub_code": word}
    body = listed_bot(1) | {"meeting_url": {"platform": word}, "status_changes": [status], "new": {word: 1}}
    body["recordings"] = [recording(1) | {"status": status, "media_shortcuts": {word: artifact(1)}}]
    found = payloads.bot(body)
    assert (found.facts["platform"], found.code, found.sub_code) == (word, word, word)
    assert (found.recordings[0].code, found.notes, found.unreadable) == (word, (), ())
    bob = payloads.participant(BOB | {"platform": word, "extra_data": {word: {word: word}}}, "it")
    assert (bob.platform, bob.extra_data) == (word, {word: {word: word}})
    moved = participants.events([{"participant": BOB, "action": word, "timestamp": AT, "data": {word: 1}}])
    assert ([p.participant_id for p in moved.participants], moved.n_dropped) == ([101], 0)


def test_a_list_of_bots_with_odd_rows_gives_the_others_and_warns(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    whole = json.dumps({"next": None, "results": [{"id": None}, listed_bot(3), 7]}).encode()
    with lab.serve(Fault("/bot/", [Reply(body=whole)])):
        found = list(bots.list_bots(lab.settings, bots.BotFilter()))
    assert [one.bot_id for one in found] == ["id3"]
    assert sum("left out of the list" in r.getMessage() for r in caplog.records) == 2


def test_an_odd_recording_of_a_bot_fails_alone_and_is_asked_for_again(lab: Lab) -> None:
    with lab.serve() as server:
        lab.fetch()
        [asked] = [r for r in server.requests if "/bot/" in r.path]
        whole = json.loads(server.answer(asked, b"", Reply()).body)
        whole["recordings"].append({"id": {"no": "id"}})
        server.script = type(server.script)([Fault("/bot/", [Reply(body=json.dumps(whole).encode())])])
        result = lab.fetch()
    assert [(r.status, r.code) for r in result.recordings] == [("complete", ""), ("gone", "bad_payload")]
    assert result.recordings[0].meeting.bot["recording_ids"][-1] == "recording_1", "a later run asks again"


def test_odd_rows_of_a_transcript_are_left_out_and_said(lab: Lab) -> None:
    make_meeting(lab.folder)
    row = {"participant": ANN, "words": []}
    after(lab.folder / "meeting.json", lambda content: content.update(transcript=[None, row, 7]))
    with lab.serve(state=State(transcript="done")):
        (fetched,) = lab.fetch(options=FetchOptions(transcript=True)).recordings
    assert json.loads(lab.source("transcript.json")) == [row]
    assert lost(fetched.meeting.findings) == 2
