"""The published encoder: its model card, the closing report, and what goes up to the Hugging Face Hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from prectr.data.contract import has_table, reconstructed
from prectr.distill.config import RunArguments
from prectr.shared.atomic import atomic_write
from prectr.shared.encoder.files import ENCODER_FILES
from prectr.shared.hub import ENDPOINT, check_repo, hub_name, publish, source_names, terms
from prectr.shared.markdown import code, inline, one_line
from prectr.shared.run.console import console, format_cell, table
from prectr.shared.run.schema import read_json
from prectr.shared.run.steps import fingerprint_of
from prectr.shared.run.trial import trial_of
from prectr.shared.run.verbs import program

FILES = ("README.md", "metrics.json", *ENCODER_FILES)
"""What is published of an encoder's folder."""

METRICS = ("auc", "macro_f1", "qwk", "spearman", "within_query_spearman", "within_query_ndcg", "auc_random")
CALIBRATION = ("ece_before", "ece")
SPLITS = {"test": "unseen queries", "test_types": "unseen product types"}
JUDGES = {
    "tfidf": "char-n-gram TF-IDF",
    "teacher": "teacher",
    "teacher_untaught": "teacher, untaught",
    "labeller": "who labelled instead",
    "assistant": "the teacher's assistant",
    "student": "student",
    "student_maxsim": "student, MaxSim alone",
    "untrained_maxsim": "student untrained, MaxSim alone",
}
"""How known judges are called; others in `metrics.json` go by their own names."""

TEMPLATE = Path(__file__).parent / "model_card.md"


def write_card(folder: Path, level_names: list[str], repo: str = "this-folder") -> None:
    """`README.md` of an encoder's folder, from its `metrics.json`; `repo` is what its examples open."""
    facts = read_json(folder / "metrics.json")
    settings = read_json(folder / "level_head" / "config.json")
    student, assistant = facts["student"], facts.get("assistant_source")
    results = [
        EvalResult(
            task_type="text-ranking",
            dataset_type=facts["data"],
            dataset_name=f"{facts['data']} ({meaning})",
            # Results without it count as one data set's, whatever its names.
            dataset_split=split,
            metric_type=metric,
            metric_value=student[split][metric],
        )
        for split, meaning in SPLITS.items()
        for metric in (*METRICS, CALIBRATION[1])
        if student[split] and student[split].get(metric) is not None
    ]
    card = ModelCardData(
        model_name=f"prectr-encoder-{facts['data']}",
        license="other",
        license_name="see-terms-below",
        base_model=hub_name(facts["init_from"]),
        library_name="sentence-transformers",
        pipeline_tag="text-ranking",
        tags=["search-relevance", "late-interaction", "multi-vector", "distillation", "prectr"],
        eval_results=results,
    )
    contents = {
        "repo": repo,
        "facts": {
            **facts,
            "init_from": code(facts["init_from"]),
            "assistant_source": code(assistant) if assistant else "",
            "command": one_line(facts["command"]) if facts.get("command") else "",
            "reconstructed": inline(facts.get("reconstructed") or ""),
        },
        "trial": _trial(facts),
        "level_names": [inline(name) for name in level_names],
        "settings": settings,
        "metrics": METRICS,
        "rows": [[format_cell(cell) for cell in row] for row in _rows(facts)],
        "calibration": [
            [meaning, *(format_cell(student[split].get(name)) for name in CALIBRATION)]
            for split, meaning in SPLITS.items()
            if student[split] and student[split].get(CALIBRATION[1]) is not None
        ],
        "teachers": [code(name) if name != ENDPOINT else name for name in source_names(facts["teacher_source"])],
        "terms": terms([facts["teacher_source"], *filter(None, [assistant]), facts["init_from"], facts["data"]]),
    }
    text = str(ModelCard.from_template(card, template_path=str(TEMPLATE), **contents))
    with atomic_write(folder / "README.md") as temporary:
        temporary.write_text(text, encoding="utf-8")


