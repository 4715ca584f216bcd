"""A random teacher is made once for each vocabulary: data sets that take turns leave each other's alone."""

from pathlib import Path

import pytest

from prectr.distill.models.convert import convert_teacher, made_in
from prectr.distill.models.sources import find_teacher

SHOPS = {"tools": ["hammer", "drill 18 V"], "drinks": ["juice", "soda 2 l"]}


@pytest.mark.parametrize("source", ["random", "random-cross-encoder"])
def test_two_data_sets_in_turn_make_each_teacher_once(source: str, tmp_path: Path) -> None:
    teacher = find_teacher(source)
    first = {shop: convert_teacher(teacher, tmp_path, texts, 0) for shop, texts in SHOPS.items()}
    again = {shop: convert_teacher(teacher, tmp_path, texts, 0) for shop, texts in SHOPS.items()}
    assert again == first, "the record of a step that is done anew has another time"
    assert first["tools"][0] != first["drinks"][0]
    folders = sorted(str(path) for path in (tmp_path / "teachers").iterdir() if not path.name.startswith("."))
    assert folders == sorted(location for location, _ in first.values())
    assert str(made_in(teacher, tmp_path, SHOPS["tools"], 0)) == first["tools"][0]


def test_a_teacher_that_is_there_is_not_made(tmp_path: Path) -> None:
    teacher = find_teacher("http://localhost:9/v1")
    assert made_in(teacher, tmp_path, [], 0) is None
    assert convert_teacher(teacher, tmp_path, [], 0) == ("http://localhost:9/v1", None)
