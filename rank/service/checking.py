"""A body that parsed may still be too much, or name what nobody knows: each such fault is a sentence."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from prectr.rank.service.bodies import CandidateBody, Shopper
from prectr.rank.service.errors import RefusedError
from prectr.rank.service.interface import Candidate, RankRequest
from prectr.rank.service.settings import Settings
from prectr.rank.service.state import Service

MOST_ATTRIBUTES = 200


def check_texts(body: BaseModel, settings: Settings) -> None:
    """Raises: RefusedError: 413, a text is too long or an item has too many attributes; 422, a text is none."""
    if _is_fine(body, settings.most_characters):  # as nearly all are: where a text stands is asked when one is not
        return
    for where, value in _leaves(body, ""):
        if isinstance(value, str) and not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value):
            raise RefusedError(422, f"{where} has half of a surrogate pair: send whole characters.")
        if isinstance(value, str) and len(value) > settings.most_characters:
            most = settings.most_characters
            raise RefusedError(413, f"{where} has {len(value):,} characters: send at most {most:,}.")
        if isinstance(value, dict) and len(value) > MOST_ATTRIBUTES:
            raise RefusedError(413, f"{where} has {len(value):,} entries: send at most {MOST_ATTRIBUTES}.")


def check_count(name: str, count: int, most: int) -> None:
    """Raises: RefusedError: 413, there are too many."""
    if count > most:
        raise RefusedError(413, f"{name}: {count:,} are too many: send at most {most:,} at once.")


def _is_fine(body: BaseModel, most: int) -> bool:
    texts: list[str] = []
    if not _collect([body], texts):
        return False
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return len(max(texts, key=len, default="")) <= most


def _collect(values: Iterable[Any], texts: list[str]) -> bool:
    """Put all texts among the values into `texts`, equal ones of a list once or more; whether no mapping is too large.

    Values of one type are gone through together: a page of a hundred candidates has some two thousand of them.
    """
    of_types: dict[type, list[Any]] = {}
    for value in values:
        of_types.setdefault(type(value), []).append(value)
    for kind, some in of_types.items():
        if issubclass(kind, str):
            texts += some
        elif issubclass(kind, dict):
            if max(map(len, some)) > MOST_ATTRIBUTES:
                return False
            texts += set[str]().union(*some)
            if not _collect([each for mapping in some for each in mapping.values()], texts):
                return False
        elif issubclass(kind, BaseModel):
            if not _collect([each for model in some for each in model.__dict__.values()], texts):
                return False
        elif issubclass(kind, list) and not _collect([each for inner in some for each in inner], texts):
            return False
    return True


def _leaves(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Texts and mappings, each with where it stands: `candidates.3.text`."""
    if isinstance(value, BaseModel):
        for name, inner in value.__dict__.items():
            yield from _leaves(inner, f"{where}.{name}" if where else name)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{where}.{number}")
    elif isinstance(value, dict):
        yield where, value
        for name, inner in value.items():
            yield f"a name in {where}", name
            yield from _leaves(inner, f"{where}.{name[:40]}")
    elif isinstance(value, str):
        yield where, value


def request_of(service: Service, query: str, candidates: Sequence[Candidate], body: Shopper) -> RankRequest:
    """The page that a body asks for, at the present if it names no time."""
    return RankRequest(
        query=query,
        candidates=candidates,
        user_id=service.window.user_of(body.user_id),
        timestamp=service.clock.now() if body.timestamp is None else body.timestamp,
        query_category=body.query_category,
        context=body.context,
    )


def candidates_of(service: Service, bodies: Sequence[CandidateBody]) -> list[Candidate]:
    """The candidates of a page, each under an id of its own.

    Raises:
        RefusedError: too many of them, one twice, or one that has neither a text nor a place in the catalogue.
    """
    check_count("candidates", len(bodies), service.settings.most_candidates)
    by_id = [body.item_id for body in bodies if body.item_id is not None and body.text is None]
    known = service.known(by_id)
    candidates, taken = list[Candidate](), set[str]()
    for number, body in enumerate(bodies):
        text, item_id, attributes = body.text, body.item_id, body.attributes
        if text is None:
            if item_id is None:
                raise RefusedError(422, f"candidates.{number} has neither item_id nor text: send one of them.")
            if item_id not in known:
                raise RefusedError(
                    422, f"candidates.{number}: {_short(item_id)} is not in the catalogue: send its text too."
                )
        elif not text.strip():
            raise RefusedError(422, f"candidates.{number}.text is empty: send the item's text.")
        item_id = item_id or nameless(text or "", taken)
        if item_id in taken:
            raise RefusedError(422, f"candidates.{number}: {_short(item_id)} is there twice: send each item once.")
        taken.add(item_id)
        if body.category is not None:
            attributes = {**attributes, "category": body.category}
        candidates.append(Candidate(item_id, text, attributes))
    return candidates


def nameless(text: str, taken: set[str]) -> str:
    """An id for an item that came without one: the same for the same text, but once per page."""
    item_id = first = f"text:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    number = 1
    while item_id in taken:
        number += 1
        item_id = f"{first}#{number}"
    return item_id


def _short(name: str | None) -> str:
    return repr((name or "")[:60])
