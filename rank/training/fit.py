"""The step `ranker`: the network trained on the prepared features, and saved."""

import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from prectr.data.contract import own_names
from prectr.data.scan import scan_table
from prectr.rank.features.columns import Columns
from prectr.rank.features.feature_map import FeatureMap
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.features.reference import Reference
from prectr.rank.inputs.batch import sample_batches
from prectr.rank.inputs.events import Events
from prectr.rank.inputs.frozen_text import PairFeatures
from prectr.rank.inputs.replay import read_replay
from prectr.rank.inputs.text_tables import TextTables, with_texts
from prectr.rank.inputs.texts import Texts
from prectr.rank.model.ranker_model import RankerConfig, RankerModel
from prectr.rank.model.trained import TrainedRanker
from prectr.rank.training.exposure_bias import HardNegatives
from prectr.rank.training.objective import Objective
from prectr.rank.training.schedule import BatchSchedule
from prectr.rank.training.trainer import train
from prectr.rank.training.validation_curve import ValidationCurve
from prectr.rank.training.warm_start import carry_over
from prectr.rank.workspace import COST, PAIR_FEATURES, Workspace
from prectr.shared import strict_json
from prectr.shared.run import launch
from prectr.shared.run.trial import MADE_BY, has_random
from prectr.shared.seeds import set_seed


def train_ranker(workspace: Workspace, work: Path) -> None:
    """Train on the training set, all launched processes together, and save the ranker into `work`."""
    set_seed(workspace.run.seed)
    shop = workspace.shop()
    features = workspace.folder / "features"
    prepared = PreparedSet.open(features / "train")
    feature_map = FeatureMap.read(features / "feature_map.json")
    config = RankerConfig(
        numeric_names=feature_map.numeric_names,
        categorical_names=feature_map.categorical_names,
        cardinalities=feature_map.cardinalities,
        item_columns=feature_map.item_columns,
        num_levels=len(workspace.level_names),
        num_event_types=len(feature_map.event_types),
        **asdict(workspace.model),
    )
    of_items = feature_map.transform_items(shop.items).astype(np.int32)
    events = Events(shop.log, of_items, feature_map.event_types, shop.text_of_item)
    texts = Texts.open(workspace.folder / "texts")
    if workspace.run.warm_start:
        source = TrainedRanker.from_pretrained(workspace.run.warm_start)
        model = RankerModel(config, source.model.encoder)
        carry_over(model, feature_map, source)
    else:
        model = RankerModel(config, workspace.start_encoder())
    tables = TextTables.of_start(workspace, model.encoder, texts) if config.text_vectors else None
    if not workspace.run.warm_start:
        click_rate = prepared.click_rate(workspace.losses.negative_sampling_rate)
        sampled = with_texts(sample_batches(prepared, events, workspace.run.seed), tables)
        model.start_from(sampled, click_rate, None if tables is None else tables.item)
    replay, _ = read_replay(workspace.folder / "replay", shop)
    frozen_epochs, epochs = workspace.training.passes
    schedule = BatchSchedule(
        prepared,
        events,
        replay if workspace.losses.replay_share else None,
        pages_per_batch=workspace.training.pages_per_batch,
        pages_together=workspace.training.pages_together,
        frozen_epochs=frozen_epochs,
        features=PairFeatures.open(workspace.folder / PAIR_FEATURES) if frozen_epochs else None,
        epochs=epochs,
        warmup_share=workspace.training.warmup_share,
        replay_share=workspace.losses.replay_share,
        hard_negatives=HardNegatives(workspace.losses.noise, feature_map) if workspace.losses.debias_weight else None,
        engagement=workspace.engagement(),
        seed=workspace.run.seed,
    )
    objective = Objective(model, workspace.losses, workspace.run.seed, tables)
    started = time.perf_counter()
    validation = _validation(workspace, events, texts) if launch.is_first() else None
    origin = workspace.encoder_origin() or {}
    training = train(
        *(objective, schedule, texts, workspace.training, workspace.run.seed, work, validation),
        advises=not has_random(origin.get(name) for name in MADE_BY),
    )
    seconds = time.perf_counter() - started
    if not launch.is_first():
        return
    (work / "training_log.json").write_text(strict_json.dumps(training.log, indent=1), encoding="utf-8")
    cost = {
        "seconds": seconds,
        "impressions_per_second": len(schedule.pages) * schedule.impressions_per_batch / seconds,
        "encoder_share": training.encoder_seconds / seconds,
    }
    (work / COST).write_text(strict_json.dumps(cost, indent=1), encoding="utf-8")
    columns = Columns.of(shop.items, next(scan_table(workspace.data, "impressions", rows_at_once=1)), shop.log)
    names = own_names(workspace.data)
    TrainedRanker(model, feature_map, workspace.history, workspace.level_names, columns, names).save_pretrained(work)
    rate = workspace.losses.negative_sampling_rate
    Reference.of(prepared, feature_map, workspace.history, workspace.run.seed, rate).save(work)


def _validation(workspace: Workspace, events: Events, texts: Texts) -> ValidationCurve | None:
    """What is measured while it trains; None: there are no validation weeks."""
    if "validation" not in workspace.splits:
        return None
    return ValidationCurve(
        PreparedSet.open(workspace.folder / "features" / "validation"),
        events,
        texts,
        bf16=workspace.training.bf16,
        negative_sampling_rate=workspace.losses.negative_sampling_rate,
        seed=workspace.run.seed,
    )
