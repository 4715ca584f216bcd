"""The figure of importance: the largest loss first, undefined ones as dashes."""

from prectr.rank.reports.importance import importance_figure


def test_parts_stand_in_the_order_of_their_loss_with_where_they_were_dealt() -> None:
    def part(loss: float | None) -> dict[str, object]:
        found = {"loss": loss, "ci95": None if loss is None else [loss - 0.01, loss + 0.01]}
        return {"dealt": "across pages", "auc": found, "gauc_page": found}

    parts = {"small": part(0.02), "none": part(None), "large": part(0.3)}
    figure = importance_figure({"importance": {"pages": 5, "impressions": 60, "parts": parts}})
    assert figure is not None and [row[0] for row in figure.table.rows] == ["large", "small", "none"]
    assert figure.table.rows[0][1:3] == ["across pages", "+0.3000 [+0.2900, +0.3100]"]
    assert figure.table.rows[2][2] == "–" and "5 test pages, 60 impressions" in figure.findings[0]
    assert len(figure.charts) == 2


def test_older_figures_have_none() -> None:
    assert importance_figure({}) is None