def _trial(facts: dict[str, Any]) -> str | None:
    """Why the figures of `metrics.json` mean nothing, if they do."""
    models = (facts.get(name) for name in ("teacher_source", "assistant_source", "init_from"))
    return trial_of(facts.get("command") or "", models)


def _rows(facts: dict[str, Any]) -> Iterator[list[Any]]:
    """Split, judge, number of pairs and `METRICS`, for every judge and split in `metrics.json`."""
    others = [name for name, found in facts.items() if isinstance(found, dict) and name not in JUDGES]
    for split, meaning in SPLITS.items():
        for judge in [*JUDGES, *others]:
            figures = facts.get(judge, {}).get(split)
            if isinstance(figures, dict):
                yield [meaning, JUDGES.get(judge, judge.replace("_", " ")), figures["n"], *map(figures.get, METRICS)]


def report(folder: Path) -> None:
    """Prints the results of a finished stage one, where things lie, and the next command."""
    facts = read_json(folder / "encoder" / "metrics.json")
    rows = list(_rows(facts))
    pairs = facts["pairs"]
    labeller = "the assistant" if facts.get("assistant_source") else "the teacher"
    caption = (
        f"trained on {pairs.get('train', 0):,} gold pairs, validated on {pairs.get('validation', 0):,}; "
        f"{labeller} labelled {facts['labelled_pairs']:,} pairs ({pairs.get('unlabelled', 0):,} are unlabelled)"
    )
    caption = f"{caption}. {reconstructed(folder / 'data')}"
    if not rows:
        console.print(caption, highlight=False)
    else:
        # A table for each split, and names of metrics one word a line: so they fit a terminal of 100 columns.
        columns = ["judge", "pairs", *(metric.replace("_", "\n") for metric in METRICS)]
        meanings = list(dict.fromkeys(meaning for meaning, *_ in rows))
        for meaning in meanings:
            of_split = [figures for found, *figures in rows if found == meaning]
            table(f"Relevance encoder, {meaning}", columns, of_split, caption if meaning == meanings[-1] else None)
    if agreement := facts.get("agreement"):
        told = ", ".join(f"{name.replace('_', ' ')} {format_cell(value)}" for name, value in agreement.items())
        console.print(f"No gold levels: all there is to say is how the student agrees with its teacher: {told}")
    if warning := _trial(facts):
        console.print(warning, style="bold red", highlight=False)
    console.print(f"encoder: {folder / 'encoder'}", highlight=False)
    has_log = has_table(folder / "data", "impressions")
    none = "publish, or score pairs: there is no click log to train a ranker on"
    console.print(f"next: {next_command(folder, facts.get('command') or '') if has_log else none}", highlight=False)


def next_command(folder: Path, command: str) -> str:
    """The ranker's run on the data set in `folder`, in the profile of `command`, as it can be typed."""
    usual = RunArguments()
    profile = re.search(r"--profile[ =](\w+)", command)
    flags = [f"--profile {profile[1]}"] if profile and profile[1] != "default" else []
    flags += [f"--name {folder.name}"] if folder.name != usual.name else []
    flags += [f"--artifacts {quote(str(folder.parent))}"] if str(folder.parent) != usual.artifacts else []
    return " ".join([program("distill").replace("distill", "rank"), "run", *flags])


def upload(folder: Path, repo: str, dry_run: bool, private: bool = False) -> None:
    """Uploads the encoder in `folder` to the model repository `repo`, its card naming that repository, or lists what
    would go up.

    Raises:
        PrectrError: nothing finished to publish, no repository named, no token, or the hub refuses.
    """
    fingerprint_of(folder)
    check_repo(repo)
    settings = read_json(folder / "level_head" / "config.json")
    write_card(folder, settings["level_names"], repo)
    publish(folder, FILES, repo, dry_run, private)
