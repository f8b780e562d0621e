"""A label is safe wherever it is written, and tells every two participants apart."""

import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_audio.model.labels import make_labels, safe_name, speakers_json
from recall_audio.model.meeting import Participant

# Anything a JSON parser may hand over, lone surrogates included, with what is awkward made frequent.
AWKWARD = st.sampled_from([*"aAéß.-_/\\: \t\n\x00\x1b|<>=+@'\"%$", "\ud800", "\u202e", "\u0301", "ﬁ", "🎉"])
KNOWN = ["CON", "nul", "com1", "COM¹", "..", "../../x", "C:\\x", "🎉" * 400, "Ann", "ann", "Ann_2", "overlap"]
ANYTHING = st.text(st.one_of(st.characters(), st.characters(categories=["Cs"]), AWKWARD), max_size=80)
NAMES = st.one_of(st.none(), ANYTHING, st.sampled_from(KNOWN))


def people(*names: str | None) -> list[Participant]:
    return [Participant(100 + i, name) for i, name in enumerate(names)]


def labels(*names: str | None) -> list[str]:
    return list(make_labels(people(*names)).values())


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Ann Lee", "Ann_Lee"),
        ("../../x", "x"),
        ("C:\\x", "C_x"),
        ("CON", "CON_"),
        ("com¹", "com1_"),
        ("nul.txt", "nul_txt"),
        ("=HYPERLINK(1)", "HYPERLINK_1"),
        ("a\u202eb\x00c\u200bd", "abcd"),
        ("Jos\u0065\u0301", "José"),
        ("ｗｉｄｅ", "wide"),
        ("Ann\ud800Lee", "Ann_Lee"),
        ("\x1b[31mred", "31mred"),
        ("-rf", "rf"),
        ("王 小明", "王_小明"),
        ("🎉" * 400, "🎉" * 15),
        ("Overlap", "Overlap_"),
    ],
)
def test_a_name_becomes_the_label_one_would_write_by_hand(name: str, label: str) -> None:
    assert safe_name(name) == label


@pytest.mark.parametrize("name", [None, "", "..", "   ", "///", "\u202e", "\u3164", "_-_", "\u0301"])
def test_a_name_with_nothing_to_read_in_it_is_the_participants_id(name: str | None) -> None:
    assert labels(name) == ["participant_100"]


def test_twins_are_told_apart_in_the_apis_order() -> None:
    assert labels("Ann", "Ann") == ["Ann", "Ann_2"]
    assert labels("Ann", "ann", "ANN") == ["Ann", "ann_2", "ANN_3"]
    assert labels("Iı", "iI") == ["Iı", "iI_2"]
    assert labels("José", "Jose\u0301") == ["José", "José_2"]
    assert labels("Ann", "Ann_2", "Ann") == ["Ann", "Ann_2", "Ann_3"]
    assert labels("participant_101", None) == ["participant_101", "participant_101_2"]


def test_twins_of_the_longest_length_still_differ_within_the_limit() -> None:
    made = labels(*["Ü" * 100] * 12)
    assert len(set(made)) == 12
    assert max(len(label.encode()) for label in made) <= 60


def test_an_id_named_twice_has_one_label() -> None:
    assert make_labels([Participant(1, "Ann"), Participant(1, "Ann")]) == {1: "Ann"}


@given(st.lists(NAMES, max_size=12))
def test_any_names_give_labels_that_no_file_system_takes_for_one_another(names: list[str | None]) -> None:
    made = labels(*names)
    assert len(made) == len(names)
    for view in (str.casefold, str.lower, str.upper, lambda s: unicodedata.normalize("NFD", s)):
        assert len({view(label) for label in made}) == len(names)


@given(NAMES)
def test_a_label_of_any_name_is_one_plain_word_of_at_most_60_bytes(name: str | None) -> None:
    label = safe_name(name)
    assert 0 < len(label.encode("utf-8")) <= 60
    assert len(label.split()) == 1
    assert label.isprintable()
    assert PureWindowsPath(f"{label}.wav").name == PurePosixPath(f"{label}.wav").name == f"{label}.wav"
    assert not PureWindowsPath(f"{label}.wav").is_reserved()
    assert not set(label) & set('<>:"/\\|?*.=+@\t\r\n')
    assert label[0] not in "-_"


@given(NAMES)
def test_a_label_is_its_own_label(name: str | None) -> None:
    assert safe_name(safe_name(name)) == safe_name(name)


@given(st.lists(NAMES, max_size=8))
def test_labels_depend_on_nothing_but_the_list(names: list[str | None]) -> None:
    assert make_labels(people(*names)) == make_labels(people(*names))
    # Whoever joins later changes nobody's label.
    assert list(make_labels(people(*names, "Ann")).items())[: len(names)] == list(
        make_labels(people(*names)).items()
    )


def test_speakers_json_maps_a_label_to_the_exact_name_and_ids() -> None:
    ann = Participant(7, "Ann\u202e /Lee", True, "desktop", "a@b.c", {"zoom": {"conf_user_id": "x"}})
    assert speakers_json([ann], make_labels([ann])) == {
        "speakers": {
            "Ann_Lee": {
                "participant_ids": [7],
                "name": "Ann\u202e /Lee",
                "is_host": True,
                "platform": "desktop",
                "email": "a@b.c",
                "extra_data": {"zoom": {"conf_user_id": "x"}},
            }
        }
    }
