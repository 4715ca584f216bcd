"""Every page once per pass, in an order that the seed alone decides, however many pages are arranged at a time."""

import numpy as np
import pytest

from prectr.rank.training.page_order import PageBatches, page_order
from prectr.shared.seeds import generator

CATEGORY = np.random.default_rng(0).integers(0, 6, 1003)


def batches(
    pages_in_memory: int = 1 << 20, seed: int = 0, epochs: float = 1.0, pages_per_batch: int = 10
) -> PageBatches:
    return PageBatches(
        CATEGORY,
        pages_per_batch=pages_per_batch,
        pages_together=3,
        epochs=epochs,
        seed=seed,
        pages_in_memory=pages_in_memory,
    )


def test_few_pages_are_arranged_all_together():
    run = batches(epochs=2.0)
    for epoch in range(2):
        whole = page_order(CATEGORY, 3, generator(0, "page order", epoch))[:1000].reshape(-1, 10)
        assert np.array_equal(np.stack(list(run)[100 * epoch : 100 * (epoch + 1)]), whole)


@pytest.mark.parametrize("pages_in_memory", [40, 105, 1002])
def test_many_pages_are_arranged_in_blocks_drawn_from_the_whole_file(pages_in_memory):
    run = batches(pages_in_memory, epochs=2.0)
    pages = np.stack(list(run))
    assert pages.shape == (200, 10)
    for epoch in (pages[:100], pages[100:]):
        assert len(np.unique(epoch)) == 1000 and epoch.min() >= 0 and epoch.max() < 1003
        block = epoch[: max(pages_in_memory // 10, 1)]
        assert block.min() < 100 and block.max() > 900
    assert not np.array_equal(pages[:100], pages[100:])
    # Any batch can be asked for first, as after a kill.
    again = batches(pages_in_memory, epochs=2.0)
    for number in (150, 3, 99, 100, 199, 0):
        assert np.array_equal(again[number], pages[number])
    assert not np.array_equal(batches(pages_in_memory, seed=1)[0], pages[0])


def test_pages_of_a_category_stand_together_in_a_block_too():
    changes = np.mean([np.mean(np.diff(CATEGORY[pages]) != 0) for pages in batches(105)])
    apart = np.mean(np.diff(CATEGORY) != 0)
    assert changes < 0.6 * apart


def test_a_part_of_a_pass_and_fewer_pages_than_a_batch():
    assert len(batches(epochs=0.25)) == 25
    few = batches(pages_per_batch=5000)
    assert len(few) == 1 and len(np.unique(few[0])) == few.pages_per_batch == 1003
    with pytest.raises(IndexError):
        few[1]
