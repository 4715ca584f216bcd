"""Stage two from tables and encoder to a judged ranker: the steps, each building one folder once for its inputs.

pairs/        stage one's probabilities, sorted to be looked up on disk
behaviours/   the log as memory-mapped columns and indices
features/     features, history slices and feature map of every evaluated set
pair_features/, judged_pair_features/
              what the level head reads of pairs of texts, for passes in which the text encoder is frozen
lightgbm/     the rival's scores
ranker/       the network, its predictions and every figure
"""

import hashlib
import json
import time
from pathlib import Path

import numpy as np

from prectr.data.checks.validate import SHOWN, validate
from prectr.rank.config import deciding
from prectr.rank.evaluation.judge import judge_ranker
from prectr.rank.evaluation.lightgbm import LightGBMRival, Rows, fit_lightgbm, num_threads, position_gain
from prectr.rank.features.feature_map import FeatureMapFit
from prectr.rank.features.prepare import cold_cuts
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.features.write import apply_feature_map, write_features, write_prepared
from prectr.rank.history.log import UNCUT, BehaviourLog
from prectr.rank.inputs.frozen_text import PAIRS, TEXTS, VALUES, distinct_pairs, write_pair_features
from prectr.rank.inputs.replay import Replay, read_replay
from prectr.rank.inputs.texts import Texts
from prectr.rank.reports.html import write_report
from prectr.rank.reports.terminal import show_results
from prectr.rank.serving.ranker import FEATURE_MAP, WEIGHTS, Ranker
from prectr.rank.training.fit import train_ranker
from prectr.rank.training.warm_start import kept_feature_map
from prectr.rank.workspace import PAIR_FEATURES, Workspace
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.hub import local_folder
from prectr.shared.run import launch
from prectr.shared.run.console import console
from prectr.shared.run.fingerprint import file_fingerprint
from prectr.shared.run.steps import RECORD, fingerprint_of, fingerprint_of_tables, read_record, run_step
from prectr.shared.training.precision import has_bf16

RIVAL_ROWS = 5_000_000
"""Training rows, at most, that LightGBM learns from: it holds them in memory, the network does not."""

RECIPE = 3
"""Raised whenever the log, or what is prepared from it, changes for the same tables: an old one is built again."""


def run_stage(workspace: Workspace) -> None:
    """behaviours · features · lightgbm · ranker, then the results as tables and as a page."""
    build_behaviours(workspace)
    build_features(workspace)
    build_rival(workspace)
    for name in workspace.stored_pairs:
        build_pair_features(workspace, name)
    build_ranker(workspace)
    if launch.is_first():
        show_results(workspace)
        report(workspace)


def report(workspace: Workspace) -> None:
    """Write `report.html` of a finished run, and say where it is."""
    read_record(workspace.folder / "ranker")
    console.print(f"Report: {write_report(workspace.folder)}", highlight=False, soft_wrap=True)


def build_behaviours(workspace: Workspace) -> None:
    """`behaviours/`: the log and its indices."""
    inputs = {
        "data": fingerprint_of_tables(workspace.data),
        "level_prob": fingerprint_of(workspace.folder / "level_prob"),
        "recipe": RECIPE,
    }

    def build(work: Path) -> None:
        if not (workspace.data / RECORD).is_file():  # what our own commands wrote they have checked
            validate(workspace.data, SHOWN)
        BehaviourLog.build(workspace.data, workspace.level_prob(), work)

    run_step("behaviours", workspace.folder / "behaviours", inputs, build)


def build_features(workspace: Workspace) -> None:
    """`features/`: one folder per set, and the feature map fitted on the training one."""
    history = workspace.history
    inputs = {
        "behaviours": fingerprint_of(workspace.folder / "behaviours"),
        "seed": workspace.run.seed,
        **deciding(history),
    }
    inputs |= {name: value for name, value in deciding(workspace.run).items() if name == "label"}
    inputs |= warm_start_inputs(workspace)

    def build(work: Path) -> None:
        shop, scratch = workspace.shop(), work / "checkpoints"
        pages = workspace.pages("train", scratch)
        cuts = cold_cuts(pages.num_pages, history.cold_share, history.cold_lengths, workspace.run.seed)
        fit = FeatureMapFit(
            shop.items,
            item_id=history.item_id_embedding,
            user_id=history.user_id_embedding,
            max_vocabulary=history.max_vocabulary,
            hash_buckets=history.hash_buckets,
        )
        features = write_features(pages, shop, history, cuts, fit, work / "train")
        last_second = int(PreparedSet.open(work / "train").seconds.max())
        feature_map = fit.finish(shop.log.event_types_before(last_second))
        if workspace.run.warm_start:
            feature_map = kept_feature_map(
                Ranker.from_pretrained(workspace.run.warm_start), feature_map, workspace.level_names
            )
        apply_feature_map(pages, shop, cuts, features, feature_map, work / "train")
        (work / "feature_map.json").write_text(feature_map.to_json(), encoding="utf-8")
        for split in workspace.evaluated:
            write_prepared(workspace.pages(split, scratch), shop, history, UNCUT, feature_map, work / split)
        if "new_users" not in workspace.splits:
            return
        new_users = workspace.pages("new_users", scratch)
        for length in history.cold_lengths:
            write_prepared(new_users, shop, history, length, feature_map, work / f"new_users_{length}")

    run_step("features", workspace.folder / "features", inputs, build)


