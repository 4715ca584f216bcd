"""The step `ranker`: the network trained on the prepared features, and saved."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from prectr.data.scan import scan_table
from prectr.rank.features.columns import Columns
from prectr.rank.features.feature_map import FeatureMap
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.features.reference import Reference
from prectr.rank.inputs.batch import sample_batches
from prectr.rank.inputs.events import Events
from prectr.rank.inputs.frozen_text import PairFeatures
from prectr.rank.inputs.replay import read_replay
from prectr.rank.inputs.texts import Texts
from prectr.rank.model.ranker_model import RankerConfig, RankerModel
from prectr.rank.model.trained import TrainedRanker
from prectr.rank.training.exposure_bias import HardNegatives
from prectr.rank.training.objective import Objective
from prectr.rank.training.schedule import BatchSchedule
from prectr.rank.training.trainer import train
from prectr.rank.training.warm_start import carry_over
from prectr.rank.workspace import PAIR_FEATURES, Workspace
from prectr.shared.run import launch
from prectr.shared.seeds import set_seed


def train_ranker(workspace: Workspace, work: Path) -> None:
    """Train on the training set, all launched processes together, and save the ranker into `work`."""
    set_seed(workspace.run.seed)
    shop = workspace.shop()
    features = workspace.folder / "features"
    prepared = PreparedSet.open(features / "train")
    feature_map = FeatureMap.from_json((features / "feature_map.json").read_text(encoding="utf-8"))
    config = RankerConfig(
        numeric_names=feature_map.numeric_names,
        categorical_names=feature_map.categorical_names,
        cardinalities=feature_map.cardinalities,
        item_columns=feature_map.item_columns,
        num_levels=len(workspace.level_names),
        num_event_types=len(feature_map.event_types),
        **asdict(workspace.model),
    )
    events = Events(shop.log, feature_map.transform_items(shop.items).astype(np.int32), feature_map.event_types)
    if workspace.run.warm_start:
        source = TrainedRanker.from_pretrained(workspace.run.warm_start)
        model = RankerModel(config, source.model.encoder)
        carry_over(model, feature_map, source)
    else:
        model = RankerModel(config, workspace.start_encoder())
        click_rate = prepared.click_rate(workspace.losses.negative_sampling_rate)
        model.start_from(sample_batches(prepared, events, workspace.run.seed), click_rate)
    replay, _ = read_replay(workspace.folder / "replay", shop)
    texts = Texts.open(workspace.folder / "texts")
    frozen_epochs, epochs = workspace.training.passes
    schedule = BatchSchedule(
        prepared,
        events,
        texts,
        replay if workspace.losses.replay_share else None,
        pages_per_batch=workspace.training.pages_per_batch,
        pages_together=workspace.training.pages_together,
        frozen_epochs=frozen_epochs,
        features=PairFeatures.open(workspace.folder / PAIR_FEATURES) if frozen_epochs else None,
        epochs=epochs,
        warmup_share=workspace.training.warmup_share,
        replay_share=workspace.losses.replay_share,
        hard_negatives=HardNegatives(workspace.losses.noise, feature_map) if workspace.losses.debias_weight else None,
        seed=workspace.run.seed,
    )
    objective = Objective(model, workspace.losses, workspace.run.seed)
    log = train(objective, schedule, workspace.training, workspace.run.seed, work)
    if not launch.is_first():
        return
    (work / "training_log.json").write_text(json.dumps(log, indent=1), encoding="utf-8")
    columns = Columns.of(shop.items, next(scan_table(workspace.data, "impressions", rows_at_once=1)), shop.log)
    TrainedRanker(model, feature_map, workspace.history, workspace.level_names, columns).save_pretrained(work)
    rate = workspace.losses.negative_sampling_rate
    Reference.of(prepared, feature_map, workspace.history, workspace.run.seed, rate).save(work)
