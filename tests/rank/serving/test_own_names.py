"""The shop's own names are read as the columns that its conversion said they are, and their slips are refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from prectr.data.contract import own_names
from prectr.rank.serving.own_names import OwnNames
from prectr.rank.serving.ranker import Ranker
from prectr.shared.errors import PrectrError

NAMES = {
    "item_id": ["sku"],
    "text": ["title", "brand"],
    "category": ["kind"],
    "num_price": ["price.amount"],
    "query": ["q"],
    "timestamp": ["timestamp"],
}
COLUMNS = ("item_id", "text", "category", "num_price", "timestamp")


def test_own_names_become_columns_and_all_else_stays() -> None:
    given = {"sku": "7", "title": "red shoe", "brand": "Acme", "price": {"amount": 3.0}, "mine": [1], "category": "c"}
    read = OwnNames(NAMES).read(given, COLUMNS)
    assert read == {"item_id": "7", "text": "red shoe Acme", "num_price": 3.0, "mine": [1], "category": "c"}
    assert OwnNames(NAMES).read({"title": "shoe", "brand": None}, COLUMNS) == {"text": "shoe"}
    assert OwnNames(NAMES).read({"timestamp": 5, "q": "what is no column here"}, COLUMNS) == {
        "timestamp": 5,
        "q": "what is no column here",
    }
    assert OwnNames().read(given, COLUMNS) == given


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"titel": "red shoe"}, "item 3: 'titel' is no name of this shop's: is it 'title'"),
        ({"title": "red shoe", "text": "blue shoe"}, "item 3: 'title' and 'text' say the same: give one of them"),
    ],
)
def test_what_could_be_meant_in_two_ways_is_refused(given: dict, sentence: str) -> None:
    with pytest.raises(PrectrError, match=sentence):
        OwnNames(NAMES).read(given, COLUMNS, "item 3")


def test_a_saved_ranker_scores_a_page_in_the_shop_s_words(home: Path, tmp_path: Path) -> None:
    ranker = Ranker.from_pretrained(home / "ranker")
    assert ranker.own_names == {}, "its tables were not converted"
    ranker.own_names = {**NAMES, "num_price": ["price"], "cat_colour": ["colour"], "ctx_cat_weekday": ["day"]}
    ranker.save_pretrained(tmp_path)
    opened = Ranker.from_pretrained(tmp_path)
    now = 1_481_000_000
    past = {"item_id": "I1", "text": "red shirt", "query": "shirt", "timestamp": now - 60, "cat_colour": "red"}
    page = [{"item_id": "1", "text": "red shirt", "category": "clothing", "num_price": 3.0, "cat_colour": "red"}]
    own_past = {"sku": "I1", "title": "red shirt", "q": "shirt", "timestamp": now - 60, "colour": "red"}
    own = [{"sku": "1", "title": "red", "brand": "shirt", "kind": "clothing", "price": 3.0, "colour": "red"}]
    expected = opened.score("red shirt", page, [past], {"timestamp": now, "ctx_cat_weekday": "day1"})
    found = opened.score("red shirt", own, [own_past], {"timestamp": now, "day": "day1"})
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    with pytest.raises(PrectrError, match="candidate 0: 'colur' is no name of this shop's: is it 'colour'"):
        opened.score("red shirt", [{"title": "red shirt", "colur": "red"}])
    with pytest.raises(PrectrError, match=r"candidate 0: 'text' \(here 'title' and 'brand'\) is missing or"):
        opened.score("red shirt", [{"sku": "1"}])
    with pytest.raises(PrectrError, match="event 0: 'q' and 'query' say the same"):
        opened.score("red shirt", own, [own_past | {"query": "shirt"}])


def test_the_names_are_those_of_the_conversion(tmp_path: Path) -> None:
    assert own_names(tmp_path) == {}
    (tmp_path / "summary.json").write_text(json.dumps({"conversion": {"names": {"item_id": ["sku"]}}}))
    assert own_names(tmp_path) == {"item_id": ["sku"]}
