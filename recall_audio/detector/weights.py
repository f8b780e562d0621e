"""The network's weights, read out of its ONNX file: its tensors by name, no graph.

An ONNX file is a protocol buffer, and only five kinds of message lie on the way to a tensor::

    Model ─7─▶ Graph ─1─▶ Node ─5─▶ Attribute ─5─▶ Tensor        a constant
                 ▲                     └────6────▶ Graph          a branch, here one for each sampling rate
                 └─5─▶ Tensor                                     an initial value

Reading it here takes 3 ms; importing a runtime for it 0.3 s.
"""

from collections.abc import Iterator
from math import prod
from pathlib import Path

import numpy as np

from recall_audio.typing import Float32Array

_GRAPH_OF_MODEL, _NODE, _INITIAL, _ATTRIBUTE, _TENSOR, _BRANCH = 7, 1, 5, 5, 5, 6
_DIMS, _TYPE, _NAME, _RAW = 1, 2, 8, 9
_FLOAT32 = 1
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5


class NotAModel(ValueError):
    """The bytes are not the protocol buffer that was expected."""


def tensors(model: Path) -> list[dict[str, Float32Array]]:
    """Float32 tensors by name, one dictionary a graph: the main one and each branch.

    Raises:
        NotAModel: it is no ONNX file.
        OSError: it cannot be read.
    """
    found: list[dict[str, Float32Array]] = []
    try:
        for key, value in _fields(memoryview(model.read_bytes())):
            if key == _GRAPH_OF_MODEL:
                _graph(_message(value), found)
    except (IndexError, ValueError) as error:
        raise NotAModel(f"{model.name} is not an ONNX model that can be read.") from error
    return found


def _graph(graph: memoryview, found: list[dict[str, Float32Array]]) -> None:
    here: dict[str, Float32Array] = {}
    found.append(here)
    for key, value in _fields(graph):
        if key == _INITIAL:
            here |= _tensor(_message(value))
        elif key == _NODE:
            for inner, attribute in _fields(_message(value)):
                if inner == _ATTRIBUTE:
                    for kind, body in _fields(_message(attribute)):
                        if kind == _TENSOR:
                            here |= _tensor(_message(body))
                        elif kind == _BRANCH:
                            _graph(_message(body), found)


def _tensor(tensor: memoryview) -> dict[str, Float32Array]:
    """``{name: values}`` of a tensor kept as raw little-endian float32, and nothing of another."""
    dims: list[int] = []
    kind, name, raw = 0, "", b""
    for key, value in _fields(tensor):
        if key == _DIMS:
            dims += [value] if isinstance(value, int) else _varints(value)
        elif key == _TYPE:
            kind = int(value) if isinstance(value, int) else 0
        elif key == _NAME:
            name = bytes(_message(value)).decode()
        elif key == _RAW:
            raw = bytes(_message(value))
    if kind != _FLOAT32 or not dims or 4 * prod(dims) != len(raw):
        return {}
    return {name: np.frombuffer(raw, dtype="<f4").reshape(dims).astype(np.float32)}


def _message(value: "int | memoryview") -> memoryview:
    if isinstance(value, int):
        raise NotAModel("a number where a message should be")
    return value


def _fields(data: memoryview) -> Iterator[tuple[int, "int | memoryview"]]:
    """Number and value of each field of a message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FOUR_BYTES, _EIGHT_BYTES):
            size = 4 if kind == _FOUR_BYTES else 8
        else:
            raise NotAModel(f"wire type {kind}")
        if at + size > len(data):
            raise NotAModel("cut short")
        yield tag >> 3, data[at : at + size]
        at += size


def _varints(data: memoryview) -> list[int]:
    found, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        found.append(value)
    return found


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise NotAModel("a number of more than 64 bits")
