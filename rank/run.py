"""Stage two from tables and encoder to a judged ranker, each step in a folder built once for each set of inputs.

behaviours/   the log as memory-mapped columns and indices
features/     features, history slices and feature map of every evaluated set
lightgbm/     the rival's scores
ranker/       the network, its predictions and every figure
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.contract import has_table, levels, read_table
from rank.behaviours import BehaviourLog
from rank.config import EvaluateArguments, HistoryArguments, LossArguments, ModelArguments, RunArguments, TrainArguments
from rank.evaluate import Judged, exposed_slices, judge_exposed, judge_new_users, judge_open, judge_slices
from rank.feature_map import FeatureMap
from rank.inputs import BatchSchedule, Events, PreparedSet, Replay, Texts
from rank.level_prob import LevelProb, encode
from rank.model import RankerConfig, RankerModel
from rank.objective import Objective
from rank.predict import Predictor
from rank.prepare import Shop, cold_cuts, prepare
from rank.ranker import Columns, Ranker
from rank.report import show
from rank.rival import LightGBMRival, Rows, fit_lightgbm, position_gain
from rank.train import train
from shared.encoder import LevelEncoder
from shared.seeds import set_seed
from shared.steps import fingerprint_of, git_commit, read_record, run_step

EVALUATED = ("validation", "test", "open")


@dataclass
class Stage:
    """Settings, folders and tables that the steps share."""

    run: RunArguments
    history: HistoryArguments
    model: ModelArguments
    losses: LossArguments
    training: TrainArguments
    evaluation: EvaluateArguments
    command: str = "python -m rank run"

    def __post_init__(self) -> None:
        self.folder = Path(self.run.artifacts) / self.run.name
        self.data = self.folder / "data"
        self.encoder = Path(self.run.encoder) if self.run.encoder else self.folder / "encoder"
        self.level_names = levels(self.data)

    def impressions(self, split: str) -> pa.Table:
        return read_table(self.data, "impressions").filter(pc.field("split") == split)

    def shop(self) -> Shop:
        """The catalogue with the log and stage one's probabilities; queries of every table, and the replayed ones."""
        queries: set[str] = set()
        for table in (read_table(self.data, "impressions", ["query"]), read_table(self.data, "pairs", ["query"])):
            queries.update(pc.unique(table["query"]).to_pylist())
        level_prob = LevelProb.read(self.folder / "level_prob" / "level_prob.parquet")
        log = BehaviourLog.open(self.folder / "behaviours")
        return Shop(read_table(self.data, "items"), log, level_prob, sorted(queries))

    def sets(self) -> list[str]:
        """Folders of features/, the training one first."""
        rungs = [f"new_users_{n}" for n in self.history.cold_lengths]
        return ["train", *EVALUATED, *rungs]


def run_stage(stage: Stage) -> None:
    """behaviours · features · lightgbm · ranker, then the table of results."""
    build_behaviours(stage)
    build_features(stage)
    build_rival(stage)
    build_ranker(stage)
    show_results(stage)


def show_results(stage: Stage) -> None:
    """Print the results of a finished run."""
    read_record(stage.folder / "ranker")
    show(json.loads((stage.folder / "ranker" / "metrics.json").read_text(encoding="utf-8")), stage.folder / "ranker")


def build_behaviours(stage: Stage) -> None:
    """`behaviours/`: the log and its indices."""
    inputs = {"data": fingerprint_of(stage.data), "level_prob": fingerprint_of(stage.folder / "level_prob")}
    level_prob = stage.folder / "level_prob" / "level_prob.parquet"

    def build(work: Path) -> None:
        BehaviourLog.build(stage.data, level_prob, work)

    run_step("behaviours", stage.folder / "behaviours", inputs, build)