def build_rival(workspace: Workspace) -> None:
    """`lightgbm/`: LightGBM's scores on every set, and what the position would have told it."""
    folder = workspace.folder / "features"
    inputs = {"features": fingerprint_of(folder), "seed": workspace.run.seed}
    inputs |= {name: value for name, value in deciding(workspace.losses).items() if name == "negative_sampling_rate"}

    def rows(prepared: PreparedSet) -> Rows:
        weight = prepared.full_log_weight(workspace.losses.negative_sampling_rate)
        return Rows(prepared.numeric, prepared.categorical, prepared.clicked, weight)

    def build(work: Path) -> None:
        sets = {name: PreparedSet.open(folder / name) for name in workspace.sets()}
        if len(sets["train"]) > RIVAL_ROWS:
            sets["train"] = sets["train"].take(sets["train"].sample(RIVAL_ROWS, workspace.run.seed))
        threads = num_threads(len(sets["train"]))
        rival: LightGBMRival = fit_lightgbm(rows(sets["train"]), rows(sets["validation"]), workspace.run.seed, threads)
        for name in workspace.sets()[1:]:
            np.save(work / f"{name}.npy", rival.predict(rows(sets[name])))
        shown = ("train", "validation", "test")
        positions = {}
        for split in shown:
            position = sets[split].position
            if position is None:  # a set made before positions were kept
                position = workspace.impressions(split)["position"].to_numpy()[sets[split].impression]
            positions[split] = position
        gain = position_gain(rival, {name: rows(sets[name]) for name in shown}, positions, workspace.run.seed, threads)
        facts = {"position_gain": gain, "settings": dict(rival.settings), "rounds": rival.booster.best_iteration}
        (work / "rival.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")

    run_step("lightgbm", workspace.folder / "lightgbm", inputs, build)


def build_pair_features(workspace: Workspace, name: str) -> None:
    """What the level head reads of pairs of texts, for a frozen text encoder: `pair_features/` of those that
    training shows or replays, or `judged_pair_features/` of those that are judged.
    """
    replayed = name == PAIR_FEATURES
    sets = ["train"] if replayed else workspace.sets()[1:]
    shop = workspace.shop()
    replay, replay_texts = read_replay(workspace, shop)
    rows: list[PreparedSet | Replay] = [PreparedSet.open(workspace.folder / "features" / each) for each in sets]
    if replayed:
        rows.append(replay)
    num_items = len(shop.item_texts) + len(replay_texts)
    pairs = distinct_pairs(((part.query_text, part.item_text) for part in rows), num_items)
    inputs = {
        "behaviours": fingerprint_of(workspace.folder / "behaviours"),
        "replay": fingerprint_of(workspace.folder / "replay"),
        "encoder": workspace.encoder_fingerprint(),
        "pairs": hashlib.sha256(pairs.data).hexdigest(),
        "bf16": workspace.training.bf16 and has_bf16(),
        **warm_start_inputs(workspace),
    }

    def build(work: Path) -> None:
        warm_start = workspace.run.warm_start
        encoder = (
            Ranker.from_pretrained(warm_start).model.encoder
            if warm_start
            else LevelEncoder.from_pretrained(workspace.encoder)
        )
        texts = Texts.tokenize(encoder, shop.query_texts, [*shop.item_texts, *replay_texts], work / "checkpoints")
        np.save(work / PAIRS, pairs)
        write_pair_features(encoder, texts, pairs, work / VALUES, workspace.training.bf16)
        (work / TEXTS).write_text(json.dumps({"items": num_items}), encoding="utf-8")

    run_step(name, workspace.folder / name, inputs, build)


def build_ranker(workspace: Workspace) -> None:
    """`ranker/`: training, predictions and metrics."""
    inputs = {
        "features": fingerprint_of(workspace.folder / "features"),
        "lightgbm": fingerprint_of(workspace.folder / "lightgbm"),
        "replay": fingerprint_of(workspace.folder / "replay"),
        "encoder": workspace.encoder_fingerprint(),
        "seed": workspace.run.seed,
        **deciding(workspace.model),
        **deciding(workspace.losses),
        **deciding(workspace.training),
        **deciding(workspace.evaluation),
        **warm_start_inputs(workspace),
    }

    def build(work: Path) -> None:
        seconds = work / "seconds.json"
        started = time.time()
        if not launch.agree(seconds.exists()):
            train_ranker(workspace, work)
            if launch.is_first():
                seconds.write_text(json.dumps({"rank": time.time() - started}), encoding="utf-8")
        if launch.is_first():
            trained = json.loads(seconds.read_text(encoding="utf-8"))
            with launch.alone():
                judge_ranker(workspace, work, trained | {"evaluate": time.time()})

    run_step("ranker", workspace.folder / "ranker", inputs, build, together=True)


def warm_start_inputs(workspace: Workspace) -> dict[str, str]:
    """What a warm start adds to a step's inputs; nothing where there is none."""
    if not workspace.run.warm_start:
        return {}
    files = (local_folder(workspace.run.warm_start) / name for name in (WEIGHTS, FEATURE_MAP))
    return {"warm_start": "+".join(file_fingerprint(path) for path in files)}
