"""Load the networks that decide whose speech a frame is.

``ownership.npz`` is written by ``tests/benchmarks/fit_speech.py``; its array ``provenance`` says what the
networks were fitted to.
"""

import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recall_audio.errors import MachineError
from recall_audio.model.speech import Network, OwnershipModel
from recall_audio.typing import Float32Array

WEIGHTS = Path(__file__).with_name("ownership.npz")
"""File of the networks' weights, one array for each name that :func:`unpack` reads."""

_LAYERS = 3

Arrays = Mapping[str, npt.NDArray[Any]]


@cache
def load_ownership() -> OwnershipModel:
    """Return the fitted networks that come with the package.

    Raises:
        MachineError: the file of weights is missing or damaged; its code is ``no_ownership``.
    """
    try:
        with np.load(WEIGHTS, allow_pickle=False) as arrays:
            return unpack(arrays)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise MachineError(
            f"The speech step's weights could not be read from {WEIGHTS}.",
            "Install the package again: pip install --force-reinstall recall-audio",
            code="no_ownership",
        ) from error


def pack(model: OwnershipModel) -> dict[str, npt.NDArray[Any]]:
    """Return a model as named arrays; matrices in half precision."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "calibration": np.array(model.calibration, dtype=np.float32),
        "provenance": np.array(model.provenance),
    }
    for group, networks in (("owner", model.owner), ("speech", model.speech)):
        for k, network in enumerate(networks):
            arrays[f"{group}{k}_centre"], arrays[f"{group}{k}_scale"] = network.centre, network.scale
            for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
                arrays[f"{group}{k}_weight{layer}"] = weight.astype(np.float16)
                arrays[f"{group}{k}_bias{layer}"] = bias.astype(np.float32)
    return arrays


def unpack(arrays: Arrays) -> OwnershipModel:
    """Return the model of the arrays that :func:`pack` gave.

    Raises:
        KeyError: an array is missing.
    """
    slope, offset = (float(x) for x in arrays["calibration"])
    owner, speech = (_networks(arrays, group) for group in ("owner", "speech"))
    return OwnershipModel(owner, speech, (slope, offset), str(arrays["provenance"]))


def _networks(arrays: Arrays, group: str) -> tuple[Network, ...]:
    count = sum(name.startswith(group) and name.endswith("_centre") for name in arrays)
    return tuple(
        Network(
            _float32(arrays[f"{group}{k}_centre"]),
            _float32(arrays[f"{group}{k}_scale"]),
            tuple(_float32(arrays[f"{group}{k}_weight{layer}"]) for layer in range(_LAYERS)),
            tuple(_float32(arrays[f"{group}{k}_bias{layer}"]) for layer in range(_LAYERS)),
        )
        for k in range(count)
    )


def _float32(array: npt.NDArray[Any]) -> Float32Array:
    return np.asarray(array, dtype=np.float32)