def build_features(stage: Stage) -> None:
    """`features/`: one folder per set, and the feature map fitted on the training one."""
    history = stage.history
    inputs = {"behaviours": fingerprint_of(stage.folder / "behaviours"), "seed": stage.run.seed, **asdict(history)}

    def build(work: Path) -> None:
        shop = stage.shop()
        impressions = stage.impressions("train")
        pages = pc.count_distinct(impressions["page_id"]).as_py()
        cuts = cold_cuts(pages, history.cold_share, history.cold_lengths, stage.run.seed)
        raw = prepare(impressions, shop, history, cuts)
        feature_map = FeatureMap.fit(
            shop.items,
            raw.impressions,
            raw.features,
            item_id=history.item_id_embedding,
            user_id=history.user_id_embedding,
        )
        raw.finish(feature_map, shop).save(work / "train")
        (work / "feature_map.json").write_text(feature_map.to_json(), encoding="utf-8")
        for split in EVALUATED:
            prepare(stage.impressions(split), shop, history).finish(feature_map, shop).save(work / split)
        new_users = stage.impressions("new_users")
        for length in history.cold_lengths:
            prepare(new_users, shop, history, length).finish(feature_map, shop).save(work / f"new_users_{length}")

    run_step("features", stage.folder / "features", inputs, build)


def build_rival(stage: Stage) -> None:
    """`lightgbm/`: LightGBM's scores on every set, and what the position would have told it."""
    folder = stage.folder / "features"
    inputs = {"features": fingerprint_of(folder), "seed": stage.run.seed}
    threads = os.cpu_count() or 1

    def rows(prepared: PreparedSet) -> Rows:
        return Rows(prepared.numeric, prepared.categorical, prepared.clicked)

    def build(work: Path) -> None:
        sets = {name: PreparedSet.open(folder / name) for name in stage.sets()}
        rival: LightGBMRival = fit_lightgbm(rows(sets["train"]), rows(sets["validation"]), stage.run.seed, threads)
        for name in stage.sets()[1:]:
            np.save(work / f"{name}.npy", rival.predict(rows(sets[name])))
        shown = ("train", "validation", "test")
        positions = {}
        for split in shown:
            position = stage.impressions(split)["position"].to_numpy()
            positions[split] = position[sets[split].impression]
        gain = position_gain(rival, {name: rows(sets[name]) for name in shown}, positions, stage.run.seed, threads)
        facts = {"position_gain": gain, "settings": dict(rival.settings), "rounds": rival.booster.best_iteration}
        (work / "rival.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")

    run_step("lightgbm", stage.folder / "lightgbm", inputs, build)


def build_ranker(stage: Stage) -> None:
    """`ranker/`: training, predictions and metrics."""
    inputs = {
        "features": fingerprint_of(stage.folder / "features"),
        "lightgbm": fingerprint_of(stage.folder / "lightgbm"),
        "encoder": fingerprint_of(stage.encoder),
        "seed": stage.run.seed,
        **asdict(stage.model),
        **asdict(stage.losses),
        **asdict(stage.training),
        **asdict(stage.evaluation),
    }

    def build(work: Path) -> None:
        seconds = work / "seconds.json"
        if not seconds.exists():
            started = time.time()
            train_ranker(stage, work)
            seconds.write_text(json.dumps({"rank": time.time() - started}), encoding="utf-8")
        started = time.time()
        judge_ranker(stage, work, json.loads(seconds.read_text(encoding="utf-8")) | {"evaluate": started})

    run_step("ranker", stage.folder / "ranker", inputs, build)


