"""`python -m distill VERB`: the commands of stage one. What does the work is imported when the arguments are right."""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from prectr.distill.config import (
    ARGUMENTS,
    CONFIGS,
    JudgeArguments,
    LabelArguments,
    MergeArguments,
    RunArguments,
    StartArguments,
    StudentArguments,
    TeacherArguments,
    UploadArguments,
    WhereArguments,
)
from prectr.shared.run.cli import run_main
from prectr.shared.run.verbs import Command, Stage, Verb
from prectr.shared.store.at_hand import at_hand

if TYPE_CHECKING:
    from prectr.distill.workspace import Workspace

_LABELLING = (LabelArguments, TeacherArguments, StartArguments, RunArguments)

STAGE = Stage(
    "distill",
    "Stage one: a large language model's relevance judgement, distilled into a light text encoder.",
    {
        "run": Verb("teach the teacher, label pairs, distil and fine-tune the encoder, judge it", ARGUMENTS),
        "label": Verb("teach and label only; any number of processes may do it together", _LABELLING),
        "check-teacher": Verb("show what the teacher says of a few pairs, and what the job will cost", _LABELLING),
        "merge-teacher": Verb(
            "write a fine-tuned teacher as a model of its own", (MergeArguments, JudgeArguments, RunArguments)
        ),
        "publish": Verb("upload the encoder or the teacher's labels to a hub", (UploadArguments, WhereArguments)),
    },
    CONFIGS,
)


def main(argv: list[str]) -> None:
    command = STAGE.read(argv)
    with at_hand(command.settings.values()):
        if command.verb != "run" or not already_finished(command):
            work(command)


def already_finished(command: Command) -> bool:
    """Whether the run was done before with these settings; then it has been said."""
    from prectr.distill.finished import say_if_finished

    where = command[RunArguments]
    return say_if_finished(where.name, where.artifacts, [command[arguments] for arguments in ARGUMENTS])


def work(command: Command) -> None:
    """Do what was asked for; the libraries that it takes are loaded here."""
    if command.verb == "publish":
        publish(command[WhereArguments], command[UploadArguments])
        return
    if command.verb in ("run", "label"):
        from prectr.distill.models.untaught import refuse_untaught

        where = command[RunArguments]
        refuse_untaught(command[TeacherArguments].teacher, Path(where.artifacts) / where.name / "data")
    silence_libraries()
    match command.verb:
        case "run":
            from prectr.distill.pipeline import run_stage

            with holding(command):
                run_stage(open_workspace(command))
        case "label":
            from prectr.distill.commands import label

            with holding(command):
                label(open_workspace(command))
        case "check-teacher":
            from prectr.distill.commands import check

            check(open_workspace(command))
        case "merge-teacher":
            from prectr.distill.commands import merge

            merge(open_workspace(command), command[MergeArguments].output)


def publish(where: WhereArguments, publishing: UploadArguments) -> None:
    folder, how = Path(where.artifacts) / where.name, (publishing.repo, publishing.dry_run, publishing.private)
    if publishing.what == "encoder":
        from prectr.distill.publishing.model_card import upload

        upload(folder / "encoder", *how)
    else:
        from prectr.distill.publishing.dataset_card import upload_dataset

        upload_dataset(folder, publishing.what, *how)


def holding(command: Command) -> AbstractContextManager[None]:
    """No other run works in the data set's folder meanwhile."""
    from prectr.shared.run.hold import hold

    where = command[RunArguments]
    return hold(Path(where.artifacts) / where.name)


def silence_libraries() -> None:
    from transformers.utils import logging

    # Layers left out on purpose would be reported as weights that were not used, and every file read as a bar.
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    # peft asks transformers by a name that is on its way out, which is nothing users can mend.
    warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)


def open_workspace(command: Command) -> Workspace:
    """The workspace of a verb; settings that the verb does not take are at their defaults, and are not read."""
    from prectr.distill.workspace import Workspace

    given = command.settings
    teaching = given.get(TeacherArguments) or TeacherArguments(**vars(given[JudgeArguments]))
    labelling = given.get(LabelArguments) or LabelArguments()
    # Where no student is made, no encoder has to be there for it to start from.
    start = given.get(StartArguments) or StartArguments(init_from="random")
    training = given.get(StudentArguments) or StudentArguments(**vars(start))
    return Workspace(given[RunArguments], teaching, labelling, training, command.line)


def run() -> NoReturn:
    """The command line, as a process."""
    run_main(main, together=("run", "label"))


if __name__ == "__main__":
    run()
