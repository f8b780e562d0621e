"""The page as text: what a browser would refuse, what a name could smuggle in, how large it becomes."""

import base64
import copy
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report.meetings import documents, hostile

from recall_audio.report import Assets, index_row, render, render_index
from recall_audio.report.formatting import spans_ms
from recall_audio.report.page import definitions
from recall_audio.report.recording_page import SCRIPTS
from recall_audio.report.summary import lede, plain
from recall_audio.report.timeline import audio_url
from recall_audio.report.values import speakers

KINDS = ("recording", "alignment", "speakers", "segments", "talk", "stems", "leakage", "run", "events")


class Page(HTMLParser):
    """A page's elements, attributes and text, as a browser's parser sees them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.inline: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self._inside = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag in self.inline:
            data = ("type", "application/json") in attrs
            self._inside = "data" if data else tag
            if not data:
                self.inline[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.inline:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in self.inline:
            self.inline[self._inside][-1] += data
        elif not self._inside:
            self.text += data


def data_of(html: str) -> dict[str, Any]:
    """The data a page carries, by a reader that takes no NaN."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    assert not set(found[1]) & set("<>&\u2028\u2029")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return dict(json.loads(found[1], parse_constant=refuse))


@pytest.fixture(scope="module")
def demo() -> dict[str, Any]:
    return documents(5, 600.0)


def test_the_policy_names_the_hash_of_each_inline_script_and_style_and_nothing_else(
    demo: dict[str, Any],
) -> None:
    page = Page(render(demo))
    policy = next(v for t, n, v in page.attributes if t == "meta" and n == "content" and "default-src" in v)
    rules = {name: rest for name, _, rest in (rule.strip().partition(" ") for rule in policy.split(";"))}
    assert rules["default-src"] == "'none'"
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in page.inline[tag]]
        assert len(hashes) == 1
        assert rules[rule] == f"'sha256-{hashes[0]}'"
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize(
    "html", [render(documents(5, 600.0, leaky=True)), render_index([{"bot_id": "b", "href": "a/b.html"}])]
)
def test_a_page_holds_nothing_that_its_own_policy_would_refuse_or_that_leads_outside(html: str) -> None:
    page = Page(html)
    assert not [a for a in page.attributes if a[1] == "style" or a[1].startswith("on")]
    addresses = [
        v for _, n, v in page.attributes if n in {"href", "src", "action", "srcset", "data", "poster"}
    ]
    assert all(re.match(r"#|data:,$|[\w%-][\w%./-]*$", a) for a in addresses)


def test_a_name_stays_text_in_the_page_and_in_its_data() -> None:
    meeting = hostile()
    html = render(meeting)
    page = Page(html)
    plain = Page(render(documents(4, 60.0)))
    # The hostile page has the elements of a plain one of as many people, in the same order, and no more.
    assert page.tags == plain.tags
    names = [lane["name"] for lane in data_of(html)["lanes"]]
    assert "<script>alert(1)</script>" in names
    assert any("]]>" in n and "\u2028" not in n for n in names)
    assert "<script>alert(1)</script>" in page.text
    html.encode("utf-8")
    assert not re.search("[\u202e\u2066\ud800-\udfff\x00\x1b]", html)


def test_numbers_that_json_does_not_know_are_shown_as_missing(demo: dict[str, Any]) -> None:
    talk = json.loads(json.dumps(demo["talk"]))
    first = next(iter(talk["speakers"].values()))
    first["share_of_talk"], first["talk_s"], talk["overlap_s"] = float("nan"), float("inf"), 1e999
    html = render({**demo, "talk": talk})
    assert data_of(html)["lanes"]
    assert not re.search(r"\b(nan|inf|infinity)\b", Page(html).text, re.IGNORECASE)


@pytest.mark.parametrize("missing", KINDS)
def test_a_missing_file_is_no_error(demo: dict[str, Any], missing: str) -> None:
    html = render({k: v for k, v in demo.items() if k != missing})
    if missing not in {"recording", "speakers", "events"}:
        assert f"no {missing}.json here" in Page(html).text


