"""`python -m rank VERB`: the commands of stage two. What does the work is imported when the arguments are right."""

from pathlib import Path
from typing import NoReturn

from prectr.rank.config import (
    ARGUMENTS,
    CONFIGS,
    BatchArguments,
    EvaluateArguments,
    HistoryArguments,
    JudgedArguments,
    LossArguments,
    ModelArguments,
    RunArguments,
    SamplingArguments,
    TrainArguments,
    WhereArguments,
)
from prectr.rank.service.config import ServeArguments
from prectr.rank.serving.config import (
    AbsorbArguments,
    CompareArguments,
    DataArguments,
    DriftArguments,
    ExplainArguments,
    ExportArguments,
    RankerArguments,
    ScoreArguments,
)
from prectr.shared.run.arguments import PublishArguments
from prectr.shared.run.cli import run_main
from prectr.shared.run.verbs import Command, Stage, Verb
from prectr.shared.store.at_hand import at_hand, here

_SCORING = (RankerArguments, DataArguments, WhereArguments, BatchArguments)
_JUDGING = (RankerArguments, JudgedArguments, SamplingArguments, EvaluateArguments)

OF_TRAINING = ("features", "pair_features", "judged_pair_features", "engagement", "trained", "replay", "teacher")
"""Folders that are large, and of which those who use a ranker read the record at most."""

STAGE = Stage(
    "rank",
    "Stage two: the ranker in which relevance and click-through rate are one model.",
    {
        "run": Verb("train the ranker, judge it, print the results and write the report", ARGUMENTS),
        "table": Verb("print the results of a finished run", (WhereArguments,)),
        "report": Verb("write the report of a finished run as a page", (WhereArguments,)),
        "score": Verb("score the impressions of a Parquet file", (ScoreArguments, *_SCORING)),
        "explain": Verb(
            "say what each part of the ranker contributed to a page's scores", (ExplainArguments, *_SCORING)
        ),
        "serve": Verb(
            "answer over HTTP, with a page to search on: every event changes the next answer",
            (ServeArguments, RankerArguments, DataArguments, WhereArguments),
        ),
        "export": Verb(
            "write what serving computes as ONNX, which `serve` then uses",
            (ExportArguments, DataArguments),
            False,
            "FOLDER",
        ),
        "validate": Verb("compare a newer log with what the ranker was trained on", (DriftArguments, *_JUDGING)),
        "absorb": Verb("fold a journal's events into the tables", (AbsorbArguments, DataArguments, WhereArguments)),
        "compare": Verb("say which of two rankers the clicks of a journal speak for", (CompareArguments,)),
        "publish": Verb("upload the ranker to a model hub", (PublishArguments, WhereArguments)),
    },
    CONFIGS,
)


def main(argv: list[str]) -> None:
    command = STAGE.read(argv)
    reads_all = command.verb in ("run", "validate")
    with at_hand(command.settings.values(), without=() if reads_all else OF_TRAINING):
        if command.verb != "run" or not already_finished(command):
            work(command)


def already_finished(command: Command) -> bool:
    """Whether the run was done before with these settings; then its results have been shown."""
    from prectr.rank.finished import show_if_finished

    where = command[RunArguments]
    return show_if_finished(where.name, where.artifacts, [command[arguments] for arguments in ARGUMENTS])


def work(command: Command) -> None:
    """Do what was asked for; the libraries that it takes are loaded here."""
    match command.verb:
        case "run":
            run_stage(command)
        case "table":
            from prectr.rank.reports.terminal import show_results

            show_results(folder_of(command[WhereArguments]))
        case "report":
            from prectr.rank.pipeline import report

            report(folder_of(command[WhereArguments]))
        case "publish":
            from prectr.rank.reports.model_card import upload

            publishing = command[PublishArguments]
            ranker = folder_of(command[WhereArguments]) / "ranker"
            upload(ranker, publishing.repo, publishing.dry_run, publishing.private)
        case "serve":
            serve(command)
        case "validate":
            validate(command)
        case "export":
            from prectr.rank.serving.export.export import export

            silence_transformers()
            data = command[DataArguments].data
            export(Path(command[ExportArguments].folder), None if data is None else here(data))
        case "absorb":
            from prectr.rank.serving.traffic.absorb import absorb

            absorb(command[WhereArguments], command[DataArguments], command[AbsorbArguments])
        case "compare":
            from prectr.rank.serving.traffic.compare import compare

            compare(command[CompareArguments])
        case _:
            score_or_explain(command)


def folder_of(where: WhereArguments) -> Path:
    """artifacts/<name>"""
    return Path(where.artifacts) / where.name


def run_stage(command: Command) -> None:
    from prectr.rank import pipeline
    from prectr.rank.workspace import Workspace
    from prectr.shared.run.hold import hold

    silence_transformers()
    where = command[RunArguments]
    with hold(folder_of(where)):  # what is read from here on nobody changes meanwhile
        workspace = Workspace(
            where,
            command[HistoryArguments],
            command[ModelArguments],
            command[LossArguments],
            command[TrainArguments],
            command[EvaluateArguments],
            command.line,
        )
        pipeline.run_stage(workspace)


def validate(command: Command) -> None:
    from prectr.rank.serving import validate

    silence_transformers()
    evaluation = command[EvaluateArguments]
    validate.validate(
        command[JudgedArguments],
        command[RankerArguments],
        evaluation.evaluation_batch,
        evaluation.bootstrap_resamples,
        command[SamplingArguments].negative_sampling_rate,
        command[DriftArguments],
    )


def serve(command: Command) -> None:
    from prectr.rank.service.serve import serve

    silence_transformers()
    where, ranker, data = command[WhereArguments], command[RankerArguments], command[DataArguments]
    serve(where, ranker, data, command[ServeArguments])


def score_or_explain(command: Command) -> None:
    if command.verb == "explain":
        command[ExplainArguments].require_a_page()
    where, ranker, data = command[WhereArguments], command[RankerArguments], command[DataArguments]
    if command.verb == "score":
        beside = Path(ranker.ranker).parent if ranker.ranker else folder_of(where)
        command[ScoreArguments].require_parquet(Path(data.data or beside / "data"))
    silence_transformers()
    at_once = command[BatchArguments].evaluation_batch
    if command.verb == "score":
        from prectr.rank.serving.score_table import score

        score(where, ranker, data, at_once, command[ScoreArguments])
    else:
        from prectr.rank.serving.explain_command import explain

        explain(where, ranker, data, at_once, command[ExplainArguments])


def silence_transformers() -> None:
    """Neither its advice nor its bars."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def run() -> NoReturn:
    """The command line, as a process."""
    run_main(main, together=("run",))


if __name__ == "__main__":
    run()
