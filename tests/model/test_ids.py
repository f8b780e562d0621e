"""Ids are recognised by one rule, and no id leads out of a folder or to a device."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_audio.model.labels import distinct_names, is_file_name, is_id, safe_id

USUAL = "5f9a1c3e-1111-4222-8333-444455556666"


@pytest.mark.parametrize("text", [USUAL, "a", "_a-", "-", "0" * 64, "CON"])
def test_letters_digits_and_two_marks_make_an_id(text: str) -> None:
    assert is_id(text)


@pytest.mark.parametrize("text", ["", "0" * 65, "../x", "a/b", "a b", "a.json", "ä", "٧", "a\n"])
def test_anything_else_is_none_and_no_file_name_either(text: str) -> None:
    assert not is_id(text)
    assert not is_file_name(text)
    assert is_file_name(safe_id(text))


@pytest.mark.parametrize("text", ["-rf", "_a", "CON", "nul", "Com1", "lpt9"])
def test_an_option_and_a_device_are_ids_and_get_another_file_name(text: str) -> None:
    assert is_id(text)
    assert not is_file_name(text)
    assert safe_id(text) != text
    assert is_file_name(safe_id(text))


def test_an_ordinary_id_is_its_own_file_name() -> None:
    assert safe_id(USUAL) == USUAL
    assert safe_id("console") == "console"


@given(st.text(max_size=80))
def test_every_text_gets_a_file_name_that_tells_it_from_others(text: str) -> None:
    assert is_file_name(safe_id(text))
    assert safe_id(text) == safe_id(text)
    assert safe_id(text + ".") != safe_id(text)


@given(st.lists(st.text(min_size=1, max_size=12), max_size=12))
def test_names_are_distinct_without_case_and_safe(ids: list[str]) -> None:
    names = distinct_names(ids)
    assert len({n.casefold() for n in names} | {"mixed"}) == len(ids) + 1
    assert all(n.isascii() and n.replace("-", "").replace("_", "").isalnum() and len(n) <= 70 for n in names)
