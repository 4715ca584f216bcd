"""Nothing, yes and no, and white space."""

import unicodedata

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prectr.shared.errors import PrectrError
from prectr.shared.values.missing import is_missing
from prectr.shared.values.texts import plain_sql, plain_text
from prectr.shared.values.truths import truth_of

NOTHING = [None, float("nan"), np.nan, np.float32("nan"), float("inf"), -np.inf, pd.NA, pd.NaT, np.datetime64("NaT"),
           "", "  ", "null", "NULL", "NaN", "nan ", "None", "<NA>", "Infinity", "-inf", "\\N", "#N/A"]  # fmt: skip


@pytest.mark.parametrize("value", NOTHING, ids=repr)
def test_nothing_in_every_spelling(value: object) -> None:
    assert is_missing(value) and truth_of(value) is None


@pytest.mark.parametrize(
    "value", [0, "0", False, "NA", "nanna", "nullarbor", [], {}, 10**400, "7", np.False_], ids=repr
)
def test_what_is_something(value: object) -> None:
    assert not is_missing(value)


@pytest.mark.parametrize("value", [True, 1, 1.0, 3, "1", "1.0", "2", " Yes", "TRUE", "t", "on", np.True_, np.int8(1)])
def test_yes(value: object) -> None:
    assert truth_of(value) is True


@pytest.mark.parametrize("value", [False, 0, 0.0, "0", "0.0", "false", "No ", "F", "off", np.False_, np.int64(0)])
def test_no(value: object) -> None:
    assert truth_of(value) is False


@pytest.mark.parametrize(
    "value",
    ["maybe", "-1", -1, "1,5", [], ["true"], {}, "clicked", "١x", object()],
    ids=lambda value: type(value).__name__,
)
def test_neither_is_refused(value: object) -> None:
    with pytest.raises(PrectrError, match="write true or false, 1 or 0"):
        truth_of(value)


SAME = ["red shoe", "\tred shoe", "red shoe\r\n", "red\u00a0shoe", "red  shoe", "\u3000red\u2003\u2009shoe ",
        "red\u2028shoe", "\ufeffred shoe", "red\u200b shoe", "red\x0bshoe", "\x1fred\x85shoe",
        "red\u202fshoe"]  # fmt: skip


@pytest.mark.parametrize("text", SAME, ids=ascii)
def test_one_query_is_one_query(text: str) -> None:
    assert plain_text(text) == "red shoe"


@pytest.mark.parametrize("text", ["café", "Ångström", "각", "ế", "й"])
def test_composition_makes_no_difference(text: str) -> None:
    assert plain_text(unicodedata.normalize("NFD", text)) == plain_text(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("text", ["نمی\u200cخواهم", "👨\u200d👩\u200d👧", "½ inch", "Straße", "ＡＢＣ", "a-b"])
def test_what_is_written_to_be_seen_stays(text: str) -> None:
    assert plain_text(text) == text


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_sql_and_python_agree_and_a_plain_text_is_plain(texts: list[str]) -> None:
    texts = [*texts, *SAME]
    with duckdb.connect() as database:
        found = database.execute(f"SELECT {plain_sql('t')} FROM (SELECT unnest($1) AS t)", [texts]).fetchall()
    # Characters newer than one of the two Unicode tables compose in one of them alone.
    known = [text for text in texts if all(unicodedata.category(char) != "Cn" for char in text)]
    plain = {text: row[0] for text, row in zip(texts, found, strict=True)}
    assert [plain[text] for text in known] == [plain_text(text) for text in known]
    assert all(plain_text(plain_text(text)) == plain_text(text) for text in texts)
