"""Flags of `table`: which column is what."""

from __future__ import annotations

from dataclasses import dataclass, field

from prectr.data.converters.arguments.common import columns
from prectr.shared.errors import PrectrError


@dataclass
class TableArguments:
    """Which column is what."""

    query: str = field(
        default="",
        metadata={"help": "column of what was searched for; of a log without queries empty: the category is it"},
    )
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
    items: list[str] = columns("files of the items, joined by id; empty: the rows hold their texts")
    items_id: str = field(default="", metadata={"help": "column of the id in them; empty: the same as --item_id"})
    snippet: list[str] = columns("columns of a text that this showing had; each text of an item is an item then")
    no_query: str = field(
        default="everything", metadata={"help": "what stands for the query where a log has neither query nor category"}
    )

    def __post_init__(self) -> None:
        if not self.item:
            raise PrectrError("--item: name the column (or columns) of the items' text.")
        if not self.query and (self.level or not self.timestamp):
            raise PrectrError("--query: name the column of what was searched for; only a log may have none.")
        if self.snippet and not (self.item_id and self.timestamp):
            raise PrectrError("--snippet is a text of a log's showings: name its --timestamp and --item_id too.")
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
