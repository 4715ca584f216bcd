"""What the report reads back: the judged impressions, with their users and, where there are any, gold levels."""

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prectr.data.contract import read_table
from prectr.rank.evaluation.protocol import gold_levels, users_of
from prectr.rank.history.log import BehaviourLog
from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import RECORD


@dataclass(frozen=True)
class Scored:
    """n judged impressions of one set under K levels.

    page, clicked, tau: [n]. user: [n] int codes. ours, rival: [n] P(click) of the ranker and of LightGBM.
    level_prob, click_given_level: [n, K]. gold_level: [n] int, -1 unknown.
    history_pages: [n] int, to how many pages the user's history was cut; -1 not cut.
    past_pages: [n] pages the user had seen before; None where the log is not there any more.
    query, item: [n] the query and the item_id, strings.
    """

    page: np.ndarray
    user: np.ndarray
    clicked: np.ndarray
    ours: np.ndarray
    rival: np.ndarray
    tau: np.ndarray
    level_prob: np.ndarray
    click_given_level: np.ndarray
    gold_level: np.ndarray
    history_pages: np.ndarray
    past_pages: np.ndarray | None
    query: np.ndarray
    item: np.ndarray

    def where(self, mask: np.ndarray) -> "Scored":
        """The impressions of `mask` [n]."""
        columns = {item.name: getattr(self, item.name) for item in fields(self)}
        return replace(self, **{name: column[mask] for name, column in columns.items() if column is not None})


def read_scored(folder: Path, split: str) -> Scored | None:
    """The predictions of the impressions of `split`; None if none was judged.

    Raises:
        PrectrError: the tables are not those the ranker was judged on.
    """
    data, path = folder / "data", folder / "ranker" / "predictions.parquet"
    rows = pq.read_table(path, filters=[("split", "=", split)])
    if not len(rows):
        return None
    impressions = read_table(data, "impressions")
    place = pc.index_in(rows["impression_id"], value_set=impressions["impression_id"].combine_chunks())
    if place.null_count:
        raise PrectrError(
            f"{path}: impression_id: {place.null_count} of the {split} impressions are not in {data}: the tables have "
            "changed since; run `python -m rank run` again."
        )
    impressions = impressions.take(place)

    def levels(name: str) -> np.ndarray:
        return rows[name].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)

    return Scored(
        page=rows["page_id"].to_numpy(),
        user=np.unique(users_of(impressions["user_id"], impressions["page_id"]), return_inverse=True)[1],
        clicked=rows["clicked"].to_numpy().astype(np.float64),
        ours=rows["p_click"].to_numpy(),
        rival=rows["p_click_lightgbm"].to_numpy(),
        tau=rows["tau"].to_numpy(),
        level_prob=levels("level_prob"),
        click_given_level=levels("p_click_given_level"),
        gold_level=gold_levels(impressions, data),
        history_pages=pc.fill_null(rows["history_pages"], -1).to_numpy(),
        past_pages=_past_pages(impressions, folder / "behaviours"),
        query=impressions["query"].to_numpy(zero_copy_only=False),
        item=impressions["item_id"].to_numpy(zero_copy_only=False),
    )


def _past_pages(impressions: pa.Table, behaviours: Path) -> np.ndarray | None:
    if not (behaviours / RECORD).is_file():
        return None
    log = BehaviourLog.open(behaviours)
    coded = log.encode(impressions)
    index = log.index("user_page")
    return index.count(index.lookup(coded.user), np.zeros_like(coded.before_row), coded.before_row)
