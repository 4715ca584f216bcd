"""`python -m rank validate --log FOLDER`: is a trained ranker still right about a newer log?

Compares the log's inputs with those of the training rows (population stability index, PSI, and the share of unknown
values), and the ranker's figures on it with those it was judged by. What follows is said in one line, by the
thresholds below. PSI's are the customary ones of credit scoring [O]; with few rows, chance alone reaches them.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prectr.data.contract import reconstructed, table_path
from prectr.rank.config import RunArguments
from prectr.rank.evaluation.protocol import households
from prectr.rank.features.prepare import with_label
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.features.reference import REFERENCE, Reference, count
from prectr.rank.serving.ranker import Ranker
from prectr.rank.serving.score_table import open_impressions, page_blocks
from prectr.rank.serving.scorer import RankerArguments, Scorer
from prectr.shared import metrics
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import console, progress_bar, table
from prectr.shared.run.steps import read_record

PSI_MODERATE, PSI_LARGE = 0.1, 0.25
PCOC_TOLERANCE = 0.05  # recalibrate: PCOC is further than this from 1, and its interval excludes 1
AUC_FALL = 0.01  # retrain: AUC has fallen by more than this, and its interval excludes the earlier value
UNKNOWN_RISE = 0.1  # retrain: so much more of a categorical's rows hold a value that was never trained on
SHOWN = 15


@dataclass
class DriftArguments:
    """Which newer log is compared, and where the comparison goes."""

    log: str = field(metadata={"help": "a data folder of the contract: impressions, items, behaviours"})
    split: str | None = field(
        default=None, metadata={"help": "only this split of its impressions; default: all that were shown"}
    )
    report: str | None = field(
        default=None, metadata={"help": "JSON file to write; default: drift.json beside the ranker's folder"}
    )


@dataclass(frozen=True)
class Verdict:
    """Whether something is due, and why; `sentence` says it."""

    retrain: bool
    recalibrate: bool
    sentence: str


def validate(
    run: RunArguments,
    chosen: RankerArguments,
    bf16: bool,
    batch_size: int,
    resamples: int,
    negative_sampling_rate: float,
    arguments: DriftArguments,
) -> None:
    """The verb: compare, print one table for inputs and one for figures, write the JSON, give the verdict.

    Raises:
        PrectrError: ranker or log are missing or do not fit; drift is no error.
    """
    folder, log = Path(chosen.ranker or Path(run.artifacts) / run.name / "ranker"), Path(arguments.log)
    if arguments.split is None and log.resolve() == (folder.parent / "data").resolve():
        raise PrectrError(f"{log} is what the ranker was trained on: name a later split of it with --split test.")
    open_impressions(table_path(log, "impressions"))
    scorer = Scorer.open(folder, log, bf16, batch_size)
    reference = reference_of(scorer.ranker, folder, negative_sampling_rate)
    observed = observe(scorer, log, reference, arguments.split, run.label, negative_sampling_rate)
    report: dict[str, Any] = {
        "ranker": str(folder),
        "log": str(log),
        "split": arguments.split,
        "rows": len(observed.clicked),
        "users": len(np.unique(observed.user)),
        "inputs": compare_inputs(reference, observed),
        "level_prob": {"then": reference.level_prob, "now": observed.level_prob.tolist()},
        "figures": compare_figures(reference, _judged(folder), observed, resamples, run.seed),
        "reconstructed": reconstructed(log),
    }
    verdict = judge(report["inputs"], report["figures"])
    report["verdict"] = asdict(verdict)
    output = Path(arguments.report) if arguments.report else folder.parent / "drift.json"
    with atomic_write(output) as temporary:
        temporary.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    show(report, scorer.ranker, output)


@dataclass
class Observed:
    """A log as the ranker sees it: what the figures need per impression [n], and how many rows are in each bin."""

    clicked: np.ndarray
    p_click: np.ndarray
    user: np.ndarray  # [n] strings, see `households`
    weight: np.ndarray  # [n], what each impression counts in the full log
    level_prob: np.ndarray  # [K], mean
    counts: dict[str, np.ndarray]  # by input, [bins]
    means: dict[str, float]  # by number, in the network's units
    outside: dict[str, float]  # by number, share of the rows beyond what training held


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
                parts["user"].append(households(wanted["user_id"], wanted["page_id"]))
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


def compare_inputs(reference: Reference, observed: Observed) -> list[dict[str, Any]]:
    """One entry per input, most drifted first: `input`, `psi`, and what kind it has: `shift` of a number's mean in
    training standard deviations and the share `outside` what training held, or a categorical's share of unknown values
    (`unknown_then`, `unknown_now`).
    """
    rows: list[dict[str, Any]] = []
    for name, bins in reference.numeric.items():
        shift = observed.means[name] - bins.mean
        psi = bins.psi(observed.counts[name])
        rows.append({"input": name, "psi": psi, "shift": shift, "outside": observed.outside[name]})
    for name, bins in reference.categorical.items():
        counts = observed.counts[name]
        unknown = {"unknown_then": bins.shares[0], "unknown_now": float(counts[0] / counts.sum())}
        rows.append({"input": name, "psi": bins.psi(counts), **unknown})
    return sorted(rows, key=lambda row: -row["psi"])


def compare_figures(
    reference: Reference, judged: Mapping[str, Any], observed: Observed, resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """CTR, AUC, PCOC and ECE: `trained` (CTR only), `then` (when the ranker was judged) and `now`, with 95 % intervals
    over households where they are known.

    Args:
        judged: part `exposed` of the ranker's metrics.json; empty if there is none.
    """
    clicked, p, user, weight = observed.clicked, observed.p_click, observed.user, observed.weight
    auc = metrics.auc_of_weights(clicked, p)
    figures: dict[str, metrics.WeightedMetric] = {
        "ctr": lambda drawn: float((drawn * weight * clicked).sum() / (drawn * weight).sum()),
        "auc": lambda drawn: auc(drawn * weight),
        "pcoc": lambda drawn: metrics.pcoc(clicked, p, drawn * weight),
        "ece": lambda drawn: metrics.ece(clicked, p, drawn * weight),
    }
    then = {name: judged.get(name) for name in figures}
    if "n" in judged:
        then["ctr"] = judged.get("ctr", judged["n"]["clicks"] / judged["n"]["impressions"])
    return {
        name: {
            "trained": reference.ctr if name == "ctr" else None,
            "then": then[name],
            "then_ci95": judged.get("ci95", {}).get(name),
            "now": metric(np.ones(len(clicked))),
            "now_ci95": metrics.household_bootstrap(user, metric, resamples=resamples, seed=seed),
        }
        for name, metric in figures.items()
    }


def judge(inputs: list[dict[str, Any]], figures: Mapping[str, Mapping[str, Any]]) -> Verdict:
    """What is due, by the thresholds of this file."""
    drifted = [row for row in inputs if row["psi"] > PSI_LARGE]
    most = ", ".join(f"{row['input']} (PSI {row['psi']:.2f})" for row in inputs[:3])
    said = f"{len(drifted)} of {len(inputs)} inputs drifted much (PSI above {PSI_LARGE}); most: {most}."
    reasons = [
        f"{row['unknown_now']:.0%} of {row['input']} is unknown, {row['unknown_then']:.0%} in training"
        for row in inputs
        if row.get("unknown_now", 0) - row.get("unknown_then", 0) > UNKNOWN_RISE
    ]
    auc, pcoc = figures["auc"], figures["pcoc"]
    if None not in (auc["then"], auc["now"], auc["now_ci95"]):
        fell = auc["then"] - auc["now"] > AUC_FALL and auc["now_ci95"][1] < auc["then"]
        reasons += [f"AUC fell from {auc['then']:.4f} to {auc['now']:.4f}"] * fell
    off = False
    if None not in (pcoc["now"], pcoc["now_ci95"]):
        low, high = pcoc["now_ci95"]
        off = abs(pcoc["now"] - 1) > PCOC_TOLERANCE and not low <= 1 <= high
    if reasons:
        due = f"Retraining is due: {'; '.join(reasons)}."
    elif off:
        due = f"Recalibration is due: PCOC is {pcoc['now']:.3f} [{low:.3f}, {high:.3f}]; AUC has not fallen."
    else:
        due = "Neither recalibration nor retraining is due."
    return Verdict(bool(reasons), bool(off), f"{said} {due}")


def _judged(folder: Path) -> Mapping[str, Any]:
    path = folder / "metrics.json"
    return json.loads(path.read_text(encoding="utf-8")).get("exposed", {}) if path.exists() else {}


def show(report: Mapping[str, Any], ranker: Ranker, output: Path) -> None:
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
        f"Figures, {report['rows']:,} impressions of {report['users']:,} users (95 % intervals over households)",
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
    console.print(report["verdict"]["sentence"], highlight=False, soft_wrap=True)
    console.print(f"Files: {output}", highlight=False)
    next_command = (
        "python -m rank run --warm_start" if report["verdict"]["retrain"] else "python -m rank explain --page"
    )
    console.print(f"Next:  {next_command} …", highlight=False)


def reference_of(ranker: Ranker, folder: Path, negative_sampling_rate: float) -> Reference:
    """A ranker's reference: as it was saved, or made from the training features that its run left beside it.

    Raises:
        PrectrError: there is neither.
    """
    if (folder / REFERENCE).exists():
        return Reference.read(folder / REFERENCE)
    features = folder.parent / "features"
    if not (features / "train").is_dir():
        raise PrectrError(
            f"{folder} does not say what its training rows looked like ({REFERENCE} is missing, and so is {features}): "
            "train it again with `python -m rank run`."
        )
    prepared, seed = PreparedSet.open(features / "train"), read_record(features).inputs["seed"]
    return Reference.of(prepared, ranker.feature_map, ranker.history, seed, negative_sampling_rate)
