"""The faults that tests/benchmarks/mutations.py puts in by hand can be put in: none of them rots."""

from collections import Counter
from pathlib import Path

import pytest
from benchmarks.chosen_faults import FAULTS, Fault

PACKAGE = Path(__file__).resolve().parents[1] / "recall_audio"


def test_there_are_seventeen_faults_an_area() -> None:
    assert set(Counter(fault.area for fault in FAULTS).values()) == {17}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.area}: {fault.what}")
def test_fault_changes_its_module_in_one_place_and_leaves_it_python(fault: Fault) -> None:
    before, after = fault.applied(PACKAGE)
    assert before != after
    compile(after, fault.module, "exec")
