"""The files that let sentence-transformers' `MultiVectorEncoder` (>= 6.2) open a published encoder and score with
MaxSim.

Written by hand rather than with that library, so that nobody needs it installed to train or to rank; a test opens the
result with it.
"""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedTokenizerBase

from prectr.shared.atomic import atomic_write
from prectr.shared.pretrained import fill

PROJECTION = "1_Dense"
MASK = "3_MultiVectorMask"


def save_modules(
    folder: Path, projection: nn.Linear, tokenizer: PreTrainedTokenizerBase, query_length: int, item_length: int
) -> None:
    """Adds to a saved text encoder: the projection to token vectors, their normalisation, the mask of special
    tokens.
    """
    tokens = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}
    dense = {
        "in_features": projection.in_features,
        "out_features": projection.out_features,
        "bias": False,
        "activation_function": "torch.nn.modules.linear.Identity",
        **tokens,
    }
    special = [token for token in tokenizer.all_special_tokens if token != tokenizer.unk_token]
    mask = {"skiplist_words": special, "skiplist_tasks": ["query", "document"], "keep_only_token_ids": None}
    transformer = {
        "transformer_task": "feature-extraction",
        "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
        "module_output_name": "token_embeddings",
        "query_length": query_length,
        "document_length": item_length,
    }
    modules = [
        ("", "base.modules.transformer.Transformer"),
        (PROJECTION, "base.modules.dense.Dense"),
        ("2_Normalize", "base.modules.normalize.Normalize"),
        (MASK, "multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask"),
    ]
    listing = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.{kind}"}
        for index, (path, kind) in enumerate(modules)
    ]
    model = {
        "model_type": "MultiVectorEncoder",
        "prompts": {"query": "", "document": ""},
        "similarity_fn_name": "maxsim",
    }
    files = {
        "modules.json": listing,
        "config_sentence_transformers.json": model,
        "sentence_bert_config.json": transformer,
        f"{PROJECTION}/config.json": dense,
        "2_Normalize/config.json": tokens,
        f"{MASK}/config.json": mask,
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n")
    weight = projection.weight.detach().contiguous()
    with atomic_write(folder / PROJECTION / "model.safetensors") as temporary:
        save_file({"linear.weight": weight}, temporary)


def load_projection(folder: Path, projection: nn.Linear) -> None:
    """Fills `projection` with the weights `save_modules` wrote."""
    fill({"linear.weight": projection.weight}, folder / PROJECTION / "model.safetensors")
