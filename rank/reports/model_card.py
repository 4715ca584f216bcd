"""The published ranker: its model card, and what goes up to the Hugging Face Hub.

Of the ranker's folder only `FILES` leave this machine: no predictions, no logs, nothing of a person.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from prectr.data.contract import has_table, table_path
from prectr.rank.features.feature_map import FeatureMap
from prectr.rank.model.trained import CONFIG, FEATURE_MAP, FILES, TrainedRanker
from prectr.rank.reports.terminal import EXPOSED, OPEN, counts, rung_with_interval, with_interval
from prectr.rank.reports.verdict import trial, verdict
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.hub import check_repo, hub_name, publish, terms
from prectr.shared.markdown import code, inline, one_line
from prectr.shared.run.console import format_cell
from prectr.shared.run.schema import read_json
from prectr.shared.run.steps import fingerprint_of
from prectr.shared.storage.identifiers import require_shared

TEMPLATE = Path(__file__).parent / "model_card.md"
PARTS = {"exposed": "Pages as shown, test weeks", "open": "Everything on sale, shown or not"}


def upload(folder: Path, repo: str, dry_run: bool, private: bool = False) -> None:
    """Writes the model card of the ranker in `folder` and uploads it to the model repository `repo`, or lists what
    would go up.

    Raises:
        PrectrError: nothing finished to publish, the ranker knows user ids or a column that looks like one, its weights
            do not fit, no repository named, no token, or the hub refuses.
    """
    fingerprint_of(folder)
    check_repo(repo)
    feature_map = FeatureMap.read(folder / FEATURE_MAP)
    if "user_id" in feature_map.categorical_names:
        raise PrectrError(
            f"{folder / FEATURE_MAP} holds user ids, which must not be published: train a ranker with "
            "user_id_embedding: false."
        )
    require_no_identifiers(folder, feature_map)
    TrainedRanker.from_pretrained(folder)  # weights that are cut, or of another model, are refused here
    write_card(folder, feature_map, repo)
    publish(folder, FILES, repo, dry_run, private)


def require_no_identifiers(folder: Path, feature_map: FeatureMap) -> None:
    """Raises `PrectrError` for a vocabulary that looks like people's: addresses or session ids, or values of a page's
    context of which most belong to one user alone (told by the data that lie beside the ranker).
    """
    data = folder.parent / "data"
    log = table_path(data, "impressions") if has_table(data, "impressions") else None
    for column in feature_map.categorical:
        if column.name != "item_id":
            require_shared(folder / FEATURE_MAP, column.name, column.vocabulary, None if column.of_item else log)


def write_card(folder: Path, feature_map: FeatureMap, repo: str) -> None:
    """`README.md` of a ranker's folder, from its `metrics.json`; `repo` is what its example opens."""
    metrics = read_json(folder / "metrics.json")
    config = read_json(folder / CONFIG)
    origin: dict[str, Any] = metrics.get("encoder") or {}
    data = origin.get("data") or "impressions"
    measured = [("exposed", metric) for metric in EXPOSED] + [("open", metric) for metric in OPEN]
    card = ModelCardData(
        model_name=f"prectr-ranker-{data}",
        license="other",
        license_name="see-terms-below",
        base_model=hub_name(origin["init_from"]) if origin.get("init_from") else None,
        library_name="prectr",
        pipeline_tag="text-ranking",
        tags=["click-through-rate", "learning-to-rank", "search-relevance", "prectr"],
        eval_results=[
            EvalResult(
                task_type="text-ranking",
                dataset_type=data,
                dataset_name=f"{data} ({part})",
                # Results without it count as one data set's, whatever its names.
                dataset_split=part,
                metric_type=metric,
                metric_value=metrics[part][metric],
            )
            for part, metric in measured
            if part in metrics and metrics[part][metric] is not None
        ],
    )
    contents: dict[str, Any] = {
        "repo": repo,
        "metrics": {
            **metrics,
            "command": one_line(metrics["command"]),
            "reconstructed": inline(metrics.get("reconstructed") or ""),
            "not_measured": {name: inline(why) for name, why in metrics.get("not_measured", {}).items()},
        },
        "trial": trial(metrics),
        "verdict": verdict(metrics),
        "level_names": [inline(name) for name in config["level_names"]],
        "tables": list(_tables(metrics)),
        "vocabularies": {code(column.name): format_cell(len(column.vocabulary)) for column in feature_map.categorical},
        "num_numbers": len(feature_map.numeric),
        "terms": terms([source for source in origin.values() if source]),
    }
    text = str(ModelCard.from_template(card, template_path=str(TEMPLATE), **contents))
    with atomic_write(folder / "README.md") as temporary:
        temporary.write_text(text, encoding="utf-8")


def _tables(metrics: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What `make rank` prints, LightGBM beside the ranker: title, columns, rows and the numbers behind them."""
    systems = {"this ranker": metrics, "LightGBM, same columns": metrics["lightgbm"]}
    for part, names in (("exposed", EXPOSED), ("open", OPEN)):
        if part in metrics:
            rows = [[name, *(with_interval(found[part], key) for key in names)] for name, found in systems.items()]
            yield {"title": PARTS[part], "columns": names, "rows": rows, "counts": counts(metrics[part]["n"])}
    if "new_users" in metrics:
        rungs = list(metrics["new_users"])
        rows = [[name, *(rung_with_interval(found, rung) for rung in rungs)] for name, found in systems.items()]
        title = "New users whose last n pages are known: AUC"
        columns = [f"n = {rung}" for rung in rungs]
        yield {"title": title, "columns": columns, "rows": rows, "counts": counts(metrics["new_users_n"])}
