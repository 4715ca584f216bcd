"""Builds the default data set from *The Complete Journey*: real households, reconstructed queries, pages and levels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from prectr.data.config import DataArguments
from prectr.data.journey import tables
from prectr.data.journey.needs import bind
from prectr.data.journey.pages import Baskets, Policy, show_pages
from prectr.data.journey.pairs import PairCounts, make_pairs
from prectr.data.journey.phrasebook import read_phrasebook
from prectr.data.journey.raw import package_folder, read_shop
from prectr.data.journey.searches import choose_households, make_searches
from prectr.data.journey.shelf import stock_shelf


def build(folder: Path, arguments: DataArguments, policy: Policy | None = None) -> dict[str, list[float]]:
    """Write all tables of the contract into `folder`.

    Every draw depends on the seed and on what is drawn for, so a purchase in a later week changes no earlier page.

    Returns:
        The share of each gold level in every split of the impressions; the tables tell it of the evaluated ones only.

    Raises:
        PrectrError: the raw files or the phrasebook are missing or wrong.
    """
    seed, policy = arguments.seed, policy or Policy()
    folder.mkdir(parents=True, exist_ok=True)
    phrasebook = read_phrasebook(Path(arguments.phrasebook))
    raw_folder = Path(arguments.raw_folder) if arguments.raw_folder else package_folder()
    catalogue, purchases = read_shop(raw_folder, arguments.least_sales)
    needs = bind(phrasebook, catalogue, seed)

    households = choose_households(purchases, arguments.households, seed)
    searches = make_searches(purchases, households, needs, seed)
    shelf, baskets = stock_shelf(purchases, catalogue), Baskets(purchases, len(catalogue))
    pages = show_pages(searches, shelf, needs, baskets, policy, seed)

    sizes = tables.SplitSizes(
        arguments.train_pages, arguments.validation_pages, arguments.test_pages, arguments.open_pages
    )
    rows = tables.sample_rows(searches, pages, households, shelf, needs, baskets, sizes, seed)
    counts = PairCounts(
        arguments.gold_pairs, arguments.validation_pairs, arguments.test_pairs, arguments.test_types_pairs,
        arguments.unlabelled_pairs,
    )  # fmt: skip
    pairs = make_pairs(searches, pages, households, needs, counts, seed)

    tables.write_items(folder, catalogue)
    tables.write_users(folder, raw_folder, households)
    tables.write_impressions(folder, raw_folder, rows, searches, households, shelf, needs)
    tables.write_behaviours(folder, searches, pages, purchases, households, needs)
    tables.write_queries(folder, np.union1d(searches.query, pairs.query), needs)
    tables.write_gold(folder, rows, searches, needs)
    tables.write_pairs(folder, pairs.query, pairs.item, pairs.split, needs)
    return tables.level_mix(rows, searches, needs)