def test_an_empty_folder_gives_a_page_that_says_so() -> None:
    text = Page(render({})).text
    assert "No participants are known" in text
    assert "This folder does not hold" in text


WRONG = st.sampled_from(
    [None, "", "text", -1, 1e300, 1e999, float("nan"), [], {}, [None], {"a": []}, True, [[1]], "\ud800"]
)


SAID = {"start_s": 5.0, "end_s": 6.0, "speaker": "Ann_Lee", "text": "Shall we"}
WORDS = [{"text": "Shall", "start_s": 5.0, "end_s": None}, {"text": "we", "start_s": 5.5, "end_s": 6.0}]
SMALL = json.dumps({**documents(3, 30.0, leaky=True), "transcript": {"segments": [{**SAID, "words": WORDS}]}})


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_whatever_stands_in_a_file_the_page_is_made(data: st.DataObject) -> None:
    meeting = json.loads(SMALL)
    for _ in range(data.draw(st.integers(1, 6))):
        at: Any = meeting
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if not isinstance(at[key], dict | list) or data.draw(st.integers(0, 3)) == 0:
                at[key] = copy.deepcopy(data.draw(WRONG))
                break
            at = at[key]
    data_of(render(meeting))
    render_index([index_row(meeting, "a/report.html")])


def test_eight_hours_of_ten_people_who_never_stop_stay_under_3_mb() -> None:
    meeting = documents(10, 60.0)
    # A segment every 2.9 s of every speaker, none at a round millisecond: 99,000 of them.
    spoken = {
        label: [[t + 0.137 * k, t + 1.31 + 0.137 * k] for t in (2.9017 * i for i in range(9900))]
        for k, label in enumerate(meeting["segments"]["speakers"])
    }
    residuals = [[3.0 * i, 0.0123456789 * (i % 7), 0.5] for i in range(9600)]
    for part in meeting["alignment"]["parts"]:
        part["residuals"] = residuals
    meeting["alignment"]["mix"]["duration_s"] = meeting["talk"]["duration_s"] = 8 * 3600.0
    html = render({**meeting, "segments": {"speakers": spoken, "raw": spoken}})
    assert sum(len(lane["speech"]) for lane in data_of(html)["lanes"]) == 2 * 99_000
    assert len(html.encode()) < 3_000_000


def test_the_page_carries_every_stretch_of_speech_to_the_millisecond(demo: dict[str, Any]) -> None:
    lanes = {lane["name"]: lane["speech"] for lane in data_of(render(demo))["lanes"]}
    real = {label: s["name"] for label, s in demo["speakers"]["speakers"].items()}
    for label, rows in demo["segments"]["speakers"].items():
        t, back = 0, []
        for pause, length in zip(lanes[real[label]][::2], lanes[real[label]][1::2], strict=True):
            back.append([t + pause, t + pause + length])
            t += pause + length
        assert back == [[round(1000 * a), round(1000 * b)] for a, b in rows]


def test_spans_take_rows_in_any_order_and_leave_out_what_is_none() -> None:
    rows = [[3, 4], [1, 2], "x", [5], [2, 1], [None, 3], [float("nan"), 1], [3.5, 4.25]]
    assert spans_ms(rows).tolist() == [[1000, 2000], [3000, 4250]]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("source/mixed.mp3", "source/mixed.mp3"),
        ("stems/Jürgen #1?.wav", "stems/J%C3%BCrgen%20%231%3F.wav"),
        ("https://evil.example/x.mp3", None),
        ("//evil.example/x.mp3", None),
        ("javascript:alert(1).mp3", "javascript%3Aalert%281%29.mp3"),
        ("../../x.mp3", None),
        ("source/part.raw", None),
        ("", None),
        (None, None),
    ],
)
def test_audio_is_only_ever_beside_the_page(path: str | None, expected: str | None) -> None:
    assert audio_url(path) == expected


def test_the_page_plays_what_it_is_told_is_there(demo: dict[str, Any]) -> None:
    with_assets = data_of(render(demo, Assets(mix=None, stems={"Ann_Lee": "stems/Ann_Lee.flac"})))
    assert with_assets["mix"] is None
    assert [lane["stem"] for lane in with_assets["lanes"] if lane["stem"]] == ["stems/Ann_Lee.flac"]
    named = data_of(render(demo))
    assert named["mix"] == "source/mixed.mp3"
    assert all(lane["stem"].startswith("stems/") for lane in named["lanes"])


