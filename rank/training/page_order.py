"""In which order a training run draws its pages."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from prectr.shared.seeds import generator

PAGES_IN_MEMORY = 1 << 18


def page_order(category: np.ndarray, together: int, rng: np.random.Generator) -> np.ndarray:
    """All pages [G] in a random order in which runs of up to `together` pages have one category."""
    shuffled = rng.permutation(len(category))
    by_category = shuffled[np.argsort(category[shuffled], kind="stable")]
    new = np.diff(category[by_category], prepend=category[by_category[:1]] - 1) != 0
    place = np.arange(len(category)) - np.maximum.accumulate(np.where(new, np.arange(len(category)), 0))
    run = np.cumsum(new | (place % together == 0)) - 1
    return by_category[np.argsort(rng.permutation(run[-1] + 1)[run], kind="stable")]


class PageBatches:
    """The pages of every batch of a run; `batches[number]` is int [pages_per_batch], unsorted.

    Every pass shuffles all pages anew. Of many pages, `page_order` is asked for a block of them at a time, drawn at
    random from the whole file: four bytes per page are held, and one block.

    Args:
        category: [G] the category of each page. pages_per_batch: the last batch of a pass is left out when it is short.
        pages_together: so many pages of one category go into a batch together. epochs: passes over the pages.
    """

    def __init__(
        self,
        category: np.ndarray,
        *,
        pages_per_batch: int,
        pages_together: int,
        epochs: float,
        seed: int,
        pages_in_memory: int = PAGES_IN_MEMORY,
    ) -> None:
        self._category, self._together, self._seed = category, pages_together, seed
        self.per_pass = max(len(category) // pages_per_batch, 1)
        self._length = max(round(self.per_pass * epochs), 1)
        self.pages_per_batch = min(pages_per_batch, len(category))
        in_one_block = len(category) <= pages_in_memory
        self._per_block = self.per_pass if in_one_block else max(pages_in_memory // pages_per_batch, 1)
        self._shuffled: tuple[int, np.ndarray] | None = None
        self._block: tuple[tuple[int, int], np.ndarray] | None = None

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, number: int) -> np.ndarray:
        if not 0 <= number < len(self):
            raise IndexError(number)
        epoch, batch = divmod(number, self.per_pass)
        block, place = divmod(batch, self._per_block)
        if self._block is None or self._block[0] != (epoch, block):
            self._block = (epoch, block), self._arranged(epoch, block)
        return self._block[1][place * self.pages_per_batch : (place + 1) * self.pages_per_batch]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[number] for number in range(len(self)))

    def _arranged(self, epoch: int, block: int) -> np.ndarray:
        """The pages of a block in their order."""
        if self._per_block == self.per_pass:
            return page_order(self._category, self._together, generator(self._seed, "page order", epoch))
        if self._shuffled is None or self._shuffled[0] != epoch:
            pages = np.arange(len(self._category), dtype=np.min_scalar_type(len(self._category)))
            self._shuffled = epoch, generator(self._seed, "page order", epoch).permutation(pages)
        size = self._per_block * self.pages_per_batch
        # The pages of the last, short block of a pass are all that is left, but for what fills no batch.
        drawn = self._shuffled[1][block * size : (block + 1) * size].astype(np.int64)
        rng = generator(self._seed, "page order", epoch, block)
        return drawn[page_order(self._category[drawn], self._together, rng)]
