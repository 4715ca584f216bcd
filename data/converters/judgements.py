"""The table `pairs` from judgements, with pairs nobody judged for the teacher to judge. [O]

Those are the source's own rows without a label and, for every training query, some items that were not judged for it:
items judged for another query that shares a word with it (near misses, at most 7 of 10), and any items.
"""

from __future__ import annotations

from dataclasses import dataclass

from prectr.data.converters.catalogue import drop_unusable, visible
from prectr.data.converters.levels import LevelRule, add_levels, number_labels
from prectr.data.converters.splits import Shares, dice, split_queries
from prectr.data.converters.staging import Staging
from prectr.shared.errors import PrectrError
from prectr.shared.storage.duckdb import literal, literals
from prectr.shared.values.missing import MISSING_NUMBERS
from prectr.shared.values.texts import plain_sql

NEAR_SHARE = 0.7

SPLIT_NAMES = {"train": "train", "training": "train", "validation": "validation", "valid": "validation",
               "val": "validation", "dev": "validation", "test": "test"}  # fmt: skip
"""What a source may call its own splits."""


@dataclass(frozen=True)
class Unlabelled:
    """How many pairs are made for the teacher."""

    per_query: int
    most: int
    seed: int

    def __post_init__(self) -> None:
        if self.per_query < 0 or self.most < 1:
            raise PrectrError("--unlabelled_per_query, --unlabelled_pairs: give numbers of pairs, the latter above 0.")


def make_judged(staging: Staging, source: str, shares: Shares, rule: LevelRule) -> list[str]:
    """The table `judged` from the view `judged_in` (file, row, query, item_id, label, perhaps own_split), with columns
    split and level; `items` must be there.

    Returns:
        The levels' names.
    """
    own = "own_split" if "own_split" in staging.columns("judged_in") else "NULL"
    cases = " ".join(f"WHEN {literal(name)} THEN {literal(split)}" for name, split in SPLIT_NAMES.items())
    staging.table(
        "judged",
        f"""SELECT file, row, {plain_sql("query")} AS query, item_id, {_label(rule)} AS label,
            CASE lower(trim({own})) {cases} END AS own_split FROM judged_in""",
    )
    drop_unusable(staging, "judged", source)
    if not staging.value("SELECT count(label) FROM judged"):
        raise PrectrError(f"{source}: {staging.named('level')}: no row has one: name the column of the labels.")
    split_queries(staging, source, shares)
    return add_levels(staging, source, rule)


def _label(rule: LevelRule) -> str:
    """SQL: a label, null where it says that there is none; a level may be called `none`."""
    words = sorted(MISSING_NUMBERS - {name.strip().lower() for name in rule.names})
    return f"CASE WHEN lower(trim(label)) NOT IN {literals(words)} THEN trim(label) END"


def check_splits(staging: Staging, source: str) -> None:
    """Raises `PrectrError` for the first name of a split that is none."""
    if "own_split" not in staging.columns("judged_in"):
        return
    bad = staging.rows(
        f"""SELECT file, row, own_split FROM judged_in WHERE own_split IS NOT NULL
            AND lower(trim(own_split)) NOT IN {literals(sorted(SPLIT_NAMES))} ORDER BY file, row LIMIT 1"""
    )
    if bad:
        where = staging.place("judged_in", "split", bad[0][0], bad[0][1], source)
        raise PrectrError(f"{where}: found {bad[0][2][:80]!r}: use train, validation and test, or leave --split out.")


def check_labels(staging: Staging, source: str, rule: LevelRule) -> None:
    """Raises `PrectrError` for the first label that no rule covers, in a row that has a query and an item."""
    usable = f"{visible('query')} AND {visible('item_id')}"
    staging.table("judged", f"SELECT file, row, {_label(rule)} AS label FROM judged_in WHERE {usable}")
    number_labels(staging, source, rule)


