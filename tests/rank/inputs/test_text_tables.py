"""Which texts a batch reads: numbered anew, found again, each once."""

import pytest
import torch

from prectr.rank.inputs.batch import page_batch
from prectr.rank.inputs.text_tables import TextTables, name_texts, with_texts
from tests.rank.random_network import Scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("scene"))


def test_named_texts_are_found_again(scene: Scene) -> None:
    pages, bounds = torch.arange(2, 5).numpy(), scene.prepared.page_bounds()
    given, named = (page_batch(scene.prepared, pages, bounds, scene.events(scene.shop)) for _ in range(2))
    name_texts(named)
    assert torch.equal(named["item_used"][named["item_row"]], given["item_text"])
    assert torch.equal(named["query_used"][named["query_row"]], given["query_text"])
    assert torch.equal(named["item_text"], given["item_text"])
    for kind in ("user", "cross"):
        mask = given[kind]["mask"]
        assert torch.equal(named["item_used"][named[kind]["text"]], given[kind]["text"]) and mask.any()
        rows = getattr(scene.prepared, f"{kind}_rows")[pages]
        assert torch.equal(
            given[kind]["text"][mask], torch.from_numpy(scene.shop.text_of_item[scene.shop.log.item[rows[rows >= 0]]])
        )
        assert all(torch.equal(named[kind][name], given[kind][name]) for name in ("mask", "scalars", "categorical"))
    for used in (named["item_used"], named["query_used"]):
        assert torch.equal(used, torch.unique(used))


def test_a_batch_is_filled_with_the_vectors_of_its_texts(scene: Scene) -> None:
    batch = page_batch(scene.prepared, torch.arange(3).numpy(), scene.prepared.page_bounds(), scene.events(scene.shop))
    tables = TextTables(torch.arange(4.0)[:, None].half(), 10 + torch.arange(8.0)[:, None].half())
    (found,) = with_texts([batch], tables)
    assert torch.equal(found["query_table"][found["query_row"], 0], found["query_text"].float())
    assert torch.equal(found["item_table"][found["item_row"], 0], 10 + found["item_text"].float())
    assert found["item_table"].dtype == torch.float32 and not list(tables.parameters())


def test_without_tables_a_batch_stays_as_it_is(scene: Scene) -> None:
    batch = page_batch(scene.prepared, torch.arange(3).numpy(), scene.prepared.page_bounds(), scene.events(scene.shop))
    (found,) = with_texts([batch], None)
    assert found is batch and "item_used" not in found
