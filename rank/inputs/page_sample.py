"""Some pages of a prepared set, as a set of their own: what is measured at length is measured on a sample. [O]"""

from dataclasses import fields, replace

import numpy as np

from prectr.rank.features.prepared_set import OF_PAGES, PreparedSet
from prectr.rank.inputs.batch import page_rows
from prectr.shared.seeds import generator


def sample_pages(prepared: PreparedSet, most: int, seed: int) -> tuple[np.ndarray, PreparedSet]:
    """Whole pages drawn with the seed: about `most` impressions, all if there are no more, and at least one page.

    Returns:
        The impressions' rows in `prepared`, ascending, and these pages alone, numbered from 0.
    """
    bounds = prepared.page_bounds()
    drawn = generator(seed, "sampled pages").permutation(prepared.num_pages)
    until = int(np.searchsorted(np.cumsum(np.diff(bounds)[drawn]), most, side="right"))
    return pages_alone(prepared, np.sort(drawn[: max(until, 1)]))


def pages_alone(prepared: PreparedSet, pages: np.ndarray) -> tuple[np.ndarray, PreparedSet]:
    """As `sample_pages`, of these pages, ascending."""
    rows = page_rows(prepared.page_bounds(), pages)
    chosen = {
        item.name: np.asarray(array[pages if item.name in OF_PAGES else rows])
        for item in fields(prepared)
        if (array := getattr(prepared, item.name)) is not None
    }
    chosen["page"] = np.searchsorted(pages, chosen["page"]).astype(np.int32)
    return rows, replace(prepared, **chosen)
