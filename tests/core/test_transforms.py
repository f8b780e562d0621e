"""Transforms give what SciPy's give."""

import numpy as np
import pytest
import scipy.fft
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st

from recall_audio.core.transforms import (
    fast_length,
    irfft,
    rfft,
    sliding_highest,
    sliding_lowest,
    sliding_mean,
)
from recall_audio.typing import Float32Array

SHAPES = st.tuples(st.integers(1, 80), st.integers(1, 3))


def values(shape: tuple[int, ...], seed: int = 0) -> Float32Array:
    """Return float32 noise."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("n", [1, 2, 48, 400, 512, 513])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_transform_is_that_of_scipy_in_single_precision_and_comes_back(n: int, axis: int) -> None:
    x = values((400, 400))
    spectrum = rfft(x, n, axis)
    assert spectrum.dtype == np.complex64
    np.testing.assert_allclose(spectrum, scipy.fft.rfft(x, n, axis), atol=1e-4)
    back = irfft(spectrum, n, axis)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, scipy.fft.irfft(scipy.fft.rfft(x, n, axis), n, axis), atol=1e-5)


@given(st.integers(1, 1 << 22))
def test_a_fast_length_is_that_of_scipy(n: int) -> None:
    assert fast_length(n) == scipy.fft.next_fast_len(n, real=True)


@given(SHAPES, st.integers(1, 40), st.integers(0, 1), st.integers(0, 99))
def test_sliding_values_are_those_of_scipy(shape: tuple[int, int], width: int, axis: int, seed: int) -> None:
    x = values(shape, seed)
    for outside, mode in (("nearest", "nearest"), ("zero", "constant")):
        expected = scipy.ndimage.uniform_filter1d(x.astype(np.float64), width, axis=axis, mode=mode)
        np.testing.assert_allclose(sliding_mean(x, width, axis, outside), expected, atol=1e-6)  # type: ignore[arg-type]
    highest = scipy.ndimage.maximum_filter1d(x, width, axis=axis, mode="nearest")
    np.testing.assert_array_equal(sliding_highest(x, width, axis), highest)
    lowest = scipy.ndimage.minimum_filter1d(x, width, axis=axis, mode="nearest")
    np.testing.assert_array_equal(sliding_lowest(x, width, axis), lowest)


@given(st.integers(1, 60), st.integers(1, 20), st.data())
def test_a_window_may_lie_anywhere_about_a_value(n: int, width: int, data: st.DataObject) -> None:
    x = values((n,), n)
    before = data.draw(st.integers(0, width - 1))
    expected = [x[max(i - before, 0) : i - before + width].min() for i in range(n)]
    np.testing.assert_array_equal(sliding_lowest(x, width, before=before), expected)