def test_a_batch_is_listed_with_its_reports_and_the_reasons_of_what_failed(demo: dict[str, Any]) -> None:
    rows = [
        index_row(demo, "b1/r1/report.html"),
        {"bot_id": "b2", "status": "failed", "reason": "It is <gone>.", "href": "javascript:alert(1)"},
        {"bot_id": "b3", "status": "waiting", "href": "https://evil.example/"},
        {},
    ]
    html = render_index(rows)
    page = Page(html)
    links = [v for t, n, v in page.attributes if t == "a" and n == "href" and not v.startswith("#")]
    assert links == ["b1/r1/report.html", "javascript%3Aalert%281%29"]
    assert "It is <gone>." in page.text
    assert "4 recordings, 3 not done." in page.text
    assert page.tags.count("tr") == 1 + 4


def test_every_template_and_script_is_used_by_a_page() -> None:
    folder = files("recall_audio.report") / "templates"
    sources = {entry.name: entry.read_text("utf-8") for entry in folder.iterdir() if entry.is_file()}
    uses = re.compile(r'{% (?:include|extends|from) "([^"]+)"')
    named = {name for text in sources.values() for name in uses.findall(text)}
    # Those that the code names: two pages, their scripts and the style sheet.
    assert set(sources) == named | {
        "report.html",
        "index.html",
        "page.css",
        "definitions.toml",
        "index.js",
        *SCRIPTS,
    }


def with_intervals(meeting: dict[str, Any], half: float = 0.02) -> dict[str, Any]:
    """The meeting with an interval about each share, as talk.json holds them."""
    for s in meeting["talk"]["speakers"].values():
        if s["share_of_talk"] is not None:
            s["share_of_talk_low"] = max(0.0, s["share_of_talk"] - half)
            s["share_of_talk_high"] = s["share_of_talk"] + half
    return meeting


def lede_of(*talk_s: float | None, half: float = 0.0) -> str:
    """The sentence about people called A, B, ... who talk so long."""
    known = [t for t in talk_s if t is not None]
    speakers_json, talk = {}, {}
    for label, t in zip("ABCDEFGH", talk_s, strict=False):
        speakers_json[label] = {"participant_id": ord(label), "name": label}
        share = None if t is None or not sum(known) else t / sum(known)
        talk[label] = {
            "talk_s": t,
            "share_of_talk": share,
            **({"talk_s_reason": "lost"} if t is None else {}),
        }
        if share is not None and half:
            talk[label] |= {"share_of_talk_low": share - half, "share_of_talk_high": share + half}
    meeting = {
        "speakers": {"speakers": speakers_json},
        "talk": {"speakers": talk},
        "segments": {"speakers": {}},
    }
    return plain(lede(speakers(meeting)))


@pytest.mark.parametrize(
    ("talk_s", "half", "sentence"),
    [
        (
            (38, 37, 25, 0),
            0,
            "A and B shared most of the talk (38 % and 37 %); D was there and said nothing",
        ),
        ((50, 30), 0, "A did most of the talking (62 %)."),
        ((55, 45), 0, "A and B shared the talk (55 % and 45 %)."),
        ((90, 5, 5), 0, "A did most of the talking (90 %)."),
        ((60,), 0, "A did all the talking."),
        ((30, 25, 25, 20), 0, "A, B, C and D shared the talk about evenly."),
        ((30, 20, 20, 10, 10), 0, "A spoke most (33 %), then B (22 %)."),
        ((30, 28, 20, 6, 6), 0.03, "A and B spoke most, about as much as each other (33 %)."),
        ((0, 0), 0, "No one spoke."),
        ((None, None), 0, "Of no one is it known whether they spoke; how much A and B spoke is not known."),
        (
            (5, None, 0),
            0,
            "A did all the talking; C was there and said nothing; how much B spoke is not known",
        ),
        ((9, 0, 0, 0, 0, 0), 0, "A did all the talking; B, C, D and 2 others were there and said nothing."),
    ],
)
def test_one_sentence_says_who_spoke(talk_s: tuple[float | None, ...], half: float, sentence: str) -> None:
    assert lede_of(*talk_s, half=half).rstrip(".") == sentence.rstrip(".")


