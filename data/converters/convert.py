"""`python -m data convert FORMAT SOURCE... --name NAME [--flags]`: one step that writes, checks and tells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType

from prectr.data import report
from prectr.data.checks.defects import DataError
from prectr.data.converters import staging, write
from prectr.data.converters.additions import Addition, add_to, inputs_of
from prectr.data.converters.arguments.command import EVENTS, Conversion
from prectr.data.converters.arguments.common import NameArguments
from prectr.data.converters.events import stream
from prectr.data.converters.formats import (
    algolia,
    elasticsearch,
    esci,
    ga4,
    homedepot,
    matomo,
    result_pages,
    shopify,
    solr,
    table,
    typesense,
    ubi,
    wands,
)
from prectr.data.converters.levels import LevelRule
from prectr.data.converters.mapping import keep_mapping, own_names
from prectr.data.converters.reading.files import is_hub
from prectr.data.converters.replacing import say_what_is_replaced
from prectr.data.converters.staging import Settings, Staging, open_staging
from prectr.data.converters.write import finish, write_tables
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import console
from prectr.shared.run.fingerprint import file_fingerprint
from prectr.shared.run.hold import hold
from prectr.shared.run.schema import read_json
from prectr.shared.run.steps import RECORD, run_step


@dataclass(frozen=True)
class Format:
    """What reads a format.

    Attributes:
        files: its files by what they are. read: makes the views of `prectr.data.converters.*` and returns the rule of
            the levels, if it has one. modules: what does it.
    """

    files: Callable[[Sequence[str], Settings], dict[str, list[str]]]
    read: Callable[[Staging, Sequence[str], Settings], LevelRule | None]
    modules: Sequence[ModuleType]


_TOOLS = dict(zip(EVENTS, (ubi, elasticsearch, algolia, typesense, ga4, shopify, matomo, solr), strict=True))

FORMATS = {
    name: Format(module.files, module.read, [module])
    for name, module in (("table", table), ("esci", esci), ("wands", wands), ("result_pages", result_pages))
} | {
    name: Format(stream.files_of_stream, partial(stream.read_stream, tool=module.TOOL), [module, stream])
    for name, module in _TOOLS.items()
}
"""All but Home Depot's, which writes its tables itself."""


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
    with hold(folder.parent):
        if kind == "homedepot":
            source = homedepot.source_file(sources)
            say_what_is_replaced(folder, file_fingerprint(source))
            homedepot.build_tables(source, folder, naming.seed)
        else:
            _convert(conversion, folder)
    show(folder)


def _convert(conversion: Conversion, folder: Path) -> None:
    kind, settings = conversion.kind, conversion.settings
    form = FORMATS[kind]
    files = form.files(conversion.sources, settings)
    if conversion.is_addition:
        addition = add_to(folder, kind, files, settings, conversion.named)
    else:
        addition = Addition(inputs_of(kind, files, settings))
        say_what_is_replaced(folder, addition.inputs["files"])
    code = [module.__name__ for module in (*form.modules, staging, write)]
    build = partial(_build, form=form, conversion=conversion, addition=addition)
    if addition.is_new:
        run_step("data", folder, addition.inputs, build, sources=code)
    else:
        console.print(f"Nothing to add: {folder} has these files.", highlight=False, markup=False, soft_wrap=True)


def _build(work: Path, form: Format, conversion: Conversion, addition: Addition) -> None:
    sources, settings = conversion.sources, conversion.settings
    named = ", ".join(sources)
    with open_staging(work, addition.rows, addition.known) as staging:
        rule = form.read(staging, sources, settings)
        stated = write_tables(staging, named, settings, rule)
        staging.close()
        keep_mapping(work, conversion)
        tool = _TOOLS[conversion.kind].TOOL if conversion.kind in _TOOLS else None
        try:
            finish(work, staging.told, conversion.kind, stated, own_names(conversion, tool))
        except DataError as error:
            defects = "; ".join(f"{defect.table}: {defect.said.rstrip('.')}" for defect in error.defects)
            raise PrectrError(f"{named}: the tables made of it would be wrong: {defects}.") from error
        staging.keep_rows()


def show(folder: Path) -> None:
    """Print what was found, then what the data set holds."""
    summary = read_json(folder / report.SUMMARY)
    if "conversion" not in summary:  # Home Depot's tables, unchanged since an earlier version wrote them
        console.print(f"Data: {folder}", highlight=False, markup=False, soft_wrap=True)
        return
    for line in summary["conversion"]["told"]:
        console.print(f"· {line}", highlight=False, markup=False, soft_wrap=True)
    report.show(folder)
