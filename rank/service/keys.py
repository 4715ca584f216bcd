"""Who may ask: API keys, compared in constant time; those who administer are apart from those who read."""

import hashlib
import hmac
from collections.abc import Sequence

from fastapi import Request

from prectr.rank.service.errors import RefusedError
from prectr.rank.service.settings import ADMIN_KEYS, Settings

HOW = "send it as `Authorization: Bearer KEY`"


def require_reader(request: Request) -> None:
    """Raises: RefusedError: keys are set and the request has none of them."""
    settings: Settings = request.app.state.settings
    if settings.read_keys and not _is_one_of(_key(request), (*settings.read_keys, *settings.admin_keys)):
        raise RefusedError(401, f"an API key is needed: {HOW}.", {"www-authenticate": "Bearer"})


def require_admin(request: Request) -> None:
    """Raises: RefusedError: the request has no admin key, or there is none."""
    settings: Settings = request.app.state.settings
    if not settings.admin_keys:
        raise RefusedError(403, f"no admin key is set: start the service with {ADMIN_KEYS} in its environment.")
    if not _is_one_of(_key(request), settings.admin_keys):
        raise RefusedError(401, f"an admin key is needed: {HOW}.", {"www-authenticate": "Bearer"})


def _key(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")


def _is_one_of(key: str, keys: Sequence[str]) -> bool:
    """Takes as long whatever the key, and whichever it is: digests of equal length, all of them compared."""
    given = hashlib.sha256(key.encode("utf-8", "replace")).digest()
    return bool(sum([hmac.compare_digest(given, hashlib.sha256(each.encode()).digest()) for each in keys]))
