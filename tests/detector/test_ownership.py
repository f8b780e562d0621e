"""The ownership networks are read as they were written, and compute what their layers say."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from recall_audio.detector import ownership
from recall_audio.errors import MachineError
from recall_audio.model.speech import Network, OwnershipModel


def network(seed: int, n_inputs: int = 5) -> Network:
    """A network of random weights that half precision holds exactly."""
    rng = np.random.default_rng(seed)

    def drawn(*shape: int) -> np.ndarray:
        return (rng.integers(-8, 9, shape) / 8).astype(np.float32)

    sizes = (n_inputs, 4, 3, 1)
    weights = tuple(drawn(a, b) for a, b in pairwise(sizes))
    biases = tuple(drawn(b) for b in sizes[1:])
    return Network(drawn(n_inputs), np.full(n_inputs, 2, dtype=np.float32), weights, biases)


def by_hand(net: Network, row: np.ndarray) -> float:
    """The log-odds of one row, unit by unit."""
    values = [
        0.0 if np.isnan(v) else min(max((v - c) / s, -4), 4)
        for v, c, s in zip(row, net.centre, net.scale, strict=True)
    ]
    for k, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
        sums = [sum(v * w for v, w in zip(values, weight[:, j], strict=True)) + b for j, b in enumerate(bias)]
        values = sums if k == 2 else [max(s, 0.0) for s in sums]
    return float(values[0])


def test_a_network_computes_its_layers_and_takes_the_unknown_for_the_centre() -> None:
    net = network(1)
    rows = np.random.default_rng(2).normal(0, 10, (20, 5)).astype(np.float32)
    rows[3, 2] = np.nan
    assert net.log_odds(rows) == pytest.approx([by_hand(net, row) for row in rows], rel=1e-4, abs=1e-4)


def test_a_model_averages_its_networks_and_is_calibrated() -> None:
    owners, deciders = (network(3), network(4)), (network(5, 7), network(6, 7))
    model = OwnershipModel(owners, deciders, (0.5, 0.25))
    rows = np.random.default_rng(7).normal(0, 1, (9, 5)).astype(np.float32)
    further = np.random.default_rng(8).normal(0, 1, (9, 2)).astype(np.float32)
    odds = np.mean([n.log_odds(rows) for n in owners], axis=0)
    assert model.guess(rows) == pytest.approx(1 / (1 + np.exp(-odds)), rel=1e-5)
    both = np.concatenate((rows, further), axis=1)
    odds = 0.5 * np.mean([n.log_odds(both) for n in deciders], axis=0) + 0.25
    assert model.decide(rows, further) == pytest.approx(1 / (1 + np.exp(-odds)), rel=1e-5)


def test_a_model_survives_its_file(tmp_path: Path) -> None:
    model = OwnershipModel((network(1),), (network(2), network(3)), (1.5, -0.5), "made up")
    np.savez_compressed(tmp_path / "model.npz", **ownership.pack(model))
    with np.load(tmp_path / "model.npz") as arrays:
        again = ownership.unpack(arrays)
    assert (again.calibration, again.provenance) == (model.calibration, "made up")
    rows = np.random.default_rng(4).normal(0, 1, (6, 5)).astype(np.float32)
    assert again.guess(rows) == pytest.approx(model.guess(rows))
    assert len(again.speech) == 2


def test_the_shipped_weights_are_small_and_say_where_they_come_from() -> None:
    model = ownership.load_ownership()
    assert "fit_speech.py" in model.provenance
    assert len(model.owner) == len(model.speech) == 3
    assert ownership.WEIGHTS.stat().st_size < 1_000_000


def test_damaged_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "WEIGHTS", tmp_path / "ownership.npz")
    (tmp_path / "ownership.npz").write_bytes(b"PK\x03\x04 nothing")
    ownership.load_ownership.cache_clear()
    with pytest.raises(MachineError, match="could not be read"):
        ownership.load_ownership()
    ownership.load_ownership.cache_clear()
