"""Stage two from tables and encoder to a judged ranker: the steps, each building one folder once for its inputs.

level_prob/   what the encoder says of every logged pair, before it meets a click; and that encoder
replay/       the pairs that are replayed beside the clicks
pairs/        stage one's probabilities, sorted to be looked up on disk
behaviours/   the log as memory-mapped columns and indices
texts/        every distinct text, tokenised
text_vectors/ a vector of each, by the encoder that judges the log
features/     features, history slices and feature map of every evaluated set
lightgbm/     the rival's scores
engagement/   what boosted trees, cross-fitted, expect of every training impression: the teacher of engagement
pair_features/, judged_pair_features/
              what the level head reads of pairs of texts, for passes in which the text encoder is frozen
trained/      the network as training leaves it
ranker/       the same, calibrated, with its predictions and every figure

What a step does lies in the room it belongs to; here stands what it depends on.
"""

import shutil
from collections.abc import Callable
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from prectr.data.checks.validate import SHOWN, validate
from prectr.rank.config import deciding
from prectr.rank.evaluation.judge import judge_ranker
from prectr.rank.evaluation.lightgbm import write_rival
from prectr.rank.features.build import write_feature_sets
from prectr.rank.features.feature_map import FeatureMap
from prectr.rank.features.frozen_vectors import FrozenVectors
from prectr.rank.features.kept_map import kept_feature_map
from prectr.rank.history.log import BehaviourLog
from prectr.rank.history.score_log import keep_encoder, write_level_prob
from prectr.rank.inputs.replayed_pairs import pairs_to_replay
from prectr.rank.inputs.steps import (
    fingerprint_of_pairs,
    stored_pairs,
    write_frozen_text,
    write_text_vectors,
    write_texts,
)
from prectr.rank.model.trained import TrainedRanker
from prectr.rank.reports.durations import usual_seconds
from prectr.rank.reports.html import write_report
from prectr.rank.reports.terminal import REPORT, show_report, show_results
from prectr.rank.training.engagement import write_engagement
from prectr.rank.training.fit import train_ranker
from prectr.rank.workspace import ENGAGEMENT, PAIR_FEATURES, Workspace
from prectr.shared.run import launch
from prectr.shared.run.ahead import Ahead, Build, look_ahead, tell
from prectr.shared.run.console import console
from prectr.shared.run.contents import remark_on_tables
from prectr.shared.run.finished import remember_run, settings_of
from prectr.shared.run.steps import (
    RECORD,
    fingerprint_of,
    fingerprint_of_tables,
    require_whole,
)
from prectr.shared.training.device import compute_device, has_bf16
from prectr.shared.training.trackers import report_to

SOURCES = {
    "level_prob": ("prectr.rank.history.score_log",),
    "replay": ("prectr.rank.inputs.replayed_pairs",),
    "behaviours": ("prectr.rank.history.log",),
    "features": ("prectr.rank.features.build",),
    "texts": ("prectr.rank.inputs.texts", "prectr.rank.inputs.replay"),
    "text_vectors": ("prectr.rank.features.frozen_vectors", "prectr.rank.inputs.texts"),
    "lightgbm": ("prectr.rank.evaluation.lightgbm",),
    "engagement": ("prectr.rank.training.engagement",),
    "pair_features": ("prectr.rank.inputs.frozen_text", "prectr.rank.inputs.replay"),
    "training": ("prectr.rank.training.fit",),
    "ranker": ("prectr.rank.evaluation.judge",),
    "warm start": ("prectr.rank.features.kept_map", "prectr.rank.model.trained"),
}
"""The modules that do each step's work; a warm start adds its own to the step that reads it."""

SEEDLESS = ("level_prob", "replay", "behaviours", "texts", "text_vectors")
"""Folders of `build_inputs` that are the same for every seed."""


def run_stage(workspace: Workspace) -> None:
    """All steps, then the results as tables and as a page; the caller holds the folder."""
    report_to(workspace.run.report_to)
    if changed := remark_on_tables(workspace.data):
        console.print(changed, highlight=False, markup=False, soft_wrap=True)
    if launch.is_first():
        tell(ahead(workspace))
    build_all(workspace)
    if launch.is_first():
        show_results(workspace.folder)
        report(workspace.folder)
        remember(workspace)


def build_all(workspace: Workspace) -> None:
    """What a training reads · lightgbm · (engagement) · (pair features) · training · ranker."""
    for build in builds(workspace).values():
        build(workspace)


def build_inputs(workspace: Workspace) -> None:
    """level_prob · replay · behaviours · texts · text_vectors · features: what a training, and any rival, reads."""
    for build in INPUTS.values():
        build(workspace)


def builds(workspace: Workspace) -> dict[str, Callable[[Workspace], None]]:
    """What builds each folder of a run, in order."""
    return {
        **INPUTS,
        "lightgbm": build_rival,
        **{name: build_engagement for name in workspace.taught_by},
        **{name: partial(build_pair_features, name=name) for name in workspace.stored_pairs},
        "trained": build_training,
        "ranker": build_ranker,
    }


