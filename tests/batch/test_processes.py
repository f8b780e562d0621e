"""Row 39 of the reliability matrix: what one recording does to its process is that recording's own affair."""

import json
from collections.abc import Mapping

import pytest
from batch.lab import Lab

from recall_audio.fetch.api.settings import KEY_VARIABLE

ITEM_TIMEOUT_S = 5.0


def test_row_39_one_of_twelve_that_crashes_is_tried_twice_and_the_others_once(
    lab: Lab, undisturbed: Mapping[str, bytes]
) -> None:
    server = lab.serve(12)
    lab.poison(_4="segfault")
    first = lab.batch()
    ill = lab.served()[4].recording_id
    assert first.code == 5, "it may go better next time"
    assert first.statuses() == ["done"] * 4 + ["transient crashed"] + ["done"] * 7
    assert "SIGSEGV" in first.outcomes()[4]["message"]
    assert len(lab.tried()) == len(set(lab.tried())) == 12, "each once"
    spared = {n: b for n, b in undisturbed.items() if ill not in n}
    assert {n: b for n, b in lab.results().items() if ill not in n} == spared

    asked = len(server.requests)
    second = lab.batch()
    assert second.code == 1
    assert second.statuses()[4] == "failed crashed"
    assert "--force" in second.outcomes()[4]["message"]
    assert lab.tried()[12:] == [ill], "nobody else again"

    third = lab.batch()
    assert (third.code, third.statuses()[4]) == (1, "failed set_aside")
    assert len(lab.tried()) == 13, "set aside: not even tried"

    lab.poison()
    forced = lab.run("run", server.bot_ids[4], "--out", lab.out, "--json", "--force")
    assert (forced.code, forced.statuses()) == (0, ["done"])
    assert [o.status for o in lab.here()] == ["done"] * 12
    assert lab.results() == undisturbed
    assert {r.path.split("/")[2] for r in server.requests[asked:] if "/store/" in r.path} <= {ill}


@pytest.mark.parametrize(
    "ills",
    [
        {"_7": ("killed", "transient crashed")},
        {"_3": ("hang", "transient timeout"), "_7": ("deaf", "transient timeout")},
        {"_3": ("unforeseen", "failed unexpected"), "_7": ("unpicklable", "failed unexpected")},
    ],
    ids=lambda ills: " and ".join(ill for ill, _ in ills.values()),
)
def test_row_39_however_some_of_twelve_end_the_others_are_run_once(
    lab: Lab, ills: dict[str, tuple[str, str]]
) -> None:
    """The others do nothing here, so that the limit of time can be short."""
    lab.serve(12)
    lab.poison(light=True, **{place: ill for place, (ill, _) in ills.items()})
    ran = lab.batch("--jobs", "2", "--item-timeout", ITEM_TIMEOUT_S)
    assert ran.statuses() == [ills[f"_{i}"][1] if f"_{i}" in ills else "done" for i in range(12)]
    assert ran.code == (1 if "unforeseen" in str(ills) else 5)
    assert sorted(lab.tried()) == sorted(m.recording_id for m in lab.served())
    assert "canary-text" not in ran.out + ran.err + json.dumps(lab.journal()), "an exception's own words"


def test_an_item_that_fills_the_disk_ends_admission_with_exit_4_and_space_lets_it_go_on(
    lab: Lab, undisturbed: Mapping[str, bytes]
) -> None:
    """Row 36, in a worker: what is being processed is finished, nothing more is begun."""
    lab.serve(8)
    lab.poison(_0="full", light=True)
    ran = lab.batch()
    assert ran.code == 4
    assert "disk" in ran.err
    assert ran.statuses()[0] == "transient disk_full"
    assert len(lab.tried()) < 8
    lab.patch.undo()
    assert [o.status for o in lab.here()] == ["done"] * 8
    assert lab.results() == {n: b for n, b in undisturbed.items() if n.startswith(tuple(lab.server.bot_ids))}


def test_no_worker_ever_has_the_key_in_its_environment(lab: Lab) -> None:
    lab.serve(2)
    lab.poison(_0="environment", _1="environment", light=True)
    assert lab.batch().code == 0
    now, began = json.loads((lab.root / "environment.json").read_text())
    assert KEY_VARIABLE not in now
    assert KEY_VARIABLE not in began
    assert "RECALL_BASE_URL" in now, "the others are there"
