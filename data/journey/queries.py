"""Every query that can be said: each wording alone, with a package size, or asking for the store's own brand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from prectr.data.journey.draws import uniform
from prectr.data.journey.phrasebook import Need, Phrasebook
from prectr.data.journey.raw import Catalogue

NO_SIZE = -1
_LONGEST_WITH_FACET = 3
_NAMES_A_SIZE = re.compile(r"\d|\b(gallon|half|pint|quart|liter|dozen|size|pack|big|large|small|mini|jumbo|bulk)\b")
_NAMES_A_BRAND = re.compile(r"\b(store|generic|brand|off-brand|cheap)\b")


@dataclass(frozen=True)
class Queries:
    """One value per query."""

    text: np.ndarray
    """The string typed; all differ."""
    wording: np.ndarray
    need: np.ndarray
    size: np.ndarray
    """Size code of the catalogue that the query names, -1 for none."""
    store_brand: np.ndarray
    """True where the query asks for the store's own brand."""

    def __len__(self) -> int:
        return len(self.text)


def all_queries(
    phrasebook: Phrasebook, needs: list[Need], catalogue: Catalogue, fits: np.ndarray, seed: int
) -> Queries:
    """Plain wordings first; of a string that can be said in two senses the first stays.

    Facets go to short wordings of needs of one type, where the need's items differ in them.

    Args:
        fits: bool [needs, types].
    """
    plain, with_facet = [], []
    wording = 0
    for row, need in enumerate(needs):
        items = np.flatnonzero(fits[row, catalogue.kind.of])
        for say in need.wordings:
            plain.append((say, wording, row, NO_SIZE, False))
            if len(need.types) == 1 and len(say.split()) <= _LONGEST_WITH_FACET:
                for text, size in _with_sizes(say, wording, items, phrasebook, catalogue, seed):
                    with_facet.append((text, wording, row, size, False))
                for text in _for_store_brand(say, wording, items, phrasebook, catalogue, seed):
                    with_facet.append((text, wording, row, NO_SIZE, True))
            wording += 1
    said, *codes = (np.array(column) for column in zip(*plain, *with_facet, strict=True))
    first = np.sort(np.unique(said, return_index=True)[1])
    return Queries(said[first], *(column[first] for column in codes))


def _with_sizes(
    say: str, wording: int, items: np.ndarray, phrasebook: Phrasebook, catalogue: Catalogue, seed: int
) -> Iterator[tuple[str, int]]:
    """The wording with every size of its items, said in a way drawn for each."""
    sizes = [int(size) for size in np.unique(catalogue.size.of[items]) if catalogue.size_forms[size]]
    if len(sizes) < 2 or _NAMES_A_SIZE.search(say):
        return
    for size, draw in zip(sizes, uniform(seed, "size template", wording, np.array(sizes)), strict=True):
        spoken = [(template, form) for form in catalogue.size_forms[size] for template in phrasebook.size_templates]
        template, form = spoken[int(draw * len(spoken))]
        yield template.replace("{say}", say).replace("{size}", form), size


def _for_store_brand(
    say: str, wording: int, items: np.ndarray, phrasebook: Phrasebook, catalogue: Catalogue, seed: int
) -> Iterator[str]:
    """The wording asking for the store's own brand, if the need's items are of several."""
    if len(np.unique(catalogue.private[items])) < 2 or _NAMES_A_BRAND.search(say):
        return
    templates = phrasebook.store_brand_templates
    draw = float(uniform(seed, "brand template", wording)[0])
    yield templates[int(draw * len(templates))].replace("{say}", say)
