"""Teachers of every kind, alone and together, are taught, opened again and asked in one way."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from prectr.data.__main__ import main as data_main
from prectr.distill.__main__ import main as distill_main
from prectr.distill.config import TeacherArguments
from prectr.distill.labelling.job import read_labels
from prectr.distill.models.convert import convert_teacher
from prectr.distill.models.random_models import random_causal_lm, random_text_encoder
from prectr.distill.models.sources import Source, find_teacher
from prectr.distill.pairs import Pairs
from prectr.distill.sheet import read_said
from prectr.distill.teachers import panel as teachers
from prectr.distill.teachers.base import Judgement, Pair, Teacher
from prectr.distill.teachers.causal import CausalTeacher
from prectr.distill.teachers.cross_encoder import CrossEncoderTeacher
from prectr.distill.teachers.lora import finetune
from prectr.distill.teachers.panel import TAUGHT, Panel, ask, learnt, open_teacher, sheet_of, teach
from prectr.distill.teachers.prompt import Prompt
from prectr.shared.errors import PrectrError

PROMPT = Prompt("Search: ", "\nProduct: ", "\nMatch:", ("none", "weak", "exact"))
LEVELS = ("no", "maybe", "yes")
WORDS = "search product match none weak exact : milk soda red lamp cheap table"
ROWS = [("milk", "milk", 2), ("milk", "lamp", 0), ("lamp", "milk red", 2), ("red", "lamp table", 0)] * 6
QUERY, TEXT, LEVEL = (np.array(part, dtype=object) for part in zip(*ROWS, strict=True))
GOLD = Pairs(QUERY, TEXT, LEVEL.astype(np.int64))
PAIRS = list(zip(QUERY[:4], TEXT[:4], strict=True))
ARGUMENTS: dict[str, Any] = {
    **{"teacher_pairs": 12, "teacher_validation_pairs": 8, "teacher_calibration_pairs": 24, "teacher_dtype": "float32"},
    **{"labeller_pairs": 8},
    **{"teacher_batch_size": 4, "teacher_learning_rate": 1e-2, "lora_rank": 2, "cross_encoder_epochs": 1.0},
}
ADDRESS = Source("endpoint", "server", "http://localhost:9/v1", {"endpoint": "http://localhost:9/v1"}, "endpoint")


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("causal")
    random_causal_lm(folder, [WORDS], seed=0)
    return find_teacher(str(folder))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("encoder")
    random_text_encoder(folder, [WORDS], seed=0)
    return find_teacher(str(folder))


@pytest.fixture(scope="module")
def ranking_model(tmp_path_factory: pytest.TempPathFactory, encoder: Source) -> Source:
    """One output, as rerankers have."""
    folder = tmp_path_factory.mktemp("ranking")
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(encoder.location, num_labels=1)
    torch.nn.init.normal_(model.classifier.weight)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(encoder.location).save_pretrained(folder)
    return find_teacher(str(folder))


def panel(*sources: Source, **settings: Any) -> Panel:
    arguments = TeacherArguments(**ARGUMENTS | settings)
    return Panel(sources, [source.location for source in sources], PROMPT, LEVELS, arguments, 4)


def taught(judges: Panel, work: Path) -> Teacher:
    teach(judges, GOLD, GOLD, 0, work)
    return open_teacher(judges, work, "taught")


def causal_teacher(source: Source, **changes: Any) -> CausalTeacher:
    settings = {"query_tokens": 16, "item_tokens": 32, "dtype": "float32", "batch_size": 4, **changes}
    return CausalTeacher(source.location, PROMPT, **settings)


def test_a_single_causal_teacher_is_what_lora_makes_of_it(causal: Source, tmp_path: Path) -> None:
    judges = panel(causal)
    found = taught(judges, tmp_path / "panel").score(PAIRS)
    alone, sample = causal_teacher(causal), GOLD.sample(12, 0, "teacher")
    finetune(alone, sample, GOLD.sample(8, 0, "teacher", "validation"), judges.arguments, 0, tmp_path / "alone")
    np.testing.assert_allclose(found.log_odds, alone.score(PAIRS).log_odds, atol=1e-5)
    assert (tmp_path / "panel" / "adapter_config.json").is_file()


def test_an_adapter_that_is_given_is_used_as_it_is(causal: Source, tmp_path: Path) -> None:
    judges = panel(causal)
    first = taught(judges, tmp_path / "first").score(PAIRS)
    judges = panel(causal, teacher_adapter=str(tmp_path / "first"), teacher_pairs=0)
    (tmp_path / "second").mkdir()
    np.testing.assert_array_equal(taught(judges, tmp_path / "second").score(PAIRS).log_odds, first.log_odds)


def test_without_gold_a_teacher_stays_as_it_comes(causal: Source, tmp_path: Path) -> None:
    judges = panel(causal, teacher_pairs=0, teacher_calibration_pairs=0)
    bare = causal_teacher(causal).score(PAIRS).log_odds
    np.testing.assert_array_equal(taught(judges, tmp_path).score(PAIRS).log_odds, bare)
    np.testing.assert_array_equal(open_teacher(judges, None, "").score(PAIRS).log_odds, bare)
    assert [path.name for path in tmp_path.iterdir()] == ["said.npz"], "nothing was learnt"


@pytest.mark.parametrize("name", ["causal", "ranking_model"])
def test_without_fine_tuning_a_teacher_is_calibrated(request: pytest.FixtureRequest, name: str, tmp_path: Path) -> None:
    source = request.getfixturevalue(name)
    teacher = taught(panel(source, teacher_pairs=0), tmp_path)
    _, judgement = ask(teacher, GOLD)
    np.testing.assert_allclose(judgement.level_prob.mean(0), [0.5, 0, 0.5], atol=0.02)
    assert judgement.state is None and teacher.score(PAIRS).state is not None


def test_a_cross_encoder_that_knows_nothing_of_the_levels_is_not_opened(ranking_model: Source, encoder: Source) -> None:
    for source in (ranking_model, encoder):
        with pytest.raises(PrectrError, match="for 3 levels and has learnt nothing of this data yet"):
            open_teacher(panel(source), None, "")


class Server:
    """An endpoint that knows the answer but puts it too strongly, and fails on one query."""

    fingerprint = "server"

    def padded_length(self, pair: Pair) -> int:
        return 1

    def score(self, pairs: Sequence[Pair]) -> Judgement:
        is_good = np.array(["milk" in text for _, text in pairs])
        log_odds = np.where(is_good[:, None], [-90.0, -50, 0], [0, -50, -90]).astype(np.float32)
        log_odds[[query == "red" for query, _ in pairs]] = np.nan
        return Judgement(log_odds, censored=np.zeros(log_odds.shape, bool))


def test_an_endpoint_is_only_calibrated_and_asked_no_more_than_need_be(tmp_path: Path) -> None:
    with patch.object(teachers, "open_endpoint", return_value=Server()) as opened:
        teacher = taught(panel(ADDRESS), tmp_path)
        pairs, judgement = ask(teacher, GOLD)
        assert len(pairs) == len(judgement.log_odds) == 18
        assert np.isnan(teacher.score([("red", "lamp")]).log_odds).all()
        before = opened.call_count
        teach(panel(ADDRESS), GOLD, GOLD, 0, tmp_path)
        assert opened.call_count == before


def test_an_ensemble_resumes_at_the_member_it_was_killed_in(causal: Source, encoder: Source, tmp_path: Path) -> None:
    judges = panel(causal, encoder)
    with (
        patch.object(teachers, "finetune_cross_encoder", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        teach(judges, GOLD, GOLD, 0, tmp_path)
    assert (tmp_path / causal.name / "adapter_config.json").is_file() and not (tmp_path / encoder.name).exists()
    with patch.object(teachers, "finetune", side_effect=AssertionError("taught twice")):
        teacher = taught(judges, tmp_path)
    weights = {entry["teacher"]: entry["weight"] for entry in json.loads((tmp_path / "ensemble.json").read_text())}
    assert set(weights) == {causal.name, encoder.name} and min(weights.values()) >= 0 < max(weights.values())
    members = [
        causal_teacher(causal, adapter=tmp_path / causal.name).score(PAIRS).log_odds,
        CrossEncoderTeacher(str(tmp_path / encoder.name)).score(PAIRS).log_odds,
    ]
    summed = sum(weight * found for weight, found in zip(weights.values(), members, strict=True))
    summed -= np.logaddexp.reduce(summed, axis=1, keepdims=True)
    np.testing.assert_allclose(teacher.score(PAIRS).log_odds, summed, atol=1e-5)
    assert not list(tmp_path.rglob("checkpoints"))


def test_only_what_decides_a_judgement_has_it_taught_again(causal: Source, encoder: Source) -> None:
    plain = panel(causal).inputs
    assert panel(causal, endpoint_price=3.0, cross_encoder_epochs=9.0).inputs == plain
    assert panel(causal, lora_rank=3).inputs != plain
    assert panel(causal, encoder).inputs != plain
    assert panel(ADDRESS, endpoint_concurrency=3, lora_rank=3).inputs == panel(ADDRESS).inputs
    assert panel(ADDRESS, endpoint_model="x").inputs != panel(ADDRESS).inputs


@pytest.mark.parametrize(
    "settings", [{"teacher_pairs": 0}, {"teacher_pairs": 12}, {"teacher_pairs": 0, "teacher_calibration_pairs": 0}]
)
def test_the_fingerprint_is_of_what_was_learnt(causal: Source, tmp_path: Path, settings: dict[str, int]) -> None:
    def fingerprint(name: str, **changes: int) -> str:
        judges, work = panel(causal, **{**settings, **changes}), tmp_path / name
        work.mkdir()
        teach(judges, GOLD, GOLD, 0, work)
        (work / "metrics.json").write_text(json.dumps({"judged in": name}))
        return open_teacher(judges, work, learnt(work)).fingerprint

    first = fingerprint("first")
    assert fingerprint("examined otherwise", teacher_test_pairs=7) == first
    other = {"teacher_pairs": 8} if settings["teacher_pairs"] else {"teacher_calibration_pairs": 11}
    assert fingerprint("taught otherwise", **other) != first


def test_equal_adapters_are_equal_files(causal: Source, tmp_path: Path) -> None:
    taught(panel(causal), tmp_path)
    targets = json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"]
    assert len(targets) > 2 and targets == sorted(targets)


def test_random_teachers_of_two_seeds_are_two_teachers(tmp_path: Path) -> None:
    source, found = find_teacher("random"), []
    for seed in (0, 0, 1):
        location, _ = convert_teacher(source, tmp_path, [WORDS], seed)
        judges = Panel([source], [location], PROMPT, LEVELS, TeacherArguments(**ARGUMENTS), 4)
        found.append(open_teacher(judges, None, "").fingerprint)
    assert found[0] == found[1] != found[2]


@pytest.mark.slow
def test_labels_are_found_again_when_only_the_examination_changed(tmp_path: Path) -> None:
    where = ["--profile", "smoke", "--artifacts", str(tmp_path)]
    data_main(["build", *where])
    distill_main(["label", *where])
    shop = tmp_path / "toy"
    shards, metrics = sorted(shop.rglob("shards/*.parquet")), (shop / "teacher" / "metrics.json").read_text()
    labels = (shop / "labels" / "labels.parquet").read_bytes()
    distill_main(["label", *where, "--teacher_test_pairs", "30"])
    assert (shop / "teacher" / "metrics.json").read_text() != metrics, "the teacher was not examined again"
    assert sorted(shop.rglob("shards/*.parquet")) == shards, "pairs were asked again"
    assert (shop / "labels" / "labels.parquet").read_bytes() == labels


@pytest.mark.slow
def test_two_families_and_both_together_behind_the_same_command(tmp_path: Path) -> None:
    where = ["--profile", "smoke", "--artifacts", str(tmp_path)]
    data_main(["build", *where])
    log_odds = {}
    for teacher in ("random", "random-cross-encoder", "random,random-cross-encoder"):
        distill_main(["run", *where, "--teacher", teacher])
        metrics = json.loads((tmp_path / "toy" / "encoder" / "metrics.json").read_text())
        assert metrics["teacher_source"] == teacher
        assert {"auc", "spearman"} <= set(metrics["teacher"]["test"])
        pairs, judgement = read_labels(tmp_path / "toy" / "labels")
        assert judgement.state is not None
        rows = np.argsort(pairs.keys())
        log_odds[teacher] = judgement.log_odds[rows]
        np.testing.assert_allclose(judgement.level_prob.sum(1), 1, atol=1e-5)
    folder = tmp_path / "toy" / "teacher"
    weights = [entry["weight"] for entry in json.loads((folder / "ensemble.json").read_text())]
    alone = [log_odds["random"], log_odds["random-cross-encoder"]]
    summed = sum(weight * found for weight, found in zip(weights, alone, strict=True))
    summed -= np.logaddexp.reduce(summed, axis=1, keepdims=True)
    np.testing.assert_allclose(log_odds["random,random-cross-encoder"], summed, atol=1e-4)


def test_what_all_judges_say_of_validation_is_kept_taught_and_untaught(
    causal: Source, ranking_model: Source, encoder: Source, tmp_path: Path
) -> None:
    judges = panel(causal, ranking_model, encoder)
    taught(judges, tmp_path)
    said, sheet = read_said(tmp_path / "said.npz"), sheet_of(judges, GOLD, GOLD, 0)
    names = [causal.name, ranking_model.name, encoder.name]
    untaught = [f"untaught {name}" for name in names[:2]]  # the last had no output of its own
    assert list(said) == [TAUGHT, *(f"taught {name}" for name in names), *untaught]
    np.testing.assert_allclose(said[TAUGHT], open_teacher(judges, tmp_path, "").score(sheet.asked).log_odds, atol=1e-5)
    assert said[f"untaught {ranking_model.name}"].shape[1] == 1
    assert not np.allclose(said[f"untaught {causal.name}"], said[f"taught {causal.name}"])


def test_unrelated_pairs_are_taught_within_the_budget(encoder: Source, tmp_path: Path) -> None:
    unrelated = Pairs(np.full(9, "table", object), np.full(9, "soda", object), np.zeros(9, np.int64))
    judges = replace(panel(encoder), unrelated=lambda: unrelated)
    with patch.object(teachers, "finetune_cross_encoder") as finetuned:
        teachers._teach_member(judges, 0, GOLD, GOLD, 0, tmp_path)
    learnt_from = finetuned.call_args.args[2]
    assert len(learnt_from) == 12 and (learnt_from.query == "table").sum() == 3
    assert finetuned.call_args.kwargs["order_weight"] == judges.arguments.cross_encoder_order_weight > 0
    few = replace(judges, sources=[replace(encoder, role="causal")], arguments=replace(judges.arguments, lora_pairs=4))
    with patch.object(teachers, "finetune") as finetuned, patch.object(teachers, "_open_causal"):
        teachers._teach_member(few, 0, GOLD, GOLD, 0, tmp_path)
    assert len(finetuned.call_args.args[1]) == 4, "a language model has a budget of its own"
