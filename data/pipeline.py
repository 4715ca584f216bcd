"""The default data set and the toy shop, as shops or as marketplaces: the one step that builds any of them."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

from prectr.data import listings, report, toy
from prectr.data.checks.validate import validate
from prectr.data.config import DataArguments
from prectr.data.journey import build as journey
from prectr.shared.run.fingerprint import file_fingerprint
from prectr.shared.run.finished import remember_run, settings_of
from prectr.shared.run.hold import hold
from prectr.shared.run.steps import run_step

RECONSTRUCTED = {
    "journey": "Queries, pages (hence clicks and CTR) and relevance levels are reconstructed: see data/README.md.",
    "toy": "The toy shop is generated from beginning to end.",
    "listings": "As on a marketplace, an item's id lives one week and its attributes are not known.",
}
"""What every figure made from a source says of it, and from its listings besides."""

SOURCES: dict[str, tuple[str, ...]] = {
    "journey": (journey.__name__,),
    "toy": (toy.__name__,),
    "listings": (listings.__name__,),
}
"""The modules that make a data set of each source, and listings of it."""


def _write_shop(folder: Path, arguments: DataArguments) -> dict[str, list[float]] | None:
    """The tables of the source, as they come; the share of each gold level by split, where the builder knows it."""
    if arguments.source == "journey":
        return journey.build(folder, arguments)
    toy.build(folder, arguments.seed, arguments.households or 60, train_pages=arguments.train_pages or 200)
    return None


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
    reconstructed, sources = RECONSTRUCTED[arguments.source], SOURCES[arguments.source]
    if arguments.listings:
        reconstructed = f"{reconstructed} {RECONSTRUCTED['listings']}"
        sources = (*sources, *SOURCES["listings"])
    built = []

    def make(work: Path) -> None:
        if arguments.listings:
            shop = work / "checkpoints" / "shop"  # there a killed build leaves nothing
            shutil.rmtree(shop, ignore_errors=True)
            shop.mkdir(parents=True)
            level_mix = _write_shop(shop, arguments)
            listings.as_listings(shop, work)
        else:
            level_mix = _write_shop(work, arguments)
        validate(work)
        report.write_summary(work, level_mix, reconstructed)
        built.append(work)

    with hold(folder.parent):
        run_step("data", folder, inputs, make, sources=sources)
    if built:
        report.show(folder)
    given = [Path(each) for each in (arguments.phrasebook, arguments.raw_folder) if each]
    remember_run(folder.parent, "data", settings_of([arguments]), [folder, *given], [__name__])
