"""Any CSV, TSV, JSON, JSON lines or Parquet file, its columns named by flags.

Judged pairs:
    python -m data convert table train.csv --name mine --query search_term --item product_title --level relevance

Judged pairs whose products lie in other files:
    python -m data convert table ratings.csv --name mine --query query --item_id docid --level rating
        --items 1.json.zip 2.json.zip --items_id id --item title

What was shown, one row per item shown (add --level where some were judged too):
    python -m data convert table log.parquet --name mine --query q --item title --item_id sku
        --clicked click --timestamp time --user visitor --position rank

Clicks alone, the skipped items are sampled then, and reports say so:
    python -m data convert table clicks.jsonl.gz --name mine --query q --item title --item_id sku --timestamp time

The same flags can stand in a file, `--mapping mine.yaml`, as lines such as `query: search_term`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from prectr.data.converters.arguments import ReadingArguments, columns
from prectr.data.converters.staging import Staging
from prectr.shared.errors import PrectrError


@dataclass
class TableArguments:
    """Which column is what."""

    query: str = field(metadata={"help": "column of what was searched for"})
    item: list[str] = columns("columns of an item's text, joined with spaces; of the --items files, if there are any")
    item_id: str = field(default="", metadata={"help": "column of the item's id; empty: an item is its text"})
    level: str = field(default="", metadata={"help": "column of ratings or labels; see --level_names and --level_cuts"})
    split: str = field(
        default="", metadata={"help": "column of train, validation and test, instead of a split by query"}
    )
    clicked: str = field(default="", metadata={"help": "column of clicks: 1 or 0, true or false"})
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
        if self.items and not self.item_id:
            raise PrectrError("--items are joined by id: name its column in the rows with --item_id.")
        if self.clicked and not self.timestamp:
            raise PrectrError("--clicked: a log is split by time: name the column of times with --timestamp.")
        if not self.level and not self.timestamp:
            raise PrectrError(
                "name --level for judged pairs, --clicked and --timestamp for a log of what was shown, or --timestamp "
                "alone for a log of clicks."
            )
        _features(self)

    @property
    def is_log(self) -> bool:
        return bool(self.timestamp)


def _features(arguments: TableArguments) -> dict[str, str]:
    """The features' columns: name in the contract -> name in the source."""
    found: dict[str, str] = {}
    for prefix, names in (
        ("num_", arguments.item_numeric),
        ("cat_", arguments.item_categorical),
        ("ctx_num_", arguments.context_numeric),
        ("ctx_cat_", arguments.context_categorical),
    ):
        for name in names:
            column = prefix + re.sub(r"\W+", "_", name).strip("_").lower()
            if column in found:
                raise PrectrError(f"columns {found[column]!r} and {name!r} would both be {column}: rename one of them.")
            found[column] = name
    return found


def files(sources: Sequence[str], settings: dict) -> list[str]:
    return [*sources, *settings[TableArguments].items]


def read(staging: Staging, sources: Sequence[str], settings: dict) -> None:
    """The views `items_in`, and `judged_in` or `shown_in` or both."""
    arguments: TableArguments = settings[TableArguments]
    reading = settings[ReadingArguments].reading
    features = _features(arguments)
    texts = {f"text_{place}": name for place, name in enumerate(arguments.item)}
    of_items = {name: source for name, source in features.items() if not name.startswith("ctx_")}
    of_items |= {"category": arguments.category} if arguments.category else {}
    of_rows = {name: source for name, source in features.items() if name.startswith("ctx_")}
    named = ("query", "item_id", "level", "split", "clicked", "timestamp", "user", "page", "position", "query_category")
    of_rows |= {name: getattr(arguments, name) for name in named if getattr(arguments, name)}
    if arguments.items:
        catalogue = {"item_id": arguments.items_id or arguments.item_id, **texts, **of_items}
        staging.read("catalogue", arguments.items, catalogue, reading)
        staging.read("source", sources, of_rows, reading)
    else:
        staging.read("source", sources, {**texts, **of_items, **of_rows}, reading)
    text = f"concat_ws(' ', {', '.join(texts)})"
    where = "catalogue" if arguments.items else "source"
    item_id = "item_id" if arguments.item_id else f"left(md5({text}), 16)"
    kept = ", ".join(["file", "row", f"{item_id} AS item_id", f"{text} AS text", *of_items])
    staging.run(f"CREATE VIEW items_in AS SELECT {kept} FROM {where}")
    if not arguments.item_id:
        staging.tell("no item ids: an item is its text, and its id is made of it")
    pair = ["file", "row", "query", f"{item_id} AS item_id"]
    if arguments.level:
        own = ["split AS own_split"] if arguments.split else []
        judged = "WHERE level IS NOT NULL" if arguments.is_log else ""
        staging.run(
            f"CREATE VIEW judged_in AS SELECT {', '.join([*pair, 'level AS label', *own])} FROM source {judged}"
        )
    if arguments.is_log:
        renamed = {"user": "user AS user_id"}
        names = [renamed.get(name, name) for name in of_rows if name not in ("query", "item_id", "level", "split")]
        staging.run(f"CREATE VIEW shown_in AS SELECT {', '.join([*pair, *names])} FROM source")
