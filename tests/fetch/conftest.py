"""Every fetch test runs in a lab, and every lab is searched for secrets and leftovers."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from fetch.lab import Lab


@pytest.fixture
def lab(tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[Lab]:
    caplog.set_level(logging.DEBUG)
    made = Lab(tmp_path)
    yield made
    shown = capfd.readouterr()
    made.said += [shown.out, shown.err, caplog.text]
    made.assert_clean()
