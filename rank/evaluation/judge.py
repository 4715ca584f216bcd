"""The figures of a trained ranker: every set scored, judged beside LightGBM, and written down."""

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from prectr.data.contract import has_table, read_table, reconstructed
from prectr.rank.evaluation.calibrate import calibrate
from prectr.rank.evaluation.importance import importance
from prectr.rank.evaluation.paired import differences
from prectr.rank.evaluation.position import position_curve
from prectr.rank.evaluation.protocol import (
    Judged,
    exposed_slices,
    gold_levels,
    judge_exposed,
    judge_new_users,
    judge_open,
    judge_slices,
    users_of,
)
from prectr.rank.evaluation.size import latency, size_of
from prectr.rank.evaluation.splits import describe_splits
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.history.codes import encode
from prectr.rank.inputs.events import Events
from prectr.rank.inputs.frozen_text import PairFeatures
from prectr.rank.inputs.text_tables import TextTables
from prectr.rank.inputs.texts import Texts
from prectr.rank.model.predictor import Predictor
from prectr.rank.model.trained import TrainedRanker
from prectr.rank.workspace import COST, JUDGED_PAIR_FEATURES, Workspace
from prectr.shared import strict_json
from prectr.shared.engine.job import Arrays, Job
from prectr.shared.run.provenance import git_commit, machine
from prectr.shared.run.schema import read_json
from prectr.shared.run.steps import RECORD, read_record
from prectr.shared.training.device import GPUS_OF_A_PART