def test_the_first_screen_has_title_date_sentence_shares_with_intervals_and_what_to_know() -> None:
    meeting = with_intervals(documents(5, 600.0, leaky=True))
    meeting["recording"]["recording"]["title"] = "Budget"
    html = render(meeting)
    first = Page(html[: html.index('<main id="main">')]).text
    words = " ".join(first.split())
    for wanted in ("Budget", "20 November 2026, 09:00 UTC", "0:10:00", "said nothing.", "1 thing matters"):
        assert wanted in words
    top = max(meeting["talk"]["speakers"].values(), key=lambda s: s["talk_s"])
    low, high = 100 * top["share_of_talk_low"], 100 * top["share_of_talk_high"]
    assert f"{low:.1f}–{high:.1f} %" in words
    assert f'd="M{low:.2f} 5H{high:.2f}"' in html
    assert words.count("was put down to others") == 1, "what to know stands once"
    assert re.search(r"<title>Budget · 20 November 2026, 09:00 UTC</title>", html)


def test_a_meeting_without_a_title_is_called_after_its_people_not_after_the_bot(demo: dict[str, Any]) -> None:
    assert re.search(r"<title>Meeting of [^<]* and 3 more · 20 November 2026", render(demo))


def test_every_figure_says_what_it_is_in_the_words_of_its_definition(demo: dict[str, Any]) -> None:
    html = render(demo)
    page = Page(html)
    asked = {v for t, n, v in page.attributes if t == "a" and n == "href" and v.startswith("#d-")}
    defined = {f"#{v}" for _, n, v in page.attributes if n == "id" and v.startswith("d-")}
    assert asked <= defined
    assert len(asked) >= 20
    found = definitions(demo)
    assert "up to 1.5 s" in found["turns"].meaning
    demo["run"]["parameters"]["talk"]["turn_join_s"] = 2.5
    assert "up to 2.5 s" in definitions(demo)["turns"].meaning
    # What a definition names exists in the files.
    words = dict.fromkeys(("words_per_minute", "share_of_talk_low", "share_of_talk_high"), 0)
    talk = json.dumps({**documents(3, 60.0)["talk"], **words})
    for key, definition in found.items():
        if definition.field.startswith("talk.json"):
            for name in re.findall(r"[a-z]+_[a-z_]+", definition.field):
                assert f'"{name}' in talk, (key, name)


def test_every_table_and_picture_can_be_saved_under_its_name(demo: dict[str, Any]) -> None:
    page = Page(render(with_intervals(documents(3, 60.0, leaky=True))))
    tables = page.tags.count("table")
    assert len([1 for t, n, _ in page.attributes if t == "table" and n == "data-save"]) == tables
    pictures = [v for t, n, v in page.attributes if t == "svg" and n == "data-picture"]
    assert {"talk over time", "how many at once"} <= set(pictures)


def test_files_beside_the_page_are_linked(demo: dict[str, Any]) -> None:
    page = Page(render(demo))
    links = {v for t, n, v in page.attributes if t == "a" and n == "href" and not v.startswith("#")}
    assert {"source/mixed.mp3", "talk.json", "segments.json", "segments.rttm", "alignment.json"} <= links
    assert len([v for v in links if v.startswith("stems/")]) == 5
    assert "transcript.json" not in links


def said(start_s: float, end_s: float, speaker: str | None, *words: str) -> dict[str, Any]:
    step = (end_s - start_s) / max(len(words), 1)
    timed = [{"text": w, "start_s": start_s + i * step, "end_s": None} for i, w in enumerate(words)]
    text = " ".join(words)
    return {"start_s": start_s, "end_s": end_s, "speaker": speaker, "text": text, "words": timed}