def make_unlabelled(staging: Staging, unlabelled: Unlabelled) -> None:
    """The table `unlabelled` (query, item_id): rows without a level, and items not judged for the training queries."""
    near = round(NEAR_SHARE * unlabelled.per_query)
    staging.table(
        "words",
        r"""SELECT DISTINCT query, unnest(regexp_split_to_array(lower(query), '[^\p{L}\p{N}]+')) AS word
            FROM judged WHERE split = 'train'""",
    )
    partner_draw = dice(unlabelled.seed, "partner", "query", "word")
    staging.table(
        "partners",
        f"""SELECT DISTINCT query, unnest([ahead, behind]) AS partner FROM (SELECT query,
            lead(query) OVER of_word AS ahead, lag(query) OVER of_word AS behind FROM words WHERE word <> ''
            WINDOW of_word AS (PARTITION BY word ORDER BY {partner_draw}, query))""",
    )
    num_items = staging.value("SELECT count(*) FROM items")
    draw = dice(unlabelled.seed, "any item", "query", "number")
    near_draw = dice(unlabelled.seed, "near", "partners.query", "item_id")
    staging.table("numbered_items", "SELECT item_id, row_number() OVER (ORDER BY item_id) - 1 AS place FROM items")
    staging.table(
        "drawn",
        f"""SELECT partners.query, judged.item_id, {near_draw} AS draw, true AS near
            FROM partners JOIN judged ON judged.query = partner AND judged.split = 'train'
            UNION ALL SELECT query, item_id, number + 1, false FROM
            (SELECT query, number, CAST(floor({draw} * {num_items}) AS BIGINT) AS place
             FROM (SELECT DISTINCT query FROM judged WHERE split = 'train'), range({unlabelled.per_query}) AS r(number))
            JOIN numbered_items USING (place)""",
    )
    staging.table(
        "drawn",
        f"""SELECT query, item_id FROM (SELECT *, row_number() OVER
            (PARTITION BY query ORDER BY place > {near} AND near, near DESC, place) AS rank FROM
            (SELECT *, row_number() OVER (PARTITION BY query, near ORDER BY draw, item_id) AS place FROM
             (SELECT query, item_id, bool_or(near) AS near, min(draw) AS draw FROM drawn
              ANTI JOIN judged USING (query, item_id) GROUP BY query, item_id)))
            WHERE rank <= {unlabelled.per_query}""",
    )
    staging.table(
        "unlabelled",
        "SELECT query, item_id FROM judged WHERE split = 'unlabelled' UNION SELECT query, item_id FROM drawn",
    )
    given, made = staging.rows(
        "SELECT (SELECT count(*) FROM judged WHERE split = 'unlabelled'), (SELECT count(*) FROM drawn)"
    )[0]
    staging.tell(
        f"{given:,} pairs without a level and {made:,} pairs made here (training queries with items not judged for "
        "them) are for the teacher"
    )
    cap_unlabelled(staging, unlabelled)


def cap_unlabelled(staging: Staging, unlabelled: Unlabelled) -> None:
    """Keep at most so many pairs, drawn by seed."""
    count = staging.value("SELECT count(*) FROM unlabelled")
    if count > unlabelled.most:
        draw = dice(unlabelled.seed, "unlabelled", "query", "item_id")
        staging.table("unlabelled", f"SELECT * FROM unlabelled ORDER BY {draw}, query, item_id LIMIT {unlabelled.most}")
        staging.tell(f"{unlabelled.most:,} of {count:,} unlabelled pairs kept (--unlabelled_pairs)")


def write_pairs(staging: Staging, level_names: list[str], judged: bool) -> None:
    """The table `pairs`: gold rows in the source's order, then the unlabelled ones."""
    gold = "SELECT file, row, query, item_id, level, split FROM judged WHERE split <> 'unlabelled' UNION ALL"
    staging.write(
        "pairs",
        f"""SELECT query, item_id, CAST(NULL AS VARCHAR) AS item_text, level, split FROM ({gold if judged else ""}
            SELECT NULL AS file, NULL AS row, query, item_id, CAST(NULL AS TINYINT) AS level, 'unlabelled' AS split
            FROM unlabelled)
            ORDER BY file NULLS LAST, row, query, item_id""",
        level_names,
    )
