"""The table under the verdict: who is ahead in what, or nobody."""

from typing import Any

from prectr.rank.reports.paired_table import paired_table, signed


def system(**figures: float) -> dict[str, Any]:
    return {"exposed": {"auc": 0.9, "logloss": 0.2, **figures}, "new_users": {"0": 0.8}}


def test_ahead_is_whose_interval_leaves_out_nothing_whichever_way_is_better() -> None:
    differences = {
        "exposed": {
            "auc": {"gap": 0.01, "ci95": [0.005, 0.02]},
            "logloss": {"gap": 0.01, "ci95": [0.005, 0.02]},
            "mrr": {"gap": 0.01, "ci95": [-0.005, 0.02]},
        },
        "new_users": {"0": {"gap": 0.01, "ci95": None}},
    }
    table = paired_table({**system(), "lightgbm": system(auc=0.89), "differences": differences})
    assert table is not None
    assert table.rows[0] == ["auc, pages as shown ↑", "+0.0100 [+0.0050, +0.0200]", "PRECTR", "0.9000", "0.8900"]
    assert [row[2] for row in table.rows] == ["PRECTR", "LightGBM", "nobody", "–"]
    assert table.rows[2][3:] == ["–", "–"], "a figure that is not there"
    assert table.rows[3][0] == "auc, new users, known pages: 0 ↑" and table.rows[3][1] == "+0.0100"


def test_figures_of_before_have_no_table() -> None:
    assert paired_table({**system(), "lightgbm": system()}) is None
    assert signed(None, None) == "–"
