"""A vocabulary of people is known by its values, and one of goods is not taken for it."""

import uuid

import pytest

from prectr.shared.people import names_people

SESSIONS = [str(uuid.UUID(int=n * 7919)) for n in range(40)]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([f"user{n}@example.org" for n in range(9)], "e-mail addresses"),
        (["Ann.Smith+shop@mail.example.co.uk", *["mobile"] * 12], "e-mail addresses"),
        ([f"10.0.{n}.7" for n in range(9)], "IP addresses"),
        (["2001:db8::1", "fe80::1ff:fe23:4567:890a"], "IP addresses"),
        (SESSIONS, "identifiers"),
        ([each.replace("-", "") for each in SESSIONS], "identifiers"),
        (["+49 30 1234567", "+1 (555) 010-9999"], "telephone numbers"),
        (["/home/ann/shop", "/Users/bob/x"], "paths"),
    ],
)
def test_people(values: list[str], kind: str) -> None:
    assert names_people(values).startswith(f"holds {kind}")


@pytest.mark.parametrize(
    "values",
    [
        ["red", "blue"],
        ["day0", "day1"],
        ["1005186", "1005187", "874905"],
        ["2 l", "500 ml", "12:30", "10.5"],
        ["B00PFIESOW", "B01N5IB20Q"],
        ["Marks & Spencer", "o.b.", "a@b", "7-Up"],
        ["0-471-95869-7", "978-3-16-148410-0"],
        [],
        ["牛奶", "crème"],
        ["brand@home.co", *map(str, range(99))],
    ],
)
def test_goods(values: list[str]) -> None:
    assert names_people(values) == ""
