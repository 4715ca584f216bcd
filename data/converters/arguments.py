"""The flags of `python -m data convert`; every one can stand in a `--mapping` file too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from prectr.data.converters.judgements import Unlabelled
from prectr.data.converters.levels import LevelRule
from prectr.data.converters.log import LogRules
from prectr.data.converters.readers import Reading
from prectr.data.converters.sampled import Skips
from prectr.data.converters.splits import Shares


def columns(what: str) -> Any:
    """A flag that takes any number of names."""
    return field(default_factory=list, metadata={"help": what})


@dataclass
class NameArguments:
    """What the data set is called, and the seed."""

    name: str = field(metadata={"help": "of the data set: artifacts/<name>/data is written"})
    artifacts: str = field(default="artifacts", metadata={"help": "folder of everything generated"})
    seed: int = field(default=0, metadata={"help": "decides every draw"})


@dataclass
class ReadingArguments:
    """How files are read."""

    file_format: Literal["auto", "csv", "json", "jsonl", "parquet"] = field(
        default="auto", metadata={"help": "auto: by the end of the file's name, .gz and .zip taken off"}
    )
    encoding: str = field(
        default="auto", metadata={"help": "auto: its byte-order mark, else UTF-8 if it is that, else latin-1"}
    )
    delimiter: str = field(
        default="auto", metadata={"help": "tab, comma, semicolon, pipe or a character; auto: what fits the first line"}
    )
    quoting: bool = field(default=True, metadata={"help": "false: a double quote is a character like any other"})

    @property
    def reading(self) -> Reading:
        return Reading(self.file_format, self.encoding, self.delimiter, self.quoting)


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
        return Shares(self.validation_share, self.test_share, history, new_users, seed)

    def unlabelled(self, seed: int) -> Unlabelled:
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
        return LevelRule(self.level_names, self.level_cuts, self.level_quantiles)


@dataclass
class LogArguments:
    """How a log is read and split."""

    time_unit: Literal["auto", "iso", "seconds", "milliseconds", "microseconds", "nanoseconds"] = field(
        default="auto", metadata={"help": "of timestamps; auto: by their number of digits, else ISO 8601"}
    )
    history_share: float = field(default=0.1, metadata={"help": "the first pages: history only, not trained on"})
    new_users_share: float = field(default=0.1, metadata={"help": "users never trained on, drawn by seed"})
    sampled_skips: int = field(default=9, metadata={"help": "of a log of clicks: skipped items drawn for each page"})
    skip_draw: Literal["popularity", "uniform"] = field(
        default="popularity", metadata={"help": "draw them as often as they had been clicked, or all alike"}
    )

    def __post_init__(self) -> None:
        Skips(self.sampled_skips, self.skip_draw, 0)

    def rules(self, splits: SplitArguments, seed: int) -> LogRules:
        shares = splits.shares(seed, self.history_share, self.new_users_share)
        skips = Skips(self.sampled_skips, self.skip_draw, seed)
        return LogRules(self.time_unit, skips, shares, splits.unlabelled(seed))
