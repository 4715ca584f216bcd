"""A context is what many share; what tells who somebody is stays out of a published vocabulary, named by its column."""

import hashlib
import uuid
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prectr.shared.errors import PrectrError
from prectr.shared.storage.identifiers import fault_of_users, fault_of_values, require_shared


def each(of: Callable[[int], str]) -> list[str]:
    return [of(number) for number in range(8)]


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (each(lambda n: f"user{n}@example.org"), "an e-mail address"),
        (["Monday", "write to Jane.Doe+x@mail.example.co.uk"], "an e-mail address"),
        (each(lambda n: str(uuid.UUID(int=n * 10**30 + 7))), "session ids"),
        (each(lambda n: hashlib.sha256(bytes([n])).hexdigest()), "session ids"),
        (each(lambda n: hashlib.md5(bytes([n])).hexdigest()[:16]), "session ids"),
        (each(lambda n: f"10.0.{n}.17"), "network addresses"),
        (each(lambda n: f"2001:db8:0:0:0:0:0:{n}"), "network addresses"),
        (each(lambda n: f"fe80::{n}%eth0"), "network addresses"),
        (each(lambda n: f"[2001:db8::{n}]:8080"), "network addresses"),
        (each(lambda n: f"192.168.{n}.1:443"), "network addresses"),
        (each(lambda n: f"10.{n}.0.0/16"), "network addresses"),
        (each(lambda n: f"00:1b:44:11:3a:b{n}"), "network addresses"),
        (each(lambda n: f"010.000.00{n}.017"), "network addresses"),
        (["Monday", "jane%40example.org"], "an e-mail address"),
        (["Monday", "\uff4aane\uff20example\uff0eorg"], "an e-mail address"),
        (each(lambda n: f"+44 20 7946 09{n:02d}"), "telephone numbers"),
        (each(lambda n: f"https://shop.example/p/{n}"), "paths or addresses of the web"),
        ([*each(lambda n: f"10.0.{n}.17"), *"abcdef"], "network addresses"),
    ],
)
def test_values_that_look_like_somebody(values: list[str], fault: str) -> None:
    assert fault_of_values(values) == fault
    with pytest.raises(PrectrError, match=f"map.json: column 'ctx_cat_who' holds {fault}, .* not published: leave the"):
        require_shared(Path("map.json"), "ctx_cat_who", values, None)


@pytest.mark.parametrize(
    "values",
    [
        [],
        ["Monday", "Tuesday"],
        ["mobile", "desktop", "tablet @ home"],
        each(lambda n: f"c-{n}-electronics-and-telephones"),
        each(lambda n: f"home/kitchen/{n}-piece-sets"),
        each(lambda n: f"SOFT DRINKS 12/18&15PK CAN CAR {n}"),
        each(lambda n: f"{n}0.5.1"),
        each(lambda n: f"{n}"),
        each(lambda n: f"0{n}:30"),
        each(lambda n: f"{n}/4"),
        ["50% off", "100%25 cotton"],
        each(lambda n: f"2024-03-0{n + 1}T12:00:00Z"),
        each(lambda n: f"红色羊毛围巾厚款保暖女士秋冬季节新款{n}"),
        [hashlib.sha256(b"one").hexdigest(), *"abcdef"],
    ],
)
def test_values_that_many_share(values: list[str]) -> None:
    assert fault_of_values(values) is None


def write_log(path: Path, column: list[str | None], users: list[str | None] | None, split: str = "train") -> Path:
    """A page of five rows for each value, by the user of its place."""
    rows = {"ctx_cat_c": [value for value in column for _ in range(5)], "split": [split] * 5 * len(column)}
    rows["page_id"] = [page for page in range(len(column)) for _ in range(5)]
    if users is not None:
        rows["user_id"] = [user for user in users for _ in range(5)]
    pq.write_table(pa.table(rows), path)
    return path


COLUMNS = {
    "a session each": ([f"s{n}" for n in range(40)], [f"u{n // 4}" for n in range(40)], "40 of 40 belong to one user"),
    "a number of each user": ([f"h{n % 10}" for n in range(40)], [f"u{n % 10}" for n in range(40)], "10 of 10 belong"),
    "most of a user's own": (
        [*(f"s{n}" for n in range(20)), *("shop" for _ in range(20))],
        [f"u{n}" for n in range(40)],
        "20 of 21 belong to one user",
    ),
    "no users, a page each": ([f"s{n}" for n in range(40)], None, "40 of 40 belong to one page"),
    "users unknown, a page each": ([f"s{n}" for n in range(40)], [None] * 40, "40 of 40 belong to one user"),
    "a weekday": ([f"d{n % 7}" for n in range(40)], [f"u{n}" for n in range(40)], None),
    "few odd ones": ([*["shop"] * 30, *"abcd"], [f"u{n}" for n in range(34)], None),
    "nothing": ([None] * 10, [f"u{n}" for n in range(10)], None),
    "half odd": ([*(f"s{n}" for n in range(6)), *(f"d{n % 6}" for n in range(12))], list(map(str, range(18))), None),
}


@pytest.mark.parametrize(("column", "users", "fault"), COLUMNS.values(), ids=COLUMNS)
def test_a_column_whose_values_are_a_users_own(
    tmp_path: Path, column: list[str | None], users: list[str | None] | None, fault: str | None
) -> None:
    path = write_log(tmp_path / "impressions.parquet", column, users)
    found = fault_of_users(path, "ctx_cat_c")
    assert found is None if fault is None else fault in str(found)
    assert [file.name for file in tmp_path.iterdir()] == ["impressions.parquet"]


def test_only_training_rows_count(tmp_path: Path) -> None:
    path = write_log(tmp_path / "impressions.parquet", [f"s{n}" for n in range(9)], None, "test")
    assert fault_of_users(path, "ctx_cat_c") is None
