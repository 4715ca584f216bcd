"""What may be sent: the bodies of every route, each field with what it means. `/docs` shows them."""

import math
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, model_validator

from prectr.rank.service.interface import Value
from prectr.rank.serving.own_names import OwnNames
from prectr.shared.errors import PrectrError

MOST_FLOAT32 = 3.4e38
MOST_PAGE_ID = 2**53 - 1
"""Integers up to here survive a JavaScript client."""
PREFIXES = ("cat_", "num_", "ctx_cat_", "ctx_num_")


def _seconds(value: Any) -> int:
    """Seconds since 1970 of a number or an ISO 8601 text; without a zone it is UTC."""
    remedy = "send seconds since 1970 or ISO 8601 text such as 2017-11-20T10:00:00Z"
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
            value = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
        except (ValueError, OverflowError):
            raise ValueError(f"is not a time: {remedy}") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**33:
        raise ValueError(f"is not a time between 1970 and 2242: {remedy}")
    return int(value)


def _typed(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty: send what was typed")
    return text


def _attributes(values: dict[str, Value]) -> dict[str, Value]:
    """Numbers where the name says number, text where it says text.

    An unknown name is an error: a typo would otherwise silently count as a value nobody gave.
    """
    read = values
    for name, value in values.items():
        is_number = _is_number(name)
        if isinstance(value, float):
            if not -MOST_FLOAT32 <= value <= MOST_FLOAT32:
                raise ValueError(f"{name[:40]!r} is too large: send a number of at most {MOST_FLOAT32}")
            if not is_number:
                read = {**read, name: _text(value)}
        elif is_number and value is not None:
            raise ValueError(f"{name[:40]!r} is text: send a number, or null")
    return read


@lru_cache(maxsize=1_000)
def _is_number(name: str) -> bool:
    """Whether an attribute is a number by its name; raises `ValueError` where no attribute is called so."""
    if name != "category" and not name.startswith(PREFIXES):
        raise ValueError(f"{name[:40]!r} is no attribute: send category, or names that begin with {_names()}")
    return name.startswith(("num_", "ctx_num_"))


def _text(number: float) -> str:
    return str(int(number)) if math.isfinite(number) and number == int(number) else str(number)


def _names() -> str:
    return f"{', '.join(PREFIXES[:-1])} or {PREFIXES[-1]}"


Seconds = Annotated[
    int,
    BeforeValidator(_seconds, json_schema_input_type=float | str),
    Field(description="seconds since 1970, or ISO 8601 text"),
]
Query = Annotated[str, AfterValidator(_typed), Field(description="what was typed")]
Identifier = Annotated[str, Field(min_length=1)]
PageId = Annotated[int, Field(ge=0, le=MOST_PAGE_ID, strict=True)]
Attributes = Annotated[dict[str, Value], AfterValidator(_attributes)]
Score = Annotated[float, Field(ge=-MOST_FLOAT32, le=MOST_FLOAT32)]


class Body(BaseModel):
    """What is not a field is an error: a misspelt dial that does nothing is worse than a refusal."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


OWN_NAMES: ContextVar[OwnNames | None] = ContextVar("what the shop calls the columns", default=None)
"""Set for each request by `app.OwnWords`: a body that is read does not know the application."""


class OwnWords(Body):
    """A body that may use the shop's own names, too, as `data convert` was told them."""

    _folder: ClassVar[str] = "attributes"
    """The field of the columns that are no field of their own, and how these begin."""
    _begin: ClassVar[tuple[str, ...]] = PREFIXES

    @model_validator(mode="before")
    @classmethod
    def _as_columns(cls, value: Any) -> Any:
        names = OWN_NAMES.get()
        if names is None or not names.names:
            return value
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            return value
        fields = set(cls.model_fields)
        inside = {name for name in names.names if name.startswith(cls._begin)} if cls._folder in fields else set[str]()
        try:
            read = names.read(value, fields | inside)
            features = {name: read.pop(name) for name in inside & read.keys()}
            given = read.get(cls._folder, {})
            if isinstance(given, dict) and all(isinstance(key, str) for key in given) and (features or given):
                given = names.read(given, inside)
                if twice := features.keys() & given.keys():
                    raise ValueError(f"{min(twice)!r} is given twice: once by itself and once in {cls._folder}")
                read[cls._folder] = features | given
        except PrectrError as error:
            raise ValueError(str(error)) from None
        return read


class Dials(Body):
    """How scores become an order."""

    floor: float = Field(default=0.0, ge=0, le=1, description="least P(level ≥ floor_level) an item may have")
    floor_level: int | None = Field(
        default=None, ge=0, le=100, strict=True, description="level of the floor; default: the upper half of the levels"
    )
    level_values: list[Score] | None = Field(
        default=None, description="v_k, what a click at each level is worth; the score is then Σ_k v_k π_k σ(a_k)"
    )


class Shopper(OwnWords):
    """For whom, and when."""

    _folder: ClassVar[str] = "context"
    _begin: ClassVar[tuple[str, ...]] = ("ctx_",)

    user_id: Identifier | None = Field(default=None, description="whose past counts; none: somebody new")
    timestamp: Seconds | None = Field(default=None, description="only what happened before it counts; default: now")
    query_category: str | None = Field(default=None, description="default: the candidates' most frequent")
    context: Attributes = Field(default={}, description="ctx_cat_* and ctx_num_* of the whole page")


class CandidateBody(OwnWords):
    """An item: by the id of one in the catalogue, or with its text."""

    item_id: Identifier | None = None
    text: str | None = Field(default=None, min_length=1)
    category: str | None = None
    attributes: Attributes = Field(default={}, description="cat_*, num_* of the item, ctx_* of its place on the page")


class RankBody(Shopper, Dials):
    """A page to be ranked."""

    query: Query
    candidates: list[CandidateBody] = Field(min_length=1)
    page_id: PageId | None = Field(default=None, description="of this page in later events; default: a new one")


class SearchBody(Shopper, Dials):
    """A search in the catalogue."""

    query: Query
    size: int | None = Field(
        default=None, ge=1, strict=True, description="candidates taken from the catalogue, by BM25; default: up to 100"
    )
    rivals: StrictBool = Field(
        default=False, description="also LightGBM's order of the same features, if the ranker's run kept its trees"
    )


class ExplainBody(Shopper):
    """A page whose scores are to be explained."""

    query: Query
    candidates: list[CandidateBody] = Field(min_length=1)
    top_events: int = Field(default=3, ge=0, le=50, strict=True)
    top_features: int = Field(default=5, ge=0, le=50, strict=True)


class EventBody(OwnWords):
    """Something a shopper was shown or did. One `event_id` counts once, however often it is sent."""

    event_id: Identifier
    kind: Literal["impression", "click", "purchase"]
    user_id: Identifier | None = None
    query: Query | None = Field(default=None, description="what led to it, if it was a search")
    query_category: str | None = None
    item_id: Identifier
    page_id: PageId | None = Field(default=None, description="as the answer to the search said")
    timestamp: Seconds | None = Field(default=None, description="default: now")


class UbiQuery(BaseModel):
    """OpenSearch's User Behavior Insights 1.x: a query and what was returned."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)
    query_id: Identifier
    user_query: Query
    user_id: Identifier | None = None
    client_id: Identifier | None = None
    timestamp: Seconds | None = None
    query_response_hit_ids: list[Identifier] = []


class UbiObject(BaseModel):
    """What an event was about."""

    model_config = ConfigDict(extra="ignore")
    object_id: Identifier | None = None


class UbiAttributes(BaseModel):
    """Of an event, the part that is read."""

    model_config = ConfigDict(extra="ignore")
    object: UbiObject | None = None


class UbiEvent(BaseModel):
    """OpenSearch's User Behavior Insights 1.x: an event."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)
    action_name: Identifier
    query_id: Identifier | None = None
    user_query: Query | None = None
    user_id: Identifier | None = None
    client_id: Identifier | None = None
    session_id: str | None = None
    timestamp: Seconds | None = None
    event_attributes: UbiAttributes | None = None


class EventsBody(Body):
    """Events, of our own shape, or UBI's queries and events, in order of time."""

    events: list[EventBody] = []
    ubi_queries: list[UbiQuery] = []
    ubi_events: list[UbiEvent] = []


class ItemBody(OwnWords):
    """A row of the catalogue."""

    _begin: ClassVar[tuple[str, ...]] = ("cat_", "num_")

    item_id: Identifier
    text: str = Field(min_length=1)
    category: str | None = None
    attributes: Attributes = {}


class ItemsBody(Body):
    """Items to be added to the catalogue, or replaced."""

    items: list[ItemBody] = Field(min_length=1)


class Document(BaseModel):
    """A document of Cohere's or Jina's rerank. Other fields of it are not read."""

    model_config = ConfigDict(extra="ignore")
    text: str = Field(min_length=1)
    id: Identifier | None = Field(default=None, description="of an item of the catalogue, whose past then counts")


class RerankBody(BaseModel):
    """What Cohere, Jina and text-embeddings-inference share; what only one of them knows is not read."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)
    query: Query
    documents: list[str | Document] | None = Field(default=None, min_length=1, description="Cohere, Jina")
    texts: list[str] | None = Field(default=None, min_length=1, description="text-embeddings-inference")
    model: str | None = None
    top_n: int | None = Field(default=None, ge=1, strict=True)
    return_documents: StrictBool = False
    return_text: StrictBool = False
    user_id: Identifier | None = Field(default=None, description="ours: whose past counts")
    score: Literal["click", "relevance"] = Field(
        default="click", description="ours: P(click), or the expected level as a share of the highest"
    )
