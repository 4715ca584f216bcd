"""Amazon's Shopping Queries Dataset (ESCI): the folder with its two Parquet files, as published.

    python -m data convert esci esci-data/shopping_queries_dataset --name esci --locale us

shopping_queries_dataset_examples.parquet holds the judgements, shopping_queries_dataset_products.parquet the products.
Levels are irrelevant (I), complement (C), substitute (S) and exact (E). The test split is the source's own; validation
is drawn from its training queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prectr.data.converters.arguments.published import EsciArguments
from prectr.data.converters.levels import LevelRule
from prectr.data.converters.reading.readers import Reading
from prectr.data.converters.staging import Settings, Staging
from prectr.shared.errors import PrectrError
from prectr.shared.storage.duckdb import literal
from prectr.shared.store.at_hand import here

EXAMPLES, PRODUCTS = "shopping_queries_dataset_examples.parquet", "shopping_queries_dataset_products.parquet"
LEVELS = {"I": "irrelevant", "C": "complement", "S": "substitute", "E": "exact"}


def files(sources: Sequence[str], settings: Settings) -> dict[str, list[str]]:
    return {"source": _files(sources)}


def _files(named: Sequence[str]) -> list[str]:
    """The two files, from their folder or named one by one."""
    sources = [str(here(source)) for source in named]
    inside = [str(Path(source) / name) for source in sources if Path(source).is_dir() for name in (EXAMPLES, PRODUCTS)]
    found = inside or sources
    for name in (EXAMPLES, PRODUCTS):
        if name not in [Path(file).name for file in found]:
            raise PrectrError(f"{', '.join(named)}: {name} is not there: name the folder that holds it.")
    return [next(file for file in found if Path(file).name == name) for name in (EXAMPLES, PRODUCTS)]


def read(staging: Staging, sources: Sequence[str], settings: Settings) -> LevelRule:
    """The views `items_in` and `judged_in`."""
    arguments: EsciArguments = settings[EsciArguments]
    examples, products = _files(sources)
    judged = ["query", "product_id", "product_locale", "esci_label", "split", "small_version", "large_version"]
    if arguments.version == "all":
        judged = judged[:5]
    texts = arguments.item or ["product_title"]
    staging.read("examples", [examples], {name: name for name in judged}, Reading("parquet"))
    product = {"product_id": "product_id", "product_locale": "product_locale"}
    product |= {f"text_{place}": name for place, name in enumerate(texts)}
    staging.read("products", [products], product, Reading("parquet"))
    chosen = "true" if arguments.locale == "all" else f"product_locale = {literal(arguments.locale)}"
    item_id = "product_locale || '_' || product_id" if arguments.locale == "all" else "product_id"
    text = ", ".join(f"text_{place}" for place in range(len(texts)))
    staging.run(
        f"CREATE VIEW items_in AS SELECT file, row, {item_id} AS item_id, concat_ws(' ', {text}) AS text FROM products "
        f"WHERE {chosen}"
    )
    part = "" if arguments.version == "all" else f"AND {arguments.version}_version = '1'"
    names = " ".join(f"WHEN {literal(letter)} THEN {literal(name)}" for letter, name in LEVELS.items())
    staging.run(
        f"""CREATE VIEW judged_in AS SELECT file, row, query, {item_id} AS item_id, split AS own_split,
            coalesce(CASE esci_label {names} END, lower(esci_label)) AS label FROM examples WHERE {chosen} {part}"""
    )
    if not staging.value("SELECT count(*) FROM judged_in"):
        raise PrectrError(
            f"{examples}: no row is of locale {arguments.locale}, version {arguments.version}: name others."
        )
    chosen_rows = staging.value("SELECT count(*) FROM judged_in")
    staging.tell(f"{chosen_rows:,} rows of locale {arguments.locale}, version {arguments.version}")
    return LevelRule(list(LEVELS.values()))
