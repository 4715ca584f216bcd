"""What an encoder made from nothing may spell whole: the catalogue's words, and what several people typed."""

from datetime import datetime
from pathlib import Path

import pytest

from prectr.data.contract import write_table
from prectr.distill.config import StudentArguments
from prectr.distill.models.common_words import LEAST_USERS, without_rare_words
from prectr.distill.pairs import Pairs
from prectr.distill.student.recipe import Recipe
from tests.distill.student.test_recipe import NOTHING

ITEMS = ["red wool scarf", "Łódź café set"]


def write_shop(folder: Path, typed: list[tuple[str, str | None]]) -> Path:
    """A log of one page per (query, user)."""
    write_table(folder, "items", {"item_id": ["i0", "i1"], "text": ITEMS})
    if typed:
        n = len(typed)
        columns = {
            "impression_id": range(n), "page_id": range(n), "user_id": [user for _, user in typed],
            "query": [query for query, _ in typed], "item_id": ["i0"] * n, "position": [1] * n,
            "timestamp": [datetime(2024, 1, 1)] * n, "clicked": [False] * n, "split": ["train"] * n,
        }  # fmt: skip
        write_table(folder, "impressions", {name: list(values) for name, values in columns.items()})
    return folder


def by(users: int, query: str) -> list[tuple[str, str | None]]:
    return [(query, f"u{user}") for user in range(users)]


@pytest.mark.parametrize(
    ("typed", "text", "kept"),
    [
        (by(1, "jane doe scarf"), "jane doe scarf", "scarf"),
        (by(LEAST_USERS - 1, "gloves"), "gloves", None),
        (by(LEAST_USERS, "gloves"), "gloves", "gloves"),
        ([("gloves", "u0")] * 50, "gloves", None),
        ([("gloves", None)] * LEAST_USERS, "gloves", "gloves"),
        ([(f"gloves {n}", f"u{n}") for n in range(LEAST_USERS)], "gloves 3", "gloves"),
        ([(f"gloves {n}", "u0") for n in range(LEAST_USERS)], "gloves 3", None),
        (by(2, "RED Scarf jane@example.org"), "RED Scarf jane@example.org", "red scarf"),
        (by(1, "łódź CAFÉ иванов"), "łódź CAFÉ иванов", "łódź café"),
        ([], "judged by hand", None),
    ],
)
def test_a_word_needs_several_people_or_the_catalogue(
    tmp_path: Path, typed: list[tuple[str, str | None]], text: str, kept: str | None
) -> None:
    data = write_shop(tmp_path / "data", typed)
    texts = sorted({*ITEMS, text, *(query for query, _ in typed)})
    found = without_rare_words(texts, data, tmp_path)
    assert set(ITEMS) <= set(found)
    rest = [each for each in found if each not in ITEMS]
    assert (kept in rest) if kept else not rest


def test_words_of_judged_queries_count_by_queries(tmp_path: Path) -> None:
    data = write_shop(tmp_path / "data", [])
    queries = [f"gloves {n}" for n in range(LEAST_USERS)]
    assert without_rare_words(queries, data, tmp_path) == ["gloves"] * LEAST_USERS
    assert without_rare_words(queries[1:], data, tmp_path) == []


@pytest.mark.parametrize("source", ["scratch", "random"])
def test_a_name_typed_once_is_not_in_the_tokenizer(tmp_path: Path, source: str) -> None:
    data = write_shop(tmp_path / "data", [*by(9, "gloves"), ("zacharias scarf", "u1")])
    texts = sorted({*ITEMS, "gloves", "zacharias scarf"})
    arguments = StudentArguments(init_from=source, num_layers=1, vocabulary_size=500)
    nothing: Pairs = NOTHING
    for where, is_there in ((data, False), (None, True)):
        recipe = Recipe(source, arguments, ["no", "yes"], texts, nothing, nothing, 0, where)
        folder = tmp_path / f"at {where is None}"
        recipe.start(folder)
        written = (folder / "checkpoints" / source / "tokenizer.json").read_text(encoding="utf-8")
        assert ("zacharias" in written) == is_there and '"gloves"' in written
