"""The pure half: answers to values or errors, whatever the bytes."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from recall_audio.errors import ItemError, RecallAudioError, TransientError
from recall_audio.fetch import participants
from recall_audio.fetch.api import payloads, protocol
from recall_audio.fetch.api.protocol import Answer, RequestFacts
from recall_audio.fetch.download import resume
from recall_audio.fetch.participants import read_parts

REQUEST = RequestFacts("bot 7", "region us-west-2", "RECALL_API_KEY", 1_700_000_000.0)
NUMBERS = st.integers() | st.floats() | st.booleans() | st.none()
WORDS = """id status code recordings media_shortcuts audio_mixed data download_url participant start_timestamp
relative duration status_changes results next action timestamp name"""
KEYS = st.sampled_from(WORDS.split())
ANYTHING = st.recursive(
    NUMBERS | st.text(max_size=9) | st.sampled_from(["join", "leave", "done"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)


def code_of(call: Callable[[], Any]) -> str | None:
    """Code of the error that a call raises, None where it returns; any other exception fails the test."""
    try:
        call()
    except RecallAudioError as error:
        return error.code
    return None


@given(ANYTHING)
@settings(max_examples=300, deadline=None)
def test_whatever_the_json_a_reader_gives_a_value_or_bad_payload(value: Any) -> None:
    readers = [
        payloads.bot,
        payloads.recording,
        read_parts,
        payloads.page,
        participants.events,
        participants.participants,
    ]
    for reader in (*readers, lambda v: payloads.artifact("audio_mixed", v)):
        assert code_of(lambda reader=reader: reader(value)) in (None, "bad_payload")


@given(st.binary(max_size=200) | ANYTHING.map(lambda v: json.dumps(v).encode()))
@settings(max_examples=300, deadline=None)
def test_whatever_the_bytes_parsing_gives_strict_json_or_an_item_error(body: bytes) -> None:
    code = code_of(lambda: protocol.parse_json(body, "it"))
    assert code in (None, "bad_json", "bad_payload")
    if code is None:
        json.dumps(protocol.parse_json(body, "it"), allow_nan=False)


@given(
    st.integers(100, 599),
    st.dictionaries(st.sampled_from(["Retry-After", "Content-Type", "Location"]), st.text(max_size=20)),
    st.binary(max_size=100),
)
@settings(max_examples=300, deadline=None)
def test_every_answer_is_a_value_or_an_error_of_ours(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    answer = Answer(status, CaseInsensitiveDict(headers), body)
    code = code_of(lambda: protocol.value(answer, REQUEST))
    assert code is not None or status in (200, 201)


def test_row_8_depth_is_no_recursion_error() -> None:
    for depth in (65, 1000, 100_000):
        with pytest.raises(ItemError) as caught:
            protocol.parse_json(b"[" * depth + b"]" * depth, "it")
        assert caught.value.code == "bad_payload"
    assert protocol.parse_json(b"[" * 60 + b"]" * 60, "it")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("Tue, 14 Nov 2023 22:13:10 GMT", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        ("9" * 30, None),
        ("٧", None),
    ],
)
def test_row_4_retry_after_is_read_only_if_it_makes_sense(text: str, seconds: float | None) -> None:
    assert protocol.retry_after_s({"Retry-After": text}, 1_700_000_000.0) == seconds


def test_retry_at_is_the_time_of_the_answer_and_the_wait() -> None:
    error = protocol.error(Answer(429, {"Retry-After": "60"}, b""), REQUEST)
    assert isinstance(error, TransientError)
    assert error.facts["retry_at"] == "2023-11-14T22:14:20+00:00"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e9, True, "3", None, 10**400])
def test_a_time_is_a_finite_number_within_reason(value: Any) -> None:
    with pytest.raises(ItemError):
        payloads.seconds(value, "it")


@pytest.mark.parametrize("value", [True, 1.0, "1", None, 2**63])
def test_a_participants_id_is_a_whole_number(value: Any) -> None:
    with pytest.raises(ItemError):
        payloads.integer(value, "it")


def test_a_code_of_tomorrow_with_an_address_is_done_and_without_one_under_way() -> None:
    with_url = {"id": "a", "status": {"code": "polished"}, "data": {"download_url": "https://h/x"}}
    assert payloads.artifact("audio_mixed", with_url).is_done
    assert payloads.artifact("audio_mixed", {**with_url, "data": None}).is_under_way


def test_no_repr_shows_an_address() -> None:
    url = "https://h/x?Signature=canary"
    found = payloads.artifact("audio_mixed", {"id": "a", "status": {}, "data": {"download_url": url}})
    part = {"id": "p", "participant": {"id": 1}, "start_timestamp": {"relative": 0}, "download_url": url}
    assert "canary" not in repr(found) + repr(read_parts([part]))


LENGTH = 50
Part = tuple[int, int, int, str | None]
"""First and last byte and total of a Content-Range, and an ETag or None."""


@st.composite
def answers_to_a_range(draw: st.DrawFn) -> tuple[int, Part]:
    """Bytes on disk and an answer: the exact continuation, the same with one fact changed, or anything."""
    on_disk = draw(st.integers(1, LENGTH - 1))
    etag = draw(st.sampled_from(['"a"', None]))
    exact: Part = (on_disk, draw(st.integers(on_disk, LENGTH - 1)), LENGTH, etag)
    anything = st.tuples(
        st.integers(0, 60), st.integers(0, 60), st.integers(1, 60), st.sampled_from(['"a"', '"b"', None])
    )
    kind = draw(st.sampled_from(["exact", "exact", "start", "end", "total", "etag", "any", "empty"]))
    start, end, total, etag = exact
    changed: dict[str, Part] = {
        "exact": exact,
        "start": (draw(st.integers(0, LENGTH)), end, total, etag),
        "end": (start, draw(st.integers(0, 60)), total, etag),
        "total": (start, end, draw(st.integers(end + 1, 60)), etag),
        "etag": (start, end, total, '"b"'),
        "any": draw(anything),
        "empty": (0, end, total, etag),
    }
    return (0 if kind == "empty" else on_disk), changed[kind]


def test_row_18_only_the_exact_continuation_is_appended() -> None:
    reached: Counter[str] = Counter()

    @given(answers_to_a_range())
    @settings(max_examples=500, deadline=None)
    def holds(case: tuple[int, Part]) -> None:
        n_bytes, (start, end, total, etag) = case
        on_disk = resume.Have(n_bytes, '"a"', LENGTH)
        headers = {"Content-Range": f"bytes {start}-{end}/{total}"} | ({"ETag": etag} if etag else {})
        step = resume.next_step(206, headers, on_disk, 10**9)
        assert step is not None
        facts = {
            "bytes": n_bytes > 0,
            "start": start == n_bytes,
            "end": start <= end < total,
            "total": total == LENGTH,
            "etag": etag in (None, '"a"'),
        }
        wrong = [name for name, is_right in facts.items() if not is_right]
        assert (step.action == "write") == (not wrong)
        assert step.have == (resume.Have() if wrong else on_disk)
        reached[wrong[0] if len(wrong) == 1 else "several" if wrong else "exact"] += 1

    holds()
    examples = reached.total()
    assert reached["exact"] >= examples / 5, "the exact continuation is common"
    assert all(reached[only] >= 5 for only in ("bytes", "start", "end", "total", "etag")), (
        "each fact is wrong alone"
    )


@pytest.mark.parametrize("etag", ['W/"a"', "a", "", '"a\n"'])
def test_a_weak_etag_is_never_resumed_on(etag: str) -> None:
    step = resume.next_step(200, {"ETag": etag, "Content-Length": "9"}, resume.Have(), 100)
    assert step is not None
    assert resume.range_headers(resume.Have(5, step.have.etag, 9)) == {}


def bot_with(code: str, *recordings: str) -> payloads.Bot:
    """A bot with a last status, and recordings with theirs."""
    rows = [{"id": f"r{i}", "status": {"code": status}} for i, status in enumerate(recordings)]
    return payloads.bot({"id": "b", "status_changes": [{"code": code}], "recordings": rows})


@pytest.mark.parametrize(
    ("code", "recordings", "is_over"),
    [
        ("done", ("done",), True),
        ("fatal", (), True),
        ("media_expired", (), True),
        ("analysis_done", ("done",), True),
        ("analysis_failed", ("done",), True),
        ("call_ended", ("done", "failed"), True),
        ("call_ended", ("done", "processing"), False),
        ("call_ended", (), False),
        ("recording_permission_denied", (), True),
        ("recording_permission_denied", ("done",), False),
        ("in_call_recording", ("processing",), False),
        ("breakout_room_entered", (), False),
        ("participant_in_waiting_room", ("done",), False),
        ("a_code_of_next_year", ("done",), False),
    ],
)
def test_only_codes_known_to_be_final_end_a_bot(
    code: str, recordings: tuple[str, ...], is_over: bool
) -> None:
    found = bot_with(code, *recordings)
    assert (not found.is_under_way, found.facts["is_over"]) == (is_over, is_over)
