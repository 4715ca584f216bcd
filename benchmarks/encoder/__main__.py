"""`python -m benchmarks.encoder --profile journey`: judges of relevance side by side; see cells.py."""

import json

from transformers.utils import logging

from benchmarks.encoder.cells import CONFIGS, RESULTS, Bench, BenchArguments, collect
from benchmarks.encoder.results import keep_others, show
from prectr.distill.config import LabelArguments, RunArguments, StudentArguments, TeacherArguments
from prectr.distill.workspace import Workspace
from prectr.shared.atomic import atomic_write
from prectr.shared.run.cli import run_main
from prectr.shared.run.settings import parse_arguments

ARGUMENTS = (RunArguments, TeacherArguments, LabelArguments, StudentArguments, BenchArguments)


def main(argv: list[str]) -> None:
    run, teaching, labelling, training, arguments = parse_arguments(
        ARGUMENTS, CONFIGS, argv, program="python -m benchmarks.encoder"
    )
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    bench = Bench(Workspace(run, teaching, labelling, training), arguments)
    bench.run()
    result = collect(bench, argv)
    path = RESULTS / f"judges_{run.name}.json"
    if arguments.keep and path.is_file():
        result = keep_others(result, json.loads(path.read_text(encoding="utf-8")))
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    show(result, path)


if __name__ == "__main__":
    run_main(main)
