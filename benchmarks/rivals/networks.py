"""FuxiCTR's networks on the ranker's data: DIN, DCNv2, FinalMLP, and SIM or TWIN over long histories.

The models are the classes of FuxiCTR's `model_zoo.LongCTR`, trained by its own `fit`: Adam, gradient clipping, a
learning rate cut on a plateau, early stopping on the validation weeks' logloss. They read the columns of `batches`:
every number standardised and in quantile bins, every categorical, the user's past events, and frozen MiniLM vectors
of query and item with their cosine. Their one sequence is the user's own history; what other users did under the
query reaches them through the numbers. SIM and TWIN are taken as they are: their attention over recent events reads
the mask one place off, so the oldest of these is left out.
"""

from __future__ import annotations

import importlib
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.rivals.batches import BINS, CLICKED, NUM_GAPS, Batches, Columns, Widths, fit_edges
from benchmarks.rivals.histories import history_cut, long_history, short_history
from benchmarks.rivals.system import Rival, Sets, Setting, System
from benchmarks.rivals.text_vectors import text_vectors
from prectr.rank.features.feature_map import FeatureMap
from prectr.rank.inputs.events import Events
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import progress
from prectr.shared.run.steps import fingerprint_of_tables
from prectr.shared.seeds import generator, set_seed

BATCH_SIZE = 512
SCORED_AT_ONCE = 4096
EPOCHS = 3
CHECKS_PER_EPOCH = 2  # validations per epoch: click models are often best before their first epoch ends
PATIENCE = 2  # checks without a gain before training ends
BIN_SIZE = 4  # width of the embedding of a number's bin
TEXT_SIZE = 16  # width to which a text vector is projected
CLIP = 1e-7  # float32 sigmoids reach 0 and 1; a probability does not


class Network(NamedTuple):
    """A class of FuxiCTR's. arguments: its constructor's, from a setting. long: whether it reads long histories."""

    model: str
    arguments: Callable[[Setting], dict[str, Any]]
    long: bool = False


