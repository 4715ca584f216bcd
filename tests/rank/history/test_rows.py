"""Times are read in seconds, whatever a table keeps them in."""

import pyarrow as pa
import pytest

from prectr.rank.history.rows import seconds_of


@pytest.mark.parametrize(("unit", "parts"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
@pytest.mark.parametrize("zone", [None, "UTC"])
def test_every_unit_is_seconds(unit: str, parts: int, zone: str | None) -> None:
    given = pa.array([1_511_222_400 * parts, 7 * parts + parts // 2], pa.timestamp(unit, zone))
    assert seconds_of(pa.chunked_array([given])).tolist() == [1_511_222_400, 7]
