"""What `python -m rank export` wrote of a ranker, in place of what torch computes. [O]"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, Self

from torch import Tensor

from prectr.rank.history.score_log import kept_encoder
from prectr.rank.model.ranker_model import RankerModel
from prectr.rank.model.trained import CONFIG, ENCODER, WEIGHTS
from prectr.rank.serving.export.encoder import read_by_graph
from prectr.rank.serving.export.graph import Graph
from prectr.rank.serving.export.page_network import PageNetwork
from prectr.rank.serving.stored import LEVEL_PROB, SERVING, run_of
from prectr.rank.serving.texts.kept_texts import JUDGED, LEARNT, identity_of
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.run.console import print_line
from prectr.shared.run.contents import contents_of
from prectr.shared.run.steps import is_made_of, require_whole
from prectr.shared.training.device import compute_device

FOLDER = "onnx"
"""In a ranker's folder for serving."""

NETWORK = "network.onnx"


class Computes(Protocol):
    """What computes in place of torch's own way."""

    def reader(self, name: str, encoder: LevelEncoder) -> LevelEncoder:
        """The encoder `name`, `LEARNT` or `JUDGED`, read by it."""

    def page_network(self, model: RankerModel) -> Callable[..., dict[str, Tensor]]: ...


class Exported:
    """The graphs of a ranker, run by ONNX Runtime: float32, on a CPU.

    Args:
        folder: what `write_graphs` wrote.

    Raises:
        PrectrError: a graph is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._network = Graph(folder / NETWORK)
        self._encoders = {
            name: Graph(folder / files_of(name)[0])
            for name in (LEARNT, JUDGED)
            if (folder / files_of(name)[0]).exists()
        }

    @classmethod
    def beside(cls, ranker: str | Path) -> Self | None:
        """What was exported of this very ranker, if this machine runs it; says so where it does not.

        Raises:
            PrectrError: it is damaged.
        """
        ranker = Path(ranker)
        folder = folder_of(ranker)
        if not folder.is_dir() or compute_device().type != "cpu":
            return None
        if find_spec("onnxruntime") is None:
            print_line(f"{folder} is not used: run `pip install 'prectr[serve]'`, which brings onnxruntime.")
            return None
        if not is_made_of(folder, inputs_of(ranker)):
            print_line(f"{folder} is not used, it is of another ranker: run `python -m rank export {ranker}` again.")
            return None
        require_whole(folder)
        print_line(f"{folder} is used: queries and pages go through ONNX Runtime, in float32.")
        return cls(folder)

    def reader(self, name: str, encoder: LevelEncoder) -> LevelEncoder:
        """The encoder `name`, `LEARNT` or `JUDGED`, that encodes by its graph."""
        return read_by_graph(encoder, self._encoders.get(name, self._encoders[LEARNT]))

    def page_network(self, model: RankerModel) -> PageNetwork:
        return PageNetwork(model, self._network)


def folder_of(ranker: Path) -> Path:
    return ranker / SERVING / FOLDER


def files_of(encoder: str) -> tuple[str, str]:
    """The graphs of an encoder: its token vectors, and its level head."""
    return f"{encoder}.onnx", f"{encoder}_pairs.onnx"


def judge_of(ranker: Path) -> Path | None:
    """The folder of the encoder that judged the log, where it is not the ranker's own."""
    run = run_of(ranker)
    judged = run is not None and (run / LEVEL_PROB / "level_prob.parquet").exists()
    return kept_encoder(run) if run is not None and judged else None


def inputs_of(ranker: Path) -> dict[str, Any]:
    """What decides the graphs."""
    judge = judge_of(ranker)
    return {
        "network": {name: contents_of(ranker / name) for name in (CONFIG, WEIGHTS)},
        LEARNT: identity_of(ranker / ENCODER),
        JUDGED: None if judge is None else identity_of(judge),
    }
