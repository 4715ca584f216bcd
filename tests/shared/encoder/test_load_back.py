"""The files that are published, alone in an empty folder, score the same in every library that opens them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import MultiVectorEncoder
from torch import Tensor
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer, ModernBertConfig, ModernBertModel, PreTrainedTokenizerBase

from prectr.shared.encoder.files import ENCODER_FILES
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.hub import published_files
from tests.shared.encoder.tiny_encoder import WORDS, tiny_encoder

TEXTS = [
    *("red shirt", "2 liter soda", "milk", "RED Shirt", "  cheap \t large\nlamp  ", "red-shirt, 2 liter!"),
    *("red " * 400, "x" * 50_000, "🥛 milk 🥛", "牛奶 milk", "حليب red", "crème brûlée red", "a\u200bb \x00 c"),
    *("red [SEP] shirt [MASK]", "[UNK] lamp", "[PAD] milk [CLS] red"),
]
WITHOUT_TOKENS = ["", " \n ", "[SEP]"]


def random_modern_bert(tokenizer: PreTrainedTokenizerBase, seed: int) -> ModernBertModel:
    """As large as the random BERT; all its special tokens must be in the vocabulary."""
    torch.manual_seed(seed)
    begin, end = tokenizer.cls_token_id, tokenizer.sep_token_id
    special = {"cls_token_id": begin, "bos_token_id": begin, "sep_token_id": end, "eos_token_id": end}
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    vocabulary = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    return ModernBertModel(ModernBertConfig(**vocabulary, **sizes, **special))


def modern_encoder(folder: Path) -> LevelEncoder:
    """Another architecture, another number of levels, and a tokenizer that keeps upper case."""
    words = ("RED", *WORDS)
    return tiny_encoder(folder, ("no", "yes"), 1, words, lower_case=False, text_encoder=random_modern_bert)


@pytest.fixture(scope="module", params=["bert", "modernbert"])
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LevelEncoder:
    folder = tmp_path_factory.mktemp("made") / "vocabulary"
    encoder = tiny_encoder(folder) if request.param == "bert" else modern_encoder(folder)
    encoder.fit_idf(TEXTS)
    encoder.fit_features(TEXTS, TEXTS[::-1])
    encoder.head.fold_temperature(1.3)
    return encoder


@pytest.fixture(scope="module")
def folder(encoder: LevelEncoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    saved, alone = (tmp_path_factory.mktemp(name) for name in ("saved", "alone"))
    encoder.save_pretrained(saved)
    for name in published_files(saved, ENCODER_FILES):
        (alone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(saved / name, alone / name)
    shutil.rmtree(saved)
    return alone


def maxsim(queries: list[Tensor], items: list[Tensor]) -> np.ndarray:
    return np.array([[(query @ item.T).amax(1).sum().item() for item in items] for query in queries])


def vectors_of(encoder: LevelEncoder, kind: str) -> list[Tensor]:
    with torch.inference_mode():
        tokens = encoder.tokenize(TEXTS, kind)  # type: ignore[arg-type]
        vectors = encoder.encode(torch.from_numpy(tokens["input_ids"]), torch.from_numpy(tokens["attention_mask"]))
    return [row[mask] for row, mask in zip(vectors.contextual, vectors.mask, strict=True)]


@pytest.fixture(scope="module")
def expected(encoder: LevelEncoder) -> np.ndarray:
    """MaxSim of every text as a query with every text as an item, before anything was saved."""
    return maxsim(vectors_of(encoder, "query"), vectors_of(encoder, "item"))


def test_level_encoder(encoder: LevelEncoder, folder: Path, expected: np.ndarray) -> None:
    again = LevelEncoder.from_pretrained(folder)
    np.testing.assert_allclose(maxsim(vectors_of(again, "query"), vectors_of(again, "item")), expected, atol=1e-5)
    queries, items = [*TEXTS, *WITHOUT_TOKENS], [*WITHOUT_TOKENS, *TEXTS[::-1]]
    found, before = again.score_pairs(queries, items), encoder.score_pairs(queries, items)
    np.testing.assert_allclose(found, before, atol=1e-5)
    assert np.ptp(before[:, 0]) > 1e-3, "texts that all score the same would prove nothing"


def test_sentence_transformers(folder: Path, expected: np.ndarray) -> None:
    model = MultiVectorEncoder(str(folder), device="cpu")
    found = model.similarity(model.encode_query(TEXTS), model.encode_document(TEXTS))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    pairs = model.similarity_pairwise(model.encode_query(TEXTS), model.encode_document(TEXTS))
    np.testing.assert_allclose(pairs.numpy(), np.diag(expected), atol=1e-5)


def test_transformers(folder: Path, expected: np.ndarray) -> None:
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    projection = load_file(folder / "1_Dense" / "model.safetensors")["linear.weight"]
    special = torch.tensor([i for i in tokenizer.all_special_ids if i != tokenizer.unk_token_id])
    lengths = json.loads((folder / "level_head" / "config.json").read_text())

    @torch.inference_mode()
    def vectors(max_length: int) -> list[Tensor]:
        tokens = tokenizer(TEXTS, padding=True, truncation=True, max_length=max_length, return_tensors="pt")
        projected = normalize(model(**tokens).last_hidden_state @ projection.T, dim=-1)
        kept = tokens["attention_mask"].bool() & ~torch.isin(tokens["input_ids"], special)
        return [row[mask] for row, mask in zip(projected, kept, strict=True)]

    found = maxsim(vectors(lengths["query_length"]), vectors(lengths["item_length"]))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_sentence_transformers_ranks_an_item_without_a_token_last(folder: Path) -> None:
    model = MultiVectorEncoder(str(folder), device="cpu")
    scores = model.similarity(model.encode_query(["red shirt"]), model.encode_document(["milk", *WITHOUT_TOKENS]))[0]
    assert scores[0] > scores[1:].max() and torch.isfinite(scores).all()


def test_nothing_in_the_folder_runs_code_or_names_this_machine(folder: Path) -> None:
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert {file.suffix for file in files} <= {".json", ".safetensors", ".txt", ".jinja"}
    for file in files:
        if file.suffix == ".json":
            text = file.read_text(encoding="utf-8")
            assert "auto_map" not in text and str(folder.parent) not in text, file.name
    for module in json.loads((folder / "modules.json").read_text()):
        assert module["type"].startswith("sentence_transformers.")