def test_the_page_carries_the_transcript_with_the_place_of_each_word(demo: dict[str, Any]) -> None:
    segments = [
        said(5.0, 6.0, "Ann_Lee", "Shall", "we"),
        said(1.0, 2.0, "Björn_Ås", "<b>Hi</b>"),
        {**said(7.0, 8.0, None, "one"), "words": []},
        {**said(9.0, 8.0, "Ann_Lee", "backwards")},
        {"start_s": 3.0, "text": 5},
        "no segment",
    ]
    data = data_of(render({**demo, "transcript": {"segments": segments}}))
    names = [lane["name"] for lane in data["lanes"]]
    ann, bob = names.index("Ann Lee"), names.index("Björn Ås")
    assert data["transcript"] == [
        [1000, 1000, bob, "<b>Hi</b>", [0]],
        [5000, 1000, ann, "Shall we", [0, 50]],
        [7000, 1000, -1, "one"],
    ]


def test_words_and_questions_are_shown_where_there_is_a_transcript(demo: dict[str, Any]) -> None:
    assert 'data-key="questions"' not in render(demo)
    meeting = copy.deepcopy(demo)
    meeting["talk"]["speakers"]["Ann_Lee"] |= {"words": 1234, "words_per_minute": 151.4, "questions": 7}
    html = render(meeting)
    [row] = [r for r in re.findall(r"<tr>.*?</tr>", html, re.DOTALL) if 'data-v="1234"' in r]
    assert "Ann Lee" in row
    assert all(f">{shown}</td>" in row for shown in ("1\u202f234", "151", "7"))
    assert 'data-v="151.4"' in row


def test_ids_and_metadata_of_a_meeting_are_on_the_page(demo: dict[str, Any]) -> None:
    meeting = copy.deepcopy(demo)
    meeting["recording"]["bot"]["metadata"] = {"team": "sales"}
    text = Page(render(meeting)).text
    assert "sales" in text
    assert meeting["recording"]["bot"]["id"] in text


def meeting_of(number: int, *people: tuple[str, str | None, float | None]) -> dict[str, Any]:
    """A row of the index: name, email and talk of each person."""
    meeting = documents(len(people), 60.0)
    known = sum(t for _, _, t in people if t is not None)
    labels = list(meeting["talk"]["speakers"])
    for label, (name, email, talk_s) in zip(labels, people, strict=True):
        meeting["speakers"]["speakers"][label] |= {"name": name, "email": email}
        share = None if talk_s is None else talk_s / known
        figures = {"talk_s": talk_s, "share_of_talk": share}
        reason = {"talk_s_reason": "lost"} if talk_s is None else {}
        meeting["talk"]["speakers"][label] = figures | reason
    meeting["recording"]["recording"] |= {
        "id": f"r{number}",
        "started_at": f"2026-01-{10 - number:02d}T09:00:00Z",
    }
    meeting["recording"]["bot"] |= {
        "platform": "zoom" if number % 2 else "webex",
        "metadata": {"team": "sales"},
    }
    return index_row(meeting, f"b/r{number}/report.html")


def test_people_are_found_again_by_email_and_else_by_name_with_their_shares_in_order_of_time() -> None:
    rows = [
        meeting_of(1, ("Ann Lee", "ann@x.org", 30.0), ("Bob", None, 10.0)),
        meeting_of(2, ("A. Lee", "ANN@x.org", 10.0), ("bob", None, 30.0)),
        meeting_of(3, ("Ann Lee", "other@x.org", 5.0), ("Bob", None, None), ("Cem", None, 0.0)),
    ]
    data = data_of(render_index(rows))
    assert [m["started"][:10] for m in data["meetings"]] == ["2026-01-07", "2026-01-08", "2026-01-09"]
    talk = {p["name"]: [(i, share) for i, share, *_ in p["talk"]] for p in data["people"]}
    assert talk["A. Lee"] == [(1, 0.25), (2, 0.75)]
    assert talk["Ann Lee"] == [(0, 1.0)], "another email is another person"
    assert talk["Bob"] == [(0, None), (1, 0.75), (2, 0.25)]
    assert talk["Cem"] == [(0, 0.0)]
    page = Page(render_index(rows))
    assert "matched by their name" in page.text
    options = [v for t, n, v in page.attributes if t == "tr" and n == "data-platform"]
    assert options == ["Zoom", "Webex", "Zoom"]
