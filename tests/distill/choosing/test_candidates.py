"""Several teachers on the same validation pairs: their figures, what the job would cost, and who is recommended."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from prectr.distill.__main__ import main as distill_main
from prectr.distill.choosing.candidates import TOGETHER, Candidate, ask_all, recommendation, show_candidates
from prectr.distill.choosing.likeness import LIKENESS
from prectr.distill.models.random_models import random_text_encoder
from prectr.distill.pairs import Pairs
from prectr.distill.sheet import Sheet
from prectr.distill.teachers.base import Judgement, Pair
from prectr.shared.errors import PrectrError
from tests.distill.teachers.endpoint_server import EndpointServer

WORDS = ["red", "blue", "lamp", "milk"]
ROWS = [(q, f"{a} {b}", int(q == a) + int(q in (a, b))) for q in WORDS for a in WORDS for b in WORDS]
QUERY, TEXT, LEVEL = (np.array(part, dtype=object) for part in zip(*ROWS, strict=True))
SHEET = Sheet.draw(*[Pairs(QUERY, TEXT, LEVEL.astype(np.int64))] * 2, 64, 0)


class Judge:
    """Says what gold says, `sign` times."""

    fingerprint = "judge"

    def __init__(self, sign: float, seconds: float = 0.0) -> None:
        self.sign, self.seconds = sign, seconds

    def padded_length(self, pair: Pair) -> int:
        return 4

    def score(self, pairs: Sequence[Pair]) -> Judgement:
        time.sleep(self.seconds)
        known = np.array([int(q == t.split()[0]) + int(q in t.split()) for q, t in pairs])
        return Judgement((self.sign * known[:, None] * np.arange(3)).astype(np.float32))


class Paid(Judge):
    """Counts three tokens a pair."""

    def tokens(self, pair: Pair) -> int:
        return 3


def test_all_are_asked_the_same_and_reckoned_together() -> None:
    found = ask_all({"good": Judge(3), "bad": Paid(-1, 0.05)}, SHEET, {"bad": 2.0}, 5000)
    good, bad, together = found
    assert [one.name for one in found] == ["good", "bad", TOGETHER]
    assert good.figures["within_query_spearman"] == pytest.approx(1.0)
    assert bad.figures["within_query_spearman"] == pytest.approx(-1.0)
    assert good.cost == 0.0 and bad.cost == pytest.approx(6e-6) and together.cost == pytest.approx(6e-6)
    assert bad.seconds >= 0.05 / len(SHEET.asked) and together.seconds == pytest.approx(good.seconds + bad.seconds)
    assert together.figures["order"] == good.figures["order"]  # (3 - 1) / 2 of it is in the right order


def test_one_alone_is_no_ensemble_and_what_is_not_told_costs_nobody_knows_what() -> None:
    [only] = ask_all({"a": Judge(1)}, SHEET, {"a": 2.0}, 5000)
    assert only.cost is None
    _, _, together = ask_all({"a": Judge(1), "b": Paid(1)}, SHEET, {"a": 2.0}, 5000)
    assert together.cost is None


def candidate(name: str, order: float | None, seconds: float = 0.01, price: float = 0.0) -> Candidate:
    figures = {"order": order, "within_query_spearman": 0.5, "auc_relevant_random": 0.75, "qwk": 0.25}
    return Candidate(name, figures, seconds, 50.0, price)


def test_the_best_is_recommended_and_of_equals_the_cheaper() -> None:
    dear, cheap = candidate("dear", 1.2, price=2.0), candidate("cheap", 1.2)
    line = recommendation([dear, cheap, candidate("poor", 0.9), candidate("mute", None)], 5000)
    assert line.startswith("Recommended: cheap,") and "0.500 and 0.750" in line and "5,000 pairs take 50 s" in line
    assert "cost" not in line
    assert recommendation([dear], 5000).endswith("and cost 0.50.")
    assert recommendation([candidate("mute", None)], 5).startswith("None of them could judge")


def test_the_table_tells_cost_only_where_something_costs(capsys: pytest.CaptureFixture[str]) -> None:
    show_candidates([candidate("a", 1.0), candidate("b", 1.0, price=2.0)], SHEET, 5000)
    assert "cost of" in (shown := capsys.readouterr().out) and "0.50" in shown and "100.0" in shown
    show_candidates([candidate("a", 1.0)], SHEET, 5000)
    assert "cost of" not in capsys.readouterr().out


def test_the_command_compares_what_can_judge_and_names_what_cannot(
    smoke_artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(smoke_artifacts, tmp_path, dirs_exist_ok=True)
    where = ["--profile", "smoke", "--artifacts", str(tmp_path), "--endpoint_model", "m", "--labeller_pairs", "40"]
    random_text_encoder(encoder := tmp_path / "encoder", ["red milk lamp", "blue shoes and bread"], seed=0)
    with EndpointServer() as server:
        where += ["--teacher", f"random,random-cross-encoder,{server.url}", "--endpoint_price", "2"]
        distill_main(["check-teacher", *where, "--init_from", str(encoder), "--labeller", "best"])
    shown = capsys.readouterr().out
    assert LIKENESS in shown, "they would label with the others"
    assert "teacher random-cross-encoder:" in shown and "learnt nothing of this" in shown
    assert TOGETHER in shown and "cost of 320 pairs" in shown and "On 40 validation pairs" in shown
    assert "Recommended: " in shown
    asked = {prompt.split("\n")[1] for prompt in server.prompts}
    assert len(server.prompts) == 50 and len(asked) > 10  # 40 graded and 10 random pairs


def test_without_validation_pairs_there_is_nothing_to_compare_by(
    smoke_artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(smoke_artifacts, tmp_path, dirs_exist_ok=True)
    where = ["--profile", "smoke", "--artifacts", str(tmp_path)]
    monkeypatch.setattr(Sheet, "__len__", lambda self: 0)
    with pytest.raises(PrectrError, match="no validation pairs with levels"):
        distill_main(["check-teacher", *where, "--teacher", "random,http://127.0.0.1:9/v1", "--endpoint_model", "m"])
