"""What a teacher's labels are worth where gold ends: the same students on queries of types that no graded query has.

    python -m benchmarks.encoder.unseen_types --name journey --seeds 0 1 2    # after benchmarks.encoder.beside

On queries that are like the graded ones gold alone teaches nearly all there is; labels reach every type of the log.
"""

from __future__ import annotations

import json

from benchmarks.encoder.beside import GOLD_ONLY, compare, of_finished_run, students, untaught
from benchmarks.encoder.cells import RESULTS
from benchmarks.provenance import provenance
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from prectr.shared.run.console import print_line, table

MEASURES = ("spearman", "within_query_spearman", "within_query_ndcg", "auc_random")


def main(argv: list[str]) -> None:
    """The command.

    Raises:
        PrectrError: no graded query of an unseen type, or no finished `distill run`.
    """
    workspace, arguments = of_finished_run(argv, "benchmarks.encoder.unseen_types")
    name = workspace.run.name
    test = workspace.pairs["test_types"]
    if not len(test):
        raise PrectrError(f"{name} has no graded pairs in the split `test_types`: every type has gold to learn from.")
    judges = {system: [judge] for system, judge in untaught(workspace, arguments.rival).items()}
    judges |= students(workspace, arguments.seeds)
    found = compare(workspace, test, judges)
    systems = {system: {of: each[of] for of in MEASURES} for system, each in found["systems"].items()}
    result = {
        **provenance("benchmarks.encoder.unseen_types", argv),
        "data": name,
        "pairs": len(test),
        "seeds": arguments.seeds,
        "systems": systems,
        "versus": found["versus"],
    }
    path = RESULTS / f"unseen_types_{name}.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    rows = [[system, *(sum(each[of]) / len(each[of]) for of in MEASURES)] for system, each in systems.items()]
    table(f"{name}, queries of types without gold", ["judge", *MEASURES], rows)
    over_gold = found["versus"][GOLD_ONLY]["within_query_spearman"]
    low, high = over_gold["ci95"]
    print_line(
        f"The teacher's labels bring {over_gold['mean']:+.3f} Spearman within the query over gold alone, 95 % interval "
        f"over queries {low:+.3f} to {high:+.3f}. Figures of every seed: {path}"
    )


if __name__ == "__main__":
    run_main(main)
