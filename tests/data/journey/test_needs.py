from pathlib import Path

import numpy as np
import pytest

from prectr.data.journey.needs import Needs, bind
from prectr.data.journey.phrasebook import read_phrasebook
from prectr.data.journey.raw import Catalogue, read_shop
from prectr.shared.errors import PrectrError
from tests.data.journey.tiny_journey import PHRASEBOOK


@pytest.fixture(scope="module")
def catalogue(raw_folder: Path) -> Catalogue:
    return read_shop(raw_folder, least_sales=10)[0]


@pytest.fixture(scope="module")
def needs(catalogue: Catalogue, phrasebook_path: Path) -> Needs:
    return bind(read_phrasebook(phrasebook_path), catalogue, seed=3)


def plain(needs: Needs, text: str) -> int:
    return int(np.flatnonzero(needs.queries.text == text)[0])


def items(needs: Needs, kind: str) -> np.ndarray:
    return np.flatnonzero(needs.catalogue.kind.names[needs.catalogue.kind.of] == kind)


def test_levels_by_hand(needs: Needs) -> None:
    milk = plain(needs, "milk")
    for kind, level in (
        ("DAIRY > FLUID MILK", 3),
        ("DAIRY > CHOC MILK", 2),
        ("DAIRY > YOGURT CUPS", 1),
        ("BREAD > WHITE BRD", 0),
    ):
        found = needs.levels(np.array([milk]), items(needs, kind))
        assert len(found) and (found == level).all()


def test_a_need_of_several_types_relates_to_all_their_categories(needs: Needs) -> None:
    party = plain(needs, "party stuff")
    for kind, level in (
        ("DRINKS > COLA", 3),
        ("SNACKS > PRETZELS", 3),
        ("DRINKS > JUICE", 1),
        ("DAIRY > FLUID MILK", 0),
    ):
        assert (needs.levels(np.array([party]), items(needs, kind)) == level).all()


def test_another_facet_lowers_the_level_to_two(needs: Needs) -> None:
    queries, catalogue = needs.queries, needs.catalogue
    milk = items(needs, "DAIRY > FLUID MILK")
    sized = np.flatnonzero((queries.size >= 0) & (queries.need == queries.need[plain(needs, "milk")]))
    assert len(sized)
    for query in sized:
        expected = np.where(catalogue.size.of[milk] == queries.size[query], 3, 2)
        assert (needs.levels(np.array([query]), milk) == expected).all()
    branded = np.flatnonzero(queries.store_brand & (queries.need == queries.need[sized[0]]))
    expected = np.where(catalogue.private[milk], 3, 2)
    assert len(branded) and (needs.levels(branded[:1], milk) == expected).all()
    assert set(expected) == {2, 3}
    chocolate = items(needs, "DAIRY > CHOC MILK")
    assert (needs.levels(branded[:1], chocolate) == 2).all()


def test_queries_are_said_as_the_templates_say(needs: Needs) -> None:
    queries, catalogue = needs.queries, needs.catalogue
    assert len(np.unique(queries.text)) == len(queries)
    branded = int(np.flatnonzero(queries.store_brand)[0])
    assert queries.text[branded].startswith("store brand ")
    for query in np.flatnonzero(queries.size >= 0):
        assert any(form in queries.text[query] for form in catalogue.size_forms[queries.size[query]])
    spanning = queries.need == queries.need[plain(needs, "party stuff")]
    assert (queries.size[spanning] == -1).all() and not queries.store_brand[spanning].any()


def test_a_facet_nobody_says_is_left_out(needs: Needs) -> None:
    wording = needs.queries.wording[plain(needs, "party stuff")]
    found = needs.facet_query(np.array([wording]), np.array([1]), np.array([False]))
    assert needs.queries.text[found[0]] == "party stuff"
    milk = needs.queries.wording[plain(needs, "milk")]
    sizes = needs.queries.size[(needs.queries.wording == milk) & (needs.queries.size >= 0)]
    found = needs.facet_query(np.full(len(sizes), milk), sizes, np.zeros(len(sizes), bool))
    assert (needs.queries.size[found] == sizes).all()
    found = needs.facet_query(np.array([milk]), np.array([-1]), np.array([True]))
    assert needs.queries.store_brand[found].all()


def test_a_fifth_of_each_needs_wordings_is_held_out(needs: Needs) -> None:
    held_out = np.bincount(needs.wording_need, needs.wording_held_out)
    assert (held_out == 1).all()  # of five


def test_needs_with_a_type_without_gold_have_none(needs: Needs) -> None:
    assert 0 < needs.kind_without_gold.sum() < len(needs.kind_without_gold) / 2
    assert ((needs.fits & needs.kind_without_gold).any(1) == ~needs.has_gold).all()


def test_an_unknown_type_is_named_with_what_it_may_be(catalogue: Catalogue, tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text(PHRASEBOOK.replace("DAIRY > FLUID MILK", "DAIRY > FLUID MLK"), encoding="utf-8")
    with pytest.raises(
        PrectrError, match=r"line 5: need 'milk' has the unknown type 'DAIRY > FLUID MLK': did you mean 'DAIRY > FLUID"
    ):
        bind(read_phrasebook(path), catalogue, seed=3)
