"""What the steps of stage two share: settings, folders and tables."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prectr.data.contract import has_table, levels, read_table, table_path
from prectr.data.scan import scan_table
from prectr.rank.config import (
    EvaluateArguments,
    HistoryArguments,
    LossArguments,
    ModelArguments,
    RunArguments,
    TrainArguments,
    check_together,
)
from prectr.rank.features.frozen_vectors import FrozenVectors
from prectr.rank.features.page_reader import PageParts
from prectr.rank.features.prepare import with_label
from prectr.rank.features.shop import Shop
from prectr.rank.history.log import BehaviourLog
from prectr.rank.history.score_log import kept_encoder
from prectr.rank.history.stage_one import LevelProb
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.engine.choice import open_engine
from prectr.shared.engine.job import Engine
from prectr.shared.errors import PrectrError
from prectr.shared.hub import local_folder
from prectr.shared.run.fingerprint import file_fingerprint
from prectr.shared.run.schema import read_json
from prectr.shared.run.steps import StepRecord, fingerprint_of, is_finished, run_step, step_fingerprint
from prectr.shared.run.trial import MADE_BY
from prectr.shared.storage.duckdb import distinct, out_of_core
from prectr.shared.storage.npy import open_array
from prectr.shared.values.texts import plain_text

EVALUATED = ("validation", "test", "open")

ENGAGEMENT = "engagement"
TREES_FILE = "trees.txt"
"""Of the step `lightgbm`: its trees as text, for whoever shows them beside the ranker."""
PAIR_FEATURES, JUDGED_PAIR_FEATURES = "pair_features", "judged_pair_features"

COST = "training_cost.json"
"""What a training took, in `trained/`: its `seconds`, `impressions_per_second`, and `encoder_share`, the text encoder's
part of the time."""


@dataclass
class Workspace:
    """Settings, folders and tables that the steps share."""

    run: RunArguments
    history: HistoryArguments
    model: ModelArguments
    losses: LossArguments
    training: TrainArguments
    evaluation: EvaluateArguments
    command: str = "python -m rank run"
    step: Callable[..., StepRecord] = run_step
    """What builds a step's folder, or only asks for it."""

    def __post_init__(self) -> None:
        check_together(self.history, self.model, self.losses, self.training)
        self.folder = Path(self.run.artifacts) / self.run.name
        self.data = self.folder / "data"
        self._require_clicks()
        self._require_another_start()
        self.encoder = self._find_encoder()
        self.level_names = levels(self.data)

    @cached_property
    def engine(self) -> Engine:
        """Where parts of steps are worked on; a cluster is looked for when the first step is built."""
        return open_engine(self.run.engine)

    def together(self, build: Callable[[Path], None], work: Path) -> None:
        """A training's `build(work)`, in the engine's processes."""
        self.engine.together(build, work)

    def encoder_fingerprint(self) -> str:
        """Of the step that made the encoder, or of its weights: one that was downloaded has no step behind it.

        Raises:
            PrectrError: there is no encoder.
        """
        if self.run.encoder is None and self.encoder == self.folder / "encoder":
            return fingerprint_of(self.encoder)
        weights = _weights(self.encoder)
        if not weights:
            raise PrectrError(
                f"encoder {self.encoder}: no *.safetensors there; name the folder of a published encoder."
            )
        return weights

    def warm_start_inputs(self) -> dict[str, str]:
        """What a warm start adds to a step's inputs; nothing where there is none."""
        if not self.run.warm_start:
            return {}
        folder = local_folder(self.run.warm_start)
        return {"warm_start": f"{_weights(folder)}+{file_fingerprint(folder / 'feature_map.json')}"}

    def stage_one(self) -> LevelEncoder:
        """The encoder that judges pairs before any click is met.

        Raises:
            PrectrError: it is none, or its levels are not the data's.
        """
        encoder = LevelEncoder.from_pretrained(self.encoder)
        theirs = encoder.config.level_names
        if len(theirs) != len(self.level_names):
            raise PrectrError(
                f"encoder {self.encoder}: it tells {len(theirs)} relevance levels apart ({', '.join(theirs)}), the "
                f"data has {len(self.level_names)} ({', '.join(self.level_names)}): distil an encoder on this data "
                "set's levels."
            )
        ours, of_encoder = ([plain_text(name).casefold() for name in names] for names in (self.level_names, theirs))
        if ours != of_encoder:
            same = sorted(ours) == sorted(of_encoder)
            remedy = (
                "put the data's in the encoder's order, the lowest first"
                if same
                else ("where they mean the same, name the data's as the encoder does; else distil one on this data set")
            )
            raise PrectrError(
                f"encoder {self.encoder}: its levels are {', '.join(theirs)}, the data's "
                f"{', '.join(self.level_names)}: {remedy}."
            )
        return encoder

    def encoder_origin(self) -> dict[str, Any] | None:
        """What the encoder says it was made from, whose terms go on to the ranker; None if it does not say."""
        if not (self.encoder / "metrics.json").exists():
            return None
        facts = read_json(self.encoder / "metrics.json")
        return {name: facts.get(name) for name in (*MADE_BY, "data")}

    def start_encoder(self) -> LevelEncoder:
        """The encoder that training starts from: that of the warm start, or stage one's."""
        warm_start = self.run.warm_start
        return LevelEncoder.from_pretrained(local_folder(warm_start) / "encoder" if warm_start else self.encoder)

    def impressions(self, split: str) -> pa.Table:
        """The impressions of a split; `clicked` is what `label` says."""
        parts = list(scan_table(self.data, "impressions", split=split))
        if not parts:
            parts = [read_table(self.data, "impressions").slice(0, 0)]
        return with_label(pa.concat_tables(parts), self.run.label)

    def pages(self, split: str, scratch: Path) -> PageParts:
        """As `impressions`, a part at a time; `scratch`: see `PageParts`."""
        return PageParts(self.data, split, scratch, self.run.label)

    def level_prob(self) -> LevelProb:
        """Stage one's probabilities, from `pairs/`, where they are sorted once to be looked up on disk."""
        source, folder = self.folder / "level_prob", self.folder / "pairs"
        inputs = {"level_prob": fingerprint_of(source)}

        def build(work: Path) -> None:
            LevelProb.build(source / "level_prob.parquet", work, self.engine)

        if not is_finished(folder, step_fingerprint("pairs", inputs, build, [LevelProb.__module__])):
            run_step("pairs", folder, inputs, build, sources=[LevelProb.__module__])
        return LevelProb.open(folder)

    def engagement(self) -> np.ndarray | None:
        """P(click) of every training impression as cross-fitted trees tell it, float32 [n]; None: they do not teach."""
        return open_array(self.folder / ENGAGEMENT / "click_prob.npy") if self.losses.engagement_weight else None

    def shop(self, vectors: FrozenVectors | None = None) -> Shop:
        """The catalogue with the log and stage one's probabilities; queries of every table, and the replayed ones.

        Args:
            vectors: of the catalogue's texts, which only features are made of.
        """
        with out_of_core(self.folder, [self.data]) as database:
            found = [distinct(database, table_path(self.data, name), "query") for name in ("impressions", "pairs")]
        queries = pc.unique(pa.chunked_array(found))
        log = BehaviourLog.open(self.folder / "behaviours")
        return Shop(read_table(self.data, "items"), log, self.level_prob(), sorted(queries.to_pylist()), vectors)

    @cached_property
    def splits(self) -> frozenset[str]:
        """The splits that the impressions have."""
        parts = scan_table(self.data, "impressions", ["split"], 1 << 20)
        return frozenset(name for part in parts for name in pc.unique(part["split"]).to_pylist())

    @property
    def evaluated(self) -> list[str]:
        """The splits that are scored as they are; `open` is optional."""
        return [split for split in EVALUATED if split in self.splits]

    @property
    def not_measured(self) -> dict[str, str]:
        """Which parts of the results there will not be, and why."""
        why = {}
        if "open" not in self.splits:
            why["open"] = "open candidates: impressions.parquet has no split 'open'"
        elif not has_table(self.data, "gold"):
            why["excess_low@10"] = "excess_low@10: there is no gold.parquet"
        if "new_users" not in self.splits:
            why["new_users"] = "new users: impressions.parquet has no split 'new_users'"
        return why

    def sets(self) -> list[str]:
        """Folders of features/, the training one first."""
        rungs = [f"new_users_{n}" for n in self.history.cold_lengths] if "new_users" in self.splits else []
        return ["train", *self.evaluated, *rungs]

    @property
    def stored_pairs(self) -> list[str]:
        """Folders of features of pairs that this training reads."""
        read = {PAIR_FEATURES: self.training.passes[0] > 0, JUDGED_PAIR_FEATURES: self.training.frozen_throughout}
        return [name for name, is_read in read.items() if is_read]

    @property
    def taught_by(self) -> list[str]:
        """Folders of the teacher of engagement, if there is one."""
        return [ENGAGEMENT] if self.losses.engagement_weight else []

    def _find_encoder(self) -> Path:
        """The folder of the encoder that judges pairs before any click is met: the one named, or the data set's own.

        A warm start on a data set without one takes that of the ranker's run, by which its features were made; where
        there are both, whoever distilled on the new days wants what was learnt there.
        """
        own = self.folder / "encoder"
        if self.run.encoder:
            return local_folder(self.run.encoder)
        if not self.run.warm_start or own.is_dir():
            return own
        theirs = kept_encoder(local_folder(self.run.warm_start).absolute().parent)
        if not theirs.is_dir():
            raise PrectrError(
                f"warm start: there is no encoder to judge the log by, neither {own} nor {theirs}: run "
                "`python -m distill run` on this data set, or name the ranker where its run left it."
            )
        return theirs

    def _require_another_start(self) -> None:
        """A run that began with the ranker it replaces could not be repeated, nor told to be done already."""
        start, own = self.run.warm_start, self.folder / "ranker"
        if start and Path(start).is_dir() and own.is_dir() and Path(start).samefile(own):
            raise PrectrError(
                f"warm start: {start} is what this run would write: copy the tables, {self.data}, to "
                f"{self.folder.parent / 'NEWER' / 'data'} and run with --name NEWER, a name of your own."
            )

    def _require_clicks(self) -> None:
        for table in ("impressions", "behaviours"):
            if self.data.is_dir() and not has_table(self.data, table):
                raise PrectrError(
                    f"{table_path(self.data, table)} is missing: stage two learns from clicks, so write what was shown "
                    "and clicked; pairs alone train stage one (`python -m distill run`)."
                )


def _weights(folder: Path) -> str:
    """A fingerprint of all weights in a folder; empty if there are none."""
    return "+".join(file_fingerprint(path) for path in sorted(folder.rglob("*.safetensors")))
