"""Who labels: the best on validation, opened again as it was compared, and said in one sentence."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax

from prectr.distill.choosing import choice
from prectr.distill.choosing import likeness as trees_of
from prectr.distill.choosing.choice import (
    COSINE,
    MAXSIM,
    TOGETHER,
    choose,
    chosen_in,
    open_labeller,
    sentence,
)
from prectr.distill.choosing.cosine import CosineTeacher
from prectr.distill.choosing.likeness import LIKENESS
from prectr.distill.config import TeacherArguments
from prectr.distill.models.random_models import random_causal_lm, random_text_encoder
from prectr.distill.models.sources import Source, find_teacher
from prectr.distill.pairs import Pairs
from prectr.distill.sheet import save_said
from prectr.distill.teachers.base import Judgement, Pair
from prectr.distill.teachers.panel import SAID, TAUGHT, Panel, sheet_of
from prectr.distill.teachers.prompt import Prompt
from prectr.shared.encoder.level_encoder import LevelEncoder
from tests.shared.encoder.tiny_encoder import tiny_encoder

PROMPT = Prompt("Search: ", "\nProduct: ", "\nMatch:", ("none", "weak", "exact"))
LEVELS = ("no", "maybe", "yes")
WORDS = ["red", "blue", "lamp", "milk"]
ROWS = [(q, f"{a} {b}", int(q == a) + int(q in (a, b))) for q in WORDS for a in WORDS for b in WORDS]
QUERY, TEXT, LEVEL = (np.array(part, dtype=object) for part in zip(*ROWS, strict=True))
GOLD = Pairs(QUERY, TEXT, LEVEL.astype(np.int64))


class Server:
    """An endpoint's stand-in: knows how relevant an item is, or the opposite."""

    fingerprint = "server"

    def __init__(self, good: bool) -> None:
        self.sign = 1 if good else -1

    def padded_length(self, pair: Pair) -> int:
        return 1

    def score(self, pairs: Sequence[Pair]) -> Judgement:
        level = dict(zip(zip(QUERY, TEXT, strict=True), LEVEL, strict=True))
        known = np.array([level.get(pair, 0) for pair in pairs])
        return Judgement((self.sign * 3.0 * known[:, None] * np.arange(3)).astype(np.float32))


class Alike(Server):
    """One number a pair: how much of the item the query is."""

    def __init__(self) -> None:
        super().__init__(good=True)

    def score(self, pairs: Sequence[Pair]) -> Judgement:
        return Judgement(np.array([[item.split().count(query)] for query, item in pairs], np.float32))


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("causal")
    random_causal_lm(folder, [*WORDS, "search product match none weak exact :"], seed=0)
    return find_teacher(str(folder))


@pytest.fixture
def start(tmp_path: Path) -> Any:
    return lambda work: tiny_encoder(tmp_path / "tiny", LEVELS, words=WORDS)


def panel_of(source: Source, **settings: Any) -> Panel:
    given = {"teacher_dtype": "float32", "labeller_pairs": 40, "teacher_calibration_pairs": 32}
    return Panel([source], [source.location], PROMPT, LEVELS, TeacherArguments(**given | settings), 4, WORDS)


def compared(
    panel: Panel, said: dict[str, int], start: Any, work: Path, likeness: str = ""
) -> tuple[dict[str, Any], Path]:
    """What `choose` finds if judges of these names say what gold says (1) or the opposite (-1)."""
    taught, chosen = work / "taught", work / "chosen"
    taught.mkdir()
    chosen.mkdir()
    sheet = sheet_of(panel, GOLD, GOLD, 0)
    save_said(taught / SAID, {name: Server(sign > 0).score(sheet.asked).log_odds for name, sign in said.items()})
    return choose(panel, taught, GOLD, GOLD, likeness, start, 0, chosen), chosen


def levels_of(score: np.ndarray) -> np.ndarray:
    """[n, 1] -> [n, 3] log-odds whose expected level orders pairs alike."""
    found: np.ndarray = score * np.arange(3)
    return found


