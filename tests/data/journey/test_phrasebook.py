import re
from pathlib import Path

import pytest

from prectr.data.config import PHRASEBOOK
from prectr.data.journey.phrasebook import read_phrasebook
from prectr.shared.errors import PrectrError
from tests.data.journey import tiny_journey

HEAD = "size: {size} {say}\nstore-brand: generic {say}\n\n"
MILK = "need: milk\ntypes: DAIRY > MILK\nsay: milk | moo juice\n"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "book.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_phrasebook_is_read(tmp_path: Path) -> None:
    text = (
        HEAD
        + "# dairy\nneed: milk\n# the white one\ntypes: DAIRY > MILK ; A > B > C\n"
        + "subs: DAIRY > SOY\nsay: milk | 2% milk\n"
    )
    book = read_phrasebook(write(tmp_path, text))
    (need,) = book.needs
    assert (need.name, need.line) == ("milk", 5)
    assert need.types == (("DAIRY", "MILK"), ("A", "B > C"))
    assert need.subs == (("DAIRY", "SOY"),)
    assert need.wordings == ("milk", "2% milk")
    assert book.size_templates == ("{size} {say}",)
    assert book.store_brand_templates == ("generic {say}",)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (HEAD + MILK + "\n" + MILK, 8, "already at line 4"),
        (
            HEAD + MILK + "\nneed: cream\ntypes: DAIRY > CREAM\nsay: milk | cream\n",
            10,
            "'milk' is also said for 'milk'",
        ),
        (HEAD + "need: milk\ntypes: DAIRY > MILK\n", 4, "without `say:`"),
        (HEAD + "need: milk\ntypes: DAIRY MILK\nsay: a | b\n", 5, "'DAIRY MILK'"),
        (HEAD + "need: milk\ntypes: DAIRY > MILK\nsay: milk\n", 6, "1 wording"),
        (HEAD + "need: milk\ntypes: DAIRY > MILK\nsay: milk | milk | moo\n", 6, "twice"),
        (HEAD + "need: milk\ntypes: DAIRY > MILK\nsay: Milk | moo\n", 6, "'Milk'"),
        (HEAD + "need: milk\ntypes: DAIRY > MILK\nsay: milk | \n", 6, "the wording ''"),
        (HEAD + "need: Milk\ntypes: DAIRY > MILK\nsay: milk | moo\n", 4, "'Milk'"),
        (HEAD + MILK + "subs: DAIRY > MILK\n", 7, "among types and subs"),
        (HEAD + MILK + "says: moo\n", 7, "begin the line with"),
        (HEAD + MILK + "say: moo\n", 7, "second `say:`"),
        (HEAD + MILK + "size: {size} {say}\n", 7, "inside a need"),
        ("size: {say}\nstore-brand: generic {say}\n\n" + MILK, 1, "the template '{say}'"),
        ("size: {size} {say}\nstore-brand: generic {brand} {say}\n\n" + MILK, 2, "{brand}"),
        ("size: {size} {say}\n\n" + MILK, 1, "no line `store-brand:`"),
        (HEAD, 1, "no need"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(PrectrError, match=re.escape(message)) as error:
        read_phrasebook(path)
    assert f"{path}, line {line}: found " in str(error.value)


def test_a_missing_phrasebook_is_said(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="no such phrasebook"):
        read_phrasebook(tmp_path / "none.txt")


def test_the_test_phrasebook_is_one(tmp_path: Path) -> None:
    assert len(read_phrasebook(write(tmp_path, tiny_journey.PHRASEBOOK)).needs) == 10


def test_the_shipped_phrasebook_covers_the_most_bought_types() -> None:
    book = read_phrasebook(PHRASEBOOK)
    own = {need.types[0] for need in book.needs if len(need.types) == 1}
    assert len(own) >= 500
    assert sum(len(need.types) > 1 for need in book.needs) >= 40
    assert min(len(need.wordings) for need in book.needs) >= 4


def test_shoppers_do_not_speak_as_the_retailer_does() -> None:
    words = [
        set(re.findall(r"[a-z]+", " ".join(wording.split())))
        for need in read_phrasebook(PHRASEBOOK).needs
        for wording in need.wordings
    ]
    abbreviations = {
        "frzn",
        "drnk",
        "sft",
        "btl",
        "ckys",
        "snks",
        "brkfst",
        "whlsm",
        "rfrgratd",
        "shlf",
        "prepk",
        "chix",
    }
    assert not [word for word in words if word & abbreviations]
