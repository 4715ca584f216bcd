"""What is answered: the shape of every answer, for `/docs`, and how scores are written into it."""

from typing import Any

import numpy as np
from pydantic import BaseModel, Field
from pydantic_core import to_json
from starlette.responses import Response

from prectr.rank.service.dials import Order
from prectr.rank.service.errors import RefusedError
from prectr.rank.service.interface import Ranked


class Refusal(BaseModel):
    """Why a request was refused, and what to send instead."""

    error: str


class RankAnswer(BaseModel):
    """Scores in the order of the request's candidates. K levels."""

    page_id: int = Field(description="send it with the events of this page")
    levels: list[str] = Field(description="[K], lowest first")
    ranker: str = Field(description="who ordered it: champion, challenger, or interleaved, both in turn")
    item_id: list[str]
    p_click: list[float]
    level_prob: list[list[float]] = Field(description="[n, K], π_k: P(level | query, item)")
    p_click_given_level: list[list[float]] = Field(description="[n, K], σ(a_k)")
    tau: list[float] = Field(description="what this shopper's taste for relevance adds to every a_k, in logits")
    score: list[float] = Field(description="what the order is by: p_click, or by level_values")
    order: list[int] = Field(description="places in the request, best first; those under the floor are left out")
    below_floor: list[int]


class Result(BaseModel):
    """An item that was found."""

    item_id: str
    text: str
    category: str | None
    attributes: dict[str, str | float | None]
    p_click: float
    level_prob: list[float]
    p_click_given_level: list[float]
    tau: float
    score: float
    bm25: float | None = Field(description="none: no word of it is in the query, but it was clicked under it")
    clicked: int = Field(description="how often it was clicked under this very query")


class SearchAnswer(BaseModel):
    """What a search found."""

    page_id: int
    levels: list[str]
    ranker: str = Field(description="as of /v1/rank")
    results: list[Result]
    orders: dict[str, list[int]] = Field(description="places in results, best first: prectr, lightgbm, relevance, bm25")
    below_floor: list[int]


class EventsAnswer(BaseModel):
    """What became of events: all are on disk and count in the next answer."""

    new: int
    repeated: int = Field(description="taken before, by event_id")
    ignored: int = Field(description="of UBI: other actions, and events about no item of the catalogue or no query")


class Done(BaseModel):
    """It is done."""

    status: str


REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal, "description": what}
    for status, what in (
        (400, "not JSON"), (401, "a key is needed"), (408, "no whole body came in time"), (413, "too much at once"),
        (415, "not application/json"), (421, "another host's name"), (422, "something in it is wrong"),
        (503, "too many requests are waiting: see Retry-After"),
    )
}  # fmt: skip
"""For every route."""


def as_columns(ranked: Ranked, order: Order) -> dict[str, Any]:
    """The columns of a `RankAnswer`."""
    columns = {
        "p_click": ranked.p_click,
        "level_prob": ranked.level_prob,
        "p_click_given_level": ranked.p_click_given_level,
        "tau": ranked.tau,
        "score": order.score,
    }
    require_finite(*columns.values())
    return {
        "item_id": list(ranked.item_id),
        **{name: values.tolist() for name, values in columns.items()},
        "order": order.order,
        "below_floor": order.below_floor,
    }


def require_finite(*scores: np.ndarray) -> None:
    """Raises: RefusedError: a score is not a number that JSON has a word for."""
    if not all(np.isfinite(values).all() for values in scores):
        raise RefusedError(
            422, "a score is not a finite number: send attributes as large as the ranker was trained with."
        )


def expected_level(level_prob: np.ndarray) -> np.ndarray:
    """Mean level [n] as a share of the highest one, in 0..1: relevance alone."""
    count = level_prob.shape[1]
    return level_prob @ (np.arange(count) / (count - 1))


class Json(Response):
    """JSON by pydantic's own writer, which takes a tenth of the time of Python's for numbers."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return to_json(content, inf_nan_mode="null")


def answer(content: Any, status: int = 200) -> Response:
    """JSON as it is: FastAPI would look at every number again."""
    return Json(content, status)