def test_a_good_teacher_labels(causal: Source, start: Any, tmp_path: Path) -> None:
    figures, chosen = compared(panel_of(causal), {TAUGHT: 1, f"untaught {causal.name}": -1}, start, tmp_path)
    assert chosen_in(chosen) == TAUGHT and set(figures) == {TAUGHT, f"untaught {causal.name}", MAXSIM}
    assert [path.name for path in chosen.iterdir()] == ["choice.json"], "what did not win is not kept"
    line = sentence(figures, TAUGHT)
    assert line.startswith("the taught teacher labels: on validation") and f"{MAXSIM} " in line and "\n" not in line


def test_a_teacher_that_teaching_made_worse_is_not_used(causal: Source, start: Any, tmp_path: Path) -> None:
    panel = panel_of(causal)
    _, chosen = compared(panel, {TAUGHT: -1, f"untaught {causal.name}": 1}, start, tmp_path)
    assert chosen_in(chosen) == f"untaught {causal.name}"
    judge = open_labeller(panel, tmp_path / "taught", chosen, "")
    level_prob = judge.score(list(zip(QUERY, TEXT, strict=True))).level_prob
    # What it says is matched to the levels on gold.
    np.testing.assert_allclose(level_prob.mean(0), np.bincount(GOLD.level, minlength=3) / len(GOLD), atol=0.15)


def test_the_students_own_maxsim_labels_where_it_is_best(causal: Source, start: Any, tmp_path: Path) -> None:
    panel = panel_of(causal)
    figures, chosen = compared(panel, {TAUGHT: -1}, start, tmp_path)
    assert chosen_in(chosen) == MAXSIM and figures[MAXSIM]["order"] > figures[TAUGHT]["order"]
    judge = open_labeller(panel, tmp_path / "taught", chosen, "")
    said = judge.score(list(zip(QUERY[:8], TEXT[:8], strict=True)))
    assert said.log_odds.shape == (8, 3) and said.state is None
    encoder = LevelEncoder.from_pretrained(chosen / "maxsim")
    order = np.argsort(encoder.maxsim(QUERY[:8].tolist(), TEXT[:8].tolist()))
    expected = (said.level_prob @ np.arange(3))[order]
    assert (np.diff(expected) > -1e-4).all() or (np.diff(expected) < 1e-4).all()
    assert judge.fingerprint == open_labeller(panel, tmp_path / "taught", chosen, "").fingerprint


def test_trees_of_are_kept_where_they_win(
    causal: Source, start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees_of, "teach_similarity", lambda *_, work, **rest: (work / "trees-0.txt").write_text("x"))
    monkeypatch.setattr(trees_of, "SimilarityTeacher", lambda *_, **rest: Server(good=True))
    monkeypatch.setattr(choice, "CosineTeacher", lambda *_, **rest: Alike())
    # With a teacher that says the opposite they say nothing together.
    monkeypatch.setattr(choice, "fit_weights", lambda *_: [0.5, 0.5])
    _, chosen = compared(panel_of(causal), {TAUGHT: -1}, start, tmp_path, likeness="some encoder")
    assert chosen_in(chosen) == LIKENESS and (chosen / "likeness" / "trees-0.txt").is_file()


