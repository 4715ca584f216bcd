"""What the report says of places: a bend is recommended to be learnt, a place that explains nothing is not."""

from typing import Any

from prectr.rank.reports.position import position_figure


def metrics(**position: Any) -> dict[str, Any]:
    found = {"place": [1, 2], "shown": [5, 5], "ctr": [0.4, 0.1], "predicted": [0.3, 0.2], "bend": 0.5}
    return {"position": {**found, "ci95": [0.3, 0.7], "recommended": True, **position}, "position_gain": 0.02}


def findings(learnt: bool = False, **position: Any) -> str:
    figure = position_figure(metrics(**position), learnt)
    assert figure is not None
    return " ".join(figure.findings)


def test_a_bend_is_recommended_to_be_learnt_and_is_no_leak() -> None:
    said = findings()
    assert "position_debias: true" in said and "no leak" in said and "+0.5000 [+0.3000, +0.7000]" in said
    assert "Position gain +0.0200" in said


def test_what_is_explained_learnt_or_unknown_is_not_recommended() -> None:
    assert "not needed" in findings(recommended=False, ci95=[-0.1, 0.1])
    assert "Too few users" in findings(recommended=False, ci95=None)
    assert "is on" in findings(learnt=True)
    for said in (findings(recommended=False, ci95=[-0.1, 0.1]), findings(learnt=True)):
        assert "Recommended" not in said


def test_older_figures_have_none() -> None:
    assert position_figure({"position_gain": 0.1}, False) is None
    assert position_figure({"position": None}, False) is None