def judge_ranker(workspace: Workspace, work: Path) -> None:
    """Calibrate the ranker in `work`, then write metrics.json and predictions.parquet beside it."""
    started = time.time()
    ranker = TrainedRanker.from_pretrained(work)
    predictor = _predictor(workspace, ranker)
    features, rival = workspace.folder / "features", workspace.folder / "lightgbm"
    sets = {name: PreparedSet.open(features / name) for name in workspace.sets()[1:] if name != "validation"}
    batch, resamples, seed = (
        workspace.evaluation.evaluation_batch,
        workspace.evaluation.bootstrap_resamples,
        workspace.run.seed,
    )
    calibration = None
    if workspace.training.calibrate:
        validation, rate = PreparedSet.open(features / "validation"), workspace.losses.negative_sampling_rate
        calibration = calibrate(ranker, predictor, validation, rate, batch, work)
    predictions = _predictions(workspace, predictor, sets, work)
    ours = {name: part["p_click"] for name, part in predictions.items()}
    theirs = {name: np.load(rival / f"{name}.npy") for name in sets}
    tables = {split: workspace.impressions(split) for split in dict.fromkeys(map(_split_of, sets))}
    facts = read_json(rival / "rival.json")
    _write_predictions(work, sets, tables, predictions, theirs)
    judged = {name: _judged(workspace, sets[name], tables[_split_of(name)], name == "open") for name in sets}
    metrics = {
        **_judge(workspace, sets, tables, judged, ours),
        "lightgbm": _judge(workspace, sets, tables, judged, theirs),
        "differences": differences(judged, ours, theirs, resamples, seed),
        "example_page": tables["test"]["page_id"][0].as_py() if len(tables["test"]) else None,
        "not_measured": workspace.not_measured,
        "position_gain": facts["position_gain"],
        "position": position_curve(judged["test"], ours["test"], sets["test"].position, resamples, seed),
        "importance": importance(predictor, sets["test"], judged["test"], batch, resamples, seed),
        "data": describe_splits(workspace.data, workspace.run.label, workspace.folder),
        "size": size_of(ranker.model, work),
        "latency": latency(predictor, sets["test"], seed),
        "calibration": calibration and {"shift": calibration.shift, "validation_pcoc_before": calibration.pcoc},
        **_cost(work),
        "seconds": {**_seconds_before(workspace), "evaluate": time.time() - started},
        "seed": seed,
        "git_commit": git_commit(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "command": workspace.command,
        "machine": machine(),
        "reconstructed": reconstructed(workspace.data),
        "encoder": workspace.encoder_origin(),
        "lightgbm_settings": facts["settings"],
    }
    (work / "metrics.json").write_text(strict_json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def _predictor(workspace: Workspace, ranker: TrainedRanker) -> Predictor:
    """What scores with a trained ranker: every text of the run encoded, every pair of it compared."""
    shop = workspace.shop()
    if workspace.training.frozen_throughout:
        texts: Texts | PairFeatures = PairFeatures.open(workspace.folder / JUDGED_PAIR_FEATURES)
        vectors = TextTables.of_start(workspace, ranker.model.encoder, Texts.open(workspace.folder / "texts"))
    else:
        vectors, texts = None, Texts.open(workspace.folder / "texts").of_catalogue(len(shop.item_texts))
    of_items = ranker.feature_map.transform_items(shop.items).astype(np.int32)
    events = Events(shop.log, of_items, ranker.feature_map.event_types, shop.text_of_item)
    # In float32, as it is served: bfloat16 moves P(click) by up to .008, and by how much hangs on what is in the batch.
    return Predictor(ranker.model, texts, events, bf16=False, tables=vectors)


def _predictions(
    workspace: Workspace, predictor: Predictor, sets: Mapping[str, PreparedSet], work: Path
) -> dict[str, Arrays]:
    """What the calibrated ranker in `work` says of every set; see `Predictor.predict`."""
    engine, batch = workspace.engine, workspace.evaluation.evaluation_batch
    reopened = partial(_reopened, workspace, work)
    job: Job[Predictor, str] = Job(
        "predictions",
        reopened if engine.elsewhere else lambda: predictor,
        partial(_predicted, workspace.folder / "features", batch),
        unit="sets",
        shows_itself=True,
        gpus=GPUS_OF_A_PART,
    )
    found = engine.map(job, sets, len(sets), work / "checkpoints" / "predictions")
    return dict(zip(sets, found, strict=True))


def _reopened(workspace: Workspace, work: Path) -> Predictor:
    return _predictor(workspace, TrainedRanker.from_pretrained(work))


def _predicted(features: Path, batch: int, predictor: Predictor, name: str) -> Arrays:
    return predictor.predict(PreparedSet.open(features / name), batch, name)


def _cost(work: Path) -> dict[str, Any]:
    """How fast the training was, and the text encoder's share of it."""
    cost = read_json(work / COST)
    return {name: cost[name] for name in ("impressions_per_second", "encoder_share")}


def _split_of(name: str) -> str:
    return "new_users" if name.startswith("new_users") else name


def _judged(workspace: Workspace, prepared: PreparedSet, table: pa.Table, with_gold: bool) -> Judged:
    rows = table.take(pa.array(prepared.impression))
    gold = None
    if with_gold and has_table(workspace.data, "gold"):
        gold = gold_levels(rows, workspace.data)
    return Judged(
        clicked=np.asarray(prepared.clicked),
        page=np.asarray(prepared.page),
        user=users_of(rows["user_id"], rows["page_id"]),
        known=rows["user_id"].is_valid().to_numpy(),
        gold_level=gold,
        # An open list is no log: nothing of it was thinned out.
        weight=None if with_gold else prepared.full_log_weight(workspace.losses.negative_sampling_rate),
    )


def _judge(
    workspace: Workspace,
    sets: Mapping[str, PreparedSet],
    tables: Mapping[str, pa.Table],
    judged: Mapping[str, Judged],
    probability: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    resamples, seed = workspace.evaluation.bootstrap_resamples, workspace.run.seed
    found: dict[str, Any] = {"exposed": judge_exposed(judged["test"], probability["test"], resamples, seed)}
    if "open" in judged:
        found["open"] = judge_open(judged["open"], probability["open"], resamples, seed)
    ladder = {n: probability[f"new_users_{n}"] for n in workspace.history.cold_lengths if f"new_users_{n}" in judged}
    if ladder:
        found |= judge_new_users(judged[f"new_users_{min(ladder)}"], ladder, resamples, seed)
    slices = _slices(workspace, sets["test"], tables["test"])
    return found | {"slices": judge_slices(judged["test"], probability["test"], slices, resamples, seed)}


def _slices(workspace: Workspace, prepared: PreparedSet, table: pa.Table) -> dict[str, np.ndarray]:
    query = table["query"].to_numpy(zero_copy_only=False)[prepared.impression]
    seen = gold = None
    if has_table(workspace.data, "queries"):
        queries = read_table(workspace.data, "queries")
        row = encode(pa.array(query, pa.string()), queries["query"].combine_chunks())
        seen, gold = (queries[name].to_numpy()[row] for name in ("seen_in_training", "has_gold_labels"))
    training = workspace.impressions("train")["query"].to_numpy(zero_copy_only=False)
    return exposed_slices(query, training, seen, gold, np.asarray(prepared.cross_depth)[prepared.page])


def _write_predictions(
    work: Path,
    sets: Mapping[str, PreparedSet],
    tables: Mapping[str, pa.Table],
    predictions: Mapping[str, Mapping[str, np.ndarray]],
    theirs: Mapping[str, np.ndarray],
) -> None:
    """One row per judged impression; `history_pages` says to how many pages the user's history was cut (null: not)."""
    parts = []
    for name, prepared in sets.items():
        table = tables[_split_of(name)].select(["impression_id", "page_id", "split", "clicked"])
        rows = table.take(pa.array(prepared.impression))
        length = int(name.removeprefix("new_users_")) if name.startswith("new_users_") else None
        rows = rows.append_column("history_pages", pa.array([length] * len(rows), pa.int32()))
        found = predictions[name]
        for column in ("p_click", "tau"):
            rows = rows.append_column(column, pa.array(found[column].astype(np.float32)))
        for column in ("level_prob", "p_click_given_level"):
            lists = pa.FixedSizeListArray.from_arrays(pa.array(found[column].ravel()), found[column].shape[1])
            rows = rows.append_column(column, lists)
        parts.append(rows.append_column("p_click_lightgbm", pa.array(theirs[name].astype(np.float32))))
    pq.write_table(pa.concat_tables(parts), work / "predictions.parquet", compression="zstd")


def _seconds_before(workspace: Workspace) -> dict[str, float | None]:
    """What every step before judging cost, in the order they run; None where it is not known."""
    folder = workspace.folder
    install = Path(".venv") / "install_seconds"
    return {
        "install": float(install.read_text()) if install.exists() else None,
        "data": read_record(workspace.data).seconds if (workspace.data / RECORD).is_file() else None,
        **_seconds_of_stage_one(workspace),
        **{name: read_record(folder / name).seconds for name in ("level_prob", "replay", "pairs", "behaviours")},
        **{name: read_record(folder / name).seconds for name in ("texts", "text_vectors", "features", "lightgbm")},
        **{name: read_record(folder / name).seconds for name in (*workspace.taught_by, *workspace.stored_pairs)},
        "rank": read_record(folder / "trained").seconds,
    }


def _seconds_of_stage_one(workspace: Workspace) -> dict[str, float | None]:
    """What the steps cost that made the encoder, where it was made on this data set."""
    path = workspace.encoder / "seconds.json"
    if workspace.run.encoder or not path.exists():
        return {}
    return {**read_json(path), "evaluate_encoder": read_record(workspace.encoder).seconds}