def test_trees_of_join_the_teacher(causal: Source, start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both know something: together they label, and what is opened says what was compared."""
    monkeypatch.setattr(trees_of, "teach_similarity", lambda *_, work, **rest: (work / "trees-0.txt").write_text("x"))
    monkeypatch.setattr(choice, "CosineTeacher", lambda *_, **rest: Alike())
    trees = Server(good=True)
    for module in (choice, trees_of):
        monkeypatch.setattr(module, "SimilarityTeacher", lambda *_, **rest: trees)
    monkeypatch.setattr(choice, "open_member", lambda *_: Server(good=True))
    panel = panel_of(causal)
    figures, chosen = compared(panel, {TAUGHT: 1, f"untaught {causal.name}": -1}, start, tmp_path, likeness="encoder")
    assert chosen_in(chosen) == TOGETHER and (chosen / "likeness" / "trees-0.txt").is_file()
    assert figures[TOGETHER]["order"] == pytest.approx(figures[TAUGHT]["order"])
    judge = open_labeller(panel, tmp_path / "taught", chosen, "encoder")
    weights = [each["weight"] for each in json.loads((chosen / "ensemble.json").read_text())]
    assert len(weights) == 2 and weights[0] == pytest.approx(weights[1])
    one = trees.score(list(zip(QUERY, TEXT, strict=True))).log_odds
    np.testing.assert_allclose(
        judge.score(list(zip(QUERY, TEXT, strict=True))).log_odds, log_softmax(sum(weights) * one, axis=1), atol=1e-5
    )


def test_an_ensemble_labels_unless_another_is_better_by_more_than_chance(
    causal: Source, start: Any, tmp_path: Path
) -> None:
    """Of 16 queries a member is better on one: luck. It is better on all: it labels."""
    queries = np.repeat([f"query {number}" for number in range(16)], 3).astype(object)
    gold = Pairs(queries, np.array([f"text {row}" for row in range(48)], object), np.tile([0, 1, 2], 16))
    other = replace(causal, name="other")
    panel = replace(panel_of(causal, labeller_pairs=48), sources=[causal, other], locations=[causal.location] * 2)
    sheet = sheet_of(panel, gold, gold, 0)
    right = np.concatenate([sheet.graded.level, np.full(len(sheet.random), -1)])[:, None].astype(np.float32)
    once_wrong, often_wrong = right.copy(), -right
    once_wrong[:3] = -right[:3]
    for ensemble, labels in ((once_wrong, TAUGHT), (often_wrong, "taught other")):
        taught, chosen = tmp_path / f"taught {labels}", tmp_path / f"chosen {labels}"
        taught.mkdir()
        chosen.mkdir()
        save_said(taught / SAID, {TAUGHT: levels_of(ensemble), "taught other": levels_of(right)})
        choose(panel, taught, gold, gold, "", lambda work: tiny_encoder(tmp_path / "tiny", LEVELS), 0, chosen)
        assert chosen_in(chosen) == labels


def test_a_bare_cosine_labels_where_it_is_best_and_says_levels(
    causal: Source, start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees_of, "teach_similarity", lambda *_, **rest: None)
    monkeypatch.setattr(trees_of, "SimilarityTeacher", lambda *_, **rest: Server(good=False))
    monkeypatch.setattr(choice, "CosineTeacher", lambda *_, **rest: Alike())
    panel = panel_of(causal)
    figures, chosen = compared(panel, {TAUGHT: -1}, start, tmp_path, likeness="some encoder")
    assert chosen_in(chosen) == COSINE and figures[COSINE]["qwk"] > 0.5 and figures[MAXSIM]["qwk"] is not None
    judge = open_labeller(panel, tmp_path / "taught", chosen, "some encoder")
    assert judge.score([("red", "red red"), ("red", "milk milk")]).level_prob.argmax(1).tolist() == [2, 0]


def test_a_cosine_is_that_of_the_encoders_vectors(tmp_path: Path) -> None:
    random_text_encoder(tmp_path / "encoder", [*WORDS, "green"], seed=0)
    judge = CosineTeacher(str(tmp_path / "encoder"), bf16=False)
    said = judge.score([("red", "red"), ("red", "blue lamp"), ("milk", "milk")]).log_odds
    assert said.shape == (3, 1) and said[0, 0] == pytest.approx(1) == said[2, 0] and said[1, 0] < 0.999
    assert judge.score([]).log_odds.shape == (0, 1)


@pytest.mark.parametrize("settings", [{"labeller": "teacher"}, {"teacher_pairs": 0}])
def test_asked_to_keep_the_teacher_nothing_is_compared(
    causal: Source, start: Any, tmp_path: Path, settings: dict[str, Any]
) -> None:
    figures, chosen = compared(panel_of(causal, **settings), {TAUGHT: -1}, start, tmp_path)
    kept = settings.get("labeller") == "teacher"
    assert (chosen_in(chosen) == TAUGHT) == kept and bool(figures) != kept
    assert json.loads((chosen / "choice.json").read_text()) == {"labeller": chosen_in(chosen)}
