"""Wherever a model opens, tensors that do not fit it are refused by name, and code is not run."""

import ast
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
)

from prectr.shared.encoder.level_encoder import EncoderConfig, LevelEncoder
from prectr.shared.errors import PrectrError
from prectr.shared.pretrained import open_config, open_model, open_tokenizer
from tests.shared.encoder.tiny_encoder import tiny_encoder

ROOT = Path(__file__).parents[2]
Damage = Callable[[Path], None]


def change(how: Callable[[dict[str, Tensor], str], None]) -> Damage:
    """Damage to a file's tensors; `how` gets them and the name of one."""

    def damage(path: Path) -> None:
        tensors = load_file(path)
        name = next(name for name in sorted(tensors) if tensors[name].ndim and "pooler" not in name)
        how(tensors, name)
        save_file(tensors, path, metadata={"format": "pt"})

    return damage


def put(value: float) -> Damage:
    def write(tensors: dict[str, Tensor], name: str) -> None:
        tensors[name].view(-1)[0] = value

    return change(write)


DAMAGES: dict[str, tuple[Damage, str]] = {
    "missing": (change(lambda tensors, name: tensors.__delitem__(name)), "is missing"),
    "renamed": (change(lambda tensors, name: tensors.update({f"{name}_": tensors.pop(name)})), "is missing"),
    "further": (change(lambda tensors, name: tensors.update({f"{name}_": torch.ones(2)})), "is of no part"),
    "longer": (
        change(lambda tensors, name: tensors.update({name: torch.cat([tensors[name]] * 2)})),
        "shape|no model that can be opened",
    ),
    "NaN": (put(float("nan")), "is not finite"),
    "infinite": (put(float("-inf")), "is not finite"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "damaged|no model that can be opened"),
    "empty": (lambda path: path.write_bytes(b""), "damaged|no model that can be opened"),
    "text": (lambda path: path.write_text("<html>404</html>"), "damaged|no model that can be opened"),
    "deleted": (lambda path: path.unlink(), r"missing|has no \*.safetensors weights"),
}
PARTS = ("model.safetensors", "level_head/model.safetensors", "1_Dense/model.safetensors")


def refuses(complaint: str, opens: Callable[[], object]) -> str:
    with pytest.raises(PrectrError, match=complaint) as raised:
        opens()
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    tiny_encoder(folder / "vocabulary").save_pretrained(folder / "encoder")
    return folder / "encoder"


@pytest.fixture
def copied(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "encoder"))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("part", PARTS)
def test_a_level_encoder(copied: Path, part: str, damage: str) -> None:
    harm, complaint = DAMAGES[damage]
    harm(copied / part)
    refuses(complaint, lambda: LevelEncoder.from_pretrained(copied))


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_encoder_to_start_from(copied: Path, damage: str) -> None:
    harm, complaint = DAMAGES[damage]
    harm(copied / "model.safetensors")
    refuses(complaint, lambda: LevelEncoder.warm_start(copied, EncoderConfig(["no", "yes"]), 1))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_cross_encoder(copied: Path, tmp_path: Path, damage: str) -> None:
    harm, complaint = DAMAGES[damage]
    model = open_model(AutoModelForSequenceClassification, copied, new_head=True, num_labels=3)
    model.save_pretrained(tmp_path / "classifier")
    open_model(AutoModelForSequenceClassification, tmp_path / "classifier")
    harm(tmp_path / "classifier" / "model.safetensors")
    refuses(complaint, lambda: open_model(AutoModelForSequenceClassification, tmp_path / "classifier"))


def test_the_tensor_is_named(copied: Path) -> None:
    DAMAGES["missing"][0](copied / "level_head" / "model.safetensors")
    assert "'classifier.bias'" in refuses("is missing", lambda: LevelEncoder.from_pretrained(copied))


def test_a_new_head_may_be_made_and_nothing_else(copied: Path) -> None:
    refuses("'classifier.bias'", lambda: open_model(AutoModelForSequenceClassification, copied, num_labels=3))
    DAMAGES["missing"][0](copied / "model.safetensors")
    refuses("is missing", lambda: open_model(AutoModelForSequenceClassification, copied, new_head=True, num_labels=3))


def test_a_start_may_have_a_head_and_further_layers(tmp_path: Path) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 16}
    whole = BertForMaskedLM(BertConfig(vocab_size=30, **sizes))
    whole.save_pretrained(tmp_path)
    first = open_model(AutoModel, tmp_path, num_hidden_layers=1)
    torch.testing.assert_close(
        first.encoder.layer[0].output.dense.weight, whole.bert.encoder.layer[0].output.dense.weight
    )
    refuses("is of no part", lambda: open_model(AutoModel, tmp_path, other_parts=False))


