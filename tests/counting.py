"""Count the work of a job instead of its seconds, so that tests of cost do not depend on a clock."""

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import scipy.fft

from recall_audio import detector
from recall_audio.media.pcm_file import WorkWriter
from recall_audio.media.wav import StemWriter
from recall_audio.model.options import Options, StemOptions
from recall_audio.model.speech import Detector
from recall_audio.pipeline import manifest
from recall_audio.pipeline.manifest import Manifest
from recall_audio.pipeline.process import process
from recall_audio.pipeline.stems.track_reader import StemTrack
from recall_audio.typing import Float32Array


class Counts(Counter[tuple[str, str]]):
    """Amounts of work by kind, and by stage, file or participant.

    ===============  =======================  ============================================
    decodings        working file             times it was begun
    decoded          working file             samples put into it, at the source's rate
    asked            stage                    samples put to the voice detector
    transformed      stage                    points of Fourier transforms
    rendered         participant              samples put in their place on the mix's clock
    written          stem                     frames written
    hashed           file                     bytes
    calls            stage                    calls of Python functions
    ===============  =======================  ============================================
    """

    def of(self, what: str) -> dict[str, int]:
        """Return the amounts of one kind by name."""
        return {name: n for (kind, name), n in self.items() if kind == what}

    def total(self, what: str | None = None) -> int:
        """Return the sum of one kind, or of all."""
        return sum(self.of(what).values()) if what else super().total()


class Transforms:
    """A backend of scipy.fft that counts points and leaves the work to the usual one."""

    __ua_domain__ = "numpy.scipy.fft"

    def __init__(self, meter: "Meter") -> None:
        self._meter = meter

    def __ua_function__(self, method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with scipy.fft.skip_backend(self):
            result = method(*args, **kwargs)
        self._meter.transformed(args[0], result)
        return result


class Asked:
    """A detector that counts the samples it gets."""

    def __init__(self, behind: Detector, meter: "Meter") -> None:
        self._behind, self._meter = behind, meter

    def probabilities(self, stretches: Sequence[Float32Array]) -> list[Float32Array]:
        self._meter.add("asked", self._meter.stage, sum(len(s) for s in stretches))
        return self._behind.probabilities(stretches)


class Meter:
    """Counts of the work done while it is installed.

    Attributes:
        counts: so far.
        stage: the stage under way.
    """

    def __init__(self) -> None:
        self.counts, self.stage = Counts(), ""

    def add(self, kind: str, name: str, n: int) -> None:
        """Add to a count."""
        self.counts[kind, name] += n

    def transformed(self, before: Any, after: Any) -> None:
        """Count a transform's points: the larger of its input and its output."""
        self.add("transformed", self.stage, max(prod(np.shape(before)), prod(np.shape(after))))

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Wrap the functions that do the work; `patch` unwraps them."""
        self._wrap(patch, WorkWriter, "__enter__", lambda w: ("decodings", w.path.name, 1))
        self._wrap(patch, WorkWriter, "push", lambda w, block: ("decoded", w.path.name, len(block)))
        self._wrap(patch, StemTrack, "read", lambda v, a, b: ("rendered", v.label, b - a))
        self._wrap(patch, StemWriter, "write", lambda w, block: ("written", w.path.stem, len(block)))
        self._wrap(patch, manifest, "sha256", lambda path: ("hashed", path.name, path.stat().st_size))
        load_detector, run = detector.load_detector, Manifest.run
        patch.setattr(detector, "load_detector", lambda: Asked(load_detector(), self))

        def noted(own: Manifest, name: str, *rest: Any) -> None:
            self.stage = name
            run(own, name, *rest)

        patch.setattr(Manifest, "run", noted)
        for name in ("fft", "ifft", "rfft", "irfft"):
            patch.setattr(np.fft, name, self._counting(getattr(np.fft, name)))

    def _wrap(self, patch: pytest.MonkeyPatch, owner: Any, name: str, count: Any) -> None:
        behind = getattr(owner, name)

        def counted(*args: Any) -> Any:
            self.add(*count(*args))
            return behind(*args)

        patch.setattr(owner, name, counted)

    def _counting(self, transform: Any) -> Any:
        def counted(x: Any, *args: Any, **kwargs: Any) -> Any:
            result = transform(x, *args, **kwargs)
            self.transformed(x, result)
            return result

        return counted

    def called(self, _frame: FrameType, event: str, _arg: Any) -> None:
        """Count one call of a Python function; a callback for ``sys.setprofile``."""
        if event == "call":
            self.counts["calls", self.stage] += 1


@contextlib.contextmanager
def profiled(meter: Meter) -> Iterator[None]:
    """Count calls of Python functions within the block."""
    before = sys.getprofile()
    sys.setprofile(meter.called)
    try:
        yield
    finally:
        sys.setprofile(before)


ALL_STEMS = Options(stems=StemOptions(silent=True))
"""Stems of those who are not heard are counted too."""


def counted(folder: Path, options: Options = ALL_STEMS) -> Counts:
    """Process a recording's folder and return the counts of the whole job."""
    meter = Meter()
    with pytest.MonkeyPatch.context() as patch:
        meter.install(patch)
        with scipy.fft.set_backend(Transforms(meter)), profiled(meter):
            outcome = process(folder, options)
    assert outcome.status == "done", outcome
    return meter.counts
