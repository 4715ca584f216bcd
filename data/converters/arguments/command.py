"""The formats of `python -m data convert`, and what the command line says; every flag can stand in a `--mapping` file.

The converters load pyarrow and DuckDB, so they are imported when the flags have been read.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prectr.data.converters.arguments.clicks import ClickArguments
from prectr.data.converters.arguments.common import (
    LevelArguments,
    LogArguments,
    NameArguments,
    ReadingArguments,
    SplitArguments,
)
from prectr.data.converters.arguments.features import FeatureArguments
from prectr.data.converters.arguments.logs import EventArguments, PageArguments
from prectr.data.converters.arguments.published import EsciArguments, WandsArguments
from prectr.data.converters.arguments.table import TableArguments
from prectr.shared.errors import PrectrError
from prectr.shared.run.names import check_name
from prectr.shared.run.settings import parse_arguments
from prectr.shared.run.verbs import program
from prectr.shared.store.at_hand import artifacts_of


@dataclass(frozen=True)
class Conversion:
    """What is converted: the format's name, the sources, and the settings by dataclass."""

    kind: str
    sources: Sequence[str]
    settings: dict[type, Any]
    named: frozenset[str] = frozenset()
    """Flags of the command line."""

    @property
    def is_addition(self) -> bool:
        """Whether the files are added to a data set that is there."""
        return LogArguments in self.settings and self.settings[LogArguments].append


_JUDGED = (NameArguments, ReadingArguments, SplitArguments)
_LOG = (FeatureArguments, ClickArguments, *_JUDGED, LevelArguments, LogArguments)
_EVENTS = (EventArguments, *_LOG)

MAPPING = "mapping.yaml"
"""The flags of a conversion, kept beside the tables in a form that --mapping reads."""

EVENTS = ("ubi", "elasticsearch", "algolia", "typesense", "ga4", "shopify", "matomo", "solr")
"""Formats that are a stream of events: searches, and what was done."""

FORMATS: dict[str, tuple[type[Any], ...]] = {
    "table": (TableArguments, *_LOG),
    "homedepot": (NameArguments,),
    "esci": (EsciArguments, NameArguments, SplitArguments),
    "wands": (WandsArguments, *_JUDGED),
    "result_pages": (PageArguments, *_LOG),
    **dict.fromkeys(EVENTS, _EVENTS),
}
"""The flags of each format, its own first; what converts it is the module of that name."""

USAGE = """usage: {program} convert FORMAT SOURCE... --name NAME [--flags]

Writes artifacts/NAME/data from somebody's files, checks it, and says what was kept, what was
dropped, and what is next. The sources come first; each is a file (plain, .gz or .zip), a folder
of files, either also as s3://bucket/key or gs://bucket/key, or for `table` a data set of the
Hugging Face Hub: hf:org/name[:split], or hf:./folder.

FORMAT          SOURCE
  table         CSV, TSV, JSON, Parquet: judged pairs, what was shown, or clicks; flags name columns
  homedepot     train.csv.zip of Home Depot Product Search Relevance (Kaggle)
  esci          the folder of Amazon's Shopping Queries Dataset with its two Parquet files
  wands         the folder of Wayfair's WANDS with query.csv, product.csv and label.csv
  result_pages  one JSON object per result page: who, query, time, ranked results, clicked ranks
  ubi           queries and events of OpenSearch's User Behavior Insights, as JSON lines
  elasticsearch the events of a behavioral analytics collection
  algolia       search responses as logged, and the events sent to Insights
  typesense     analytics events, and search responses if they were logged
  ga4           Google Analytics 4 as BigQuery exports it
  shopify       customer events, as a pixel logs them
  matomo        visits, as Live.getLastVisitsDetails gives them
  solr          request logs, with clicks in files of their own

{program} convert FORMAT --help lists the flags of a format."""


def read_conversion(argv: Sequence[str]) -> Conversion:
    """What the command line says, `argv` from the format on.

    Raises:
        PrectrError: an unknown format or flag, a wrong value, or no source; one sentence.
        SystemExit: help was asked for, and has been given.
    """
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE.format(program=program("data")))
        raise SystemExit(0)
    kind, *rest = argv
    command = f"{program('data')} convert {kind}"
    if kind not in FORMATS:
        raise PrectrError(f"{command}: no such format; use {', '.join(FORMATS)}.")
    number = next((place for place, word in enumerate(rest) if word.startswith("-")), len(rest))
    sources, flags = rest[:number], rest[number:]
    if not sources and not {"-h", "--help"} & set(flags):
        raise PrectrError(f"{command}: name the source before the flags: {command} FILE --name NAME.")
    given = {word.split("=")[0] for word in flags}
    if "--append" in given and "--mapping" not in given:
        flags = ["--mapping", str(_kept(flags, command)), *flags]
    instances = parse_arguments(
        FORMATS[kind], None, flags, program=f"{command} SOURCE...", description=_about(kind), mapping=True
    )
    named = {word[2:].partition("=")[0].replace("-", "_") for word in flags if word.startswith("--")}
    return Conversion(kind, sources, {type(each): each for each in instances}, frozenset(named))


def _kept(flags: Sequence[str], command: str) -> Path:
    """The mapping of the data set that is added to.

    Raises:
        PrectrError: no name is given, or there is none.
    """

    def value(name: str, default: str) -> str:
        given = [word.partition("=")[2] for word in flags if word.startswith(f"--{name}=")]
        behind = [flags[place + 1] for place, word in enumerate(flags[:-1]) if word == f"--{name}"]
        return [default, *given, *behind][-1]

    name, artifacts = value("name", ""), value("artifacts", "artifacts")
    if not name:
        raise PrectrError(f"{command} --append: say which data set is added to with --name.")
    check_name(name)
    path = artifacts_of(artifacts, name) / name / "data" / MAPPING
    if not path.is_file():
        raise PrectrError(
            f"{path.parent}: there is no {MAPPING}, so there is nothing to add to: convert all files without --append."
        )
    return path


def _about(kind: str) -> str:
    """What a format's module says of it, read without importing what converts."""
    source = (Path(__file__).parents[1] / "formats" / f"{kind}.py").read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(source)) or ""
