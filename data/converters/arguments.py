"""The formats and flags of `python -m data convert`; every flag can stand in a `--mapping` file too.

The converters load pyarrow and DuckDB, so they are imported when the flags have been read.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from prectr.shared.errors import PrectrError
from prectr.shared.run.names import check_name
from prectr.shared.run.ranges import SEEDS, Ranged
from prectr.shared.run.settings import parse_arguments
from prectr.shared.run.verbs import program

if TYPE_CHECKING:
    from prectr.data.converters.judgements import Unlabelled
    from prectr.data.converters.levels import LevelRule
    from prectr.data.converters.log import LogRules
    from prectr.data.converters.reading.readers import Reading
    from prectr.data.converters.splits import Shares


def columns(what: str) -> Any:
    """A flag that takes any number of names."""
    return field(default_factory=list, metadata={"help": what})


def check_time_format(form: str) -> None:
    """Raises `PrectrError` where it is no format of a time, or one without a day."""
    moment = datetime(2024, 5, 16, 12, 34, 56, tzinfo=UTC)
    try:
        found = datetime.strptime(moment.strftime(form), form)
    except ValueError as error:
        raise PrectrError(f"--time_format {form}: {error}: write one such as %d.%m.%Y or %m/%d/%y %H:%M.") from None
    if found.date() != moment.date():
        raise PrectrError(f"--time_format {form}: it tells no day of a year: write one such as %d.%m.%Y.")


@dataclass
class NameArguments(Ranged):
    """What the data set is called, and the seed."""

    name: str = field(metadata={"help": "of the data set: artifacts/<name>/data is written"})
    artifacts: str = field(default="artifacts", metadata={"help": "folder of everything generated"})
    seed: int = field(default=0, metadata={"help": "decides every draw", "range": SEEDS})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name(self.name)


@dataclass
class ReadingArguments:
    """How files are read."""

    file_format: Literal["auto", "csv", "json", "jsonl", "parquet"] = field(
        default="auto", metadata={"help": "auto: by the end of the file's name, .gz and .zip taken off"}
    )
    encoding: str = field(
        default="auto", metadata={"help": "auto: what its byte-order mark says, else UTF-8; what is neither is told"}
    )
    delimiter: str = field(
        default="auto", metadata={"help": "tab, comma, semicolon, pipe or a character; auto: what fits the first line"}
    )
    quoting: bool = field(default=True, metadata={"help": "false: a double quote is a character like any other"})
    decimal: Literal[".", ","] = field(
        default=".", metadata={"help": "of numbers: a point, or a comma as in 1.234,56; of columns that hold numbers"}
    )

    @property
    def reading(self) -> Reading:
        from prectr.data.converters.reading.readers import Reading

        return Reading(self.file_format, self.encoding, self.delimiter, self.quoting, self.decimal)


@dataclass
class SplitArguments:
    """What is held out."""

    validation_share: float = field(
        default=0.1, metadata={"help": "of judged pairs, by whole queries; of pages, by time"}
    )
    test_share: float = field(default=0.1, metadata={"help": "likewise; of a log the last pages"})
    unlabelled_per_query: int = field(
        default=30, metadata={"help": "of judgements: items not judged for a training query, for the teacher to judge"}
    )
    unlabelled_pairs: int = field(default=200_000, metadata={"help": "at most so many pairs are for the teacher"})

    def __post_init__(self) -> None:
        self.shares(0)
        self.unlabelled(0)

    def shares(self, seed: int, history: float = 0.0, new_users: float = 0.0) -> Shares:
        from prectr.data.converters.splits import Shares

        return Shares(self.validation_share, self.test_share, history, new_users, seed)

    def unlabelled(self, seed: int) -> Unlabelled:
        from prectr.data.converters.judgements import Unlabelled

        return Unlabelled(self.unlabelled_per_query, self.unlabelled_pairs, seed)


@dataclass
class LevelArguments:
    """Ratings to levels; see data/converters/levels.py."""

    level_names: list[str] = columns("names of the levels, lowest first; also the order of labels that are words")
    level_cuts: list[float] = columns("a rating's level is how many of these are at or below it")
    level_quantiles: int = field(default=0, metadata={"help": "cut ratings into so many levels of equal share; 0: not"})

    def __post_init__(self) -> None:
        _ = self.rule

    @property
    def rule(self) -> LevelRule:
        from prectr.data.converters.levels import LevelRule

        return LevelRule(self.level_names, self.level_cuts, self.level_quantiles)


@dataclass
class LogArguments:
    """How a log is read and split."""

    time_unit: Literal[
        "auto", "iso", "seconds", "milliseconds", "microseconds", "nanoseconds",
        "YYYYMMDD", "YYYYMMDDHHMM", "YYYYMMDDHHMMSS", "YYMMDDHHMM", "YYMMDDHHMMSS",
    ] = field(
        default="auto",
        metadata={"help": "of timestamps; auto: ISO 8601, or the only unit that puts all numbers in 1990 to 2100"},
    )  # fmt: skip
    time_format: str = field(
        default="",
        metadata={"help": "of timestamps, such as %%d.%%m.%%Y %%H:%%M, as strptime reads it; UTC without %%z"},
    )
    history_share: float = field(default=0.1, metadata={"help": "the first pages: history only, not trained on"})
    new_users_share: float = field(default=0.1, metadata={"help": "users never trained on, drawn by seed"})
    sampled_skips: int = field(default=9, metadata={"help": "of a log of clicks: skipped items drawn for each page"})
    skip_draw: Literal["matched", "popularity", "uniform"] = field(
        default="matched",
        metadata={"help": "draw them among the clicks of the same time, as often as clicked before, or all alike"},
    )

    def __post_init__(self) -> None:
        from prectr.data.converters.sampled import Skips

        Skips(self.sampled_skips, self.skip_draw, 0)
        if self.time_format and self.time_unit != "auto":
            raise PrectrError("--time_format and --time_unit both say how times are written: give one of them.")
        if self.time_format:
            check_time_format(self.time_format)

    @property
    def times(self) -> str:
        """How times are written: a unit, or a format with its per cents."""
        return self.time_format or self.time_unit

    def rules(self, splits: SplitArguments, seed: int) -> LogRules:
        from prectr.data.converters.log import LogRules
        from prectr.data.converters.sampled import Skips

        shares = splits.shares(seed, self.history_share, self.new_users_share)
        skips = Skips(self.sampled_skips, self.skip_draw, seed)
        return LogRules(self.times, skips, shares, splits.unlabelled(seed))


@dataclass
class TableArguments:
    """Which column is what."""

    query: str = field(metadata={"help": "column of what was searched for"})
    item: list[str] = columns("columns of an item's text, joined with spaces; of the --items files, if there are any")
    item_id: str = field(default="", metadata={"help": "column of the item's id; empty: an item is its text"})
    level: str = field(default="", metadata={"help": "column of ratings or labels; see --level_names and --level_cuts"})
    judgements: list[str] = columns("files of judged pairs beside a log; --level and --split are columns of theirs")
    judgements_query: str = field(default="", metadata={"help": "column of the query in them; empty: as --query"})
    judgements_item_id: str = field(default="", metadata={"help": "column of the id in them; empty: as --item_id"})
    split: str = field(
        default="", metadata={"help": "column of train, validation and test, instead of a split by query"}
    )
    clicked: str = field(default="", metadata={"help": "column of clicks: 1 or 0, true or false"})
    clicked_value: list[str] = columns("what that column says of a click, such as click; all else is none")
    timestamp: str = field(default="", metadata={"help": "column of times"})
    user: str = field(default="", metadata={"help": "column of the user's id; empty: nobody is known"})
    page: str = field(
        default="", metadata={"help": "column that tells result pages apart; empty: user, query and time do"}
    )
    position: str = field(default="", metadata={"help": "column of the place on the page; empty: the order of rows"})
    category: str = field(default="", metadata={"help": "column of an item's category"})
    query_category: str = field(default="", metadata={"help": "column of a query's category"})
    item_numeric: list[str] = columns("columns of an item's numbers, which become num_*")
    item_categorical: list[str] = columns("columns of an item's other attributes, which become cat_*")
    context_numeric: list[str] = columns("columns of a showing's numbers, which become ctx_num_*")
    context_categorical: list[str] = columns("columns of a showing's other attributes, which become ctx_cat_*")
    items: list[str] = columns("files of the items, joined by id; empty: the rows hold their texts")
    items_id: str = field(default="", metadata={"help": "column of the id in them; empty: the same as --item_id"})

    def __post_init__(self) -> None:
        if not self.item:
            raise PrectrError("--item: name the column (or columns) of the items' text.")
        self._check_judgements()
        if self.clicked_value and not self.clicked:
            raise PrectrError("--clicked_value is what a column says of a click: name the column with --clicked.")
        if self.items and not self.item_id:
            raise PrectrError("--items are joined by id: name its column in the rows with --item_id.")
        if self.clicked and not self.timestamp:
            raise PrectrError("--clicked: a log is split by time: name the column of times with --timestamp.")
        if not self.level and not self.timestamp:
            raise PrectrError(
                "name --level for judged pairs, --clicked and --timestamp for a log of what was shown, or --timestamp "
                "alone for a log of clicks."
            )
        _ = self.features

    def _check_judgements(self) -> None:
        if not self.judgements:
            if self.judgements_query or self.judgements_item_id:
                raise PrectrError("--judgements_query, --judgements_item_id: name the files with --judgements.")
            return
        for name, needed, why in (
            ("level", self.level, "the column of their ratings"),
            ("items", self.items, "the files of the items, whose texts the judged ones have too"),
            ("timestamp", self.timestamp, "the log's column of times; judged pairs alone are the source themselves"),
        ):
            if not needed:
                raise PrectrError(f"--judgements beside a log need --{name}: name {why}.")

    @property
    def is_log(self) -> bool:
        return bool(self.timestamp)

    @property
    def features(self) -> dict[str, str]:
        """The features' columns: name in the contract -> name in the source."""
        found: dict[str, str] = {}
        for prefix, names in (
            ("num_", self.item_numeric),
            ("cat_", self.item_categorical),
            ("ctx_num_", self.context_numeric),
            ("ctx_cat_", self.context_categorical),
        ):
            for name in names:
                column = prefix + re.sub(r"\W+", "_", name).strip("_").lower()
                if column in found:
                    raise PrectrError(
                        f"columns {found[column]!r} and {name!r} would both be {column}: rename one of them."
                    )
                found[column] = name
        return found


