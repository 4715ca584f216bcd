"""The labelling benchmark on a random teacher: its figures belong together, and what would spoil them is refused."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch

from benchmarks.labelling import throughput as labelling
from benchmarks.labelling.throughput import PlainTeacher, choose_shards, main, matmul_peak, parameters_per_token
from prectr.data.contract import write_table
from prectr.distill.models.random_models import random_causal_lm
from prectr.distill.pairs import Pairs
from prectr.distill.teachers.causal import CausalTeacher
from prectr.distill.teachers.prompt import Prompt
from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import run_step

WORDS = [
    "search",
    "product",
    "match",
    "none",
    "weak",
    "close",
    "exact",
    "milk",
    "soda",
    "red",
    "lamp",
    "table",
    ":",
    ".",
]
PROMPT = Prompt("Search: ", "\nProduct: ", "\nMatch:", ("none", "weak", "close", "exact"))
PAIRS = [(query, f"{query} {item} {'cheap ' * (row % 5)}") for query in WORDS for row, item in enumerate(WORDS)]


def write_data(folder: Path) -> None:
    query, text = zip(*PAIRS, strict=True)
    ids = [f"i{row}" for row in range(len(PAIRS))]
    write_table(folder, "items", {"item_id": ids, "text": text, "category": ["any"] * len(ids)})
    columns: dict[str, Any] = {"query": query, "item_id": ids, "item_text": [None] * len(ids)}
    gold = [0, 1, 2, 3]
    columns |= {"level": [*gold, *[None] * (len(ids) - 4)], "split": ["train"] * 4 + ["unlabelled"] * (len(ids) - 4)}
    write_table(folder, "pairs", columns, level_names=["none", "weak", "close", "exact"])


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("home")
    run_step("data", home / "artifacts" / "toy" / "data", {}, write_data)
    where = ["--artifacts", str(home / "artifacts"), "--name", "toy", "--results", str(home / "results")]
    with patch.object(labelling, "SHARD_SIZE", 40), patch.object(matmul_peak, "__defaults__", (64, 2)):
        main([*where, "--teacher", "random", "--dtype", "float32", "--job", "160", "--pairs", "120"])
    found: dict[str, Any] = json.loads((home / "results" / "labelling.json").read_text(encoding="utf-8"))
    return found


def test_the_result_says_how_it_came_to_be(result: dict[str, Any]) -> None:
    assert result["command"].startswith("python -m benchmarks.labelling.throughput --artifacts")
    assert {"commit", "date", "machine", "data", "teacher", "dtype", "threads"} <= set(result)
    assert result["pairs"] == 120 and result["queries"] < 20


def test_its_figures_belong_together(result: dict[str, Any]) -> None:
    assert result["ratio"] == pytest.approx(result["pairs_per_s"] / result["plain_pairs_per_s"])
    assert len(result["ratio_of_shards"]) == 3
    assert min(result["ratio_of_shards"]) <= result["ratio"] <= max(result["ratio_of_shards"])
    assert result["peak_share"] == pytest.approx(result["gflops"] / result["peak_gflops"])
    flops = 2e-9 * result["parameters_per_token"] * result["tokens_per_pair"] * result["pairs_per_s"]
    assert result["gflops"] == pytest.approx(flops)
    assert 0 <= result["padded_share"] < 1 and result["tokens_per_pair"] < result["prompt_tokens_per_pair"]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> CausalTeacher:
    folder = tmp_path_factory.mktemp("teacher")
    random_causal_lm(folder, [" ".join(WORDS)], seed=0)
    return CausalTeacher(str(folder), PROMPT, query_tokens=8, item_tokens=16, dtype="float32")


def test_the_plain_way_says_what_the_teacher_says(teacher: CausalTeacher) -> None:
    np.testing.assert_allclose(PlainTeacher(teacher).score(PAIRS[:50]), teacher.score(PAIRS[:50]).log_odds, atol=1e-4)


def test_two_ways_that_disagree_are_no_result(teacher: CausalTeacher) -> None:
    wrong = np.zeros((len(PAIRS), 4), np.float32)
    with (
        patch.object(PlainTeacher, "score", lambda self, pairs: wrong[: len(pairs)]),
        patch.object(matmul_peak, "__defaults__", (64, 2)),
        pytest.raises(PrectrError, match="the two ways differ by"),
    ):
        labelling.measure(teacher, [PAIRS[:40]])


def test_shards_hold_the_pairs_of_a_query_together(teacher: CausalTeacher) -> None:
    query, text = (np.array(part, dtype=object) for part in zip(*PAIRS, strict=True))
    job = Pairs(query, text, np.full(len(PAIRS), -1))
    with patch.object(labelling, "SHARD_SIZE", 28):
        shards = choose_shards(teacher, job, 84)
    assert [len(shard) for shard in shards] == [28] * 3
    assert len({pair for shard in shards for pair in shard}) == 84
    assert all(len({query for query, _ in shard}) <= 3 for shard in shards)


def test_parameters_are_those_every_token_meets(teacher: CausalTeacher) -> None:
    # Two layers: q and o of 64 x 64, k and v of 64 x 32, three of 64 x 128.
    assert parameters_per_token(teacher) == 2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128)


def test_the_peak_is_a_rate() -> None:
    assert matmul_peak(torch.float32, torch.device("cpu"), size=64, tries=2) > 0


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["--pairs", "20", "--job", "10"], "--pairs 20 of --job 10"),
        (["--piars", "3"], "unknown flag '--piars'"),
        (["--dtype", "int8"], "expected one of"),
    ],
)
def test_a_wrong_command_is_one_sentence(argv: list[str], complaint: str) -> None:
    with pytest.raises(PrectrError, match=complaint) as raised:
        main(argv)
    assert "\n" not in str(raised.value)