def test_weights_that_can_hold_code_are_not_opened(copied: Path) -> None:
    torch.save(load_file(copied / "model.safetensors"), copied / "pytorch_model.bin")
    (copied / "model.safetensors").unlink()
    refuses("only pytorch_model.bin, which may hold code", lambda: LevelEncoder.from_pretrained(copied))


class Looked:
    """A kind of model that must not be asked to open anything."""

    @classmethod
    def from_pretrained(cls, *_: object, **__: object) -> None:
        raise AssertionError("the library looked at the weights")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "tf_model.h5", "flax_model.msgpack", "weights.ckpt"])
def test_other_weights_are_refused_before_the_library_looks(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"weights")
    refuses(f"only {name}, which may hold code", lambda: open_model(Looked, tmp_path))


@pytest.mark.parametrize(
    ("index", "fault"),
    [
        ('{"weight_map": {"a": "pytorch_model-1.bin"}}', "names 'pytorch_model-1.bin', which is no safetensors"),
        ('{"weight_map": {"a": "../other/model.safetensors"}}', "no safetensors file beside it"),
        ('{"weight_map": {"a": 3}}', "names '3'"),
        ('{"weight_map": [1]}', "is damaged"),
        ("{", "is damaged"),
        ("[" * 100_000, "is damaged"),
    ],
)
def test_an_index_names_safetensors_alone(tmp_path: Path, index: str, fault: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "model.safetensors.index.json").write_text(index)
    refuses(fault, lambda: open_model(Looked, tmp_path))


KINDS = ("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoModelForSequenceClassification")
CODE: dict[str, tuple[str, dict[str, Any]]] = {
    "a model of its own": ("config.json", {"model_type": "own", "auto_map": dict.fromkeys(KINDS, "own.Own")}),
    "a known model": ("config.json", {"auto_map": dict.fromkeys(KINDS, "own.Own")}),
    "code elsewhere": ("config.json", {"model_type": "own", "auto_map": dict.fromkeys(KINDS, "who/ever--own.Own")}),
    "no type": ("config.json", {"model_type": "", "auto_map": dict.fromkeys(KINDS, "own.Own")}),
    "a tokenizer in the model's": (
        "config.json",
        {"model_type": "own", "tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", None]}},
    ),
    "a tokenizer of its own": (
        "tokenizer_config.json",
        {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", "own.Own"]}},
    ),
    "a known tokenizer": ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": [None, "own.Own"]}}),
}


@pytest.mark.parametrize("case", CODE)
def test_code_is_neither_run_nor_asked_about(copied: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> str:
        raise AssertionError("the terminal was asked")

    monkeypatch.setattr("builtins.input", asked)
    file, change = CODE[case]
    config = json.loads((copied / file).read_text())
    (copied / file).write_text(json.dumps(config | change))
    (copied / "own.py").write_text(f"open({str(copied / 'ran')!r}, 'w')\nclass Own: pass\n")
    for opens in (
        lambda: LevelEncoder.from_pretrained(copied),
        lambda: open_model(AutoModelForSequenceClassification, copied, new_head=True),
        lambda: open_model(AutoModelForCausalLM, copied, new_head=True),
        lambda: open_tokenizer(copied),
        lambda: open_config(copied),
    ):
        try:
            opens()
        except PrectrError as error:
            assert "\n" not in str(error)
    assert not (copied / "ran").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model_type": "bert", "hidden_size": "a"}', '{"model_type": 3}'])
def test_a_damaged_config_is_one_sentence(copied: Path, text: str) -> None:
    (copied / "config.json").write_text(text)
    refuses("no model that can be opened|config.json", lambda: LevelEncoder.from_pretrained(copied))


def test_models_are_opened_here_alone() -> None:
    """`shared/pretrained.py` says `trust_remote_code=False`; whoever else opens one has to say it too."""
    unsaid = []
    for package in ("data", "distill", "rank", "shared"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call):
                    continue
                called = ast.unparse(node.func)
                opens = called.startswith("Auto") and called.endswith(".from_pretrained")
                if (opens or called in ("SentenceTransformer", "CrossEncoder")) and "trust_remote_code=False" not in [
                    ast.unparse(keyword).replace(" ", "") for keyword in node.keywords
                ]:
                    unsaid.append(f"{file}:{node.lineno}")
    assert unsaid == []
