"""A trained ranker as a folder: everything that scoring needs.

The folder holds config.json, feature_map.json, model.safetensors (all but the encoder) and encoder/ (the text encoder
as the ranker's training left it, again in Hugging Face format). It holds no queries and no behaviours, and user ids
only if they were embedded; then it cannot be published. What else a run leaves beside them is the run's.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from safetensors.torch import save_file
from torch import Tensor

from prectr.rank.config import HistoryArguments
from prectr.rank.features.columns import Columns
from prectr.rank.features.feature_map import FeatureMap
from prectr.rank.features.reference import REFERENCE
from prectr.rank.model.ranker_model import RankerConfig, RankerModel
from prectr.shared.atomic import atomic_write
from prectr.shared.encoder.files import ENCODER_FILES
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError
from prectr.shared.hub import local_folder
from prectr.shared.hub_model import HubModel
from prectr.shared.pretrained import fill
from prectr.shared.run.schema import member, parsed, read_versioned, versioned
from prectr.shared.run.steps import RECORD, require_whole

CONFIG, FEATURE_MAP, WEIGHTS, ENCODER = "config.json", "feature_map.json", "model.safetensors", "encoder"
FILES = (
    *("README.md", "metrics.json"),
    *(CONFIG, FEATURE_MAP, WEIGHTS, REFERENCE),
    *(f"{ENCODER}/{name}" for name in ENCODER_FILES),
)
"""What is published of a ranker's folder; whatever else a run leaves there stays."""

SCHEMA_VERSION = 3  # of config.json and what lies beside it; raised whenever older code could not read it


class TrainedRanker(HubModel):
    """A network with the feature map that feeds it.

    Attributes:
        model: the network. feature_map: from features and ids to its inputs. history: how much of the past it reads.
        level_names: relevance levels, lowest first. columns: which optional columns its training tables had.
        own_names: what the shop calls the columns of the contract; requests may use these names too.
    """

    def __init__(
        self,
        model: RankerModel,
        feature_map: FeatureMap,
        history: HistoryArguments,
        level_names: Sequence[str],
        columns: Columns,
        own_names: Mapping[str, Sequence[str]] | None = None,
    ):
        self.model = model.eval()
        self.feature_map = feature_map
        self.history = history
        self.level_names = list(level_names)
        self.columns = columns
        self.own_names = {column: list(names) for column, names in (own_names or {}).items()}

    def __repr__(self) -> str:
        size = sum(p.numel() for p in self.model.parameters()) / 1e6
        numbers = len(self.feature_map.numeric_names)
        return f"{type(self).__name__}({size:.1f} M parameters, {numbers} numbers, levels {self.level_names})"

    def _save_pretrained(self, save_directory: Path) -> None:
        """Write the folder described above; a ranker that embeds user ids has them in its feature map."""
        folder = save_directory
        self.save_weights(folder)
        self.model.encoder.save_pretrained(folder / ENCODER)
        (folder / FEATURE_MAP).write_text(self.feature_map.to_json() + "\n", encoding="utf-8")
        config = {
            "model_type": "prectr-ranker",
            "level_names": self.level_names,
            "network": asdict(self.model.config),
            "history": asdict(self.history),
            "columns": asdict(self.columns),
            "own_names": self.own_names,
        }
        text = json.dumps(versioned(config, SCHEMA_VERSION), indent=2)
        (folder / CONFIG).write_text(text + "\n", encoding="utf-8")

    def save_weights(self, folder: Path) -> None:
        """Write the weights of all but the encoder, or leave those that are there."""
        weights = {name: tensor.contiguous() for name, tensor in _but_the_encoder(self.model).items()}
        with atomic_write(folder / WEIGHTS) as temporary:
            save_file(weights, temporary, metadata={"format": "pt"})

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """As `HubModel.push_to_hub`; a `PrectrError` too where the ranker embeds user ids."""
        if "user_id" in self.feature_map.categorical_names:
            raise PrectrError(
                "The feature map holds user ids, which must not be published: train a ranker with "
                "user_id_embedding: false."
            )
        return super().push_to_hub(repo_id, **options)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **download: Any) -> Self:
        path = local_folder(model_id, **download)
        if (path / RECORD).is_file():
            require_whole(path)
        missing = [name for name in (CONFIG, FEATURE_MAP, WEIGHTS, ENCODER) if not (path / name).exists()]
        if missing:
            raise PrectrError(
                f"{model_id}: {missing[0]} is missing, so this is not a ranker's folder; `make rank` writes one."
            )
        file = path / CONFIG
        config = read_versioned(file, SCHEMA_VERSION, SCHEMA_VERSION)
        network = parsed(RankerConfig, member(config, "network", file, dict), file)
        history = parsed(HistoryArguments, member(config, "history", file, dict), file)
        columns = parsed(Columns, member(config, "columns", file, dict), file)
        level_names = member(config, "level_names", file, list)
        own_names = member(config, "own_names", file, dict) if "own_names" in config else {}  # none before 0.3
        feature_map = FeatureMap.read(path / FEATURE_MAP)
        encoder = LevelEncoder.from_pretrained(path / ENCODER)
        _require_together(path, network, feature_map, level_names, encoder)
        model = RankerModel(network, encoder)
        fill(_but_the_encoder(model), path / WEIGHTS)
        return cls(model, feature_map, history, level_names, columns, own_names)


def _but_the_encoder(model: RankerModel) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(f"{ENCODER}.")}


def _require_together(
    path: Path, network: RankerConfig, feature_map: FeatureMap, level_names: Sequence[str], encoder: LevelEncoder
) -> None:
    """Raises `PrectrError` where the network, what feeds it and its encoder are not of one ranker."""
    wide = ("numeric_names", "categorical_names", "cardinalities", "item_columns")
    differing = [name for name in wide if getattr(network, name) != getattr(feature_map, name)]
    if network.num_event_types != len(feature_map.event_types):
        differing.append("event_types")
    if differing:
        raise PrectrError(
            f"{path}: {CONFIG} and {FEATURE_MAP} are of two rankers ({differing[0]} differ): save the model again, or "
            "download it again."
        )
    if not network.num_levels == len(level_names) == encoder.num_levels:
        raise PrectrError(
            f"{path}: the network has {network.num_levels} levels, {len(level_names)} of them named, and its encoder "
            f"{encoder.num_levels}: save the model again, or download it again."
        )
