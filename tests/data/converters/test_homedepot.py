"""Home Depot, in the layout Kaggle gives."""

import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.encoder.hidden_levels import hidden_levels
from prectr.data.contract import read_table
from prectr.data.converters.formats.homedepot import build_tables
from prectr.distill.pairs import read_pairs
from prectr.shared.errors import PrectrError
from prectr.shared.run.fingerprint import file_fingerprint
from tests.data.converters.sources import convert_to, told

HEADER = '"id","product_uid","product_title","search_term","relevance"'
SHARED = Path(__file__).parents[5] / "shared" / "data" / "homedepot" / "train.csv.zip"


def write_zip(folder: Path, lines: list[str]) -> Path:
    with zipfile.ZipFile(folder / "train.csv.zip", "w") as archive:
        archive.writestr("train.csv", "\n".join(lines).encode("latin-1"))
    return folder / "train.csv.zip"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(
        "prectr.data.converters.formats.homedepot.SIZES", {"train": 20, "validation": 5, "test": 10, "unlabelled": 30}
    )
    random = np.random.default_rng(0)
    rows = [HEADER]
    for row in range(120):
        rating = random.choice(["1", "1.33", "2", "2.5", "2.67", "3"])
        rows.append(f'"{row}","{row % 40:03d}","item &amp; größe {row % 40}","query {row % 30}","{rating}"')
    return write_zip(tmp_path, rows)


def test_home_depot_is_split_by_query(tmp_path: Path, source: Path) -> None:
    folder = convert_to(tmp_path, f"homedepot {source}")
    pairs = read_pairs(folder)
    queries = [set(found.query) for found in pairs.values()]
    assert sum(map(len, queries)) == len(set.union(*queries)), "a query is in two splits"
    items = dict(zip(*(read_table(folder, "items")[name].to_pylist() for name in ("item_id", "text")), strict=True))
    assert items["003"] == "item & größe 3"
    ratings = pq.read_table(folder / "ratings.parquet").to_pylist()
    for row in ratings:
        assert row["level"] == sum(row["rating"] >= cut for cut in (1.5, 2.17, 2.84))
    known = hidden_levels(folder)
    assert all(pair in known for pair in zip(pairs["unlabelled"].query, pairs["unlabelled"].item_text, strict=True))
    assert "120 rows read" in told(folder) and "the mean rating cut at 1.5, 2.17, 2.84" in told(folder)


BROKEN = {
    "a title is missing": (f'{HEADER}\n"1","7","","pot","3"', "product_title, row 1: nothing is there"),
    "a rating is none": (
        f'{HEADER}\n"1","7","a","pot","3"\n"2","8","b","pot","high"',
        "relevance, row 2: found 'high'",
    ),
    "cut off": (f'{HEADER}\n"1","7","a","pot","3"\n"2","8"', "row 2 (line 3) has 2 fields"),
    "a column is missing": (
        '"id","product_uid"\n"1","7"',
        "columns 'search_term', 'product_title', 'relevance' are missing",
    ),
    "no rows": (HEADER, "it holds no rows"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_is_not_home_depots_is_one_sentence(tmp_path: Path, case: str) -> None:
    text, message = BROKEN[case]
    with pytest.raises(PrectrError) as error:
        build_tables(write_zip(tmp_path, [text]), tmp_path / "data")
    assert message in str(error.value)


def test_no_zip_and_several_sources_are_one_sentence(tmp_path: Path, source: Path) -> None:
    (tmp_path / "other.csv.zip").write_bytes(b"no zip")
    with pytest.raises(PrectrError, match="cannot be read to its end"):
        build_tables(tmp_path / "other.csv.zip", tmp_path / "data")
    with pytest.raises(PrectrError, match="name train.csv.zip alone"):
        convert_to(tmp_path, f"homedepot {source} {source}")


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="the competition's data are not here")
def test_the_tables_of_the_published_figures(tmp_path: Path) -> None:
    folder = convert_to(tmp_path, f"homedepot {SHARED}")
    assert file_fingerprint(folder / "pairs.parquet").startswith("c299ee0e6cc90cff")
    assert file_fingerprint(folder / "items.parquet").startswith("474ff5d4a8d50a1d")
