"""The tables of RESULTS.md, from result files: the ranker beside the best fair rival of each measure, and what its
encoder is worth.

    python -m benchmarks.ranker.markdown benchmarks/results/ranker_journey.json benchmarks/results/ranker_listings.json
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.ranker.results import CALIBRATION, LOWER_IS_BETTER, mean_of
from benchmarks.ranker.systems import FROZEN, RANDOM_ENCODER
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main

ROWS = {
    "exposed.auc": "pages as shown: AUC",
    "exposed.gauc_page": "… GAUC per page",
    "exposed.logloss": "… logloss",
    CALIBRATION: "… PCOC (1 = calibrated)",
    "open.ndcg@10": "all on sale, shown or not: NDCG@10",
    "open.excess_low@10": "… items of level 0–1 in the top ten beyond the fewest possible",
    "new_users.0": "new users, cold start (nothing known): AUC",
    "new_users.1": "… their last page known",
    "new_users.3": "… their last 3 pages known",
    "new_users.30": "… their last 30 pages known",
}
ENCODER_ROWS = {
    FROZEN: "clicks train the text encoder, rather than not",
    RANDOM_ENCODER: "it was distilled, rather than random",
}
ENCODER_MEASURES = ("exposed.auc", "open.ndcg@10", "new_users.0")
NAMES = {
    "prectr_v1": "PRECTR V1", "lightgbm": "LightGBM", "xgboost": "XGBoost", "catboost": "CatBoost",
    "lambdarank": "LambdaRank", "cutoff_lightgbm": "LightGBM behind a cut-off", "din": "DIN", "dcnv2": "DCNv2",
    "finalmlp": "FinalMLP", "sim_or_twin": "SIM or TWIN", "frozen_emb_mlp": "MLP on frozen vectors",
}  # fmt: skip
THREE_PLACES = (CALIBRATION, "open.ndcg@10", "open.excess_low@10")


def main(argv: list[str]) -> None:
    """Print the tables of the result files that are named.

    Raises:
        PrectrError: no file is named, or one is not there, or was made when rivals lacked what the ranker reads.
    """
    if not argv:
        raise PrectrError("name result files, such as benchmarks/results/ranker_journey.json.")
    results = {Path(name).stem.removeprefix("ranker_"): read_result(Path(name)) for name in argv}
    print("\n".join(line for name, result in results.items() for line in [*rivals_table(name, result), ""]), end="")
    print("\n".join(encoder_table(results)))


def read_result(path: Path) -> dict[str, Any]:
    """A result file of `python -m benchmarks.ranker` whose rivals were fair."""
    if not path.is_file():
        raise PrectrError(f"{path} is not there; make bench writes it.")
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if not result.get("fair"):
        raise PrectrError(f"{path}: its rivals did not read the ranker's counts; make bench writes it anew.")
    return result


def rivals_table(name: str, result: Mapping[str, Any]) -> list[str]:
    """Lines of a table: a row per measure; ours, LightGBM's, the best rival's, and the difference from it. Bold: the
    better of ours and the best rival's."""
    seeds = "one seed" if len(result["seeds"]) == 1 else f"{len(result['seeds'])} seeds"
    lines = [
        f"| test weeks of `{name}`, {seeds} | prectr | LightGBM | best of {len(result['versus'])} fair rivals "
        "| prectr − it, 95 % |",
        "|---|---|---|---|---|",
    ]
    lightgbm = result["systems"].get("lightgbm", {})
    for measure, label in ROWS.items():
        if (gain := result["gains"].get(measure)) is None:
            continue
        earned = off_by(gain["ours"]) if measure == CALIBRATION else difference(gain)
        ours, theirs = figure(measure, gain["ours"]), figure(measure, gain["theirs"])
        cells = (
            bold(ours, not is_better(measure, gain["theirs"], gain["ours"])),
            figure(measure, mean_of(lightgbm.get(measure, [None]))),
            f"{bold(theirs, not is_better(measure, gain['ours'], gain['theirs']))} {NAMES[gain['over']]}",
        )
        lines.append(f"| {label} | {' | '.join(cells)} | {earned} |")
    return lines


def encoder_table(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lines of a table: a column per data set; what learning and distilling are worth, in each measure."""
    lines = [
        f"| what the encoder is worth | {' | '.join(f'`{name}`' for name in results)} |",
        "|---|" + "---|" * len(results),
    ]
    for system, label in ENCODER_ROWS.items():
        for number, measure in enumerate(ENCODER_MEASURES):
            found = [result["ablations"].get(system, {}).get(measure) for result in results.values()]
            if any(found):
                first = f"{label}: " if number == 0 else "… "
                cells = " | ".join("–" if part is None else difference(part) for part in found)
                lines.append(f"| {first}{ROWS[measure].removeprefix('… ')} | {cells} |")
    return lines


def figure(measure: str, value: float | None) -> str:
    """`.9191` of .91912, `1.022` of 1.0221."""
    if value is None:
        return "–"
    told = f"{value:.{3 if measure in THREE_PLACES else 4}f}"
    return told.removeprefix("0")


def is_better(measure: str, one: float, other: float) -> bool:
    """Whether one figure of a measure is better than another."""
    if measure == CALIBRATION:
        return abs(one - 1) < abs(other - 1)
    return one < other if measure in LOWER_IS_BETTER else one > other


def bold(text: str, on: bool) -> str:
    return f"**{text}**" if on else text


def difference(part: Mapping[str, Any]) -> str:
    """`+ .0121 [+ .0098, + .0146]`; without an interval the mean alone."""
    if part["mean"] is None:
        return "–"
    told = signed(part["mean"])
    return told if part["ci95"] is None else f"{told} [{', '.join(map(signed, part['ci95']))}]"


def signed(value: float, places: int = 4) -> str:
    """`+ .0121`, `− .0059`."""
    return f"{'−' if value < 0 else '+'} {f'{abs(value):.{places}f}'.removeprefix('0')}"


def off_by(pcoc: float | None) -> str:
    """How far a PCOC is from 1, in words."""
    if pcoc is None:
        return "–"
    return f"{abs(pcoc - 1) * 100:.1f} % {'more' if pcoc > 1 else 'fewer'} clicks predicted than made"


if __name__ == "__main__":
    run_main(main)
