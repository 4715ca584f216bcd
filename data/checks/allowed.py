"""What a data set's tables allow, part by part, and where a part is missing the flag or the table that brings it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prectr.data.checks.sql import Checker

QUERIES = (
    "queries.parquet, which no converter makes: write_table(folder, 'queries', …) with the columns of data/README.md; "
    "seen_in_training is false of queries that occur in test pages alone"
)


def allowed(ask: Checker, facts: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Part, whether it is there, and where it is not what would bring it; flags are those of `data convert`."""

    def line(part: str, there: bool, remedy: str, value: str = "yes") -> tuple[str, str, str]:
        return part, value if there else "no", "" if there else remedy

    gold, splits = facts["gold"], facts["splits"]
    rated = "--level, or beside a log --judgements ratings.csv --level …"
    labels = f"pairs with a level in the splits 'train' and 'validation', a few hundred at least ({rated})"
    yield line("stage one: teacher and student learn from gold", "train" in gold, labels)
    pairs = "pairs of split 'unlabelled': queries with items, as logged; else near misses and random pairs are made"
    yield line("stage one: pairs for the teacher to judge", facts["unlabelled"] > 0, pairs)
    tested = f"pairs with a level in split 'test' ({rated})"
    yield line("stage one: judged on queries never seen", "test" in gold, tested)
    clicks = "impressions.parquet and behaviours.parquet: what was shown, and what of it was clicked"
    yield line("stage two: a ranker", bool(splits), f"{clicks} (--timestamp, --clicked)")
    if not splits:
        return
    known, categories = facts["known"] / facts["impressions"], facts["query_category"] / facts["impressions"]
    users = "user_id in impressions and behaviours, hashed ids will do (--user)"
    yield line("… personal history", known > 0, users, f"{known:.0%} of the impressions")
    in_both = "query_category in both (--query_category, or --category of items, from which it is inferred): "
    fall_back = "cross-user preference then has more to fall back on than the query"
    of_all = f"{categories:.0%} of the impressions"
    yield line("… preference of others in the category", categories > 0, in_both + fall_back, of_all)
    share = facts["with_category"] / max(facts["items"], 1)
    yield line("… categories of items", share > 0, "category in items (--category)", f"{share:.0%} of the items")
    extra = [
        name for t in ("items", "impressions") for name in ask.columns[t] if name.startswith(("num_", "cat_", "ctx_"))
    ]
    features = "columns num_*, cat_*, ctx_num_*, ctx_cat_* (--item_numeric, --item_categorical, --context_numeric, …)"
    yield line("… features of items and context", bool(extra), features, f"{len(extra)} columns")
    ladder = "all test pages of a tenth of the users, who are in no other row of impressions, as split 'new_users'"
    yield line("measured: new users", "new_users" in splits, f"{ladder} (made where there is a --user)")
    yield line("measured: candidates never shown", "open" in splits, _candidates(ask))
    bottom = f"split 'open', and gold.parquet: a level of every pair in it and in the test splits ({rated})"
    yield line("measured: how low the top ten is", "gold" in ask.tables and "open" in splits, bottom)
    yield line("measured: seen and unseen queries", "queries" in ask.tables, QUERIES)


def _candidates(ask: Checker) -> str:
    """How there would be candidates; a converter makes none where their context would have to be known."""
    everything = "for some test pages everything on sale, shown or not, as split 'open'"
    contexts = [name for name in ask.columns["impressions"] if name.startswith("ctx_")]
    if not contexts:
        return f"{everything} (data convert --open_pages 500)"
    named = ", ".join(contexts[:3]) + (f" and {len(contexts) - 3} more" if contexts[3:] else "")
    return (
        f"{everything}: data convert makes none, since {named} is not known of what was not shown; leave --context_* "
        "out, or write the rows with what was known"
    )
