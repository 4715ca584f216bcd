"""ESCI and WANDS, on small files in the layout they are published in."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prectr.data.contract import levels, read_table
from prectr.data.converters.formats.esci import EXAMPLES, PRODUCTS
from prectr.shared.errors import PrectrError
from tests.data.converters.sources import convert_to, items, judgements, rows_of, told

# ---------------------------------------------------------------- ESCI


def write_esci(folder: Path, **change: Any) -> Path:
    """The two files; every third query is Spanish, the test split is every fourth."""
    examples, products = [], []
    for number, row in enumerate(judgements()):
        query_number = number // 6
        examples.append(
            {
                "example_id": number,
                "query": row["query"],
                "query_id": query_number,
                "product_id": row["id"],
                "product_locale": "es" if query_number % 3 == 2 else "us",
                "esci_label": "ICSE"[(row["rating"] + number) % 4],
                "small_version": number % 2,
                "large_version": 1,
                "split": "test" if query_number % 4 == 0 else "train",
                **change,
            }
        )
    for item in items():
        for locale in ("us", "es"):
            products.append(
                {
                    "product_id": item["id"],
                    "product_title": f"{item['title']} {locale}",
                    "product_description": "<p>long</p>",
                    "product_bullet_point": None,
                    "product_brand": "Acme",
                    "product_color": item["title"].split()[0],
                    "product_locale": locale,
                }
            )
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(examples), folder / EXAMPLES)
    pq.write_table(pa.Table.from_pylist(products), folder / PRODUCTS)
    return folder


def test_esci_keeps_its_split_and_names_its_levels(tmp_path: Path) -> None:
    folder = convert_to(tmp_path, f"esci {write_esci(tmp_path / 'esci')}")
    assert levels(folder) == ["irrelevant", "complement", "substitute", "exact"]
    rows = rows_of(folder, "pairs", "query", "item_id", "level", "split")
    known = {
        (row["query"], row["id"]): (row["rating"] + number) % 4
        for number, row in enumerate(judgements())
        if number // 6 % 3 != 2
    }
    assert {row[:2]: row[2] for row in rows if row[3] != "unlabelled"} == known
    tested = {query for query, _, _, split in rows if split == "test"}
    assert tested == {row["query"] for number, row in enumerate(judgements()) if number // 6 in (0, 4)}
    assert {row[3] for row in rows} == {"train", "validation", "test", "unlabelled"}
    assert ("007", "green scarf us") in rows_of(folder, "items", "item_id", "text")


def test_esci_by_locale_version_and_text(tmp_path: Path) -> None:
    source = write_esci(tmp_path / "esci")
    folder = convert_to(tmp_path, f"esci {source} --locale all --version small --item product_title product_brand")
    assert ("es_007", "green scarf es Acme") in rows_of(folder, "items", "item_id", "text")
    gold = [row for row in rows_of(folder, "pairs", "item_id", "split") if row[1] != "unlabelled"]
    assert len(gold) == 36 and {row[0][:3] for row in gold} == {"us_", "es_"}
    with pytest.raises(PrectrError, match="no row is of locale jp, version all"):
        convert_to(tmp_path, f"esci {source} --locale jp")


def test_a_folder_that_is_not_escis_is_one_sentence(tmp_path: Path) -> None:
    source = write_esci(tmp_path / "esci", esci_label="X")
    with pytest.raises(PrectrError, match=r"level, row 1: found 'x' .*the levels are irrelevant, complement"):
        convert_to(tmp_path, f"esci {source}")
    with pytest.raises(PrectrError, match=f"{EXAMPLES} is not there: name the folder"):
        convert_to(tmp_path, f"esci {source / PRODUCTS}")
    examples = pq.read_table(source / EXAMPLES)
    pq.write_table(examples.drop_columns("esci_label"), source / EXAMPLES)
    with pytest.raises(PrectrError, match=r"column 'esci_label' is missing; found example_id"):
        convert_to(tmp_path, f"esci {source}")
    (source / EXAMPLES).write_bytes((source / PRODUCTS).read_bytes()[:200])
    with pytest.raises(PrectrError, match="not a Parquet file, or a damaged one"):
        convert_to(tmp_path, f"esci {source}")
    (source / EXAMPLES).unlink()
    with pytest.raises(PrectrError, match=f"{EXAMPLES}: no such file or folder"):
        convert_to(tmp_path, f"esci {source}")


def test_products_that_are_missing_are_told(tmp_path: Path) -> None:
    source = write_esci(tmp_path / "esci")
    products = pq.read_table(source / PRODUCTS)
    pq.write_table(products.filter(pa.compute.not_equal(products["product_id"], "007")), source / PRODUCTS)
    folder = convert_to(tmp_path, f"esci {source}")
    lost = sum(row["id"] == "007" for number, row in enumerate(judgements()) if number // 6 % 3 != 2)
    assert f"{lost} of 48 rows of judged dropped: the item has no text, or no row of its own" in told(folder)


# ---------------------------------------------------------------- WANDS


def write_wands(folder: Path, label: str = "") -> Path:
    """The three files, separated by tabs, as in the repository."""
    folder.mkdir(exist_ok=True)
    queries = sorted({row["query"] for row in judgements()})
    lines = ["query_id\tquery\tquery_class", *(f"{number}\t{query}\tShoes" for number, query in enumerate(queries))]
    (folder / "query.csv").write_text("\n".join(lines) + "\n")
    lines = [
        "product_id\tproduct_name\tproduct_class\tcategory hierarchy\tproduct_description\tproduct_features\t"
        "rating_count\taverage_rating\treview_count"
    ]
    for item in items():
        lines.append(
            f'{item["id"]}\t{item["title"]}\t{item["kind"]}\tA / B\t"two ""inch"" board, wide"\ta:b|c:d\t15.0\t4.5\t'
        )
    (folder / "product.csv").write_text("\n".join(lines) + "\n")
    lines = ["id\tquery_id\tproduct_id\tlabel"]
    for number, row in enumerate(judgements()):
        name = label or ("Irrelevant", "Partial", "Exact")[row["rating"]]
        lines.append(f"{number}\t{queries.index(row['query'])}\t{row['id']}\t{name}")
    (folder / "label.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_wands_joins_its_three_files(tmp_path: Path) -> None:
    folder = convert_to(tmp_path, f"wands {write_wands(tmp_path / 'wands')}")
    assert levels(folder) == ["Irrelevant", "Partial", "Exact"]
    known = {(row["query"], row["id"]): row["rating"] for row in judgements()}
    rows = rows_of(folder, "pairs", "query", "item_id", "level", "split")
    assert {row[:2]: row[2] for row in rows if row[3] != "unlabelled"} == known
    assert read_table(folder, "items").to_pylist()[7] == {"item_id": "007", "text": "green scarf", "category": "scarf"}


def test_files_that_are_not_wands_are_one_sentence(tmp_path: Path) -> None:
    source = write_wands(tmp_path / "wands", label="Perfect")
    with pytest.raises(PrectrError, match="level, row 1: found 'Perfect' .*the levels are Irrelevant, Partial, Exact"):
        convert_to(tmp_path, f"wands {source}")
    write_wands(source)
    (source / "label.csv").write_text((source / "label.csv").read_text().replace("\t", ","))
    with pytest.raises(
        PrectrError, match="columns 'query_id', 'product_id', 'label' are missing; found id,query_id,product_id,label"
    ):
        convert_to(tmp_path, f"wands {source}")
    (source / "label.csv").unlink()
    with pytest.raises(PrectrError, match=r"label.csv: no such file or folder"):
        convert_to(tmp_path, f"wands {source}")
    with pytest.raises(PrectrError, match="label.csv is not there: name the folder"):
        convert_to(tmp_path, f"wands {source / 'query.csv'}")


def test_labels_of_unknown_queries_are_told(tmp_path: Path) -> None:
    source = write_wands(tmp_path / "wands")
    with open(source / "label.csv", "a") as file:
        file.write("99\t777\t007\tExact\n")
    assert "1 of 73 rows of judged dropped: no query" in told(convert_to(tmp_path, f"wands {source}"))
