"""Who searches for what, and when: a search for every basket x category event of the chosen households [reconstructed].

Real are household, basket, store, time and what was bought; the query is drawn among what a user could have typed
for one of the products bought.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prectr.data.journey.draws import choose_smallest, gumbel, uniform
from prectr.data.journey.needs import Needs
from prectr.data.journey.queries import NO_SIZE
from prectr.data.journey.raw import Purchases
from prectr.data.splits import FIRST_TEST, HELD_OUT_USERS, HELD_OUT_WORDINGS

FIRST_WEEK = 2
"""Nothing is known to be on sale in week 1: there is no earlier week."""

SPANNING_NEED_WEIGHT = 0.25
"""How often a need of several types is meant, relative to a need of one [O]."""

SIZE_FACET, STORE_BRAND_FACET = 0.25, 0.25
"""Share of searches that name the size, or the store's brand, where what was bought allows it [O]."""


@dataclass(frozen=True)
class Households:
    """The chosen households, ascending by number; one value each."""

    number: np.ndarray
    held_out: np.ndarray
    """True for those never trained on."""

    def code(self, household: np.ndarray) -> np.ndarray:
        """Row of each household number, -1 for one not chosen."""
        place = np.searchsorted(self.number, household).clip(max=len(self.number) - 1)
        return np.where(self.number[place] == household, place, -1).astype(np.int32)


@dataclass(frozen=True)
class Searches:
    """One search each, in order of (time, basket, category): a row number is the page's id."""

    user: np.ndarray
    """Row in `Households`."""
    basket: np.ndarray
    store: np.ndarray
    week: np.ndarray
    seconds: np.ndarray
    query: np.ndarray
    """Row in `Needs.queries`."""
    key: np.ndarray
    """A number that names the event whatever else happens, for draws: from basket and category."""

    def __len__(self) -> int:
        return len(self.query)


def choose_households(purchases: Purchases, count: int | None, seed: int) -> Households:
    """`count` households drawn by seed (None: all), a tenth of them held out."""
    number = np.unique(purchases.household)
    number = number[choose_smallest(count, uniform(seed, "households", number))]
    held_out = choose_smallest(
        max(1, round(HELD_OUT_USERS * len(number))), uniform(seed, "held-out households", number)
    )
    return Households(number, np.isin(np.arange(len(number)), held_out))


def make_searches(purchases: Purchases, households: Households, needs: Needs, seed: int) -> Searches:
    """A search for every event in which something with a need was bought, from week 2 on."""
    catalogue = needs.catalogue
    user = households.code(purchases.household)
    covered = needs.kind_has_need[catalogue.kind.of[purchases.item]] & (purchases.item >= 0)
    lines = np.flatnonzero((user >= 0) & covered & (purchases.week >= FIRST_WEEK))
    category = catalogue.category.of[purchases.item[lines]]
    order = np.lexsort((category, purchases.basket[lines], purchases.seconds[lines]))
    lines, category = lines[order], category[order]
    basket = purchases.basket[lines]
    event = np.cumsum(np.append(True, (basket[1:] != basket[:-1]) | (category[1:] != category[:-1]))) - 1

    line, need = _draw_need(lines, event, purchases, needs, seed)
    key = purchases.basket[line] * len(catalogue.category) + catalogue.category.of[purchases.item[line]]
    wording = _draw_wording(need, purchases.week[line] >= FIRST_TEST, key, needs, seed)
    size, store_brand = _draw_facets(purchases.item[line], key, needs, seed)
    return Searches(
        user=user[line], basket=purchases.basket[line], store=purchases.store[line], week=purchases.week[line],
        seconds=purchases.seconds[line], query=needs.facet_query(wording, size, store_brand), key=key,
    )  # fmt: skip


def _draw_need(
    lines: np.ndarray, event: np.ndarray, purchases: Purchases, needs: Needs, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """For each event, one of its lines and a need that the line's product satisfies."""
    catalogue = needs.catalogue
    kind_of_pair, need_of_pair = np.nonzero(needs.fits.T)
    start = np.searchsorted(kind_of_pair, np.arange(len(catalogue.kind) + 1))
    kind = catalogue.kind.of[purchases.item[lines]]
    count = start[kind + 1] - start[kind]
    row = np.repeat(np.arange(len(lines)), count)
    need = need_of_pair[start[kind][row] + _count_up(count)]
    weight = np.where(needs.fits[need].sum(1) > 1, SPANNING_NEED_WEIGHT, 1.0)
    product = catalogue.product[purchases.item[lines[row]]]
    score = np.log(weight) + gumbel(seed, "need", purchases.basket[lines[row]], product, need)
    chosen = _best_of_group(event[row], score)
    return lines[row[chosen]], need[chosen]


def _draw_wording(need: np.ndarray, in_test: np.ndarray, key: np.ndarray, needs: Needs, seed: int) -> np.ndarray:
    """A wording of each need; on a fifth of the test pages one that is held out, elsewhere never."""
    start = np.searchsorted(needs.wording_need, np.arange(len(needs) + 1))
    count = start[need + 1] - start[need]
    row = np.repeat(np.arange(len(need)), count)
    wording = start[need][row] + _count_up(count)
    unseen = in_test & (uniform(seed, "unseen wording", key) < HELD_OUT_WORDINGS)
    allowed = needs.wording_held_out[wording] == unseen[row]
    row, wording = row[allowed], wording[allowed]
    score = np.log(needs.wording_weight[wording]) + gumbel(seed, "wording", key[row], wording)
    return wording[_best_of_group(row, score)]


def _draw_facets(item: np.ndarray, key: np.ndarray, needs: Needs, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Size code (or -1) and store brand named in each search; they are those of the product bought."""
    catalogue = needs.catalogue
    draw = uniform(seed, "facet", key)
    store_brand = catalogue.private[item] & (draw < STORE_BRAND_FACET)
    sized = (catalogue.size.names[catalogue.size.of[item]] != "") & (draw >= 1 - SIZE_FACET)
    return np.where(sized, catalogue.size.of[item], NO_SIZE), store_brand


def _count_up(count: np.ndarray) -> np.ndarray:
    """0..n-1 for each n in `count`, one after the other."""
    return np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)


def _best_of_group(group: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Position of the highest score in each group, in order of groups; `group` ascends."""
    order = np.lexsort((-score, group))
    return order[np.append(True, group[order][1:] != group[order][:-1])]
