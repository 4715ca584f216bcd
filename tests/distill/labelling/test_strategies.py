"""Which pairs are labelled: distinct, in a fixed order, and never one that has a gold level."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prectr.distill import config
from prectr.distill.labelling.strategies import (
    NEAR,
    STRATEGIES,
    Chosen,
    choose_pairs,
    mean_embeddings,
)
from prectr.distill.models.random_models import random_text_encoder
from prectr.distill.pairs import Pairs
from prectr.distill.teachers.base import Pair
from prectr.shared.errors import PrectrError

COLOURS = ("red", "blue", "green", "black")
PRODUCTS = ("wool scarf", "cotton shirt", "steel pot", "oak lamp", "silk cushion")
ITEMS = [f"{colour} {product} {size}" for colour in COLOURS for product in PRODUCTS for size in ("small", "large")]
QUERIES = [f"{colour} {product.split()[1]}" for colour in COLOURS for product in PRODUCTS]


def split(rows: list[Pair], level: int) -> Pairs:
    query, text = (np.array([row[side] for row in rows], dtype=object) for side in (0, 1))
    return Pairs(query, text, np.full(len(rows), level))


def shop() -> dict[str, Pairs]:
    """Queries 0-4 are of test, 5-7 of validation, 8-10 of train, the others have no gold; each meets three items."""
    meets = [[(query, ITEMS[(7 * n + k) % len(ITEMS)]) for k in range(3)] for n, query in enumerate(QUERIES)]
    parts = {"test": meets[:5], "validation": meets[5:8], "train": meets[8:11], "unlabelled": meets[11:]}
    return {name: split(sum(rows, []), -1 if name == "unlabelled" else 1) for name, rows in parts.items()} | {
        "test_types": split([(QUERIES[11], ITEMS[0])], 2)
    }


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("encoder")
    random_text_encoder(folder, ITEMS, 0)
    return str(folder)


def chosen(strategies: list[str], size: int, encoder: str = "random", seed: int = 0) -> Chosen:
    return choose_pairs(shop(), ITEMS, strategies, size, seed, encoder)


def as_list(pairs: Pairs) -> list[Pair]:
    return list(zip(pairs.query, pairs.item_text, strict=True))


GOLD = {pair for name, found in shop().items() if name != "unlabelled" for pair in as_list(found)}


@settings(max_examples=20)
@given(st.lists(st.sampled_from(sorted(STRATEGIES)), min_size=1, max_size=5, unique=True), st.integers(1, 90))
def test_pairs_are_distinct_have_no_gold_level_and_no_query_of_test(encoder: str, names: list[str], size: int) -> None:
    found = chosen(names, size, encoder)
    pairs = as_list(found.pairs)
    assert len(set(pairs)) == len(pairs) == len(found.strategy) <= size
    assert not set(pairs) & GOLD
    assert not {query for query, _ in pairs} & set(QUERIES[:8])
    assert {text for _, text in pairs} <= set(ITEMS)
    assert (found.pairs.level == -1).all()


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_the_same_seed_gives_the_same_pairs_and_another_seed_others(encoder: str, name: str) -> None:
    first, second, other = (as_list(chosen([name], 15, encoder, seed).pairs) for seed in (3, 3, 4))
    assert first == second != other


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_a_larger_job_begins_with_the_smaller_one(encoder: str, name: str) -> None:
    small, large = (as_list(chosen([name], size, encoder).pairs) for size in (9, 24))
    assert large[:9] == small


def test_a_larger_mixture_holds_the_smaller_one(encoder: str) -> None:
    names = ["logged:2", "near_misses_lexical", "random"]
    small, large = (set(as_list(chosen(names, size, encoder).pairs)) for size in (20, 40))
    assert small <= large


def test_logged_is_the_unlabelled_split_in_its_old_order() -> None:
    unlabelled = shop()["unlabelled"]
    expected = [pair for pair in as_list(unlabelled.sample(len(unlabelled), 5, "label")) if pair not in GOLD]
    assert as_list(chosen(["logged"], 1000, seed=5).pairs) == expected


def test_shares_are_kept_and_named(encoder: str) -> None:
    found = chosen(["logged:0.5", "near_misses_lexical:0.3", "random:0.2"], 20)
    names, counts = np.unique(found.strategy, return_counts=True)
    assert dict(zip(names, counts, strict=True)) == {"logged": 10, "near_misses_lexical": 6, "random": 4}


def test_a_strategy_that_runs_out_gives_what_it_has() -> None:
    found = chosen(["logged:0.9", "random:0.1"], 100)
    assert (found.strategy == "logged").sum() == len(set(as_list(shop()["unlabelled"])) - GOLD)
    assert (found.strategy == "random").sum() == 10


def test_random_pairs_end_when_every_pair_is_taken() -> None:
    pairs = as_list(chosen(["random"], 100_000).pairs)
    known = set(as_list(shop()["unlabelled"])) | GOLD
    assert set(pairs) == {(query, text) for query in QUERIES[8:] for text in ITEMS} - known


@pytest.mark.parametrize("name", ["near_misses_lexical", "near_misses_embedding"])
def test_near_misses_look_like_the_query_and_are_not_logged(encoder: str, name: str) -> None:
    pairs = as_list(chosen([name], 24, encoder).pairs)
    logged = set(as_list(shop()["unlabelled"]))
    assert pairs and not set(pairs) & logged
    shared = [len(set(query.split()) & set(text.split())) for query, text in pairs]
    by_chance = [len(set(query.split()) & set(text.split())) for query in QUERIES[8:] for text in ITEMS]
    assert np.mean(shared) > 1.5 * np.mean(by_chance)


def test_near_misses_go_on_beyond_the_nearest() -> None:
    pairs = as_list(chosen(["near_misses_lexical"], 10_000).pairs)
    most = max(np.unique([query for query, _ in pairs], return_counts=True)[1])
    assert most > NEAR - 3


def test_pseudo_queries_are_cut_from_their_first_item() -> None:
    pairs = as_list(chosen(["pseudo_queries"], 30).pairs)
    by_query: dict[str, list[str]] = {}
    for query, text in pairs:
        by_query.setdefault(query, []).append(text)
    for query, texts in by_query.items():
        assert 2 <= len(query.split()) <= 4
        assert f" {query} " in f" {texts[0]} "
    assert max(map(len, by_query.values())) > 1


def test_texts_of_one_word_give_no_pseudo_query() -> None:
    assert len(choose_pairs(shop(), ["scarf", "(pot)", "---"], ["pseudo_queries"], 10, 0, "random").pairs) == 0


def test_mean_embeddings_put_texts_of_the_same_words_together(encoder: str) -> None:
    embed = mean_embeddings(encoder, ITEMS)
    first, second, other = embed(["red wool scarf", "scarf wool red", "black oak lamp"])
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-5)
    assert first @ second == pytest.approx(1, abs=1e-5) and first @ other < 0.9


def test_near_misses_embedding_needs_a_trained_encoder() -> None:
    with pytest.raises(PrectrError, match="init_from is random"):
        chosen(["near_misses_embedding"], 5)


def test_the_settings_know_every_strategy() -> None:
    assert tuple(STRATEGIES) == config.STRATEGIES


def test_the_splits_of_gold_may_share_pairs_with_the_unlabelled(tmp_path: Path) -> None:
    pairs = shop()
    pairs["unlabelled"] = split([*as_list(pairs["unlabelled"]), *as_list(pairs["train"])], -1)
    found = as_list(choose_pairs(pairs, ITEMS, ["logged"], 1000, 0, "random").pairs)
    assert not set(found) & GOLD
