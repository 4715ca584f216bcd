"""The encoder's tables of RESULTS.md, from result files: what `make distill` makes by its defaults beside what people
would otherwise take, and by how much it is better.

    python -m benchmarks.encoder.markdown benchmarks/results/encoder_{homedepot,chorus,journey}.json \\
        benchmarks/results/unseen_types_journey.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.encoder.beside import GOLD_ONLY, STUDENT, UNTRAINED
from benchmarks.ranker.markdown import signed
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main

NAMES = {
    "tfidf": "char-n-gram TF-IDF",
    "bm25": "BM25",
    "minilm_cosine": "MiniLM-L6, cosine (22 M)",
    UNTRAINED: "the student's start, MaxSim",
    GOLD_ONLY: "student on gold alone",
    STUDENT: "**student**",
}
MEASURES = ("within_query_spearman", "within_query_ndcg", "auc_random", "spearman")
UNSEEN = "unseen_types_"


def main(argv: list[str]) -> None:
    """Print the tables of the result files that are named.

    Raises:
        PrectrError: no file is named, or one is not there.
    """
    if not argv:
        raise PrectrError("name result files, such as benchmarks/results/encoder_journey.json.")
    results = {}
    for path in map(Path, argv):
        if not path.is_file():
            raise PrectrError(f"{path} is not there; python -m benchmarks.encoder.beside writes it.")
        results[title(path)] = json.loads(path.read_text(encoding="utf-8"))
    print("\n".join([*judges_table(results), "", *gains_table(results)]))


def title(path: Path) -> str:
    """How a column is called."""
    name = path.stem.removeprefix("encoder_").removeprefix(UNSEEN)
    return f"`{name}`, types without gold" if path.stem.startswith(UNSEEN) else f"`{name}`"


def judges_table(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A row for each judge, a column for each file, and milliseconds where a file has them: of the last that has."""
    clocked = next((one for one in reversed([*results.values()]) if "ms_50_cold" in one["systems"][STUDENT]), None)
    measures = "within the query / NDCG@10 / graded against random / all pairs"
    lines = [
        f"| {measures} | {' | '.join(results)} | ms cold / stored |",
        "|---" * (len(results) + 2) + "|",
    ]
    for system, name in NAMES.items():
        cells = [" / ".join(_mean(one["systems"][system][of]) for of in MEASURES) for one in results.values()]
        times = "–" if clocked is None else _times(clocked["systems"][system])
        lines.append(f"| {name} | {' | '.join(cells)} | {times} |")
    return lines


def gains_table(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What the student has more than each other judge: Spearman within the query, with its interval over queries."""
    lines = [
        f"| Spearman within the query, student minus | {' | '.join(results)} |",
        "|---" * (len(results) + 1) + "|",
    ]
    for system, name in NAMES.items():
        if system != STUDENT:
            cells = [_gain(one["versus"][system]["within_query_spearman"]) for one in results.values()]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.3f}".removeprefix("0") if known else "–"


def _gain(found: Mapping[str, Any]) -> str:
    low, high = (signed(side, 3) for side in found["ci95"])
    return f"{signed(found['mean'], 3)} [{low}, {high}]"


def _times(figures: Mapping[str, Any]) -> str:
    found = [value for name in ("ms_50_cold", "ms_50_stored") for value in figures[name]]
    return " / ".join(f"{value:,.1f}" if value < 10 else f"{value:,.0f}" for value in found)


if __name__ == "__main__":
    run_main(main)
