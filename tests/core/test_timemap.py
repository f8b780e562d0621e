"""The time map: invertible, monotone once repeats are dropped, the same after JSON."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recall_audio.model.alignment import TimeMap


@st.composite
def maps(draw: st.DrawFn) -> TimeMap:
    """Maps of up to six pieces with drift and steps up or down, no step down longer than what went before."""
    local, mix, knots = 0.0, draw(st.floats(-5, 50)), []
    for k in range(draw(st.integers(1, 6))):
        if k:
            mix += draw(st.floats(-3.0, 20.0))
        length = draw(st.floats(4.0, 300.0))
        rate = 1.0 + draw(st.floats(-200e-6, 200e-6))
        knots += [(local, mix), (local + length, mix + length * rate)]
        local, mix = knots[-1]
    return TimeMap(tuple(knots))


@given(maps())
def test_pieces_go_forwards_on_both_clocks(time_map: TimeMap) -> None:
    pieces = time_map.pieces()
    for piece in pieces:
        assert piece.local_end_s > piece.local_start_s
        assert piece.mix_end_s > piece.mix_start_s
    for one, two in pairwise(pieces):
        assert one.local_end_s <= two.local_start_s
        assert one.mix_end_s <= two.mix_start_s


@given(maps(), st.floats(0.001, 0.999))
def test_what_is_kept_comes_back_to_where_it_was(time_map: TimeMap, share: float) -> None:
    for piece in time_map.pieces():
        local = piece.local_start_s + share * (piece.local_end_s - piece.local_start_s)
        mix = float(time_map.to_mix(local))
        assert piece.mix_start_s - 1e-9 <= mix <= piece.mix_end_s + 1e-9
        assert float(time_map.to_local(mix)) == pytest.approx(local, abs=1e-7)


@given(maps())
def test_local_times_never_run_backwards_along_the_mix(time_map: TimeMap) -> None:
    mix = np.linspace(time_map.start_s - 10, time_map.end_s + 10, 2000)
    local = time_map.to_local(mix)
    assert np.all(np.diff(local[np.isfinite(local)]) >= -1e-9)


@given(maps())
def test_lost_audio_has_no_local_time_and_nothing_else_is_without(time_map: TimeMap) -> None:
    pieces = time_map.pieces()
    mix = np.linspace(time_map.start_s - 5, max(p.mix_end_s for p in pieces) + 5, 1500)
    inside = np.zeros(len(mix), dtype=bool)
    for piece in pieces:
        inside |= (mix >= piece.mix_start_s) & (mix <= piece.mix_end_s)
    inside |= (mix < pieces[0].mix_start_s) | (mix > pieces[-1].mix_end_s)
    # Float steps at an edge itself may fall to either side.
    edges = np.array([(p.mix_start_s, p.mix_end_s) for p in pieces]).ravel()
    clear = np.min(np.abs(mix[:, None] - edges), axis=1) > 1e-6
    assert np.array_equal(np.isfinite(time_map.to_local(mix))[clear], inside[clear])


@given(maps())
def test_json_keeps_the_map_to_the_nanosecond(time_map: TimeMap) -> None:
    again = TimeMap.from_json(time_map.to_json())
    assert again.to_json() == time_map.to_json()
    assert np.allclose(np.array(again.knots), np.array(time_map.knots), rtol=0.0, atol=1e-9)


@given(st.floats(-10, 1e4), st.floats(0.1, 3e4), st.floats(-200, 200))
def test_a_straight_map_is_start_and_drift(start_s: float, duration_s: float, drift_ppm: float) -> None:
    time_map = TimeMap.straight(start_s, duration_s, drift_ppm)
    assert time_map.start_s == pytest.approx(start_s)
    assert (time_map.pieces()[0].rate - 1.0) * 1e6 == pytest.approx(drift_ppm, abs=1e-3)
    assert float(time_map.to_mix(duration_s)) == pytest.approx(time_map.end_s)


def test_before_and_after_its_knots_a_map_goes_on_straight() -> None:
    time_map = TimeMap(((0.0, 5.0), (10.0, 15.0), (10.0, 17.0), (20.0, 27.0)))
    assert time_map.to_mix([-1.0, 25.0]).tolist() == [4.0, 32.0]
    assert time_map.to_local([4.0, 32.0]).tolist() == [-1.0, 25.0]


def test_a_moment_at_a_step_belongs_to_the_side_before_it() -> None:
    time_map = TimeMap(((0.0, 5.0), (10.0, 15.0), (10.0, 17.0), (20.0, 27.0)))
    assert time_map.to_mix([10.0, 10.000001]).tolist() == pytest.approx([15.0, 17.000001])
    assert np.isnan(time_map.to_local(16.0))


def test_a_repeat_is_dropped_from_the_pieces() -> None:
    time_map = TimeMap(((0.0, 0.0), (10.0, 10.0), (10.0, 8.0), (20.0, 18.0)))
    first, second = time_map.pieces()
    assert (first.local_end_s, first.mix_end_s) == (10.0, 10.0)
    assert (second.local_start_s, second.mix_start_s) == (12.0, 10.0)
    assert time_map.to_local([9.0, 11.0]).tolist() == [9.0, 13.0]


def test_a_repeat_longer_than_what_follows_leaves_nothing_of_it() -> None:
    time_map = TimeMap(((0.0, 0.0), (10.0, 10.0), (10.0, 4.0), (13.0, 7.0), (13.0, 10.0), (20.0, 17.0)))
    assert [p.local_start_s for p in time_map.pieces()] == [0.0, 13.0]


@pytest.mark.parametrize(
    "knots",
    [
        (),
        ((0.0, 0.0),),
        ((0.0, 0.0), (0.0, 1.0)),
        ((0.0, 0.0), (1.0, 0.0)),
        ((1.0, 0.0), (0.0, 1.0)),
        ((0.0, 0.0), (1.0, float("nan"))),
    ],
)
def test_what_does_not_go_forwards_is_no_map(knots: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match="knots"):
        TimeMap(knots)