def ahead(workspace: Workspace) -> list[Ahead]:
    """How the steps stand before they run."""

    def asking(build: Callable[[Workspace], None]) -> Build:
        def hand_over(step: Callable[..., Any]) -> None:
            asked = copy(workspace)
            asked.step = step
            build(asked)

        return hand_over

    folders = {name: asking(build) for name, build in builds(workspace).items()}
    return look_ahead(workspace.folder, folders, usual_seconds(workspace.command, workspace.data))


def report(folder: Path) -> None:
    """Write `report.html` of a finished run in `folder`, artifacts/<name>, and say where it is."""
    require_whole(folder / "ranker")
    show_report(write_report(folder))


def build_level_prob(workspace: Workspace) -> None:
    """`level_prob/`: P(level) of every logged pair, and the encoder that says so, for pairs that are met later."""
    inputs = {"encoder": workspace.encoder_fingerprint(), "data": fingerprint_of_tables(workspace.data)}

    def build(work: Path) -> None:
        encoder = workspace.stage_one()
        validate(workspace.data, SHOWN)  # whoever wrote the tables: one may have been edited since
        write_level_prob(encoder, workspace.data, work, workspace.engine)
        keep_encoder(workspace.encoder, work)

    workspace.step("level_prob", workspace.folder / "level_prob", inputs, build, sources=SOURCES["level_prob"])


def build_replay(workspace: Workspace) -> None:
    """`replay/`: gold pairs, and others as the same encoder judges them."""
    replay_pairs = workspace.losses.replay_pairs
    inputs = {
        "encoder": workspace.encoder_fingerprint(),
        "data": fingerprint_of_tables(workspace.data),
        "replay_pairs": replay_pairs,
    }

    def build(work: Path) -> None:
        table = pairs_to_replay(workspace.stage_one(), workspace.data, replay_pairs, work)
        pq.write_table(table, work / "replay.parquet", compression="zstd")

    workspace.step("replay", workspace.folder / "replay", inputs, build, sources=SOURCES["replay"])


def build_behaviours(workspace: Workspace) -> None:
    """`behaviours/`: the log and its indices."""
    inputs = {
        "data": fingerprint_of_tables(workspace.data),
        "level_prob": fingerprint_of(workspace.folder / "level_prob"),
    }

    def build(work: Path) -> None:
        BehaviourLog.build(workspace.data, workspace.level_prob(), work, engine=workspace.engine)

    workspace.step("behaviours", workspace.folder / "behaviours", inputs, build, sources=SOURCES["behaviours"])


def build_features(workspace: Workspace) -> None:
    """`features/`: one folder per set, and the feature map fitted on the training one."""
    run, history = workspace.run, workspace.history
    inputs = {
        "behaviours": fingerprint_of(workspace.folder / "behaviours"),
        "text_vectors": fingerprint_of(workspace.folder / "text_vectors"),
        "seed": run.seed,
        **deciding(history),
        "label": run.label,
        **workspace.warm_start_inputs(),
    }

    def keep(fitted: FeatureMap) -> FeatureMap:
        if not run.warm_start:
            return fitted
        source = TrainedRanker.from_pretrained(run.warm_start)
        return kept_feature_map(source.feature_map, source.level_names, fitted, workspace.level_names)

    def build(work: Path) -> None:
        rungs = history.cold_lengths if "new_users" in workspace.splits else []
        scratch = work / "checkpoints"
        write_feature_sets(
            workspace.shop(FrozenVectors.open(workspace.folder / "text_vectors")),
            lambda split: workspace.pages(split, scratch),
            workspace.evaluated,
            rungs,
            history,
            run.seed,
            keep,
            work,
            workspace.engine,
        )

    sources = SOURCES["features"] + (SOURCES["warm start"] if run.warm_start else ())
    workspace.step("features", workspace.folder / "features", inputs, build, sources=sources)


def build_texts(workspace: Workspace) -> None:
    """`texts/`: the catalogue's, the queries' and the replayed pairs' texts, tokenised."""
    build = partial(write_texts, workspace)
    workspace.step("texts", workspace.folder / "texts", _text_inputs(workspace), build, sources=SOURCES["texts"])


def build_text_vectors(workspace: Workspace) -> None:
    """`text_vectors/`: a vector of every text of the catalogue and of every query, for what compares texts."""
    inputs = {
        "behaviours": fingerprint_of(workspace.folder / "behaviours"),
        "encoder": workspace.encoder_fingerprint(),
        "bf16": workspace.training.bf16 and has_bf16(compute_device()),
    }
    build = partial(write_text_vectors, workspace)
    workspace.step("text_vectors", workspace.folder / "text_vectors", inputs, build, sources=SOURCES["text_vectors"])


