"""What only an administrator may do: change the catalogue, and take another ranker."""

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from prectr.rank.service.answers import REFUSALS, Done, answer
from prectr.rank.service.bodies import ItemsBody
from prectr.rank.service.checking import check_count, check_texts
from prectr.rank.service.errors import RefusedError
from prectr.rank.service.interface import Item
from prectr.rank.service.keys import require_admin
from prectr.rank.service.state import Service

router = APIRouter(prefix="/v1", dependencies=[Depends(require_admin)], responses=REFUSALS, tags=["administration"])


@router.put("/items", response_model=Done)
async def put_items(body: ItemsBody, request: Request) -> Response:
    """Add items to the catalogue, or replace them; their texts are encoded now."""
    service: Service = request.app.state.service
    check_texts(body, service.settings)
    check_count("items", len(body.items), service.settings.most_candidates)
    items = list[Item]()
    for number, each in enumerate(body.items):
        if not each.text.strip():
            raise RefusedError(422, f"items.{number}.text is empty: send the item's text.")
        wrong = [name for name in each.attributes if not name.startswith(("cat_", "num_"))]
        if wrong:
            raise RefusedError(
                422, f"items.{number}: {wrong[0][:40]!r} is of a page: send cat_* and num_* of the item."
            )
        items.append(Item(each.item_id, each.text, each.category, each.attributes))
    await service.ranking.run(lambda: service.live.put_items(items), "encode")
    return answer({"status": f"{len(items)} items"})


@router.post("/reload", response_model=Done)
async def reload(request: Request) -> Response:
    """Open the ranker's folder again, in every worker; until it is open the old one answers."""
    await request.app.state.reload()
    return answer({"status": "reloaded"})
