"""Scores follow their definitions, and a collar is given as what one side of an edge loses."""

import json
from pathlib import Path

import pytest

from recall_audio.errors import ItemError, UsageError
from recall_audio.results.score import score, score_recording

TRUE = ("true", {"A": [[0.0, 10.0]], "B": [[20.0, 30.0]]})


def test_a_perfect_account_has_no_error_and_another_naming_only_that_of_names() -> None:
    same = score(TRUE, ("x", TRUE[1]), 40.0)
    assert (same.der, same.ier, same.jer, same.detection_error) == (0.0, 0.0, 0.0, 0.0)
    renamed = score(TRUE, ("x", {"P": TRUE[1]["A"], "Q": TRUE[1]["B"]}), 40.0)
    assert (renamed.der, renamed.ier, renamed.jer) == (0.0, 1.0, 0.0)


@pytest.mark.parametrize(("collar_ms", "scored_s", "missed_s"), [(0, 20.0, 1.0), (250, 19.0, 0.75)])
def test_a_collar_of_250_ms_takes_250_ms_from_each_side(
    collar_ms: float, scored_s: float, missed_s: float
) -> None:
    found = score(TRUE, ("x", {"A": [[0.0, 9.0]], "B": [[20.0, 30.0]]}), 40.0, collar_ms)
    assert found.collar == f"±{collar_ms} ms"
    assert (found.scored_s, found.missed_s, found.false_alarm_s) == (scored_s, missed_s, 0.0)
    assert found.der == round(missed_s / scored_s, 4)


def test_each_error_is_counted_under_its_own_name() -> None:
    # 2 s of A missed, 3 s of B given to A, 4 s of silence; JER: 1 − 8/15 for A, 1 − 7/10 for B
    found = score(TRUE, ("x", {"A": [[2.0, 14.0], [20.0, 23.0]], "B": [[23.0, 30.0]]}), 40.0)
    assert (found.missed_s, found.false_alarm_s, found.confusion_s) == (2.0, 4.0, 3.0)
    assert found.der == 9 / 20
    assert found.jer == round(((1 - 8 / 17) + (1 - 7 / 10)) / 2, 4)
    assert found.detection_error == 6 / 20


def test_a_reference_without_speech_gives_reasons_and_no_rates() -> None:
    found = score(("r", {"A": []}), ("x", {"A": [[0.0, 1.0]]}), 10.0)
    assert (found.der, found.jer, found.detection_error) == (None, None, None)
    assert set(found.reasons) == {"der", "ier", "jer", "detection_error"}
    assert found.false_alarm_s == 1.0


def test_our_own_rttm_is_our_own_account_and_a_file_is_the_reference(processed_once: Path) -> None:
    none, wide = score_recording(processed_once, str(processed_once / "segments.rttm"))
    assert (none.reference, none.hypothesis) == ("segments.rttm", "segments")
    assert none.der == none.ier == none.jer == 0.0
    assert wide.scored_s < none.scored_s
    talk = json.loads((processed_once / "talk.json").read_text())
    assert none.scored_s == pytest.approx(talk["talk_s"], abs=0.05)


def test_the_platforms_timeline_is_judged_by_our_segments(processed_once: Path) -> None:
    (found,) = score_recording(processed_once, "speaker-timeline", collars_ms=(0.0,))
    # Late by half a second and blind to short turns by construction: far from perfect, and by the same names.
    assert (found.reference, found.hypothesis) == ("segments", "speaker-timeline")
    assert found.der is not None
    assert 0.2 < found.der < 0.7
    assert found.ier == found.der
    (turned,) = score_recording(processed_once, "speaker-timeline", "reference", (0.0,))
    assert turned.missed_s == pytest.approx(found.false_alarm_s, abs=0.002)


def test_what_is_no_account_is_refused(processed: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        score_recording(processed, str(tmp_path / "none.rttm"))
    broken = tmp_path / "broken.rttm"
    broken.write_text("hello world\n")
    with pytest.raises(ItemError, match="RTTM"):
        score_recording(processed, str(broken))
    (processed / "source" / "speaker_timeline.json").unlink()
    with pytest.raises(ItemError, match="timeline"):
        score_recording(processed, "speaker-timeline")
