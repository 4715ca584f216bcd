"""Two rankers before one public: who ranks a page, or whose choice each item of it is.

A share of the shoppers, the same ones always, is ranked by a challenger; or their pages are interleaved: both rankers
choose in turn, and a click speaks for whoever chose the item (team draft, Radlinski et al. 2008). The latter compares
within a page, so that it sees a difference on far fewer of them.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from prectr.rank.service.interface import Live, Ranked, RankRequest
from prectr.rank.serving.traffic.served import CHALLENGER, CHAMPION, INTERLEAVED
from prectr.shared.errors import PrectrError


class Ranking(NamedTuple):
    """Scores of a page, who ordered it, and by item whose choice it was where it is interleaved."""

    ranked: Ranked
    ranker: str = CHAMPION
    team: Mapping[str, str] = {}


@dataclass(frozen=True)
class Contest:
    """Attributes:
    challenger: the other ranker. share: of the shoppers whose pages it ranks. interleaved: it ranks half of each.
    """

    challenger: Live
    share: float
    interleaved: bool

    def rank(self, champion: Live, request: RankRequest, page_id: int) -> Ranking:
        """The page by whoever its shopper falls to. Where the challenger cannot, the champion does.

        Interleaved pages have the champion's figures.
        """
        shopper = f"user {request.user_id}" if request.user_id is not None else f"page {page_id}"
        if fraction("contest", shopper) >= self.share:
            return Ranking(champion.rank(request))
        try:
            theirs = self.challenger.rank(request)
        except PrectrError:  # its catalogue lacks an item, say
            return Ranking(champion.rank(request))
        if not self.interleaved:
            return Ranking(theirs, CHALLENGER)
        ours = champion.rank(request)
        order, teams = team_draft(ours.order.tolist(), theirs.order.tolist(), page_id)
        team = {ours.item_id[place]: who for place, who in zip(order, teams, strict=True)}
        return Ranking(replace(ours, order=np.array(order)), INTERLEAVED, team)


def team_draft(champion: Sequence[int], challenger: Sequence[int], page_id: int) -> tuple[list[int], list[str]]:
    """Places of one page in two orders, merged, and who chose each: whoever has fewer chooses the best that is left,
    and where both have as many a coin says who; the page's number throws it."""
    orders = {CHAMPION: list(champion), CHALLENGER: list(challenger)}
    drawn = np.random.default_rng(int(fraction("draft", str(page_id)) * 2**63))
    order, teams, taken = list[int](), list[str](), set[int]()
    while len(order) < len(champion):
        lead = teams.count(CHAMPION) - teams.count(CHALLENGER)
        first = CHALLENGER if lead > 0 or (lead == 0 and drawn.random() < 0.5) else CHAMPION
        choice = next(place for place in orders[first] if place not in taken)
        order.append(choice)
        teams.append(first)
        taken.add(choice)
    return order, teams


def fraction(purpose: str, name: str) -> float:
    """A number in [0, 1) that a name always has, another for another purpose."""
    digest = hashlib.sha256(f"{purpose}\0{name}".encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:6]) / 2**48
