"""Flags that most formats have: the name, how files are read, what is held out, levels, and how a log is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from prectr.shared.errors import PrectrError
from prectr.shared.run.names import check_name
from prectr.shared.run.ranges import SEEDS, Ranged

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
    artifacts: str = field(default="artifacts", metadata={"help": "folder of everything generated, or its URI"})
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
    open_pages: int = field(
        default=0, metadata={"help": "test pages that get candidates beside what they showed, as split open; 0: none"}
    )
    open_candidates: int = field(
        default=100, metadata={"help": "such candidates a page: near in words, or of a category"}
    )
    append: bool = field(
        default=False, metadata={"help": "add the files to the data set that is there, with the flags it was made with"}
    )
    skip_draw: Literal["matched", "popularity", "uniform"] = field(
        default="matched",
        metadata={"help": "draw them among the clicks of the same time, as often as clicked before, or all alike"},
    )

    def __post_init__(self) -> None:
        from prectr.data.converters.open_set import OpenSet
        from prectr.data.converters.sampled import Skips

        Skips(self.sampled_skips, self.skip_draw, 0)
        OpenSet(self.open_pages, self.open_candidates, 0)
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
        from prectr.data.converters.open_set import OpenSet
        from prectr.data.converters.sampled import Skips

        shares = splits.shares(seed, self.history_share, self.new_users_share)
        skips = Skips(self.sampled_skips, self.skip_draw, seed)
        open_set = OpenSet(self.open_pages, self.open_candidates, seed)
        return LogRules(self.times, skips, shares, splits.unlabelled(seed), open_set)
