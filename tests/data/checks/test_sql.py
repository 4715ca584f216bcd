"""Questions asked of tables that are larger than the memory, or than the disk."""

from pathlib import Path

import pytest

from prectr.data.checks import sql
from prectr.data.checks.sql import Checker
from prectr.shared.errors import PrectrError


def test_what_has_no_room_is_one_sentence(toy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "memory", lambda: "1MB")
    with Checker(toy_folder, []) as check:
        with pytest.raises(
            PrectrError, match=r"prectr-check-\w+: checking the tables ran out of room \(.*TMPDIR"
        ) as told:
            check.ask("SELECT count(DISTINCT hash(range)) FROM range(2_000_000)")
        assert "\n" not in str(told.value)


def test_many_cores_give_a_check_no_more_memory(toy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(64)), raising=False)
    with Checker(toy_folder, ["items"]) as check:
        [(limit, threads)] = check.ask("SELECT current_setting('memory_limit'), current_setting('threads')")
    assert (limit, threads) == ("732.4 MiB", 4)
