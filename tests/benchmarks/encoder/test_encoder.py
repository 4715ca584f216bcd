"""The comparison of judges on the toy shop: every cell once, the same figures from the same seed, shipped settings."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.encoder import __main__ as bench
from benchmarks.encoder.cells import UNSEEDED
from benchmarks.encoder.hidden_levels import hidden_levels
from benchmarks.encoder.results import SYSTEMS as EVERY_SYSTEM
from benchmarks.encoder.results import keep_others, name_of
from prectr.data.contract import read_table
from prectr.distill.labelling.job import labels_fingerprint
from prectr.distill.models.random_models import random_text_encoder
from prectr.distill.teachers.cross_encoder import CrossEncoderTeacher
from prectr.shared.errors import PrectrError
from prectr.shared.run.settings import parse_arguments
from prectr.shared.run.steps import read_record

SYSTEMS = [
    "tfidf",
    "teacher",
    "assistant",
    "minilm_cosine",
    "minilm_finetuned",
    "student_gold_only",
    "student_states_gold",
    "student",
]
SMALL: dict[str, Any] = {
    **{"name": "toy", "teacher": "random-cross-encoder", "teacher_pairs": 64, "teacher_validation_pairs": 20},
    **{"labeller_pairs": 20},
    **{"teacher_test_pairs": 20, "cross_encoder_epochs": 1, "teacher_dtype": "float32", "label_pairs": 96},
    **{"num_layers": 1, "distill_epochs": 1, "sft_epochs": 1, "student_bf16": "false", "minilm_epochs": 1},
    **{"query_length": 8, "item_length": 8, "hidden_state_batch_size": 256, "student_batch_size": 128},
}


@pytest.fixture(scope="module")
def artifacts(smoke_artifacts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(shutil.copytree(smoke_artifacts, tmp_path_factory.mktemp("bench"), dirs_exist_ok=True))
    texts = read_table(folder / "toy" / "data", "items", ["text"])["text"].to_pylist()
    random_text_encoder(folder / "encoder", texts, seed=0)
    return folder


def run(artifacts: Path, monkeypatch: pytest.MonkeyPatch, *flags: str) -> dict[str, Any]:
    monkeypatch.setattr(bench, "RESULTS", artifacts / "results")
    encoder = str(artifacts / "encoder")
    settings = {**SMALL, "artifacts": artifacts, "init_from": encoder, "minilm": encoder}
    bench.main(["--profile", "journey", *(f"--{key}={value}" for key, value in settings.items()), *flags])
    found = json.loads((artifacts / "results" / "judges_toy.json").read_text())
    assert isinstance(found, dict)
    return found


def test_the_student_learns_from_the_assistant_where_there_is_one(
    artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systems = ["--systems", "teacher", "assistant", "student", "--seeds", "7"]
    assistant = ["--assistant", str(artifacts / "encoder"), "--hidden_state_epochs", "0", "--sft_epochs", "0.1"]
    found = run(artifacts, monkeypatch, *systems, *assistant)
    assert set(found["systems"]) == {"teacher", "assistant", "student"}
    assert found["taught_by"]["assistant"] == "random-cross-encoder"
    assert found["taught_by"]["student"] == f"{artifacts / 'encoder'}, assistant of random-cross-encoder"
    student = read_record(artifacts / "bench" / "encoder" / "toy" / "student-seed7")
    assert student.inputs["labels"] == labels_fingerprint(artifacts / "toy" / "assistant_labels")
    assert student.inputs["labels"] != labels_fingerprint(artifacts / "toy" / "labels")
    assert {"teach", "label", "assist", "label_again", "student-seed7"} <= set(found["seconds"])
    judged = pq.read_table(artifacts / "bench" / "encoder" / "toy" / "assistant-seed7" / "predictions.parquet")
    queries, texts = (judged[name].to_pylist()[:20] for name in ("query", "item_text"))
    opened = CrossEncoderTeacher(str(artifacts / "toy" / "assistant"), max_length=64)
    expected = opened.score(list(zip(queries, texts, strict=True))).level_prob
    assert np.allclose(judged["level_prob"].to_pylist()[:20], expected, atol=1e-5)


@pytest.mark.slow
def test_every_system_has_a_figure_for_each_seed_and_split(
    artifacts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--assistant", "random-cross-encoder", "--seeds", "0", "1", "--systems", *SYSTEMS]
    found = run(artifacts, monkeypatch, *flags)
    assert {"command", "commit", "date", "machine", "systems"} <= set(found)
    assert set(found["systems"]) == set(SYSTEMS)
    for system, figures in found["systems"].items():
        for part in (figures, figures["test_types"]):
            for metric in ("spearman", "auc", "qwk"):
                assert len(part[metric]) == (1 if system in UNSEEDED else 2), (system, metric)
    seeds = found["systems"]["student_gold_only"]["spearman"]
    assert seeds[0] != seeds[1]
    capsys.readouterr()
    again = run(artifacts, monkeypatch, *flags)
    assert again["systems"] == found["systems"]
    printed = capsys.readouterr().out
    assert "building" not in printed and "char-n-gram TF-IDF" in printed


def test_only_what_is_finished_has_figures_and_it_is_computed_once(
    artifacts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--seeds", "5", "6", "--systems", "tfidf", "student_gold_only", "--sft_epochs", "0.1"]
    found = run(artifacts, monkeypatch, *flags)["systems"]
    assert set(found) == {"tfidf", "student_gold_only"}
    assert [len(found[system]["test_types"]["auc"]) for system in found] == [1, 2]
    capsys.readouterr()
    assert run(artifacts, monkeypatch, *flags)["systems"] == found
    assert "building" not in capsys.readouterr().out


def test_figures_of_cells_that_are_elsewhere_can_be_kept(artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ["--seeds", "5", "--sft_epochs", "0.1", "--systems"]
    earlier = run(artifacts, monkeypatch, *flags, "student_gold_only")
    shutil.rmtree(artifacts / "bench" / "encoder" / "toy" / "student_gold_only-seed5")
    merged = run(artifacts, monkeypatch, *flags, "tfidf", "--keep", "true")
    assert list(merged["systems"]) == ["tfidf", "student_gold_only"]
    assert merged["systems"]["student_gold_only"] == earlier["systems"]["student_gold_only"]
    assert merged["trained"]["student_gold_only"] == earlier["trained"]["student_gold_only"]
    assert set(merged["seconds"]) == {"tfidf-seed5", "student_gold_only-seed5"}
    assert set(run(artifacts, monkeypatch, *flags, "tfidf")["systems"]) == {"tfidf"}
    with pytest.raises(PrectrError, match="compares something else .data: 'x'"):
        keep_others(merged, {**merged, "data": "x"})


def test_a_figure_that_is_kept_keeps_its_teacher() -> None:
    def of(system: str, teacher: str) -> dict[str, Any]:
        parts = {part: {system: part} for part in ("systems", "seeds", "trained")}
        parts["seeds"] = {system: [0]}  # type: ignore[dict-item]
        return {**parts, "taught_by": {system: teacher}, "data": "", "pairs": {}, "spearman_with": "", "seconds": {}}

    merged = keep_others(of("student", "their student"), of("minilm_finetuned_kd", "trees"))
    assert merged["taught_by"] == {"student": "their student", "minilm_finetuned_kd": "trees"}
    assert name_of("student", merged).endswith(" (their student)") and name_of("tfidf", merged) == EVERY_SYSTEM["tfidf"]
    assert name_of("student", of("student", "trees")) == EVERY_SYSTEM["student"]


def test_a_taught_systems_cell_counts_only_where_it_is_asked_for(
    artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systems = ["--systems", "tfidf", "teacher", "--seeds", "8"]
    assert run(artifacts, monkeypatch, *systems)["taught_by"] == {"teacher": "random-cross-encoder"}
    # Another teacher is named, but the one whose cell lies here is the former: its figures are nobody else's.
    others = ["--teacher", "random", "--assistant", "random-cross-encoder", "--systems", "tfidf", "--seeds", "8"]
    assert set(run(artifacts, monkeypatch, *others)["systems"]) == {"tfidf"}
    with pytest.raises(PrectrError, match="--systems assistant: the settings name no assistant"):
        run(artifacts, monkeypatch, "--systems", "assistant")


def test_the_toys_levels_cannot_be_rebuilt(artifacts: Path) -> None:
    with pytest.raises(PrectrError, match="leave student_all_gold out"):
        hidden_levels(artifacts / "toy" / "data")


@pytest.mark.parametrize("profile", ["journey", "homedepot"])
def test_shipped_settings_are_read(profile: str) -> None:
    instances = parse_arguments(bench.ARGUMENTS, bench.CONFIGS, ["--profile", profile])
    assert instances[0].name == profile
    assert instances[-1].seeds == [0, 1, 2] and set(instances[-1].systems) <= set(EVERY_SYSTEM)
