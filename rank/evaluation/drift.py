"""Whether a trained ranker is still right about a newer log: comparing inputs and figures, and what follows.

Compares the log's inputs with those of the training rows (population stability index, PSI, and the share of unknown
values), and the ranker's figures on it with those it was judged by. What follows is said in one line, by the
thresholds below. PSI's are the customary ones of credit scoring [O]; with few rows, chance alone reaches them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.features.reference import REFERENCE, Reference
from prectr.rank.model.trained import TrainedRanker
from prectr.shared import metrics
from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import read_record

PSI_MODERATE, PSI_LARGE = 0.1, 0.25
PCOC_TOLERANCE = 0.05  # recalibrate: PCOC is further than this from 1, and its interval excludes 1
AUC_FALL = 0.01  # retrain: AUC has fallen by more than this, and its interval excludes the earlier value
UNKNOWN_RISE = 0.1  # retrain: so much more of a categorical's rows hold a value that was never trained on


@dataclass(frozen=True)
class Verdict:
    """Whether something is due, and why; `sentence` says it."""

    retrain: bool
    recalibrate: bool
    sentence: str


@dataclass
class Observed:
    """A log as the ranker sees it: what the figures need per impression [n], and how many rows are in each bin."""

    clicked: np.ndarray
    p_click: np.ndarray
    user: np.ndarray  # [n] strings, see `users_of`
    weight: np.ndarray  # [n], what each impression counts in the full log
    level_prob: np.ndarray  # [K], mean
    counts: dict[str, np.ndarray]  # by input, [bins]
    means: dict[str, float]  # by number, in the network's units
    outside: dict[str, float]  # by number, share of the rows beyond what training held


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
    over users where they are known.

    Args:
        judged: part `exposed` of the ranker's metrics.json; empty if there is none.
    """
    clicked, p, user, weight = observed.clicked, observed.p_click, observed.user, observed.weight
    auc = metrics.auc_of_weights(clicked, p)
    figures: dict[str, metrics.WeightedMetric] = {
        "ctr": lambda drawn: _mean(clicked, drawn * weight),
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
            "now_ci95": metrics.user_bootstrap(user, metric, resamples=resamples, seed=seed),
        }
        for name, metric in figures.items()
    }


def _mean(values: np.ndarray, weight: np.ndarray) -> float | None:
    return float((weight * values).sum() / weight.sum()) if weight.sum() > 0 else None


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


def reference_of(ranker: TrainedRanker, folder: Path, negative_sampling_rate: float) -> Reference:
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