def train_ranker(stage: Stage, work: Path) -> None:
    """Train on the training set and save the ranker into `work`."""
    set_seed(stage.run.seed)
    shop = stage.shop()
    features = stage.folder / "features"
    prepared = PreparedSet.open(features / "train")
    feature_map = FeatureMap.from_json((features / "feature_map.json").read_text(encoding="utf-8"))
    config = RankerConfig(
        numeric_names=feature_map.numeric_names,
        categorical_names=feature_map.categorical_names,
        cardinalities=feature_map.cardinalities,
        item_columns=feature_map.item_columns,
        num_levels=len(stage.level_names),
        **asdict(stage.model),
    )
    import torch  # after set_seed, which seeds it

    model = RankerModel(config, LevelEncoder.from_pretrained(stage.encoder))
    model.start_from(torch.from_numpy(np.array(prepared.numeric)), float(prepared.clicked.mean()))
    replay, replay_texts = read_replay(stage, shop) if stage.losses.replay_share else (None, [])
    texts = Texts.tokenize(model.encoder, shop.query_texts, [*shop.item_texts, *replay_texts])
    schedule = BatchSchedule(
        prepared,
        Events(shop.log, feature_map.transform_items(shop.items).astype(np.int32)),
        texts,
        replay,
        pages_per_batch=stage.training.pages_per_batch,
        pages_together=stage.training.pages_together,
        epochs=stage.training.epochs,
        warmup_share=stage.training.warmup_share,
        replay_share=stage.losses.replay_share,
        seed=stage.run.seed,
    )
    objective = Objective(model, stage.losses, stage.run.seed)
    log = train(objective, schedule, stage.training, stage.run.seed, work / "checkpoints")
    (work / "training_log.json").write_text(json.dumps(log, indent=1), encoding="utf-8")
    columns = Columns.of(shop.items, stage.impressions("train").slice(0, 0), shop.log)
    Ranker(model, feature_map, stage.history, stage.level_names, columns).save_pretrained(work)


def read_replay(stage: Stage, shop: Shop) -> tuple[Replay, list[str]]:
    """Stage one's labelled pairs, and the item texts among them that no item of the catalogue has."""
    table = pq.read_table(stage.folder / "level_prob" / "replay.parquet")
    known = set(shop.item_texts)
    others = sorted(set(table["item_text"].to_pylist()) - known)
    item_text = encode(table["item_text"], pa.array([*shop.item_texts, *others], pa.string()))
    query_text = encode(table["query"], pa.array(shop.query_texts, pa.string()))
    target = table["level_prob"].combine_chunks().flatten().to_numpy().reshape(table.num_rows, -1)
    return Replay(query_text, item_text, target.astype(np.float32)), others


