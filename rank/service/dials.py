"""How scores become an order, at query time: a floor under relevance, and what each level's click is worth.

P(level) is calibrated, so both are said in its own terms and need no training: `floor` is the least P(level ≥ k) an
item may have; `level_values` v scores Σ_k v_k π_k σ(a_k), where P(click) is that sum with v = 1 [O].
"""

from typing import NamedTuple

import numpy as np

from prectr.rank.service.bodies import Dials
from prectr.rank.service.errors import RefusedError
from prectr.rank.service.interface import Ranked


class Order(NamedTuple):
    """`score` [n] of each candidate, `order`: candidates above the floor, best first, `below_floor`: the others."""

    score: np.ndarray
    order: list[int]
    below_floor: list[int]


def ordered(ranked: Ranked, dials: Dials, level_names: list[str]) -> Order:
    """The order of a page under these dials.

    Raises:
        RefusedError: there is no such level, or not one value per level.
    """
    names, count = ", ".join(level_names), ranked.level_prob.shape[1]
    if dials.level_values is not None and len(dials.level_values) != count:
        raise RefusedError(422, f"level_values has {len(dials.level_values)} numbers: send {count}, for {names}.")
    level = dials.floor_level if dials.floor_level is not None else count // 2
    if level >= count:
        raise RefusedError(422, f"floor_level is {level}: send one of 0 to {count - 1} ({names}).")
    score, order = ranked.p_click, np.asarray(ranked.order)
    if dials.level_values is not None:
        score = (ranked.level_prob * ranked.p_click_given_level) @ np.asarray(dials.level_values, np.float64)
        order = np.argsort(-score, kind="stable")
    above = ranked.level_prob[:, level:].sum(1) >= dials.floor
    # Rounding must not put anything below a floor of 0.
    above |= dials.floor == 0
    return Order(score, order[above[order]].tolist(), order[~above[order]].tolist())
