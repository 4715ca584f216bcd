"""What the trainings left behind, judged by one protocol: every system's probabilities on the same impressions."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.ranker.cell import Cell
from benchmarks.ranker.systems import is_ours
from prectr.rank.evaluation.protocol import Judged, gold_levels, judge_exposed, judge_new_users, judge_open, users_of
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.reports.diagnostics import violations
from prectr.rank.workspace import Workspace
from prectr.shared.errors import PrectrError

EXPOSED = ("auc", "gauc_page", "logloss", "pcoc", "ece")
OPEN = ("ndcg@10", "auc", "excess_low@10")

Figures = dict[str, float | None]
Probabilities = dict[str, np.ndarray]


@dataclass
class Protocol:
    """The judged sets of a data set: test, open, and new_users, whose rungs hold the same rows.

    Args:
        workspace: of a cell whose features are built; which seed's makes no difference.
    """

    workspace: Workspace

    @property
    def rungs(self) -> list[int]:
        return self.workspace.history.cold_lengths

    @cached_property
    def sets(self) -> dict[str, Judged]:
        return {name: self._judged(name) for name in ("test", "open", "new_users")}

    @cached_property
    def impressions(self) -> dict[str, np.ndarray]:
        """impression_id [n] of each set, in its row order."""
        return {name: self._rows(name)["impression_id"].to_numpy() for name in self.sets}

    @cached_property
    def stage_one_levels(self) -> np.ndarray:
        """The level that stage one thinks most likely, of each open candidate [n]."""
        return np.asarray(self._prepared("open").level_prob).argmax(1)

    def judge(self, probability: Probabilities) -> Figures:
        """`exposed.auc`, `open.ndcg@10`, `new_users.0`, … of a system's probabilities; intervals come elsewhere."""
        exposed = judge_exposed(self.sets["test"], probability["test"], 0, 0)
        candidates = judge_open(self.sets["open"], probability["open"], 0, 0)
        ladder = {n: probability[f"new_users_{n}"] for n in self.rungs}
        new_users = judge_new_users(self.sets["new_users"], ladder, 0, 0)["new_users"]
        return {
            **{f"exposed.{name}": exposed[name] for name in EXPOSED},
            **{f"open.{name}": candidates[name] for name in OPEN},
            **{f"new_users.{n}": value for n, value in new_users.items()},
        }

    def counts(self) -> dict[str, dict[str, int]]:
        """Pages, users, impressions and clicks of each section of figures."""
        return {
            section: self.sets[name].counts()
            for section, name in {"exposed": "test", "open": "open", "new_users": "new_users"}.items()
        }

    def level_accuracy(self, level: np.ndarray) -> float | None:
        """The share of open candidates with a known gold level whose level [n] is right."""
        gold = self.sets["open"].gold_level
        assert gold is not None
        known = gold >= 0
        return float((level[known] == gold[known]).mean()) if known.any() else None

    def _prepared(self, name: str) -> PreparedSet:
        rung = f"_{self.rungs[0]}" if name == "new_users" else ""
        return PreparedSet.open(self.workspace.folder / "features" / f"{name}{rung}")

    def _rows(self, name: str) -> pa.Table:
        return self.workspace.impressions(name).take(pa.array(self._prepared(name).impression))

    def _judged(self, name: str) -> Judged:
        prepared, rows = self._prepared(name), self._rows(name)
        return Judged(
            clicked=np.asarray(prepared.clicked),
            page=np.asarray(prepared.page),
            user=np.unique(users_of(rows["user_id"], rows["page_id"]), return_inverse=True)[1],
            gold_level=gold_levels(rows, self.workspace.data) if name == "open" else None,
            # An open list is no log: nothing of it was thinned out.
            weight=None if name == "open" else prepared.full_log_weight(self.workspace.losses.negative_sampling_rate),
        )


