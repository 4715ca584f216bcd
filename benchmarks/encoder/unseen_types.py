"""What a teacher's labels are worth where gold ends: the same students on queries of types that no graded query has.

    python -m benchmarks.encoder.unseen_types --name journey --seeds 0 1 2    # after benchmarks.encoder.beside

On queries that are like the graded ones gold alone teaches nearly all there is; labels reach every type of the log.
"""

from __future__ import annotations

import json

from transformers.utils import logging

from benchmarks.encoder.beside import GOLD_ONLY, STUDENT, BesideArguments, compare, of_encoder, train, untaught
from benchmarks.encoder.cells import RESULTS
from benchmarks.provenance import provenance
from prectr.distill.config import CONFIGS, LabelArguments, RunArguments, StudentArguments, TeacherArguments
from prectr.distill.workspace import Workspace
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from prectr.shared.run.console import print_line, table
from prectr.shared.run.settings import parse_arguments

MEASURES = ("spearman", "within_query_spearman", "within_query_ndcg", "auc_random")


def main(argv: list[str]) -> None:
    """The command.

    Raises:
        PrectrError: no graded query of an unseen type, or no finished `distill run`.
    """
    groups = (RunArguments, TeacherArguments, LabelArguments, StudentArguments, BesideArguments)
    run, teaching, labelling, training, arguments = parse_arguments(
        groups, CONFIGS, argv, program="python -m benchmarks.encoder.unseen_types"
    )
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    workspace = Workspace(run, teaching, labelling, training)
    test = workspace.pairs["test_types"]
    if not len(test):
        raise PrectrError(
            f"{run.name} has no graded pairs in the split `test_types`: every type has gold to learn from."
        )
    if not (workspace.folder / "encoder").is_dir():
        raise PrectrError(f"{workspace.folder / 'encoder'} is not there: run `make distill DATA={run.name}` first.")
    judges = {name: [judge] for name, judge in untaught(workspace, arguments.rival).items()}
    for name in (GOLD_ONLY, STUDENT):
        judges[name] = [of_encoder(train(workspace, name, seed)) for seed in arguments.seeds]
    found = compare(workspace, test, judges)
    systems = {name: {measure: each[measure] for measure in MEASURES} for name, each in found["systems"].items()}
    result = {
        **provenance("benchmarks.encoder.unseen_types", argv),
        "data": run.name,
        "pairs": len(test),
        "seeds": arguments.seeds,
        "systems": systems,
        "versus": found["versus"],
    }
    path = RESULTS / f"unseen_types_{run.name}.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    rows = [[name, *(sum(each[of]) / len(each[of]) for of in MEASURES)] for name, each in systems.items()]
    table(f"{run.name}, queries of types without gold", ["judge", *MEASURES], rows)
    over_gold = found["versus"][GOLD_ONLY]["within_query_spearman"]
    low, high = over_gold["ci95"]
    print_line(
        f"The teacher's labels bring {over_gold['mean']:+.3f} Spearman within the query over gold alone, 95 % interval "
        f"over queries {low:+.3f} to {high:+.3f}. Figures of every seed: {path}"
    )


if __name__ == "__main__":
    run_main(main)
