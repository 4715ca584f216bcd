"""README's first table: its words follow from the figures, and both documents hold what the result files say."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.ranker.markdown import encoder_table, read_result, rivals_table
from benchmarks.ranker.summary import QUESTIONS, main, sentence, summary_table
from prectr.shared.errors import PrectrError

ROOT = Path(__file__).parents[3]
FILES = [ROOT / "benchmarks" / "results" / f"ranker_{name}.json" for name in ("journey", "listings")]


def gain(ours: float, theirs: float, ci95: list[float] | None) -> dict[str, Any]:
    return {"over": "xgboost", "ours": ours, "theirs": theirs, "mean": ours - theirs, "ci95": ci95}


@pytest.mark.parametrize(
    ("measure", "difference", "said"),
    [
        ("exposed.auc", gain(0.92, 0.91, [0.005, 0.015]), "prectr is better, by 1.1 %: more than chance explains."),
        ("exposed.auc", gain(0.91, 0.92, [-0.015, -0.005]), "XGBoost is better, by 1.1 %: more than chance explains."),
        ("exposed.auc", gain(0.91, 0.92, [-0.02, 0.001]), "As good as XGBoost: the difference is within chance."),
        ("exposed.auc", gain(0.92, 0.91, None), "As good as XGBoost: the difference is within chance."),
        ("open.excess_low@10", gain(0.1, 0.2, [-0.2, -0.1]), "prectr is better, by 50.0 %: more than chance explains."),
        ("exposed.pcoc", gain(1.021, 0.996, [0.02, 0.03]), "Off by 2.1 %; XGBoost by 0.4 %."),
    ],
)
def test_a_sentence_says_who_is_better_and_whether_chance_explains_it(
    measure: str, difference: dict[str, Any], said: str
) -> None:
    assert sentence(measure, difference) == said


def test_a_row_per_question() -> None:
    gains = {question.measure: gain(0.91, 0.92, None) for question in QUESTIONS}
    table = summary_table({"journey": {"gains": gains}, "listings": {"gains": gains}})
    assert len(table) == 2 + len(QUESTIONS)
    assert table[2].startswith("| Which of the items shown is clicked? AUC | .9100 | .9200 | As good as")


def test_both_data_sets_are_asked_for() -> None:
    with pytest.raises(PrectrError, match=r"name benchmarks/results/ranker_listings\.json"):
        main([str(FILES[0])])


def test_the_documents_hold_what_the_result_files_say() -> None:
    results = {path.stem.removeprefix("ranker_"): read_result(path) for path in FILES}
    assert "\n".join(summary_table(results)) in (ROOT / "README.md").read_text(encoding="utf-8")
    full = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    for table in (*(rivals_table(name, result) for name, result in results.items()), encoder_table(results)):
        assert "\n".join(table) in full