def read_probabilities(cell: Cell, protocol: Protocol) -> Probabilities:
    """P(click) float64 [n] of every judged set, the rungs of the ladder one by one, in the sets' row order.

    Raises:
        PrectrError: the cell judged other impressions.
    """
    names = ["test", "open", *(f"new_users_{n}" for n in protocol.rungs)]
    if not is_ours(cell.system):
        found = {name: np.load(cell.folder / f"{name}.npy") for name in names}
        for name, probability in found.items():
            _require(cell, len(probability) == len(protocol.impressions[_set_of(name)]))
        return found
    rows = _predictions(cell, ["impression_id", "split", "history_pages", "p_click"])
    found = {}
    for name in names:
        own = rows.filter(_is_row_of(name))
        _require(cell, np.array_equal(own["impression_id"].to_numpy(), protocol.impressions[_set_of(name)]))
        found[name] = own["p_click"].to_numpy().astype(np.float64)
    return found


def read_facts(cell: Cell, protocol: Protocol) -> dict[str, Any]:
    """What a cell tells beside its figures.

    Returns:
        `seconds` of its training, and `cell_seconds` of all that was done for it beside what it borrowed: features,
        tuning, scoring. Of a ranker also `samples_per_second` (training impressions, of all passes), `encoder_share`
        of these seconds where it was measured, `level_accuracy` on open candidates' gold levels, `violations` (how
        often P(click | k) > P(click | k + 1) at some k, of exposed impressions; None without fusion), `encoder`, where
        the one it started from came from, and `commit`, which the run was made at.
    """
    if not is_ours(cell.system):
        facts = json.loads((cell.folder / "facts.json").read_text(encoding="utf-8"))
        return {"seconds": facts["seconds"]["train"], "cell_seconds": cell.seconds()}
    metrics = json.loads((cell.folder / "ranker" / "metrics.json").read_text(encoding="utf-8"))
    workspace, seconds = cell.workspace(), metrics["seconds"]["rank"]
    trained = len(PreparedSet.open(workspace.folder / "features" / "train")) * sum(workspace.training.passes)
    rows = _predictions(cell, ["split", "history_pages", "level_prob", "p_click_given_level"])
    level = _lists(rows.filter(_is_row_of("open"))["level_prob"]).argmax(1)
    fused = workspace.model.fusion == "conditional"
    shown = _lists(rows.filter(_is_row_of("test"))["p_click_given_level"])
    return {
        "seconds": seconds,
        "cell_seconds": cell.seconds(),
        "samples_per_second": trained / seconds,
        "encoder_share": metrics.get("encoder_share"),
        "level_accuracy": protocol.level_accuracy(level),
        "violations": violations(shown)[0] if fused else None,
        "encoder": metrics["encoder"],
        "commit": metrics["git_commit"] or "unknown",
    }


def by_system(cells: Iterable[Cell], values: Mapping[Cell, Mapping[str, Any]]) -> dict[str, dict[str, list[Any]]]:
    """{system: {name: [a value per seed]}}."""
    found: dict[str, dict[str, list[Any]]] = {}
    for cell in cells:
        for name, value in values[cell].items():
            found.setdefault(cell.system, {}).setdefault(name, []).append(value)
    return found


def _predictions(cell: Cell, columns: list[str]) -> pa.Table:
    return pq.read_table(cell.folder / "ranker" / "predictions.parquet", columns=columns)


def _set_of(name: str) -> str:
    return "new_users" if name.startswith("new_users") else name


def _is_row_of(name: str) -> pc.Expression:
    split = pc.field("split") == _set_of(name)
    return split if name == _set_of(name) else split & (pc.field("history_pages") == int(name.rpartition("_")[2]))


def _lists(column: pa.ChunkedArray) -> np.ndarray:
    return column.combine_chunks().flatten().to_numpy().reshape(len(column), -1)


def _require(cell: Cell, same: bool) -> None:
    if not same:
        raise PrectrError(f"{cell.folder} judged other impressions than the rest; remove it and run this again.")
