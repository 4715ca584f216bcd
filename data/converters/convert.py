"""`python -m data convert FORMAT SOURCE... --name NAME [--flags]`: one step that writes, checks and tells."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prectr.data import report
from prectr.data.converters import esci, homedepot, result_pages, staging, table, ubi, wands, write
from prectr.data.converters.arguments import (
    LevelArguments,
    LogArguments,
    NameArguments,
    ReadingArguments,
    SplitArguments,
)
from prectr.data.converters.files import fingerprint, is_hub, list_files
from prectr.data.converters.levels import LevelRule
from prectr.data.converters.staging import Staging, open_staging
from prectr.data.converters.write import Settings, finish, write_tables
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import console
from prectr.shared.run.settings import parse_arguments
from prectr.shared.run.steps import RECORD, run_step


@dataclass(frozen=True)
class Format:
    """A converter: the flags it takes, the files it reads, and how it makes the views of `prectr.data.converters.*`."""

    module: Any
    arguments: tuple[type, ...]

    @property
    def read(self) -> Callable[[Staging, Sequence[str], Settings], LevelRule | None]:
        return self.module.read

    @property
    def files(self) -> Callable[[Sequence[str], Settings], list[str]]:
        return self.module.files


_JUDGED = (NameArguments, ReadingArguments, SplitArguments)
_LOG = (*_JUDGED, LevelArguments, LogArguments)

FORMATS = {
    "table": Format(table, (*_LOG, table.TableArguments)),
    "homedepot": Format(homedepot, (NameArguments,)),
    "esci": Format(esci, (NameArguments, SplitArguments, esci.EsciArguments)),
    "wands": Format(wands, (*_JUDGED, wands.WandsArguments)),
    "ubi": Format(ubi, (*_LOG, ubi.UbiArguments)),
    "result_pages": Format(result_pages, (*_LOG, result_pages.PageArguments)),
}

USAGE = """usage: python -m data convert FORMAT SOURCE... --name NAME [--flags]

Writes artifacts/NAME/data from somebody's files, checks it, and says what was kept, what was dropped, and what is next.
The sources come first; each is a file (plain, .gz or .zip), a folder of files, or for `table` a data set of the
Hugging Face Hub: hf:org/name[:split], or hf:./folder of one.

FORMAT          SOURCE
  table         any CSV, TSV, JSON, JSON lines or Parquet: judged pairs, what was shown, or clicks; flags name columns
  homedepot     train.csv.zip of Home Depot Product Search Relevance (Kaggle)
  esci          the folder of Amazon's Shopping Queries Dataset with its two Parquet files
  wands         the folder of Wayfair's WANDS with query.csv, product.csv and label.csv
  ubi           the queries and the events of OpenSearch's User Behavior Insights, one JSON object per line
  result_pages  one JSON object per result page: who, query, time, ranked results, clicked ranks

python -m data convert FORMAT --help lists the flags of a format."""


def convert(argv: Sequence[str]) -> None:
    """Convert what the command line says.

    Raises:
        PrectrError: what is wrong with the command, the source or its contents, in one sentence.
    """
    if not argv or argv[0] in ("-h", "--help"):
        console.print(USAGE, highlight=False, markup=False, soft_wrap=True)
        return
    kind, *rest = argv
    if kind not in FORMATS:
        raise PrectrError(f"python -m data convert {kind}: no such format; use {', '.join(FORMATS)}.")
    number = next((place for place, word in enumerate(rest) if word.startswith("-")), len(rest))
    sources, flags = rest[:number], rest[number:]
    chosen = FORMATS[kind]
    command = f"python -m data convert {kind}"
    instances = parse_arguments(
        chosen.arguments, None, flags, program=f"{command} SOURCE...", description=chosen.module.__doc__
    )
    settings = {type(each): each for each in instances}
    if not sources:
        raise PrectrError(f"{command}: name the source before the flags: {command} FILE --name NAME.")
    _convert(kind, sources, settings)


def _convert(kind: str, sources: Sequence[str], settings: Settings) -> None:
    naming: NameArguments = settings[NameArguments]
    if not naming.name or Path(naming.name).name != naming.name or naming.name.startswith("."):
        raise PrectrError(f"--name {naming.name!r}: give a plain name for the folder: artifacts/<name>/data.")
    folder = Path(naming.artifacts) / naming.name / "data"
    if not (folder / RECORD).is_file() and any(folder.glob("*.parquet")):
        raise PrectrError(f"{folder} holds tables that no command wrote: give another --name, or move them away.")
    if kind != "table" and (hub := next((source for source in sources if is_hub(Path(source))), None)):
        raise PrectrError(f"{hub}: convert {kind} reads files alone: use convert table and name the columns.")
    if kind == "homedepot":
        homedepot.build_tables(homedepot.source_file(sources), folder, naming.seed)
    else:
        files = list_files(FORMATS[kind].files(sources, settings))
        given = {name: value for each in settings.values() for name, value in asdict(each).items()}
        del given["artifacts"], given["name"]
        inputs = {"converter": kind, "files": [fingerprint(file) for file in files], **given}
        work_of = [FORMATS[kind].module, staging, write]
        code = [module.__name__ for module in work_of]
        run_step("data", folder, inputs, lambda work: _build(work, kind, sources, settings), sources=code)
    show(folder)


def _build(work: Path, kind: str, sources: Sequence[str], settings: Settings) -> None:
    with open_staging(work) as staging:
        rule = FORMATS[kind].read(staging, sources, settings)
        stated = write_tables(staging, ", ".join(sources), settings, rule)
        finish(work, staging.told, kind, stated)


def show(folder: Path) -> None:
    """Print what was found, then what the data set holds."""
    summary = json.loads((folder / report.SUMMARY).read_text(encoding="utf-8"))
    if "conversion" not in summary:  # Home Depot's tables, unchanged since an earlier version wrote them
        console.print(f"Data: {folder}", highlight=False, markup=False, soft_wrap=True)
        return
    for line in summary["conversion"]["told"]:
        console.print(f"· {line}", highlight=False, markup=False, soft_wrap=True)
    report.show(folder)
