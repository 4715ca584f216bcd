"""Sampled skips tell nothing by recency, popularity or trend, and what they do tell is said."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from prectr.shared.errors import PrectrError
from tests.data.converters.sources import START, convert_to, write_csv


def trending(folder: Path, seed: int, categories: int, growth: float, clicks: int = 4000, items: int = 400) -> Path:
    """Clicks on items of which each is in fashion for some days of 60; `growth` of all clicks are on what is."""
    draw = np.random.default_rng(seed)
    peak, rows = draw.uniform(0, 60, items), []
    for day in np.sort(draw.uniform(0, 60, clicks)):
        weight = np.exp(-np.abs(day - peak) / 2) * growth + (1 - growth) / (1 + np.arange(items))
        item = int(draw.choice(items, p=weight / weight.sum()))
        rows.append(
            {"q": f"q{item % 20}", "sku": f"i{item}", "title": f"thing {item}", "kind": f"k{item % categories}",
             "at": START + int(day * 86400), "u": f"u{draw.integers(300)}"}
        )  # fmt: skip
    return write_csv(folder / "clicks.csv", rows)


def stated(folder: Path, source: Path, draw: str) -> str:
    """What every report says of the log."""
    flags = "--query q --item_id sku --item title --category kind --timestamp at --user u"
    made = convert_to(folder, f"table {source} {flags} --skip_draw {draw}")
    return str(json.loads((made / "summary.json").read_text())["reconstructed"])


def gains(folder: Path, source: Path, draw: str) -> dict[str, float]:
    found = re.findall(r"(popularity|recency|trend) (\d\.\d+)", stated(folder, source, draw))
    return {name: float(value) for name, value in found}


@pytest.mark.parametrize(
    ("seed", "categories", "growth"), [(0, 1, 0.9), (1, 1, 0.2), (2, 2, 0.7), (3, 2, 0.5), (4, 1, 0)]
)
def test_matched_skips_betray_nothing(tmp_path: Path, seed: int, categories: int, growth: float) -> None:
    found = gains(tmp_path, trending(tmp_path, seed, categories, growth), "matched")
    assert len(found) == 3 and all(abs(value - 0.5) <= 0.03 for value in found.values()), found


@pytest.mark.parametrize(("seed", "categories", "growth"), [(0, 1, 0.9), (2, 2, 0.7)])
def test_on_a_larger_log_they_are_within_a_hundredth(tmp_path: Path, seed: int, categories: int, growth: float) -> None:
    found = gains(tmp_path, trending(tmp_path, seed, categories, growth, 12_000, 800), "matched")
    assert len(found) == 3 and all(0.49 <= value <= 0.51 for value in found.values()), found
    said = stated(tmp_path / "again", tmp_path / "clicks.csv", "matched")
    assert said.endswith("(.50: nothing).")


def test_skips_by_popularity_betray_the_click_and_it_is_said(tmp_path: Path) -> None:
    source = trending(tmp_path, 0, 1, 0.9)
    assert gains(tmp_path / "gains", source, "popularity")["trend"] > 0.6
    said = stated(tmp_path, source, "popularity")
    assert said.endswith("More than 0.02 from .50: here how skips are drawn is part of every figure.")


def test_where_each_item_has_a_category_of_its_own_nothing_can_be_drawn_and_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        PrectrError, match=r"clicks.csv: no skipped item can be drawn .* leave the column of categories"
    ):
        gains(tmp_path, trending(tmp_path, 0, 400, 0.5, 300), "matched")
