"""Weights that fit: every model, tokenizer and tensor file of a stage is opened here, and nowhere else.

transformers fills a tensor that a file does not have with random numbers, passes over one that it does not know, and
asks the terminal whether it may run a repository's code. Here each of these is refused, by name; weights come from
safetensors alone, which cannot hold code.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from prectr.shared.errors import PrectrError
from prectr.shared.strict_json import loads
from prectr.shared.text_file import require_file

DAMAGES = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RuntimeError,
    SafetensorError,
    StrictDataclassError,
)
"""What the libraries raise of files that are cut, overwritten or not what their names say."""

PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack")
"""Ends of the names of weights that are not read."""

NEVER_READ = re.compile(r"(^|\.)pooler\.")
"""Tensors that many an encoder comes without, and that nothing here reads."""


def open_model(
    kind: Any, source: str | Path, *, new_head: bool = False, other_parts: bool = True, **settings: Any
) -> PreTrainedModel:
    """A model of transformers with every tensor as its files have it.

    Args:
        kind: the class that opens it, such as `AutoModel`.
        source: folder or hub id.
        new_head: what lies outside the encoder may be missing or of another size: training makes it.
        other_parts: the files may hold parts that this kind of model does not have, a head or further layers; a tensor
            that a part it does have would not read is refused all the same.
        settings: passed on to `from_pretrained`.

    Raises:
        PrectrError: nothing that can be opened; a tensor is missing, unknown, of another shape or not finite; or the
            model is code, which is not run.
    """
    model: PreTrainedModel
    if "gguf_file" not in settings:
        settings["use_safetensors"] = True
        check_weights(source)
    try:
        model, found = kind.from_pretrained(source, trust_remote_code=False, output_loading_info=True, **settings)
    except DAMAGES as error:
        _refuse_unopened(source, error)
    encoder = f"{model.base_model_prefix}."

    def may_differ(name: str) -> bool:
        return bool(NEVER_READ.search(name)) or (new_head and not name.startswith(encoder))

    of_another_shape = [str(name) for name, *_ in found["mismatched_keys"]]
    for names, fault in ((found["missing_keys"], "is missing"), (of_another_shape, "has another shape")):
        _refuse(source, [name for name in names if not may_differ(name)], fault)
    unknown = [name for name in found["unexpected_keys"] if not NEVER_READ.search(name)]
    if other_parts:
        unknown = [name for name in unknown if _has_part(model, name) or _has_part(model, name.removeprefix(encoder))]
    _refuse(source, unknown, "is of no part of this model")
    _refuse_infinite(source, model.state_dict())
    return model


def check_weights(source: str | Path, role: str = "") -> None:
    """Refuse a folder whose weights are not safetensors, before any library looks at it; a hub id passes.

    Args:
        role: stands before the folder in the message.

    Raises:
        PrectrError: no safetensors file, or an index that names files of another kind or elsewhere.
    """
    folder = Path(source)
    if not folder.is_dir():
        return
    _require_files(folder)
    if not any(folder.glob("*.safetensors")):
        others = sorted(file.name for file in folder.iterdir() if file.suffix in PICKLED)
        only = f", only {others[0]}, which may hold code" if others else ""
        raise PrectrError(
            f"{role}{source}: the folder has no *.safetensors weights{only}; save the model with save_pretrained."
        )
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            parts = set(loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PrectrError(f"{index} is damaged: save the model again, or download it again.") from error
        for part in sorted(map(str, parts)):
            if not part.endswith(".safetensors") or Path(part).name != part:
                raise PrectrError(
                    f"{index} names {part!r}, which is no safetensors file beside it: save the model again."
                )


def open_tokenizer(source: str | Path, **settings: Any) -> PreTrainedTokenizerBase:
    """A tokenizer of transformers; raises `PrectrError` where there is none, one without its vocabulary (transformers
    makes an empty one), or one that is code.
    """
    _require_files(source)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **settings)
    except Exception as error:
        if not isinstance(error, DAMAGES) and type(error) is not Exception:  # which tokenizers raises of what it reads
            raise
        _refuse_unopened(source, error, "tokenizer")
    files = tokenizer.vocab_files_names.values() if Path(source).is_dir() and "gguf_file" not in settings else ()
    if files and not any((Path(source) / name).is_file() for name in files):
        _refuse_unopened(source, FileNotFoundError(f"none of {', '.join(files)} is there"), "tokenizer")
    return tokenizer


def open_config(source: str | Path) -> PretrainedConfig:
    """The settings of a model of transformers; raises `PrectrError` where there are none, or ones that are code."""
    _require_files(source)
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(source, trust_remote_code=False)
        return config
    except DAMAGES as error:
        _refuse_unopened(source, error, "config.json")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; raises `PrectrError` if it is not there or damaged, or a number not finite."""
    if not path.is_file():
        raise PrectrError(f"{path} is missing: save the model again, or download it again.")
    try:
        tensors = load_file(path)
    except DAMAGES as error:
        raise PrectrError(
            f"{path} is damaged ({_reason(error)}): save the model again, or download it again."
        ) from error
    _refuse_infinite(path, tensors)
    return tensors


@torch.no_grad()
def fill(targets: Mapping[str, Tensor], path: Path) -> None:
    """Copies the tensors of a safetensors file into `targets`, each into that of its name.

    Raises:
        PrectrError: the file is damaged, or has not exactly these tensors in these shapes.
    """
    tensors = read_tensors(path)
    _refuse(path, targets.keys() - tensors.keys(), "is missing")
    _refuse(path, tensors.keys() - targets.keys(), "is of no part of this model")
    _refuse(path, [name for name in targets if targets[name].shape != tensors[name].shape], "has another shape")
    for name, target in targets.items():
        target.copy_(tensors[name])


def _require_files(source: str | Path) -> None:
    """Refuses a folder with a pipe or a device among its files: a library would wait for what comes out of it."""
    for path in sorted(Path(source).iterdir()) if Path(source).is_dir() else ():
        if not path.is_dir() and path.exists():
            require_file(path, "it is missing.")


def _has_part(model: PreTrainedModel, tensor: str) -> bool:
    part = tensor.rpartition(".")[0]
    try:
        return bool(part) and model.get_submodule(part) is not None
    except AttributeError:
        return False


def _refuse_infinite(source: str | Path, tensors: Mapping[str, Tensor]) -> None:
    there = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point() and not tensor.is_meta}
    _refuse(source, [name for name, tensor in there.items() if not torch.isfinite(tensor).all()], "is not finite")


def _refuse(source: str | Path, names: Collection[str], fault: str) -> None:
    if names:
        more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        raise PrectrError(f"{source}: tensor {min(names)!r}{more} {fault}: save the model again, or download it again.")


def _refuse_unopened(source: str | Path, error: Exception, what: str = "model") -> NoReturn:
    if isinstance(error, torch.OutOfMemoryError):
        raise error
    if "trust_remote_code" in str(error) or "custom code" in str(error):
        raise PrectrError(
            f"{source}: the {what} is code of its own, which is never run: name a model that transformers has."
        ) from error
    raise PrectrError(
        f"{source}: no {what} that can be opened ({_reason(error)}): save the model again, or download it again."
    ) from error


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".:")[:200]