@dataclass
class EsciArguments:
    """Which part of it, and what of a product is its text."""

    locale: Literal["us", "es", "jp", "all"] = field(
        default="us", metadata={"help": "whose queries and products; all: item ids then begin with the locale"}
    )
    version: Literal["small", "large", "all"] = field(
        default="all",
        metadata={"help": "small: the harder queries of the ranking task; large: those of the other tasks"},
    )
    item: list[str] = columns("product columns that make its text; product_title if none is named")


@dataclass
class WandsArguments:
    """What of a product is its text."""

    item: list[str] = columns("product columns that make its text; product_name if none is named")


@dataclass
class UbiArguments:
    """Where the items are, and which actions count."""

    items: list[str] = columns("files of the items: CSV, TSV, JSON, JSON lines or Parquet")
    items_id: str = field(default="id", metadata={"help": "column of the id in them: what UBI calls object_id"})
    item: list[str] = columns("columns of an item's text in them, joined with spaces; title if none is named")
    category: str = field(default="", metadata={"help": "column of an item's category in them"})
    user: list[str] = columns(
        "keys that may hold the user, the first that does counts; user_id and client_id if none is named"
    )
    click_actions: list[str] = field(
        default_factory=lambda: ["click", "click_through", "item_click", "product_click"],
        metadata={"help": "action_name of events that are clicks on a result"},
    )
    other_actions: list[str] = field(
        default_factory=lambda: ["add_to_cart", "purchase"],
        metadata={"help": "action_name of events that count besides"},
    )

    def __post_init__(self) -> None:
        if not self.items:
            raise PrectrError(
                "--items: UBI holds no texts of items: name the files that do, with --items_id and --item."
            )


