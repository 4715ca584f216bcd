"""`python -m data convert FORMAT SOURCE... --name NAME [--flags]`: one step that writes, checks and tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prectr.data import report
from prectr.data.checks.defects import DataError
from prectr.data.converters import esci, homedepot, result_pages, staging, table, ubi, wands, write
from prectr.data.converters.arguments import Conversion, NameArguments
from prectr.data.converters.reading.files import fingerprint, is_hub, list_files
from prectr.data.converters.staging import Settings, open_staging
from prectr.data.converters.write import finish, write_tables
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import console
from prectr.shared.run.schema import read_json
from prectr.shared.run.steps import RECORD, run_step

MODULES: dict[str, Any] = {
    "table": table,
    "esci": esci,
    "wands": wands,
    "ubi": ubi,
    "result_pages": result_pages,
}
"""What reads each format: `files(sources, settings)` are its files, `read(staging, sources, settings)` makes the views
of `prectr.data.converters.*` and returns the rule of the levels, if it has one. Home Depot's writes its tables itself.
"""


def convert(conversion: Conversion) -> None:
    """Convert what the command line said.

    Raises:
        PrectrError: what is wrong with the source or its contents, in one sentence.
    """
    kind, sources, settings = conversion.kind, conversion.sources, conversion.settings
    naming: NameArguments = settings[NameArguments]
    folder = Path(naming.artifacts) / naming.name / "data"
    if not (folder / RECORD).is_file() and any(folder.glob("*.parquet")):
        raise PrectrError(f"{folder} holds tables that no command wrote: give another --name, or move them away.")
    if kind != "table" and (hub := next((source for source in sources if is_hub(Path(source))), None)):
        raise PrectrError(f"{hub}: convert {kind} reads files alone: use convert table and name the columns.")
    if kind == "homedepot":
        homedepot.build_tables(homedepot.source_file(sources), folder, naming.seed)
    else:
        files = list_files(MODULES[kind].files(sources, settings))
        given = {name: value for each in settings.values() for name, value in asdict(each).items()}
        del given["artifacts"], given["name"]
        inputs = {"converter": kind, "files": [fingerprint(file) for file in files], **given}
        work_of = [MODULES[kind], staging, write]
        code = [module.__name__ for module in work_of]
        run_step("data", folder, inputs, lambda work: _build(work, kind, sources, settings), sources=code)
    show(folder)


def _build(work: Path, kind: str, sources: Sequence[str], settings: Settings) -> None:
    with open_staging(work) as staging:
        rule = MODULES[kind].read(staging, sources, settings)
        stated = write_tables(staging, ", ".join(sources), settings, rule)
        try:
            finish(work, staging.told, kind, stated)
        except DataError as error:
            defects = "; ".join(f"{defect.table}: {defect.said.rstrip('.')}" for defect in error.defects)
            raise PrectrError(f"{', '.join(sources)}: the tables made of it would be wrong: {defects}.") from error


def show(folder: Path) -> None:
    """Print what was found, then what the data set holds."""
    summary = read_json(folder / report.SUMMARY)
    if "conversion" not in summary:  # Home Depot's tables, unchanged since an earlier version wrote them
        console.print(f"Data: {folder}", highlight=False, markup=False, soft_wrap=True)
        return
    for line in summary["conversion"]["told"]:
        console.print(f"· {line}", highlight=False, markup=False, soft_wrap=True)
    report.show(folder)