def fit_network(sets: Sets, setting: Setting, seed: int) -> Rival:
    """Train the network that the setting names; its best weights on the validation weeks are kept."""
    network = MODELS[setting["model"]]
    model_class = find_model(network.model)
    inputs = Inputs(sets, network.long)
    set_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        training = inputs.batches("train", BATCH_SIZE, seed, f"{network.model}, setting {_short(setting)}")
        model = model_class(
            fuxictr_features(inputs.widths, setting["embedding_dim"], folder),
            model_id="rival",
            gpu=-1,
            optimizer="adam",
            loss="binary_crossentropy",
            metrics=["logloss"],
            monitor="logloss",
            monitor_mode="min",
            early_stop_patience=PATIENCE,
            eval_steps=max(len(training) // CHECKS_PER_EPOCH, 1),
            verbose=0,
            model_root=folder,
            learning_rate=setting["learning_rate"],
            embedding_dim=setting["embedding_dim"],
            embedding_regularizer=setting["embedding_regularizer"],
            **network.arguments(setting),
        )
        model.fit(training, epochs=EPOCHS, validation_data=inputs.batches("validation", SCORED_AT_ONCE))

    def probability(name: str) -> np.ndarray:
        return np.clip(model.predict(inputs.batches(name, SCORED_AT_ONCE)), CLIP, 1 - CLIP)

    parameters = sum(parameter.numel() for parameter in model.parameters())
    facts = {"batches": model._total_steps, "history": inputs.history("validation").shape[1]}
    return Rival(probability, parameters, facts)


def find_model(name: str) -> type[Any]:
    """A model class of FuxiCTR's; `PrectrError` where FuxiCTR is not installed."""
    try:
        found: type[Any] = getattr(importlib.import_module("model_zoo.LongCTR"), name)
    except ModuleNotFoundError as error:
        raise PrectrError(
            f"{name} comes from FuxiCTR, which is not installed (no module {error.name}): run "
            "`pip install -c constraints.txt -e '.[bench]'`."
        ) from None
    return found


def fuxictr_features(widths: Widths, embedding_dim: int, folder: str) -> Any:
    """FuxiCTR's feature map of the columns of `batches`; `folder` is where it would look for files.

    Every specification is FuxiCTR's own: `embedding` is a given vector, projected or (the numbers) taken as it is; a
    `sequence` that is flattened is a table of embeddings read once per number.
    """
    from fuxictr.features import FeatureMap as FuxiFeatureMap

    found = FuxiFeatureMap("rivals", folder)
    Path(found.data_dir, found.dataset_id).mkdir(exist_ok=True)
    found.labels = ["clicked"]
    found.default_emb_dim = embedding_dim
    numbers = widths.numbers
    features: dict[str, dict[str, Any]] = {
        "numbers": {"type": "embedding", "pretrain_dim": numbers, "embedding_dim": numbers}
        | {"feature_encoder": "nn.Identity()"},
        "bins": {"type": "sequence", "vocab_size": numbers * BINS, "embedding_dim": BIN_SIZE}
        | {"feature_encoder": "nn.Flatten()", "emb_output_dim": numbers * BIN_SIZE},
    }
    for name in ("query_text", "item_text"):
        features[name] = {"type": "embedding", "pretrain_dim": widths.text, "embedding_dim": TEXT_SIZE}
    for number, size in enumerate(widths.context):
        features[f"context_{number}"] = {"type": "categorical", "vocab_size": size}
    of_item: dict[str, dict[str, Any]] = {
        **{f"item_{number}": {"vocab_size": size + 1} for number, size in enumerate(widths.item)},
        "action": {"vocab_size": widths.actions},
        "gap": {"vocab_size": NUM_GAPS},
    }
    for name, spec in of_item.items():
        features[name] = {"type": "categorical", "padding_idx": 0, "source": "item", **spec}
    features["level_prob"] = {"type": "embedding", "pretrain_dim": widths.levels, "source": "item"}
    found.features = OrderedDict((name, {"source": "", **spec}) for name, spec in features.items())
    found.num_fields = found.get_num_fields()
    return found


class Inputs:
    """A workspace's sets as batches."""

    def __init__(self, sets: Sets, long: bool) -> None:
        self.sets, self.long = sets, long
        workspace = sets.workspace
        self.shop = workspace.shop()
        feature_map = FeatureMap.read(sets.folder / "feature_map.json")
        of_item = feature_map.item_columns
        context = [column for column in range(len(feature_map.cardinalities)) if column not in of_item]
        vectors = text_vectors(self.shop, fingerprint_of_tables(workspace.data), sets.beside / "text_vectors")
        train = sets.prepared["train"]
        events = Events(self.shop.log, feature_map.transform_items(self.shop.items).astype(np.int32))
        self.columns = Columns(events, vectors, of_item, context, fit_edges(train, vectors))
        self.widths = Widths(
            numbers=len(self.columns.edges),
            text=vectors.query.shape[1],
            levels=train.level_prob.shape[1],
            actions=CLICKED + 1 + int(np.max(self.shop.log.event, initial=0)),
            context=tuple(feature_map.cardinalities[column] for column in context),
            item=tuple(feature_map.cardinalities[column] for column in of_item),
        )

    def history(self, name: str) -> np.ndarray:
        """Rows of past events [G, L] of a set."""
        prepared, workspace = self.sets.prepared[name], self.sets.workspace
        if not self.long:
            return short_history(prepared)
        cut = history_cut(name, prepared.num_pages, workspace.history, workspace.run.seed)
        return long_history(prepared, self.shop.log, cut)

    def batches(self, name: str, size: int, seed: int | None = None, description: str = "") -> Batches:
        """A set's batches: in order, or shuffled anew in each epoch where there is a seed."""
        prepared = self.sets.prepared[name]
        order = None
        if seed is not None:
            order = lambda epoch: generator(seed, "rival batches", epoch).permutation(len(prepared))  # noqa: E731
        wrap = partial(progress, description=description or name)
        return Batches(self.columns, prepared, self.history(name), size, order, wrap)


def _short(setting: Setting) -> str:
    return ", ".join(str(value) for name, value in setting.items() if name != "model")


def _din(setting: Setting) -> dict[str, Any]:
    return {
        "dnn_hidden_units": [256, 128],
        "attention_hidden_units": [32],
        "attention_hidden_activations": "ReLU",
        "din_use_softmax": False,  # a sum over events can count, as DIN's paper wants it
        "net_dropout": setting["dropout"],
    }


def _dcnv2(setting: Setting) -> dict[str, Any]:
    return {
        "model_structure": "parallel",
        "num_cross_layers": 3,
        "parallel_dnn_hidden_units": [256, 128],
        "net_dropout": setting["dropout"],
    }


def _finalmlp(setting: Setting) -> dict[str, Any]:
    return {
        "mlp1_hidden_units": [256, 128],
        "mlp2_hidden_units": [256, 128],
        "mlp1_dropout": setting["dropout"],
        "mlp2_dropout": setting["dropout"],
        "num_heads": 8,
        "use_fs": False,  # FuxiCTR's forward pass does not read the selection it would make
    }


def _long(setting: Setting) -> dict[str, Any]:
    return {
        "dnn_hidden_units": [256, 128],
        "attention_dim": 32,
        "num_heads": 2,
        "short_seq_len": 30,
        "topk": 30,
        "net_dropout": setting["dropout"],
    }


MODELS = {
    "DIN": Network("DIN", _din),
    "DCNv2": Network("DCNv2", _dcnv2),
    "FinalMLP": Network("FinalMLP", _finalmlp),
    "SIM": Network("SIM", _long, long=True),
    "TWIN": Network("TWIN", _long, long=True),
}

GRID: tuple[dict[str, Any], ...] = (
    {"learning_rate": 1e-3, "embedding_dim": 8, "dropout": 0.1, "embedding_regularizer": 0.0},
    {"learning_rate": 1e-3, "embedding_dim": 8, "dropout": 0.3, "embedding_regularizer": 1e-5},
    {"learning_rate": 5e-4, "embedding_dim": 8, "dropout": 0.3, "embedding_regularizer": 1e-5},
    {"learning_rate": 5e-4, "embedding_dim": 8, "dropout": 0.3, "embedding_regularizer": 1e-4},
)


def _system(*models: str) -> System:
    """Settings of one model, or of two that share the four."""
    settings = tuple({"model": models[number % len(models)], **setting} for number, setting in enumerate(GRID))
    return System(fit_network, settings)


NETWORKS = {
    "din": _system("DIN"),
    "dcnv2": _system("DCNv2"),
    "finalmlp": _system("FinalMLP"),
    "sim_or_twin": _system("SIM", "TWIN"),
}