@dataclass
class PageArguments:
    """Names of the keys."""

    user: list[str] = columns(
        "keys that may hold the user, the first that does counts; user and session if none is named"
    )
    query: str = field(default="query", metadata={"help": "what was searched for"})
    timestamp: str = field(default="timestamp", metadata={"help": "when"})
    results: str = field(default="results", metadata={"help": "the list of results, in the order shown"})
    result_id: str = field(default="id", metadata={"help": "the id, in a result"})
    result_text: list[str] = columns("the text, in a result, of one key or several; text if none is named")
    result_category: str = field(default="category", metadata={"help": "the category, in a result, where it has one"})
    clicks: str = field(default="clicks", metadata={"help": "the list of clicked ranks"})
    clicks_are: Literal["auto", "ranks", "flags"] = field(
        default="auto",
        metadata={
            "help": "ranks that were clicked, or flags: 0 or 1 of every result; auto: ranks, if it cannot be both"
        },
    )
    first_rank: int = field(default=1, metadata={"help": "rank of the first result: 1 or 0"})


@dataclass(frozen=True)
class Conversion:
    """What is converted: the format's name, the sources, and the settings by dataclass."""

    kind: str
    sources: Sequence[str]
    settings: dict[type, Any]


_JUDGED = (NameArguments, ReadingArguments, SplitArguments)
_LOG = (*_JUDGED, LevelArguments, LogArguments)

FORMATS: dict[str, tuple[type[Any], ...]] = {
    "table": (TableArguments, *_LOG),
    "homedepot": (NameArguments,),
    "esci": (EsciArguments, NameArguments, SplitArguments),
    "wands": (WandsArguments, *_JUDGED),
    "ubi": (UbiArguments, *_LOG),
    "result_pages": (PageArguments, *_LOG),
}
"""The flags of each format, its own first; what converts it is the module of that name."""

USAGE = """usage: {program} convert FORMAT SOURCE... --name NAME [--flags]

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
    instances = parse_arguments(
        FORMATS[kind], None, flags, program=f"{command} SOURCE...", description=_about(kind), mapping=True
    )
    return Conversion(kind, sources, {type(each): each for each in instances})


def _about(kind: str) -> str:
    """What a format's module says of it, read without importing what converts."""
    source = (Path(__file__).parent / f"{kind}.py").read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(source)) or ""
