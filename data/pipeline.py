"""The default data set and the toy shop: the one step that builds either."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from prectr.data import report, toy
from prectr.data.checks.validate import validate
from prectr.data.config import DataArguments
from prectr.data.journey import build as journey
from prectr.shared.run.fingerprint import file_fingerprint
from prectr.shared.run.finished import remember_run, settings_of
from prectr.shared.run.steps import run_step

RECONSTRUCTED = {
    "journey": "Queries, pages (hence clicks and CTR) and relevance levels are reconstructed: see data/README.md.",
    "toy": "The toy shop is generated from beginning to end.",
}
"""What every figure made from a source says of it."""

SOURCES = {"journey": (journey.__name__,), "toy": (toy.__name__,)}
"""The modules that make a data set of each source."""


def build(arguments: DataArguments) -> None:
    """Build the data set unless it is there already; print what it holds if it was not."""
    folder = Path(arguments.artifacts) / arguments.name / "data"
    inputs = {
        name: value
        for name, value in asdict(arguments).items()
        if name not in ("artifacts", "phrasebook", "raw_folder")
    }
    if arguments.source == "journey":
        inputs["phrasebook"] = file_fingerprint(Path(arguments.phrasebook))
        inputs["raw_folder"] = arguments.raw_folder
    built = []

    def make(work: Path) -> None:
        level_mix = None
        if arguments.source == "journey":
            level_mix = journey.build(work, arguments)
        else:
            toy.build(work, arguments.seed, arguments.households or 60, train_pages=arguments.train_pages or 200)
        validate(work)
        report.write_summary(work, level_mix, RECONSTRUCTED[arguments.source])
        built.append(work)

    run_step("data", folder, inputs, make, sources=SOURCES[arguments.source])
    if built:
        report.show(folder)
    given = [Path(each) for each in (arguments.phrasebook, arguments.raw_folder) if each]
    remember_run(folder.parent, "data", settings_of([arguments]), [folder, *given], [__name__])
