"""What else scores a page of 100 in the same run: LightGBM on the ranker's own columns, and a cross-encoder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from prectr.data.contract import read_table
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.training.trees import FittedTrees, Rows
from prectr.rank.workspace import TREES_FILE
from prectr.shared.errors import PrectrError
from prectr.shared.run.schema import read_json

ROWS = 100
MINILM: dict[str, Any] = dict(num_hidden_layers=6, hidden_size=384, num_attention_heads=12, intermediate_size=1536)
"""The sizes of cross-encoder/ms-marco-MiniLM-L6-v2; its weights may be any, what is timed is the arithmetic."""


def lightgbm_milliseconds(run: Path, repeats: int) -> float:
    """Of 100 rows of the test weeks whose features are ready, by the run's own trees, the median; one thread.

    Raises:
        PrectrError: the run has kept no trees, or no features of its test weeks.
    """
    trees_file, features = run / "lightgbm" / TREES_FILE, run / "features" / "test"
    for path in (trees_file, features):
        if not path.exists():
            raise PrectrError(f"{path} is not there: run `python -m rank run` on this data set.")
    trees = FittedTrees.read(trees_file, read_json(trees_file.parent / "rival.json")["settings"])
    rows = Rows.of(PreparedSet.open(features), 1.0)
    page = Rows(*(part[:ROWS] for part in rows[:3])).read_by(trees.settings).matrix()
    return _median(lambda: trees.booster.predict(page, num_threads=1), repeats)


class _CrossEncoder(nn.Module):
    """Reads a query and an item text together and says one number."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        config = BertConfig(**MINILM | {"num_labels": 1, "attn_implementation": "eager"})
        self.model, self.vocabulary = BertForSequenceClassification(config), config.vocab_size

    def forward(self, given: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor]:
        return (self.model(**given).logits,)


def minilm_milliseconds(run: Path, page: Mapping[str, Any], repeats: int, folder: Path) -> float:
    """Of a cross-encoder as large as MiniLM-L6 on a page's pairs, its weights in int8, by ONNX Runtime; the median, one
    thread. To read the texts as tokens is counted.

    Args:
        page: of 100 candidates of the catalogue, as `/v1/rank` takes it. folder: where its graphs may lie.

    Raises:
        PrectrError: what exports is not installed.
    """
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        from prectr.rank.serving.export.graph import Graph, write_graph
    except ImportError as error:
        raise PrectrError(f"{error.name} is not installed: run `pip install 'prectr[export]'`.") from error
    tokenizer = AutoTokenizer.from_pretrained(run / "ranker" / "encoder")
    items = read_table(run / "data", "items", ["item_id", "text"])
    text_of = dict(zip(items["item_id"].to_pylist(), items["text"].to_pylist(), strict=True))
    texts = [text_of[each["item_id"]] for each in page["candidates"]]
    network = _CrossEncoder()

    def tokens() -> dict[str, torch.Tensor]:
        read = tokenizer([page["query"]] * len(texts), texts, padding=True, truncation=True, max_length=128)
        ids, mask = (torch.tensor(read[name]) for name in ("input_ids", "attention_mask"))
        return {"input_ids": ids % network.vocabulary, "attention_mask": mask}

    wide, narrow = folder / "minilm.onnx", folder / "minilm_int8.onnx"
    sizes = {name: {0: "pairs", 1: "tokens"} for name in ("input_ids", "attention_mask")}
    write_graph(network, tokens(), ("logits",), sizes, wide)
    quantize_dynamic(wide, narrow, weight_type=QuantType.QInt8)
    graph = Graph(narrow)
    return _median(lambda: graph(tokens()), repeats)


def _median(work: Callable[[], object], repeats: int) -> float:
    """Milliseconds."""
    milliseconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        milliseconds.append(1000 * (time.perf_counter() - started))
    return round(float(np.median(milliseconds)), 3)
