"""An encoder beside what people would otherwise take: figures by hand, and what a query costs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.encoder.beside import (
    CANDIDATES,
    MEASURES,
    SYSTEMS,
    Judge,
    bm25,
    milliseconds,
    of_bm25,
    of_encoder,
    of_maxsim,
    of_tfidf,
    paired,
    show,
    versus_student,
)
from benchmarks.encoder.cells import RESULTS
from prectr.distill.pairs import Pairs
from tests.shared.encoder.tiny_encoder import tiny_encoder

TEST = Pairs(
    np.array(["milk"] * 3 + ["lamp"] * 3 + ["bread"] * 2, object),
    np.array([f"item {number}" for number in range(8)], object),
    np.array([0, 1, 2, 0, 1, 2, 1, 1]),
)


def test_a_difference_is_of_queries_with_two_levels() -> None:
    right, half = np.array([0.0, 1, 2, 0, 1, 2, 0, 1]), np.array([2.0, 1, 0, 0, 1, 2, 0, 1])
    found = versus_student(TEST, {"student": [right], "tfidf": [half]})
    # milk: 1 against -1, lamp: 1 against 1; bread has one level and says nothing.
    assert found["tfidf"]["within_query_spearman"]["mean"] == pytest.approx(1.0)
    assert found["tfidf"]["within_query_ndcg"]["mean"] > 0
    assert set(found) == {"tfidf"}


def test_seeds_are_averaged_before_queries_are_drawn() -> None:
    right, wrong = np.array([0.0, 1, 2, 0, 1, 2, 0, 1]), np.array([2.0, 1, 0, 2, 1, 0, 0, 1])
    found = versus_student(TEST, {"student": [right, wrong], "tfidf": [wrong]})
    assert found["tfidf"]["within_query_spearman"]["mean"] == pytest.approx(1.0)  # (1 + -1) / 2 against -1


def test_an_interval_holds_the_mean_and_is_the_same_again() -> None:
    differences = np.random.default_rng(1).normal(0.1, 0.05, 60)
    found = paired(differences)
    low, high = found["ci95"]
    assert low < found["mean"] < high and found["mean"] == pytest.approx(differences.mean())
    assert high - low == pytest.approx(4 * 0.05 / 60**0.5, rel=0.25)
    assert paired(differences) == found


def test_bm25_knows_rare_words_and_no_others() -> None:
    pytest.importorskip("bm25s", reason="extra `bench`")
    texts = ["red lamp", "blue lamp", "green lamp shade"]
    pairs = Pairs(
        np.array(["red lamp"] * 3 + ["milk"], object), np.array([*texts, "red lamp"], object), np.zeros(4, int)
    )
    red, blue, green, unknown = bm25(texts)(pairs)
    assert red > blue > 0 and green > 0 and unknown == 0


ITEMS = ["red lamp", "blue lamp", "bread", "a cheap bread"]
OF_BREAD = Pairs(np.array(["bread"] * 4, object), np.array(ITEMS, object), np.zeros(4, int))


def test_what_is_kept_of_items_says_the_same(tmp_path: Path) -> None:
    judge = of_encoder(tiny_encoder(tmp_path))
    assert judge.of_stored is not None
    level_prob = judge.of_stored(ITEMS)("bread").numpy()
    np.testing.assert_allclose(level_prob @ np.arange(level_prob.shape[1]), judge.score(OF_BREAD), atol=1e-5)


@pytest.mark.parametrize("name", ["tfidf", "bm25", "maxsim"])
def test_so_does_what_is_kept_for_judges_that_nothing_was_taught(name: str, tmp_path: Path) -> None:
    if name == "bm25":
        pytest.importorskip("bm25s", reason="extra `bench`")
    made = {"tfidf": lambda: of_tfidf(ITEMS), "bm25": lambda: of_bm25(ITEMS)}
    judge = made.get(name, lambda: of_maxsim(tiny_encoder(tmp_path).eval()))()
    assert judge.of_stored is not None
    found, expected = np.asarray(judge.of_stored(ITEMS)("bread")).ravel(), judge.score(OF_BREAD)
    # MaxSim's mean over the query's tokens is the same order as their sum.
    np.testing.assert_allclose(found / found.max(), expected / expected.max(), atol=1e-5)


@pytest.mark.parametrize("name", ["homedepot", "chorus", "journey"])
def test_the_files_of_record_have_every_measure_of_every_system(name: str) -> None:
    result = json.loads((RESULTS / f"encoder_{name}.json").read_text(encoding="utf-8"))
    assert result["data"] == name and set(result["systems"]) == set(SYSTEMS)
    for system, figures in result["systems"].items():
        assert set(MEASURES) <= set(figures), system
        assert None not in figures["ms_50_cold"] + figures["within_query_spearman"] + figures["auc_random"], system
    assert set(result["versus"]) == set(SYSTEMS) - {"student"}


def test_a_query_is_clocked_with_fifty_candidates() -> None:
    asked: list[int] = []

    def score(pairs: Pairs) -> np.ndarray:
        asked.append(len(pairs))
        return np.zeros(len(pairs))

    found = milliseconds(Judge(score), np.array(["milk"], object), ["bread", "lamp"])
    assert set(asked) == {CANDIDATES} and found["ms_50_cold"][0] is not None and found["ms_50_stored"] == [None]


def test_a_system_is_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    figures: dict[str, Any] = {measure: [0.25, 0.75] for measure in MEASURES} | {"ms_50_stored": [None]}
    show({"data": "toy", "systems": {"bm25": figures}})
    row = next(line for line in capsys.readouterr().out.splitlines() if "bm25" in line)
    assert row.count("0.500") == len(MEASURES) - 1 and "–" in row
