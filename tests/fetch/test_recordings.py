"""What is fetched: several recordings, artifacts that are missing, people who never spoke, re-runs."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from fetch.lab import ANN, BOB, Lab, after, make_meeting, replies

from recall_audio.batch.previous_runs import has_media
from recall_audio.errors import ItemError, TransientError, UsageError
from recall_audio.fetch import create_bot, fetch_bot, known_recordings
from recall_audio.fetch.api import payloads
from recall_audio.files import read_json
from recall_audio.model.meeting import Meeting, Presence
from recall_audio.model.new_bot import NewBot
from recall_audio.model.options import FetchOptions
from recall_audio.standin import Reply, ServedMeeting, StandIn, State, meeting

BOT = "0b0b0b0b-1111-4222-8333-444455556666"


def several(lab: Lab, states: Sequence[State]) -> list[ServedMeeting]:
    """Recordings of one bot."""
    served = []
    for at, state in enumerate(states):
        folder = make_meeting(lab.root / f"meeting{at}")
        recording_id = f"5f9a1c3e-1111-4222-8333-44445555000{at}"
        after(folder / "meeting.json", lambda content, r=recording_id: content.update(recording_id=r))
        served.append(meeting(folder, state, BOT))
    return served


def test_recording_json_says_what_the_api_said_and_nothing_secret(lab: Lab) -> None:
    with lab.serve():
        (recording,) = lab.fetch().recordings
    value = read_json(recording.folder / "recording.json", "recording")
    del value["schema"]
    assert Meeting.from_json(value) == recording.meeting
    assert "://" not in json.dumps(value)
    assert recording.folder == lab.out / lab.server.bot_ids[0] / "5f9a1c3e-1111-4222-8333-444455556666"


def test_someone_who_never_spoke_is_a_participant_with_a_presence(lab: Lab) -> None:
    with lab.serve():
        (recording,) = lab.fetch().recordings
    assert [p.name for p in recording.meeting.participants] == ["Ann", "Bob"]
    assert {p.participant_id for p in recording.meeting.parts} == {100}
    assert recording.meeting.presence == (Presence(100, 0.0, 3.0), Presence(101, 0.0, 3.0))


def test_presence_follows_join_and_leave(lab: Lab) -> None:
    make_meeting(lab.folder)
    rows = [
        (ANN, "join", 0.5),
        (BOB, "leave", 1.0),
        (ANN, "leave", 1.5),
        (ANN, "webcam_on", 1.7),
        (ANN, "join", 2.0),
    ]
    events = [{"participant": p, "action": a, "timestamp": {"relative": t}} for p, a, t in rows]
    after(lab.folder / "meeting.json", lambda content: content.update(events=events))
    with lab.serve():
        (recording,) = lab.fetch().recordings
    expected = (Presence(101, 0.0, 1.0), Presence(100, 0.5, 1.5), Presence(100, 2.0, None))
    assert recording.meeting.presence == expected


def test_the_platforms_timeline_is_kept(lab: Lab) -> None:
    make_meeting(lab.folder)
    row = {"participant": ANN, "start_timestamp": {"relative": 0.5}, "end_timestamp": None}
    after(lab.folder / "meeting.json", lambda content: content.update(speaker_timeline=[row]))
    with lab.serve():
        (recording,) = lab.fetch().recordings
    kept = read_json(recording.folder / "source/speaker_timeline.json", "speaker_timeline")
    assert kept["timeline"] == [{"participant_id": 100, "start_s": 0.5, "end_s": None}]


@pytest.mark.parametrize("broken", ["participants.json", "participant_events.json", "speaker_timeline.json"])
def test_an_unreadable_attendance_document_is_a_note(lab: Lab, broken: str) -> None:
    with lab.serve(replies(broken, Reply(body=b'[{"participant": 7}]'), forever=True)):
        (recording,) = lab.fetch().recordings
    assert recording.status == "complete"
    assert [f.severity for f in recording.meeting.findings] == ["note"]


def test_without_participant_events_those_with_parts_are_the_participants(lab: Lab) -> None:
    with lab.serve(state=State(events="missing", shortcuts=False)):
        (recording,) = lab.fetch().recordings
    assert [p.name for p in recording.meeting.participants] == ["Ann"]
    assert recording.status == "complete"


@pytest.mark.parametrize("shortcuts", [True, False])
def test_shortcuts_save_a_list_call_and_are_not_needed(lab: Lab, shortcuts: bool) -> None:
    with lab.serve(state=State(shortcuts=shortcuts)):
        assert lab.fetch().recordings[0].status == "complete"
    assert len(lab.asked("/audio_mixed/")) == (0 if shortcuts else 1)


@pytest.mark.parametrize(
    ("state", "switch", "loss"),
    [
        (State(mixed="missing"), "audio_mixed_mp3", "nominal starts"),
        (State(separate="missing"), "audio_separate_mp3", "cannot be told apart"),
    ],
)
def test_audio_that_was_never_recorded_is_one_sentence(
    lab: Lab, state: State, switch: str, loss: str
) -> None:
    make_meeting(lab.folder)
    after(lab.folder / "meeting.json", lambda content: content.update(platform="google_meet"))
    with lab.serve(state=state):
        (recording,) = lab.fetch().recordings
    assert recording.status == "complete"
    (finding,) = recording.meeting.findings
    assert all(word in finding.message for word in ("google_meet", switch, loss))


def test_failed_mixed_audio_leaves_a_partial_recording(lab: Lab) -> None:
    with lab.serve(state=State(mixed="failed", sub_code="lost_it")):
        (recording,) = lab.fetch().recordings
    assert (recording.status, recording.code) == ("partial", "failed")
    assert "lost_it" in recording.reason
    assert len(recording.meeting.parts) == 2


def test_a_part_that_is_gone_is_that_parts_problem(lab: Lab) -> None:
    with lab.serve(replies("0001.raw", Reply(status=404), forever=True)):
        (recording,) = lab.fetch().recordings
    assert [p.media.problem for p in recording.meeting.parts] == [None, "gone"]
    assert recording.status == "partial"
    (finding,) = recording.meeting.findings
    assert finding.where == recording.meeting.parts[1].part_id


def test_what_came_is_kept_when_something_may_come_later(lab: Lab) -> None:
    """The first run breaks off at one part; the second asks for that part only."""
    busy = replies("0001.raw", *[Reply(status=503, headers={"Retry-After": "9999"})])
    with lab.serve(busy):
        with pytest.raises(TransientError) as caught:
            lab.fetch()
        assert "retry_at" in caught.value.facts
        assert known_recordings(lab.out, lab.server.bot_ids[0]) == []
        lab.server.requests.clear()
        (recording,) = lab.fetch().recordings
        assert [p.split("/")[-1] for p in lab.asked("/parts/") + lab.asked("mix")] == [
            "00000000-0000-4000-8000-000000000001.raw"
        ]
    assert recording.status == "complete"
    assert not (recording.folder / "source/fetched.json").exists()


def test_a_file_that_changed_on_disk_is_fetched_again(lab: Lab) -> None:
    with lab.serve():
        (first,) = lab.fetch().recordings
        damaged = first.folder / "source/mixed.mp3"
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
        lab.server.requests.clear()
        lab.fetch()
        assert len(lab.asked("mix.mp3")) == 1
        assert len(lab.asked("/parts/")) == 0
    assert damaged.read_bytes() == (lab.folder / "mix.mp3").read_bytes()


def test_a_recording_that_is_called_fetched_is_not_asked_for(lab: Lab) -> None:
    with lab.serve():
        (first,) = lab.fetch().recordings
        assert known_recordings(lab.out, lab.server.bot_ids[0]) == [first.folder]
        lab.server.requests.clear()
        (again,) = lab.fetch(is_fetched=lambda folder: folder == first.folder).recordings
        assert len(lab.server.requests) == 1, "the bot alone"
    assert again.reused
    assert again.meeting == first.meeting


def test_every_recording_of_a_bot_is_fetched_each_by_itself(lab: Lab) -> None:
    lab.server = StandIn(
        several(lab, [State(), State(recording="deleted"), State(mixed="processing"), State()])
    )
    with lab.server as server:
        settings = lab.settings
        result = fetch_bot(BOT, lab.out, type(settings)(settings.base_url, "x", server.key), FetchOptions())
    assert [r.status for r in result.recordings] == ["complete", "gone", "waiting", "complete"]
    assert len(known_recordings(lab.out, BOT)) == 2


@pytest.mark.parametrize(
    "name", ["../../evil", "CON", "..", "C:\\x", "a" * 300, "Ä\u202e", "mixed", "🙂" * 9]
)
def test_row_32_odd_part_ids_become_distinct_names_inside_the_folder(lab: Lab, name: str) -> None:
    make_meeting(lab.folder, formats=("ogg", "ogg", "ogg"))

    def rename(content: dict) -> None:  # type: ignore[type-arg]
        for part, new in zip(content["parts"], (name, name, name.swapcase()), strict=True):
            part["id"] = new

    after(lab.folder / "meeting.json", rename)
    with lab.serve():
        (recording,) = lab.fetch().recordings
    if len(name) > 256 or not name.isprintable():
        assert recording.code == "bad_payload"
        return
    files = [Path(p.media.file or "") for p in recording.meeting.parts]
    assert len({f.name.casefold() for f in files} | {"mixed.mp3"}) == 4
    assert all((recording.folder / f).resolve().parent == recording.folder / "source" for f in files)


@pytest.mark.parametrize(
    "name", ["../../x", "CON", "🙂" * 400, "", "\u202eevil", "\ud800", "a\0b", "=HYPERLINK(1)"]
)
def test_row_32_a_display_name_is_kept_exactly(lab: Lab, name: str) -> None:
    make_meeting(lab.folder)
    after(lab.folder / "meeting.json", lambda content: content["parts"][0]["participant"].update(name=name))
    after(lab.folder / "meeting.json", lambda content: content["parts"][1]["participant"].update(name=name))
    with lab.serve():
        (recording,) = lab.fetch().recordings
    assert recording.meeting.participants[0].name == name
    value = read_json(recording.folder / "recording.json", "recording")
    assert value["participants"][0]["name"] == name


VIDEO = b"\0\0\0\x20ftypisom" + bytes(500_000)


@pytest.mark.parametrize(
    ("state", "mixed", "said"),
    [
        (State(mixed="missing", video="done"), "mixed.mp4", "mix_from_video"),
        (State(mixed="failed", video="done"), "mixed.mp4", "mix_from_video"),
        (State(mixed="done", video="done"), "mixed.mp3", None),
        (State(mixed="missing", video="failed"), None, "no_audio_mixed"),
        (State(mixed="missing", video="missing"), None, "no_audio_mixed"),
        (State(mixed="missing", video="done", shortcuts=True, looks=1), "mixed.mp4", "mix_from_video"),
    ],
)
def test_the_sound_of_the_video_is_the_mix_where_there_is_no_mixed_audio(
    lab: Lab, state: State, mixed: str | None, said: str | None
) -> None:
    make_meeting(lab.folder)
    (lab.folder / "video.mp4").write_bytes(VIDEO)
    with lab.serve(state=state):
        (recording,) = lab.fetch(options=FetchOptions(wait_s=5.0)).recordings
    files = {f.name for f in (recording.folder / "source").iterdir() if f.name.startswith("mixed")}
    assert files == ({mixed} if mixed else set())
    findings = {f.code: f.severity for f in recording.meeting.findings}
    if said is not None:
        assert findings.pop(said) == ("note" if mixed else "warning")
    assert not any("mix" in code for code in findings)
    assert recording.status == "complete"


def test_a_video_may_be_larger_than_audio_of_its_length(lab: Lab) -> None:
    make_meeting(lab.folder)
    (lab.folder / "video.mp4").write_bytes(VIDEO * 4)  # 2 MB for 3 s of meeting; audio may have 1.6 MB
    with lab.serve(state=State(mixed="missing", video="done")):
        (recording,) = lab.fetch().recordings
    assert recording.meeting.mix is not None
    assert recording.meeting.mix.n_bytes == 4 * len(VIDEO)


WORDS = [{"text": "Hello", "start_timestamp": {"relative": 0.5}, "end_timestamp": None}]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (State(transcript="done"), None),
        (State(transcript="done", looks=1, shortcuts=False), None),
        (State(transcript="failed"), "it is failed"),
        (State(transcript="missing"), "was not asked"),
    ],
)
def test_the_transcript_is_kept_as_it_came_or_a_note_says_why_not(
    lab: Lab, state: State, said: str | None
) -> None:
    make_meeting(lab.folder)
    rows = [{"participant": {"id": 100, "name": "Änn"}, "language_code": None, "words": WORDS, "new": 1}]
    after(lab.folder / "meeting.json", lambda content: content.update(transcript=rows))
    with lab.serve(state=state):
        (without,) = lab.fetch(options=FetchOptions(wait_s=5.0)).recordings
        assert not (without.folder / "source/transcript.json").exists()
        is_fetched = lambda folder: True  # noqa: E731
        options = FetchOptions(wait_s=5.0, transcript=True)
        (recording,) = lab.fetch(options=options, is_fetched=is_fetched).recordings
        file = recording.folder / "source/transcript.json"
        if said is None:
            assert json.loads(file.read_text("utf-8")) == rows
            (again,) = lab.fetch(options=options, is_fetched=is_fetched).recordings
            assert again.reused
        else:
            (note,) = (f for f in recording.meeting.findings if f.code == "no_transcript")
            assert (said in note.message, note.severity, file.exists()) == (True, "note", False)
    assert recording.status == "complete"
    assert len(lab.asked("/store/5f9a1c3e-1111-4222-8333-444455556666/parts/")) == 2, "fetched once"


def test_title_metadata_and_lasting_ids_come_with_a_recording(lab: Lab) -> None:
    make_meeting(lab.folder)
    ids = {"google_meet": {"static_participant_id": "spaces/1"}}
    more = {"title": "Budget", "bot_metadata": {"team": "sales"}, "recording_metadata": {"room": None}}
    after(lab.folder / "meeting.json", lambda content: content.update(**more, platform="google_meet"))
    for row in ("participants", "parts"):
        after(
            lab.folder / "meeting.json",
            lambda c, row=row: (c[row][0].get("participant") or c[row][0]).update(extra_data=ids),
        )
    with lab.serve():
        (recording,) = lab.fetch().recordings
    document = read_json(recording.folder / "recording.json", "recording")
    assert (document["recording"]["title"], document["bot"]["platform"]) == ("Budget", "google_meet")
    assert document["bot"]["metadata"] == {"team": "sales"}
    assert document["recording"]["metadata"] == {"room": None}
    assert document["participants"][0]["extra_data"] == ids


def test_metadata_keeps_plain_values_and_leaves_out_the_rest() -> None:
    deep = {"a": "1", "n": 2, "b": True, "none": None, "list": [1], "object": {"x": 1}, "long": "x" * 99_999}
    kept = payloads.metadata(deep)
    assert {k: v for k, v in kept.items() if k != "long"} == {"a": "1", "n": 2, "b": True, "none": None}
    assert len(kept["long"]) == 16_384
    assert payloads.metadata("no object") == payloads.metadata(None) == {}
    assert len(payloads.metadata({str(n): "" for n in range(10_000)})) == 200


def test_create_bot_asks_for_both_artifacts(lab: Lab) -> None:
    with lab.serve() as server:
        made = create_bot(lab.settings, NewBot("https://zoom.us/j/123?pwd=x", name="N", separate="raw"))
    (created,) = server.created
    assert made == created["made"]["id"]
    assert created["sent"]["recording_config"] == {"audio_mixed_mp3": {}, "audio_separate_raw": {}}
    assert created["sent"]["bot_name"] == "N"


def test_a_bot_that_may_have_been_created_is_not_created_twice(lab: Lab) -> None:
    from recall_audio.standin import Fault

    with lab.serve(Fault("/bot/", [Reply(status=502)], method="POST")), pytest.raises(TransientError):
        create_bot(lab.settings, NewBot("https://zoom.us/j/123"))
    assert len(lab.server.requests) == 1


def test_a_bad_request_is_explained_without_the_key(lab: Lab) -> None:
    from recall_audio.standin import Fault

    body = json.dumps({"meeting_url": [f"Bad: {'canary-key-5f1e9c'} https://x.example/?s=1"]}).encode()
    refused = Reply(status=400, body=body)
    with lab.serve(Fault("/bot/", [refused], method="POST")), pytest.raises(ItemError) as caught:
        create_bot(lab.settings, NewBot("https://zoom.us/j/123"))
    lab.keep(caught.value)
    assert "meeting_url: Bad:" in caught.value.message
    assert "x.example" not in caught.value.message


@pytest.mark.parametrize(
    "wrong", [{"meeting_url": "zoom"}, {"name": "n" * 101}, {"name": ""}, {"join_at": "tomorrow"}]
)
def test_create_bot_refuses_what_cannot_be_right(lab: Lab, wrong: dict[str, str]) -> None:
    with lab.serve(), pytest.raises(UsageError):
        create_bot(lab.settings, NewBot(**{"meeting_url": "https://zoom.us/j/1", **wrong}))  # type: ignore[arg-type]
    assert lab.server.requests == []


# One bad row costs itself ---------------------------------------------------------------------------------


def event(person: object, action: str, relative: object) -> dict[str, object]:
    """A row of the participant events."""
    return {"participant": person, "action": action, "timestamp": {"relative": relative}}


def spoke(person: object, start_s: object, end: object) -> dict[str, object]:
    """A row of the speaker timeline."""
    return {"participant": person, "start_timestamp": {"relative": start_s}, "end_timestamp": end}


@pytest.mark.parametrize("odd", [event({**BOB, "id": None}, "join", 0.5), event(BOB, "leave", None), 7])
def test_a_row_of_events_that_cannot_be_used_is_left_out_alone_and_said(lab: Lab, odd: object) -> None:
    make_meeting(lab.folder)
    rows = [event(ANN, "join", 0.5), odd, event(BOB, "join", 0.2), event(ANN, "leave", 2.0)]
    after(lab.folder / "meeting.json", lambda content: content.update(events=rows))
    with lab.serve():
        (recording,) = lab.fetch().recordings
    assert recording.meeting.presence == (Presence(101, 0.2, None), Presence(100, 0.5, 2.0))
    (note,) = recording.meeting.findings
    assert (note.code, note.severity) == ("rows_dropped", "note")
    assert (
        note.message == "Left out of the participant events: 1 row that cannot be used; the others were read."
    )


@pytest.mark.parametrize("odd", [spoke({**ANN, "id": None}, 1.0, None), spoke(BOB, 1.0, {"relative": None})])
def test_a_row_of_the_timeline_that_cannot_be_used_is_left_out_alone_and_said(lab: Lab, odd: object) -> None:
    make_meeting(lab.folder)
    rows = [spoke(ANN, 0.5, None), odd, spoke(ANN, 2.0, {"relative": 2.5})]
    after(lab.folder / "meeting.json", lambda content: content.update(speaker_timeline=rows))
    with lab.serve():
        (recording,) = lab.fetch().recordings
    kept = read_json(recording.folder / "source/speaker_timeline.json", "speaker_timeline")["timeline"]
    assert [(row["start_s"], row["end_s"]) for row in kept] == [(0.5, None), (2.0, 2.5)]
    assert [f.code for f in recording.meeting.findings] == ["rows_dropped"]
    assert recording.meeting.spoke == (100,)


def test_who_spoke_is_known_by_events_and_timeline_together(lab: Lab) -> None:
    make_meeting(lab.folder)
    cem = {**BOB, "id": 102, "name": "Cem"}
    rows = {"events": [event(BOB, "speech_on", 0.5)], "speaker_timeline": [spoke(cem, 1.0, None)]}
    after(lab.folder / "meeting.json", lambda content: content.update(rows))
    with lab.serve():
        (recording,) = lab.fetch().recordings
    assert recording.meeting.spoke == (101, 102)
    assert [p.name for p in recording.meeting.participants] == ["Ann", "Bob", "Cem"], "named by it alone, too"


@pytest.mark.parametrize("change", [{"duration": -1}, {"duration": "x"}, {"participant": None}, {"id": ""}])
def test_a_part_whose_row_cannot_be_used_is_lost_alone_and_said(lab: Lab, change: dict[str, object]) -> None:
    make_meeting(lab.folder)
    after(lab.folder / "meeting.json", lambda content: content["parts"][1].update(change))
    with lab.serve():
        (recording,) = lab.fetch().recordings
    good, *lost = recording.meeting.parts
    assert good.media.file
    assert [p.media.problem for p in lost] == ([] if "participant" in change else ["bad_payload"])
    assert (recording.status, recording.code) == ("partial", "bad_payload")
    assert [f.code for f in recording.meeting.findings] == ["part_missing"]


def test_an_empty_list_of_parts_is_a_loss_and_said_plainly(lab: Lab) -> None:
    make_meeting(lab.folder)
    after(lab.folder / "meeting.json", lambda content: content.update(parts=[]))
    with lab.serve():
        (recording,) = lab.fetch().recordings
    assert (recording.status, recording.code) == ("partial", "no_parts")
    assert "The list of separate audio is empty" in recording.reason
    with (
        lab.serve(state=State(mixed="missing")),
        pytest.raises(ItemError, match="list of separate audio is empty"),
    ):
        lab.fetch()


def test_events_that_are_still_being_made_are_asked_for_again_without_another_download(lab: Lab) -> None:
    with lab.serve(state=State(events="processing")):
        (first,) = lab.fetch(is_fetched=has_media).recordings
    assert (first.status, first.meeting.presence) == ("complete", ())
    assert [f.code for f in first.meeting.findings] == ["events_waiting"]
    with lab.serve():
        (second,) = lab.fetch(is_fetched=has_media).recordings
        assert not lab.asked(".ogg"), "the audio is here"
        assert second.meeting.presence == (Presence(100, 0.0, 3.0), Presence(101, 0.0, 3.0))
        assert second.meeting.findings == ()
        (third,) = lab.fetch(is_fetched=has_media).recordings
    assert third.reused


def test_all_that_is_still_being_made_beside_the_audio_is_waited_for(lab: Lab) -> None:
    said = [{"participant": {"id": 100, "name": "Ann"}, "words": []}]
    make_meeting(lab.folder)
    after(lab.folder / "meeting.json", lambda content: content.update(title="Budget", transcript=said))
    with lab.serve(state=State(looks=2, transcript="done")):
        (recording,) = lab.fetch(options=FetchOptions(wait_s=5.0, transcript=True)).recordings
    assert recording.meeting.presence == (Presence(100, 0.0, 3.0), Presence(101, 0.0, 3.0))
    assert recording.meeting.recording["title"] == "Budget"
    assert json.loads(lab.source("transcript.json")) == said
    assert recording.meeting.findings == ()
