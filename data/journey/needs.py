"""Needs bound to a catalogue: which queries can be said, and the relevance level of any item for any of them.

3 the need with every named facet · 2 the need, another facet, or a named substitute · 1 same category, other need ·
0 anything else.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import numpy as np

from prectr.data.journey.draws import choose_smallest, uniform
from prectr.data.journey.phrasebook import Need, Phrasebook, TypeName
from prectr.data.journey.queries import NO_SIZE, Queries, all_queries
from prectr.data.journey.raw import Catalogue
from prectr.data.splits import EXACT, HELD_OUT_WORDINGS, NO_GOLD_TYPES, RELATED, SUBSTITUTE
from prectr.shared.errors import PrectrError


@dataclass(frozen=True)
class Needs:
    """The phrasebook's needs as matrices over the catalogue's product types."""

    catalogue: Catalogue
    fits: np.ndarray
    """bool [needs, types]: the type satisfies the need."""
    level: np.ndarray
    """int8 [needs, types]: level of the type's items for the bare need (3, 2 by substitution, 1 or 0)."""
    category: np.ndarray
    """Category code of each need: that of its type with most items."""
    has_gold: np.ndarray
    """False where one of the need's types is among those without gold labels."""
    kind_without_gold: np.ndarray
    """bool [types]."""
    wording_need: np.ndarray
    wording_held_out: np.ndarray
    """True for wordings that occur only in test weeks."""
    wording_weight: np.ndarray
    """How often a wording is said among those of its need: Zipf, so that queries have a head and a tail [O]."""
    queries: Queries

    def __len__(self) -> int:
        return len(self.fits)

    @property
    def kind_has_need(self) -> np.ndarray:
        """bool [types]: some need is satisfied by the type."""
        return _any_row(self.fits)

    def levels(self, query: np.ndarray, item: np.ndarray) -> np.ndarray:
        """int8 level of each item (catalogue row) for each query (row of `queries`); the arrays broadcast."""
        queries, catalogue = self.queries, self.catalogue
        level = self.level[queries.need[query], catalogue.kind.of[item]]
        size = queries.size[query]
        facets = (size == NO_SIZE) | (size == catalogue.size.of[item])
        facets &= ~queries.store_brand[query] | catalogue.private[item]
        return np.where((level == EXACT) & ~facets, SUBSTITUTE, level).astype(np.int8)

    def in_need(self, query: np.ndarray, item: np.ndarray) -> np.ndarray:
        """True where the item's type satisfies the query's need, whatever its facets."""
        return self.fits[self.queries.need[query], self.catalogue.kind.of[item]]

    def held_out(self, query: np.ndarray) -> np.ndarray:
        return self.wording_held_out[self.queries.wording[query]]

    def facet_query(self, wording: np.ndarray, size: np.ndarray, store_brand: np.ndarray) -> np.ndarray:
        """The query of a wording with these facets; without them if nobody would say them of it."""
        queries, span = self.queries, len(self.catalogue.size) + 2
        key = queries.wording * span + np.where(queries.store_brand, span - 1, queries.size + 1)
        order = np.argsort(key)
        wanted = wording * span + np.where(store_brand, span - 1, size + 1)
        place = order[np.searchsorted(key, wanted, sorter=order).clip(max=len(key) - 1)]
        plain = order[np.searchsorted(key, wording * span, sorter=order)]
        return np.where(key[place] == wanted, place, plain)


def bind(phrasebook: Phrasebook, catalogue: Catalogue, seed: int) -> Needs:
    """Match the phrasebook with what is sold, and choose what is held out.

    Needs without an item in the catalogue are dropped.

    Raises:
        PrectrError: the phrasebook names a product type that the retailer does not have.
    """
    code_of = {name: code for code, name in enumerate(catalogue.kind.names)}
    needs = []
    for need in phrasebook.needs:
        _check_types(phrasebook, need, catalogue.all_kinds)
        if any(_name(kind) in code_of for kind in need.types):
            needs.append(need)
    if not needs:
        raise PrectrError(f"{phrasebook.path}: none of its types is sold often enough: lower least_sales or add needs.")

    fits = np.zeros((len(needs), len(catalogue.kind)), bool)
    substitutes = np.zeros_like(fits)
    for row, need in enumerate(needs):
        fits[row, [code_of[_name(kind)] for kind in need.types if _name(kind) in code_of]] = True
        substitutes[row, [code_of[_name(kind)] for kind in need.subs if _name(kind) in code_of]] = True
    one_hot = catalogue.category_of_kind[:, None] == np.arange(len(catalogue.category))
    related = (fits @ one_hot) @ one_hot.T
    level = np.select([fits, substitutes, related], [EXACT, SUBSTITUTE, RELATED], 0).astype(np.int8)

    items_of_kind = np.bincount(catalogue.kind.of, minlength=len(catalogue.kind))
    category = catalogue.category_of_kind[np.where(fits, items_of_kind, -1).argmax(1)]
    without = _kinds_without_gold(_any_row(fits), seed)
    wording_need = np.repeat(np.arange(len(needs)), [len(need.wordings) for need in needs])
    rank = _rank_within(wording_need, uniform(seed, "wordings", np.arange(len(wording_need))))
    wordings_of_need = np.bincount(wording_need)[wording_need]
    held_out = rank < np.maximum(1, np.round(HELD_OUT_WORDINGS * wordings_of_need))
    return Needs(
        catalogue=catalogue,
        fits=fits,
        level=level,
        category=category,
        has_gold=~(fits & without).any(1),
        kind_without_gold=without,
        wording_need=wording_need,
        wording_held_out=held_out,
        wording_weight=1 / (1.0 + rank),
        queries=all_queries(phrasebook, needs, catalogue, fits, seed),
    )


def _name(kind: TypeName) -> str:
    return " ".join(f"{kind[0]} > {kind[1]}".split())


def _check_types(phrasebook: Phrasebook, need: Need, known: frozenset[str]) -> None:
    for kind in (*need.types, *need.subs):
        if _name(kind) not in known:
            near = difflib.get_close_matches(_name(kind), sorted(known), 1)
            hint = f"did you mean {near[0]!r}?" if near else "copy it from the products file."
            raise PrectrError(
                f"{phrasebook.path}, line {need.line}: need {need.name!r} has the unknown type {_name(kind)!r}: {hint}"
            )


def _any_row(table: np.ndarray) -> np.ndarray:
    return table.max(axis=0, initial=False)


def _kinds_without_gold(covered: np.ndarray, seed: int) -> np.ndarray:
    kinds = np.flatnonzero(covered)
    chosen = choose_smallest(round(NO_GOLD_TYPES * len(kinds)), uniform(seed, "types without gold", kinds))
    return np.isin(np.arange(len(covered)), kinds[chosen])


def _rank_within(group: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Rank 0.. of each value among those of its group; `group` ascends."""
    order = np.lexsort((value, group))
    rank = np.empty(len(group), np.int64)
    rank[order] = np.arange(len(group)) - np.searchsorted(group, group)
    return rank
