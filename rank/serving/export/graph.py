"""A module as an ONNX graph: written by torch's exporter, run by ONNX Runtime. [O]"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prectr.shared.errors import PrectrError

Sizes = Mapping[str, Mapping[int, str]]
"""Of each input, by dimension, the name of the size that is open; equal names are equal sizes."""

Computed = tuple[Tensor, ...]


class _InOrder(nn.Module):
    """A module of named tensors, given one behind the other: all that the exporter takes."""

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.module, self.names = module, tuple(names)

    def forward(self, *parts: Tensor) -> Computed:
        found: Computed = self.module(dict(zip(self.names, parts, strict=True)))
        return found


def write_graph(
    module: nn.Module, example: Mapping[str, Tensor], outputs: Sequence[str], sizes: Sizes, path: Path
) -> None:
    """Write a module to one file.

    Args:
        module: from tensors by name to a tuple of tensors. example: of its inputs. outputs: names of what it returns.
        sizes: what is open; no two examples of an open size should be 1, which the exporter takes for all there is.
    """
    # Each in memory of its own: of one tensor that is given twice the exporter makes one input, and a graph that is
    # silently wrong.
    given = {name: part.clone() for name, part in example.items()}
    open_sizes = {size: torch.export.Dim(size, min=1) for of_input in sizes.values() for size in of_input.values()}
    shapes = [{place: open_sizes[size] for place, size in sizes.get(name, {}).items()} for name in given]
    with torch.inference_mode(False), torch.no_grad(), _in_silence():
        torch.onnx.export(
            _InOrder(module, list(given)).eval(),
            tuple(given.values()),
            path,
            input_names=list(given),
            output_names=list(outputs),
            dynamic_shapes=(tuple(shapes),),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


@contextmanager
def _in_silence() -> Iterator[None]:
    """Within, nobody hears which operators the exporter could have known, and how it calls its sizes."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


class Graph:
    """A graph in ONNX Runtime: on the CPU, in the precision it was written in, on as many threads as torch has.

    Attributes:
        inputs, outputs: their names.

    Raises:
        PrectrError: the file is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
        options.log_severity_level = 3  # errors: which names it would have chosen is of no interest
        try:
            self._session = InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # it has a class of its own for every fault
            raise PrectrError(f"{path} is missing or damaged: run `python -m rank export` again.") from error
        self._types = {each.name: _TYPES[each.type] for each in self._session.get_inputs()}
        self.inputs, self.outputs = list(self._types), [each.name for each in self._session.get_outputs()]

    def __call__(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the graph computes, by name; `given` may hold more than it reads."""
        read = {name: np.ascontiguousarray(given[name].numpy(), kind) for name, kind in self._types.items()}
        found: list[Any] = self._session.run(None, read)
        return {name: torch.from_numpy(part) for name, part in zip(self.outputs, found, strict=True)}


_TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
