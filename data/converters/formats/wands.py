"""Wayfair's WANDS: the folder with query.csv, product.csv and label.csv, separated by tabs, as published.

    python -m data convert wands WANDS/dataset --name wands

Levels are Irrelevant, Partial and Exact; a product's category is its product_class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from prectr.data.converters.arguments.common import ReadingArguments
from prectr.data.converters.arguments.published import WandsArguments
from prectr.data.converters.levels import LevelRule
from prectr.data.converters.staging import Settings, Staging
from prectr.shared.errors import PrectrError
from prectr.shared.store.at_hand import here

FILES = ("label.csv", "query.csv", "product.csv")
LEVELS = ("Irrelevant", "Partial", "Exact")


def files(sources: Sequence[str], settings: Settings) -> dict[str, list[str]]:
    return {"source": _files(sources)}


def _files(named: Sequence[str]) -> list[str]:
    """The three files, from their folder or named one by one."""
    sources = [str(here(source)) for source in named]
    inside = [str(Path(source) / name) for source in sources if Path(source).is_dir() for name in FILES]
    found = {Path(file).name: file for file in inside or sources}
    for name in FILES:
        if name not in found:
            raise PrectrError(
                f"{', '.join(named)}: {name} is not there: name the folder that holds {', '.join(FILES)}."
            )
    return [found[name] for name in FILES]


def read(staging: Staging, sources: Sequence[str], settings: Settings) -> LevelRule:
    """The views `items_in` and `judged_in`."""
    label, query, product = _files(sources)
    reading = settings[ReadingArguments].reading
    if reading.delimiter == "auto":
        reading = replace(reading, delimiter="tab")
    texts = settings[WandsArguments].item or ["product_name"]
    text_columns = {f"text_{place}": name for place, name in enumerate(texts)}
    staging.read(
        "labels", [label], {name: name for name in ("query_id", "product_id", "label")}, reading, as_written=["label"]
    )
    staging.read("asked", [query], {name: name for name in ("query_id", "query")}, reading)
    staging.read("products", [product], {"item_id": "product_id", "category": "product_class", **text_columns}, reading)
    staging.run(
        f"""CREATE VIEW items_in AS SELECT file, row, item_id, category,
            concat_ws(' ', {", ".join(text_columns)}) AS text FROM products"""
    )
    staging.run(
        """CREATE VIEW judged_in AS SELECT labels.file, labels.row, asked.query, product_id AS item_id, label
           FROM labels LEFT JOIN
           (SELECT DISTINCT ON (query_id) query_id, query FROM asked ORDER BY query_id, row) AS asked
           USING (query_id)"""
    )
    return LevelRule(LEVELS)
