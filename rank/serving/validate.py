"""`python -m rank validate --log FOLDER`: is a trained ranker still right about a newer log?

The log is scored block by block and its inputs are counted; evaluation/drift.py compares and gives the verdict.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prectr.data.contract import reconstructed, table_path
from prectr.rank.config import JudgedArguments
from prectr.rank.evaluation.drift import (
    PSI_LARGE,
    PSI_MODERATE,
    Observed,
    compare_figures,
    compare_inputs,
    judge,
    reference_of,
)
from prectr.rank.evaluation.protocol import users_of
from prectr.rank.features.prepare import with_label
from prectr.rank.features.reference import Reference, count
from prectr.rank.model.trained import TrainedRanker
from prectr.rank.serving.config import DriftArguments, RankerArguments
from prectr.rank.serving.score_table import open_impressions, page_blocks
from prectr.rank.serving.scorer import Scorer
from prectr.shared import strict_json
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.outputs import check_output
from prectr.shared.run.console import console, progress_bar, table
from prectr.shared.run.provenance import shareable
from prectr.shared.run.schema import member, read_json
from prectr.shared.run.verbs import program
from prectr.shared.store.at_hand import here

SHOWN = 15  # inputs in the table, most drifted first


def validate(
    run: JudgedArguments,
    chosen: RankerArguments,
    batch_size: int,
    resamples: int,
    negative_sampling_rate: float,
    arguments: DriftArguments,
) -> None:
    """The verb: compare, print one table for inputs and one for figures, write the JSON, give the verdict.

    Raises:
        PrectrError: ranker or log are missing or do not fit; drift is no error.
    """
    folder, log = here(chosen.ranker or Path(run.artifacts) / run.name / "ranker"), here(arguments.log)
    if arguments.split is None and log.resolve() == (folder.parent / "data").resolve():
        raise PrectrError(f"{log} is what the ranker was trained on: name a later split of it with --split test.")
    output = check_output(arguments.report or folder.parent / "drift.json", "--report", [folder, log])
    open_impressions(table_path(log, "impressions"))
    scorer = Scorer.open(folder, log, batch_size)
    reference = reference_of(scorer.ranker, folder, negative_sampling_rate)
    observed = observe(scorer, log, reference, arguments.split, run.label, negative_sampling_rate)
    report: dict[str, Any] = {
        "ranker": shareable(str(folder)),
        "log": shareable(str(log)),
        "split": arguments.split,
        "rows": len(observed.clicked),
        "users": len(np.unique(observed.user)),
        "inputs": compare_inputs(reference, observed),
        "begins_later": begins_later(scorer.log.seconds, folder),
        "level_prob": {"then": reference.level_prob, "now": observed.level_prob.tolist()},
        "figures": compare_figures(reference, _judged(folder), observed, resamples, run.seed),
        "reconstructed": reconstructed(log),
    }
    verdict = judge(report["inputs"], report["figures"])
    report["verdict"] = asdict(verdict)
    with atomic_write(output) as temporary:
        temporary.write_text(strict_json.dumps(report, indent=1) + "\n", encoding="utf-8")
    show(report, scorer.ranker, output)
    command = next_command(folder, log, verdict.retrain or verdict.recalibrate)
    console.print(f"Next:  {command}", highlight=False, soft_wrap=True)


def begins_later(seconds: np.ndarray, folder: Path) -> str:
    """A sentence where the newer log lacks the past that the ranker's training read; empty where it has it.

    Args:
        seconds: of the newer log's events, ascending. folder: the ranker's.
    """
    path = folder / "metrics.json"
    trained = read_json(path).get("data", {}).get("train", {}).get("first") if path.exists() else None
    if trained is None or not len(seconds):
        return ""
    first = datetime.fromtimestamp(int(seconds[0]), UTC).date().isoformat()
    if first <= trained:
        return ""
    return (
        f"The newer log begins on {first}, the ranker's training on {trained}: histories and counts are shorter here, "
        "which is no drift. Add the days to the ranker's own log (data convert --append) and validate a split of that."
    )


def observe(
    scorer: Scorer, log: Path, reference: Reference, split: str | None, label: str, sampling_rate: float
) -> Observed:
    """Score a log's impressions block by block, and count its inputs into the reference's bins.

    Raises:
        PrectrError: no impressions to compare, or inputs that the reference does not know.
    """
    path, feature_map = table_path(log, "impressions"), scorer.ranker.feature_map
    if list(reference.numeric) != feature_map.numeric_names:
        raise PrectrError("reference.json is not of this ranker: its inputs are others; train the ranker again.")
    limits = np.array([(column.low, column.high) for column in feature_map.numeric]).reshape(-1, 2)
    bins = {**reference.numeric, **reference.categorical}
    counts = {name: np.zeros(len(each.edges) + 1, np.int64) for name, each in bins.items()}
    sums, beyond = np.zeros(len(limits)), np.zeros(len(limits))
    level_prob = np.zeros(scorer.ranker.model.config.num_levels)
    parts: dict[str, list[np.ndarray]] = {"clicked": [], "p_click": [], "user": [], "weight": []}
    with progress_bar("comparing", open_impressions(path).metadata.num_rows, "impressions") as advance:
        for rows, block in page_blocks(path, scorer.ranker.columns.context, scorer.batch_size * 8):
            wanted = with_label(_of_split(block, split), label)
            if wanted.num_rows:
                shop, raw, prepared = scorer.prepare(wanted)
                order = np.argsort(prepared.impression)
                for values, names in (
                    (prepared.numeric, reference.numeric),
                    (prepared.categorical, reference.categorical),
                ):
                    for column, name in zip(values.T, names, strict=True):
                        counts[name] += count(column, bins[name].edges)
                full = prepared.full_log_weight(sampling_rate)
                weight = np.ones(len(prepared)) if full is None else full
                values = raw.features.values
                beyond += ((values < limits[:, 0]) | (values > limits[:, 1])).sum(0)
                sums += prepared.numeric.sum(0, dtype=np.float64)
                level_prob += weight @ prepared.level_prob
                parts["clicked"].append(np.asarray(prepared.clicked)[order])
                parts["p_click"].append(scorer.predict(shop, prepared)["p_click"])
                parts["user"].append(users_of(wanted["user_id"], wanted["page_id"]))
                parts["weight"].append(weight[order])
            advance(len(rows))
    if not parts["clicked"]:
        raise PrectrError(f"{path}: split {split!r} has no rows; name one that has." if split else f"{path} is empty.")
    arrays = {name: np.concatenate(chunks) for name, chunks in parts.items()}
    n = len(arrays["clicked"])
    return Observed(
        **arrays,
        level_prob=level_prob / arrays["weight"].sum(),
        counts=counts,
        means=dict(zip(reference.numeric, (sums / n).tolist(), strict=True)),
        outside=dict(zip(reference.numeric, (beyond / n).tolist(), strict=True)),
    )


def _of_split(block: pa.Table, split: str | None) -> pa.Table:
    if split is not None and "split" not in block.column_names:
        raise PrectrError(f"the impressions have no column split, so there is no {split!r}: leave --split out.")
    if "split" not in block.column_names:
        return block
    # Candidates of split 'open' were never shown.
    return block.filter(pc.field("split") != "open" if split is None else pc.field("split") == split)


def _judged(folder: Path) -> Mapping[str, Any]:
    path = folder / "metrics.json"
    return member({"exposed": {}, **read_json(path)}, "exposed", path, dict) if path.exists() else {}


def show(report: Mapping[str, Any], ranker: TrainedRanker, output: Path) -> None:
    """Print a comparison."""

    def percent(value: float | None) -> str | None:
        return None if value is None else f"{value:.1%}"

    def with_interval(value: float | None, interval: Any) -> str | None:
        if value is None or interval is None:
            return None if value is None else f"{value:.4f}"
        return f"{value:.4f} [{interval[0]:.3f}, {interval[1]:.3f}]"

    inputs = report["inputs"]
    table(
        f"Inputs of {report['log']} against the training rows: the {min(SHOWN, len(inputs))} that drifted most",
        ["input", "PSI", "shift of mean (std)", "outside training", "unknown then", "unknown now"],
        [
            [
                row["input"],
                f"{row['psi']:.3f}" + (" !!" if row["psi"] > PSI_LARGE else " !" if row["psi"] > PSI_MODERATE else ""),
                f"{row['shift']:+.2f}" if "shift" in row else None,
                *(percent(row.get(name)) for name in ("outside", "unknown_then", "unknown_now")),
            ]
            for row in inputs[:SHOWN]
        ],
        f"PSI: up to {PSI_MODERATE} stable, above {PSI_LARGE} (!!) a large change. {report['reconstructed']}",
    )
    levels = zip(ranker.level_names, report["level_prob"]["then"], report["level_prob"]["now"], strict=True)
    table(
        f"Figures, {report['rows']:,} impressions of {report['users']:,} users (95 % intervals over users)",
        ["figure", "training rows", "when judged", "now"],
        [
            [
                name.upper(),
                with_interval(each["trained"], None),
                with_interval(each["then"], each["then_ci95"]),
                with_interval(each["now"], each["now_ci95"]),
            ]
            for name, each in report["figures"].items()
        ]
        + [[f"mean P({name})", f"{then:.4f}", None, f"{now:.4f}"] for name, then, now in levels],
        report["reconstructed"],
    )
    if report["begins_later"]:
        console.print(report["begins_later"], style="bold", highlight=False, soft_wrap=True)
    console.print(report["verdict"]["sentence"], highlight=False, soft_wrap=True)
    console.print(f"Files: {output}", highlight=False)


def next_command(folder: Path, log: Path, due: bool) -> str:
    """What to do next: a command that runs as printed, where the log is the data folder of another data set."""
    if not due:
        return "nothing; ask again when more days have come."
    begin = f"{program('rank')} run --name"
    if log.name != "data" or log.parent.resolve() == folder.parent.resolve():
        return f"write the newer days as a data set, then {begin} NEWER --warm_start {folder}"
    where = "" if str(log.parent.parent) == "artifacts" else f" --artifacts {log.parent.parent}"
    return f"{begin} {log.parent.name}{where} --warm_start {folder}"
