"""Published as data sets, each with a card that `datasets.load_dataset` reads: a teacher's labels, and a data set's
pairs, items, queries and gold.

Who searched or clicked is never published: `users`, `impressions` and `behaviours` stay here, whatever the data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from huggingface_hub import DatasetCard, DatasetCardData

from prectr.data.contract import has_table, levels, reconstructed
from prectr.distill.labelling.job import LABELS
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.hub import ENDPOINT, check_repo, publish, source_names, terms
from prectr.shared.markdown import code, inline
from prectr.shared.run.console import console
from prectr.shared.run.schema import read_json
from prectr.shared.run.steps import RECORD, StepRecord, fingerprint_of, read_record
from prectr.shared.storage.identifiers import require_shared

What = Literal["labels", "data"]

TABLES = {
    "pairs": "judged pairs, and pairs that nobody judged (`split` is `unlabelled`, `level` is null)",
    "items": "every item with its text",
    "queries": "every query of the log, and whether it was trained on or judged",
    "gold": "levels for the evaluation alone: nothing may be trained on them",
}
"""What is published of a data set; the first is what `load_dataset` opens unasked."""

TEMPLATE = Path(__file__).parent / "dataset_card.md"
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def upload_dataset(artifacts: Path, what: What, repo: str, dry_run: bool, private: bool = False) -> None:
    """Uploads the teacher's labels, or the `TABLES` of a data set, to the data set repository `repo`, with a card; or
    lists what would go up.

    Args:
        artifacts: of the data set, with `labels/`, `data/` and, once stage one is done, `encoder/`.

    Raises:
        PrectrError: nothing finished to publish, a category looks like people's ids, no repository named, no token, or
            the hub refuses.
    """
    check_repo(repo)
    folder = artifacts / what
    if what == "labels":
        if not (folder / RECORD).is_file():
            raise PrectrError(f"{folder} holds no finished labels; run `make distill`, or `python -m distill label`.")
        fingerprint_of(folder)
        files = {"labels": LABELS}
    else:
        files = {name: f"{name}.parquet" for name in TABLES if has_table(folder, name)}
        if "pairs" not in files:
            raise PrectrError(f"{folder} holds no pairs; run `make data`, or `python -m data convert`.")
        _require_no_identifiers(folder, files.values())
    write_dataset_card(artifacts, what, files, repo)
    console.print("Queries go up as they were typed: read them, and the card's terms, before others do.")
    publish(folder, ["README.md", *files.values()], repo, dry_run, private, repo_type="dataset")


def _require_no_identifiers(folder: Path, files: Iterable[str]) -> None:
    """Categories are what many share; queries and texts are people's own words, and said to be so."""
    for file in files:
        for column in pq.read_schema(folder / file).names:
            if column.startswith("cat_") or column in ("category", "query_category"):
                values = pc.unique(pq.read_table(folder / file, columns=[column])[column]).drop_null().to_pylist()
                require_shared(folder / file, column, values, None)


def write_dataset_card(artifacts: Path, what: What, files: dict[str, str], repo: str = "this-folder") -> None:
    """`README.md` of the folder `what` in `artifacts`; `files` are its tables by the names they are loaded by."""
    folder = artifacts / what
    rows = {name: pq.read_metadata(folder / file).num_rows for name, file in files.items()}
    first = next(iter(files))
    size = next((size for most, size in _SIZES if rows[first] < most), "n>1M")
    configs = [
        {"config_name": name, "data_files": file, **({"default": True} if name == first else {})}
        for name, file in files.items()
    ]
    card = DatasetCardData(
        license="other",
        license_name="see-terms-below",
        task_categories=["text-ranking"],
        size_categories=[size],
        pretty_name=f"{artifacts.name}: relevance {'labels of a teacher' if what == 'labels' else 'pairs and items'}",
        tags=["search-relevance", "prectr", *(["distillation"] if what == "labels" else [])],
        configs=configs,
    )
    by = "strategy" if what == "labels" else "split"
    teacher = _teacher(artifacts) if what == "labels" else {}
    contents = {
        "repo": repo,
        "what": what,
        "data": artifacts.name,
        "rows": rows,
        "meaning": TABLES,
        "level_names": [inline(name) for name in levels(artifacts / "data")],
        "reconstructed": inline(reconstructed(artifacts / "data")),
        "teacher": teacher,
        "counts": _counts(pq.read_table(folder / files[first], columns=[by])[by]),
        "by": by,
        "columns": pq.read_schema(folder / files[first]).names,
        "terms": terms([*teacher.get("sources", []), artifacts.name]),
    }
    text = str(DatasetCard.from_template(card, template_path=str(TEMPLATE), **contents))
    with atomic_write(folder / "README.md") as temporary:
        temporary.write_text(text, encoding="utf-8")


def _teacher(artifacts: Path) -> dict[str, Any]:
    """What is known of who said the labels: its `fingerprint`; `prompt`, the hash of what it was asked, if it reads
    one; `sources` and `names`, if the encoder was made from these very labels.
    """
    labelled = read_record(artifacts / "labels")
    found: dict[str, Any] = {"fingerprint": labelled.inputs.get("teacher"), "sources": [], "names": []}
    taught, encoder = _record(artifacts / "teacher"), _record(artifacts / "encoder")
    if taught is not None:
        found["prompt"] = taught.inputs.get("prompt")
    # Labels younger than the encoder may be another teacher's.
    if encoder is not None and encoder.finished >= labelled.finished:
        facts = read_json(artifacts / "encoder" / "metrics.json")
        found["labelled_by"] = inline(facts.get("labelled_by") or "")
        teacher = _without_folders(facts["teacher_source"])
        found["sources"] = [teacher]
        found["names"] = [code(name) if name != ENDPOINT else name for name in source_names(teacher)]
    return found


def _without_folders(sources: str) -> str:
    """`a,b` with a model's own folder named by its last part alone: where it lies is nobody else's business."""
    return re.sub(r"(^|[,:])(?:~|\.{1,2})?/(?!/)(?:[^,]*/)?([^,/]+)/?(?=,|$)", r"\1\2", sources)


def _record(folder: Path) -> StepRecord | None:
    return read_record(folder) if (folder / RECORD).is_file() else None


def _counts(column: pa.ChunkedArray) -> list[tuple[str, int]]:
    """Values of a column and how many rows have each."""
    return sorted((inline(each["values"]), int(each["counts"])) for each in pc.value_counts(column).to_pylist())