def judge_ranker(stage: Stage, work: Path, seconds: dict[str, float]) -> None:
    """Write metrics.json and predictions.parquet; `seconds["evaluate"]` holds when judging began."""
    ranker = Ranker.from_pretrained(work)
    shop = stage.shop()
    features, rival = stage.folder / "features", stage.folder / "lightgbm"
    sets = {name: PreparedSet.open(features / name) for name in stage.sets()[1:] if name != "validation"}
    texts = Texts.tokenize(ranker.model.encoder, shop.query_texts, shop.item_texts)
    events = Events(shop.log, ranker.feature_map.transform_items(shop.items).astype(np.int32))
    predictor = Predictor(ranker.model, texts, events, stage.training.bf16)
    batch = stage.evaluation.evaluation_batch
    predictions = {name: predictor.predict(prepared, batch, name) for name, prepared in sets.items()}
    ours = {name: part["p_click"] for name, part in predictions.items()}
    theirs = {name: np.load(rival / f"{name}.npy") for name in sets}
    tables = {split: stage.impressions(split) for split in ("test", "open", "new_users")}
    facts = json.loads((rival / "rival.json").read_text(encoding="utf-8"))
    _write_predictions(work, sets, tables, predictions, theirs)
    judged = {name: _judged(stage, sets[name], tables[_split_of(name)], name == "open") for name in sets}
    metrics = {
        **_judge(stage, sets, tables, judged, ours),
        "lightgbm": _judge(stage, sets, tables, judged, theirs),
        "position_gain": facts["position_gain"],
        "seconds": {**_seconds_before(stage), "rank": seconds["rank"], "evaluate": time.time() - seconds["evaluate"]},
        "seed": stage.run.seed,
        "git_commit": git_commit(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "command": stage.command,
        "reconstructed": _reconstructed(stage),
        "lightgbm_settings": facts["settings"],
    }
    (work / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def _split_of(name: str) -> str:
    return "new_users" if name.startswith("new_users") else name


def _judged(stage: Stage, prepared: PreparedSet, table: pa.Table, with_gold: bool) -> Judged:
    rows = table.take(pa.array(prepared.impression))
    gold = None
    if with_gold and has_table(stage.data, "gold"):
        gold = _join_levels(rows, read_table(stage.data, "gold"))
    return Judged(
        clicked=np.asarray(prepared.clicked),
        page=np.asarray(prepared.page),
        user=rows["user_id"].to_numpy(zero_copy_only=False),
        gold_level=gold,
    )


def _join_levels(rows: pa.Table, gold: pa.Table) -> np.ndarray:
    """The gold level of each row's (query, item), -1 where there is none: int64 [n]."""
    queries, items = pc.unique(gold["query"]), pc.unique(gold["item_id"])

    def keys(table: pa.Table) -> np.ndarray:
        query, item = encode(table["query"], queries).astype(np.int64), encode(table["item_id"], items)
        return np.where((query < 0) | (item < 0), -1, query * len(items) + item)

    known = keys(gold)
    order = np.argsort(known)
    wanted = keys(rows)
    found = np.minimum(np.searchsorted(known[order], wanted), len(known) - 1)
    level = gold["level"].to_numpy()[order][found].astype(np.int64)
    return np.where(known[order][found] == wanted, level, -1)


def _judge(
    stage: Stage,
    sets: Mapping[str, PreparedSet],
    tables: Mapping[str, pa.Table],
    judged: Mapping[str, Judged],
    probability: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    resamples, seed = stage.evaluation.bootstrap_resamples, stage.run.seed
    rungs = stage.history.cold_lengths
    ladder = {n: probability[f"new_users_{n}"] for n in rungs}
    return {
        "exposed": judge_exposed(judged["test"], probability["test"], resamples, seed),
        "open": judge_open(judged["open"], probability["open"], resamples, seed),
        **judge_new_users(judged[f"new_users_{rungs[0]}"], ladder, resamples, seed),
        "slices": judge_slices(judged["test"], probability["test"], _slices(stage, sets["test"], tables["test"])),
    }


def _slices(stage: Stage, prepared: PreparedSet, table: pa.Table) -> dict[str, np.ndarray]:
    query = table["query"].to_numpy(zero_copy_only=False)[prepared.impression]
    seen = gold = None
    if has_table(stage.data, "queries"):
        queries = read_table(stage.data, "queries")
        row = encode(pa.array(query, pa.string()), queries["query"].combine_chunks())
        seen, gold = (queries[name].to_numpy()[row] for name in ("seen_in_training", "has_gold_labels"))
    training = stage.impressions("train")["query"].to_numpy(zero_copy_only=False)
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


def _seconds_before(stage: Stage) -> dict[str, float | None]:
    """What every step before training cost, in the order they run; None where it is not known."""
    folder = stage.folder
    install = Path(".venv") / "install_seconds"
    stage_one = folder / "level_prob" / "seconds.json"
    return {
        "install": float(install.read_text()) if install.exists() else None,
        "data": read_record(stage.data).seconds,
        **(json.loads(stage_one.read_text(encoding="utf-8")) if stage_one.exists() else {}),
        **{name: read_record(folder / name).seconds for name in ("level_prob", "behaviours", "features", "lightgbm")},
    }


def _reconstructed(stage: Stage) -> str:
    """What the data set itself says of its own making, for every table and file of figures."""
    summary = stage.data / "summary.json"
    if not summary.exists():
        return ""
    return str(json.loads(summary.read_text(encoding="utf-8")).get("reconstructed", ""))
