"""README's first table, from result files: five questions, our figure, the best trees', and what the difference says.

python -m benchmarks.ranker.summary benchmarks/results/ranker_journey.json benchmarks/results/ranker_listings.json
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.ranker.markdown import NAMES, figure, is_better, read_result
from benchmarks.ranker.results import CALIBRATION
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main

JOURNEY, LISTINGS = "journey", "listings"


@dataclass(frozen=True)
class Question:
    """A measure on a data set, in a user's words."""

    data: str
    measure: str
    asked: str


QUESTIONS = (
    Question(JOURNEY, "exposed.auc", "Which of the items shown is clicked? AUC"),
    Question(LISTINGS, "exposed.auc", "… where an id lives one week and text decides: AUC"),
    Question(
        JOURNEY,
        "open.excess_low@10",
        "All on sale is ranked: which share of the first ten is irrelevant though there was better?",
    ),
    Question(JOURNEY, "new_users.0", "Which item is clicked by a user whom the log does not know? AUC"),
    Question(
        JOURNEY, CALIBRATION, "How many clicks are predicted for each that is made? Predicted ÷ observed clicks (PCOC)"
    ),
)


def main(argv: list[str]) -> None:
    """Print the table.

    Raises:
        PrectrError: a data set's result file is not named, or not there, or its rivals lacked what the ranker reads.
    """
    results = {Path(name).stem.removeprefix("ranker_"): read_result(Path(name)) for name in argv}
    for name in (JOURNEY, LISTINGS):
        if name not in results:
            raise PrectrError(f"name benchmarks/results/ranker_{name}.json.")
    print("\n".join(summary_table(results)))


def summary_table(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lines of a table: a row per question; ours, the best fair rival's, and what that says."""
    lines = ["| | prectr | best boosted trees | |", "|---|---|---|---|"]
    for question in QUESTIONS:
        gain = results[question.data]["gains"][question.measure]
        ours, theirs = (figure(question.measure, gain[side]) for side in ("ours", "theirs"))
        lines.append(f"| {question.asked} | {ours} | {theirs} | {sentence(question.measure, gain)} |")
    return lines


def sentence(measure: str, gain: Mapping[str, Any]) -> str:
    """What a row says, in words: who is better, or that chance explains the difference."""
    rival = NAMES[gain["over"]]
    if measure == CALIBRATION:
        ours, theirs = (abs(gain[side] - 1) * 100 for side in ("ours", "theirs"))
        return f"Off by {ours:.1f} %; {rival} by {theirs:.1f} %."
    if gain["ci95"] is None or gain["ci95"][0] <= 0 <= gain["ci95"][1]:
        return f"As good as {rival}: the difference is within chance."
    winner = "prectr" if is_better(measure, gain["ours"], gain["theirs"]) else rival
    share = abs(gain["mean"] / gain["theirs"]) * 100
    return f"{winner} is better, by {share:.1f} %: more than chance explains."


if __name__ == "__main__":
    run_main(main)