def build_rival(workspace: Workspace) -> None:
    """`lightgbm/`: LightGBM's scores on every set, and what the position would have told it."""
    inputs = {
        "features": fingerprint_of(workspace.folder / "features"),
        "seed": workspace.run.seed,
        "negative_sampling_rate": workspace.losses.negative_sampling_rate,
    }
    build = partial(write_rival, workspace)
    workspace.step("lightgbm", workspace.folder / "lightgbm", inputs, build, sources=SOURCES["lightgbm"])


def build_engagement(workspace: Workspace) -> None:
    """`engagement/`: P(click) of every training impression, by trees that have not seen its user."""
    inputs = {
        "features": fingerprint_of(workspace.folder / "features"),
        "lightgbm": fingerprint_of(workspace.folder / "lightgbm"),
        "seed": workspace.run.seed,
        "negative_sampling_rate": workspace.losses.negative_sampling_rate,
        "position_debias": workspace.losses.position_debias,
    }
    build = partial(write_engagement, workspace)
    workspace.step("engagement", workspace.folder / ENGAGEMENT, inputs, build, sources=SOURCES["engagement"])


def build_pair_features(workspace: Workspace, name: str) -> None:
    """What the level head reads of pairs of texts, for a frozen text encoder: `pair_features/` of those that training
    shows or replays, or `judged_pair_features/` of those that are judged.
    """
    pairs = stored_pairs(workspace, name)
    bf16 = name == PAIR_FEATURES and workspace.training.bf16  # what is judged is served, in float32
    inputs = {
        **_text_inputs(workspace),
        "pairs": fingerprint_of_pairs(pairs),
        "bf16": bf16 and has_bf16(compute_device()),
    }
    build = partial(write_frozen_text, workspace, pairs, bf16)
    workspace.step(name, workspace.folder / name, inputs, build, sources=SOURCES["pair_features"])


def build_training(workspace: Workspace) -> None:
    """`trained/`: the network, trained by all launched processes together."""
    training = deciding(workspace.training)
    del training["calibrate"]  # that comes after it
    inputs = {
        "features": fingerprint_of(workspace.folder / "features"),
        **_text_inputs(workspace),
        **{name: fingerprint_of(workspace.folder / name) for name in workspace.taught_by},
        "seed": workspace.run.seed,
        **deciding(workspace.model),
        **deciding(workspace.losses),
        **training,
    }
    build = partial(train_ranker, workspace)
    workspace.step(
        "training",
        workspace.folder / "trained",
        inputs,
        build,
        sources=SOURCES["training"],
        together=True,
        through=workspace.together,
    )


def build_ranker(workspace: Workspace) -> None:
    """`ranker/`: the trained network, calibrated, its predictions and its figures beside the rival's."""
    trained = workspace.folder / "trained"
    inputs = {
        "trained": fingerprint_of(trained),
        "lightgbm": fingerprint_of(workspace.folder / "lightgbm"),
        "calibrate": workspace.training.calibrate,
        "negative_sampling_rate": workspace.losses.negative_sampling_rate,
        **deciding(workspace.evaluation),
    }

    def build(work: Path) -> None:
        shutil.copytree(trained, work, dirs_exist_ok=True, ignore=shutil.ignore_patterns(RECORD, "runs"))
        judge_ranker(workspace, work)

    workspace.step("ranker", workspace.folder / "ranker", inputs, build, sources=SOURCES["ranker"])


INPUTS: dict[str, Callable[[Workspace], None]] = {
    "level_prob": build_level_prob,
    "replay": build_replay,
    "behaviours": build_behaviours,
    "texts": build_texts,
    "text_vectors": build_text_vectors,
    "features": build_features,
}
"""What builds the folders that a training, and any rival, reads, in order."""


def _text_inputs(workspace: Workspace) -> dict[str, Any]:
    """What decides all that is read of texts."""
    return {
        "behaviours": fingerprint_of(workspace.folder / "behaviours"),
        "replay": fingerprint_of(workspace.folder / "replay"),
        "encoder": workspace.encoder_fingerprint(),
        **workspace.warm_start_inputs(),
    }


def remember(workspace: Workspace) -> None:
    """Note that a run has ended; one that reads from a hub is to look there again."""
    run, folder = workspace.run, workspace.folder
    given = [Path(each) for each in (run.encoder, run.warm_start) if each]
    if not all(path.exists() for path in given):
        return
    made = (
        "data",
        "level_prob",
        "replay",
        "pairs",
        "behaviours",
        "texts",
        "text_vectors",
        "features",
        "lightgbm",
        "trained",
        "ranker",
        REPORT,
    )
    paths = [folder / name for name in (*made, *workspace.taught_by, *workspace.stored_pairs)]
    groups = (run, workspace.history, workspace.model, workspace.losses, workspace.training, workspace.evaluation)
    drawn_with = Path(__file__).parent / "reports"
    remember_run(folder, "rank", settings_of(groups), [*paths, workspace.encoder, *given, drawn_with], [__name__])
