"""Moments in every spelling; what may be two things is asked for."""

import datetime
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prectr.shared.errors import PrectrError
from prectr.shared.values.times import CALENDARS, FIRST, LAST, UNITS, find_unit, read_times, seconds_of

MOMENT = 1_715_862_896  # 2024-05-16T12:34:56Z
DAY, MINUTE = 1_715_817_600, 1_715_862_840


@pytest.mark.parametrize(
    ("text", "unit", "seconds"),
    [
        ("2024-05-16T12:34:56Z", "iso", MOMENT), ("2024-05-16 12:34:56", "iso", MOMENT),
        ("2024-05-16T12:34:56,789z", "iso", MOMENT), ("2024/05/16 12:34:56 GMT", "iso", MOMENT),
        ("20240516T123456Z", "iso", MOMENT), ("2024-05-16T14:34:56+02", "iso", MOMENT),
        ("2024-05-16T07:04:56-0530", "iso", MOMENT), ("  2024-05-16\u00a0", "iso", DAY),
        ("1715862896", "seconds", MOMENT), ("1715862896.75", "seconds", MOMENT), ("1.715862896e9", "seconds", MOMENT),
        ("1715862896123", "milliseconds", MOMENT), ("1715862896123456", "microseconds", MOMENT),
        ("1715862896123456789", "nanoseconds", MOMENT), ("20240516", "YYYYMMDD", DAY), ("20240516.0", "YYYYMMDD", DAY),
        ("202405161234", "YYYYMMDDHHMM", MINUTE), ("20240516123456", "YYYYMMDDHHMMSS", MOMENT),
    ],
)  # fmt: skip
def test_one_moment_written_in_many_ways(text: str, unit: str, seconds: int) -> None:
    found = read_times(pa.array([text]))
    assert (found.unit, found.seconds.to_pylist()) == (unit, [seconds])


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize(
    ("texts", "unit"),
    [
        (["1715862896", "1715862897", "1715862898"], "seconds"), (["20240516", "20240517", "20240518"], "YYYYMMDD"),
        (["1715862896", "1715862897", "2024-05-16"], "iso"), (["2024-05-16", "1715862896", "x"], "iso"), ([], "iso"),
    ],
)  # fmt: skip
def test_a_unit_is_found_in_parts_as_in_one(texts: list[str], unit: str, size: int) -> None:
    column = pa.array(texts, pa.string())
    assert read_times(column).unit == unit
    assert find_unit(lambda: (column[first : first + size] for first in range(0, len(column), size))) == unit


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["2403011405"], "may be seconds or YYMMDDHHMM"),
        (["1403011405", "1403311159"], "may be seconds or YYMMDDHHMM"),
        (["240301140530"], "may be YYMMDDHHMMSS"),
        (["950301140530"], "may be milliseconds or YYMMDDHHMMSS"),
        (["1715862896", "1715862896123"], "from 1715862896 to 1715862896123, which may be anything"),
        (["19000"], "which may be anything"),
        (["1" * 40], "which may be anything"),
        (["17158628961234"], "which may be anything"),
        (["20241316"], "which may be anything"),
        (["0"], "which may be anything"),
    ],
)
def test_a_number_that_may_be_two_things_is_asked_for(texts: list[str], said: str) -> None:
    with pytest.raises(PrectrError) as error:
        read_times(pa.array(texts))
    assert said in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-30",
        "2024-05-16T25:00:00Z",
        "16.05.2024",
        "05/16/2024",
        "2024-0516",
        "12:34",
        "1989-12-31",
        "2100-01-01",
    ],
)
def test_what_is_no_time_is_null(text: str) -> None:
    assert read_times(pa.array([text, "2024-05-16"])).seconds.to_pylist() == [None, DAY]


def test_two_digit_years_are_read_where_they_are_asked_for() -> None:
    assert read_times(pa.array(["2405161234"]), "YYMMDDHHMM").seconds.to_pylist() == [MINUTE]
    assert read_times(pa.array(["990516123456"]), "YYMMDDHHMMSS").seconds[0].as_py() == 926_858_096


@given(st.integers(FIRST, LAST - 1), st.sampled_from([*UNITS, *CALENDARS, "iso"]))
def test_every_moment_of_every_unit_is_read_as_it_was_written(seconds: int, unit: str) -> None:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    form = {"YYYY": "%Y", "YY": "%y", "MM": "%m", "DD": "%d", "HH": "%H"}
    if unit in UNITS:
        text = str(seconds * UNITS[unit])
    elif unit == "iso":
        text = moment.isoformat()
    else:
        if unit.startswith("YYMM") and moment.year >= 2090:
            return
        date, clock = unit.partition("DD")[0] + "DD", unit.partition("DD")[2]
        text = moment.strftime(form[date[:-4]] + "%m%d" + {"": "", "HHMM": "%H%M", "HHMMSS": "%H%M%S"}[clock])
        seconds -= seconds % {"": 86400, "HHMM": 60, "HHMMSS": 1}[clock]
    assert read_times(pa.array([text]), unit).seconds.to_pylist() == [seconds]


@given(st.lists(st.integers(FIRST, LAST - 1), min_size=2))
def test_the_order_of_times_is_that_of_what_was_written(seconds: list[int]) -> None:
    texts = [f"{each * 1000}" for each in sorted(seconds)]
    assert all(a <= b for a, b in pairwise(read_times(pa.array(texts), "milliseconds").seconds.to_pylist()))


UTC = datetime.UTC


@pytest.mark.parametrize(
    "value",
    [
        MOMENT, float(MOMENT), MOMENT + 0.9, np.int64(MOMENT), np.float64(MOMENT), str(MOMENT), "2024-05-16T12:34:56Z",
        datetime.datetime(2024, 5, 16, 12, 34, 56), datetime.datetime(2024, 5, 16, 12, 34, 56, tzinfo=UTC),
        datetime.datetime(2024, 5, 16, 14, 34, 56, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        pd.Timestamp("2024-05-16 12:34:56"), np.datetime64("2024-05-16T12:34:56.789"),
    ],
)  # fmt: skip
def test_a_moment_that_a_program_hands_over(value: object) -> None:
    assert seconds_of(value) == MOMENT


@pytest.mark.parametrize("value", [None, pd.NaT, "", "NaN", np.datetime64("NaT")])
def test_no_moment_is_none(value: object) -> None:
    assert seconds_of(value) is None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (MOMENT * 1000, "outside 1990 to 2100 (in milliseconds?)"),
        (str(MOMENT * 1000), "(in milliseconds?)"),
        (MOMENT * 10**9, "(in nanoseconds?)"),
        (0, "outside 1990 to 2100: give"),
        (-1, "outside 1990 to 2100"),
        (float("nan"), "no time"),
        (float("inf"), "no time"),
        (True, "no time"),
        ("yesterday", "no time"),
        ([MOMENT], "no time"),
        (datetime.datetime(1970, 1, 1), "outside 1990"),
    ],
)
def test_what_a_program_cannot_mean_is_refused(value: object, said: str) -> None:
    with pytest.raises(PrectrError) as error:
        seconds_of(value)
    assert said in str(error.value)
