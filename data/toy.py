"""The toy shop: a generated catalogue whose text decides clicks, with every table of the contract, made in a second.

A product is a combination of words (`red wool scarf large`), a query names some of them (`wool muffler`), and a level
says how many of the named words fit. Users buy what fits their query and their own taste in colours and materials; so
text, history and other users' history each carry signal that a model can be seen to find.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa

from prectr.data.contract import write_table
from prectr.data.splits import FIRST_TEST, HELD_OUT_USERS, HELD_OUT_WORDINGS, LAST_WEEK, LEVEL_NAMES, split_of_week
from prectr.shared.seeds import generator

COLOURS = ("red", "blue", "green", "black", "white", "yellow")
MATERIALS = {
    "clothing": ("wool", "cotton", "linen"),
    "kitchen": ("steel", "wood", "glass"),
    "home": ("oak", "silk", "iron"),
}
PRODUCTS = {
    "clothing": ("scarf", "shirt", "hat"),
    "kitchen": ("pot", "bowl", "spoon"),
    "home": ("lamp", "chair", "cushion"),
}
SYNONYMS = {
    "scarf": ("scarf", "muffler"), "shirt": ("shirt", "top"), "hat": ("hat", "cap"), "pot": ("pot", "saucepan"),
    "bowl": ("bowl", "dish"), "spoon": ("spoon", "ladle"), "lamp": ("lamp", "light"), "chair": ("chair", "seat"),
    "cushion": ("cushion", "pillow"),
}  # fmt: skip
PRODUCTS_WITHOUT_GOLD = ("spoon", "cushion")
SHOWN, OPEN_OTHERS = 8, 10
START = np.datetime64("2017-01-02T00:00:00", "s")
WEEK = 7 * 24 * 3600


class _Shop:
    """The catalogue and the needs as code matrices: one row per item or need; -1 in a need means 'not named'."""

    def __init__(self, rng: np.random.Generator):
        words = [
            (category, product, material, colour)
            for category in PRODUCTS
            for product, material, colour in itertools.product(PRODUCTS[category], MATERIALS[category], COLOURS)
        ]
        self.categories = np.array([word[0] for word in words])
        self.products = np.array([word[1] for word in words])
        self.materials = np.array([word[2] for word in words])
        self.colours = np.array([word[3] for word in words])
        self.size = len(words)
        self.price = np.round(rng.uniform(2, 30, self.size), 2)
        self.appeal = rng.normal(0, 0.7, self.size)
        sizes = rng.choice(["small", "large"], self.size)
        self.sizes = sizes
        self.text = np.array([f"{c} {m} {p} {s}" for (_, p, m, c), s in zip(words, sizes, strict=True)])
        self.ids = np.array([f"T{number:03d}" for number in rng.permutation(self.size)])
        self._make_needs(rng)

    def _make_needs(self, rng: np.random.Generator) -> None:
        needs: list[tuple[str, str, str, str]] = []
        for category, products in PRODUCTS.items():
            for product in products:
                colours = rng.choice(COLOURS, 2, replace=False)
                needs.append((category, product, "", ""))
                needs += [(category, product, material, "") for material in MATERIALS[category]]
                needs += [(category, product, "", colour) for colour in colours]
        columns = zip(*needs, strict=True)
        self.need_category, self.need_product, self.need_material, self.need_colour = map(np.array, columns)
        wordings = [self._wordings(*need[1:]) for need in needs]
        self.wording = np.array([words for group in wordings for words in group])
        self.need_of_wording = np.repeat(np.arange(len(needs)), [len(group) for group in wordings])
        self.unseen = rng.random(len(self.wording)) < HELD_OUT_WORDINGS
        first = np.unique(self.need_of_wording, return_index=True)[1]
        self.unseen[first] = False

        same_category = self.categories == self.need_category[:, None]
        same_product = self.products == self.need_product[:, None]
        material_fits = (self.need_material[:, None] == "") | (self.materials == self.need_material[:, None])
        colour_fits = (self.need_colour[:, None] == "") | (self.colours == self.need_colour[:, None])
        exact = same_product & material_fits & colour_fits
        self.level = (same_category.astype(np.int8) + same_product + exact).astype(np.int8)
        self.has_gold = ~np.isin(self.need_product, PRODUCTS_WITHOUT_GOLD)

    @staticmethod
    def _wordings(product: str, material: str, colour: str) -> list[str]:
        named = [word for word in (colour, material) if word]
        forms = [" ".join([*named, name]) for name in SYNONYMS[product]]
        forms += [" ".join([name, "in", *named]) for name in SYNONYMS[product] if named]
        return forms + [f"a {forms[1]}"]


def build(folder: Path, seed: int, num_users: int = 60, pages_per_user: int = 42, train_pages: int = 200) -> None:
    """Write all tables of a toy data set into `folder`; the same arguments write the same bytes.

    Args:
        pages_per_user: searches of each user over the 52 weeks; each shows 8 items.
        train_pages: how many of the training weeks' pages become split `train` (validation a fifth, open a tenth).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = generator(seed, "toy")
    shop = _Shop(rng)
    users = np.array([f"U{number:03d}" for number in rng.permutation(num_users)])
    held_out = np.arange(num_users) < max(1, round(HELD_OUT_USERS * num_users))

    pages = num_users * pages_per_user
    order = np.sort(rng.integers(0, LAST_WEEK * WEEK, pages))
    week = order // WEEK + 1
    timestamp = START + order
    user = rng.permutation(np.repeat(np.arange(num_users), pages_per_user))
    wording = _draw_wordings(shop, week >= FIRST_TEST, rng)
    need = shop.need_of_wording[wording]
    bought = _draw_purchases(shop, user, need, num_users, rng)
    shown = _draw_pages(shop, need, rng)

    allowed = split_of_week(week, held_out[user])

    def sample(split: str, count: int) -> np.ndarray:
        return np.sort(rng.permutation(np.flatnonzero(allowed == split))[:count])

    sampled = {"train": sample("train", train_pages), "validation": sample("validation", train_pages // 5)}
    sampled |= {split: sample(split, pages) for split in ("test", "new_users")}
    rows = [_shown_rows(shown, chosen, split) for split, chosen in sampled.items()]
    rows.append(_open_rows(shop, need, sample("test", train_pages // 10), rng))
    page, item, position, row_split = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    discount = rng.choice([0.0, 0.0, 0.1, 0.2], (pages, shop.size))
    impressions = {
        "impression_id": np.arange(len(page)), "page_id": page, "user_id": users[user[page]],
        "query": shop.wording[wording[page]], "query_category": shop.need_category[need[page]],
        "item_id": shop.ids[item], "position": position, "timestamp": timestamp[page],
        "clicked": item == bought[page], "split": row_split,
        "ctx_num_price": shop.price[item] * (1 - discount[page, item]), "ctx_num_discount": discount[page, item],
        "ctx_cat_weekday": np.char.add("day", (order[page] // (24 * 3600) % 7).astype(str)),
    }  # fmt: skip

    write_table(folder, "items", {
        "item_id": shop.ids, "text": shop.text, "category": shop.categories, "num_price": shop.price,
        "cat_product": shop.products, "cat_material": shop.materials, "cat_colour": shop.colours,
        "cat_size": shop.sizes,
    })  # fmt: skip
    write_table(folder, "users", {"user_id": users, "cat_age": rng.choice(["young", "old", "unknown"], num_users)})
    write_table(folder, "pairs", _pairs(shop, rng), LEVEL_NAMES)
    write_table(folder, "impressions", impressions)
    write_table(folder, "behaviours", _behaviours(shop, users, user, wording, timestamp, shown, bought))
    write_table(folder, "queries", {
        "query": shop.wording, "query_category": shop.need_category[shop.need_of_wording],
        "seen_in_training": ~shop.unseen, "has_gold_labels": shop.has_gold[shop.need_of_wording],
    })  # fmt: skip
    evaluated = np.isin(row_split, ["test", "new_users", "open"])
    distinct = np.unique(np.stack([wording[page], item], 1)[evaluated], axis=0)
    write_table(folder, "gold", {
        "query": shop.wording[distinct[:, 0]], "item_id": shop.ids[distinct[:, 1]],
        "level": shop.level[shop.need_of_wording[distinct[:, 0]], distinct[:, 1]],
    })  # fmt: skip


def _draw_wordings(shop: _Shop, in_test: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A wording per page, popular ones more often; held-out wordings only on test pages."""
    weight = rng.permutation(1 / np.arange(3, 3 + len(shop.wording)))
    seen_only = rng.choice(len(shop.wording), len(in_test), p=weight * ~shop.unseen / (weight * ~shop.unseen).sum())
    unseen_only = rng.choice(len(shop.wording), len(in_test), p=weight * shop.unseen / (weight * shop.unseen).sum())
    return np.where(in_test & (rng.random(len(in_test)) < HELD_OUT_WORDINGS), unseen_only, seen_only)


def _draw_purchases(
    shop: _Shop, user: np.ndarray, need: np.ndarray, num_users: int, rng: np.random.Generator
) -> np.ndarray:
    """The item each page's user buys: level, the user's taste in colour and material, and appeal decide."""
    taste = np.zeros((num_users, shop.size))
    for words in (shop.colours, shop.materials):
        values, codes = np.unique(words, return_inverse=True)
        taste += rng.normal(0, 1.2, (num_users, len(values)))[:, codes]
    utility = np.array([-20.0, -1.0, 1.5, 3.5])[shop.level[need]] + taste[user] + shop.appeal
    return (utility + rng.gumbel(size=utility.shape)).argmax(1)


def _draw_pages(shop: _Shop, need: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The 8 items shown on each page, best first: by a noisy reading of the level and by appeal; taste is unknown."""
    score = 1.5 * (shop.level[need] + rng.normal(0, 0.6, (len(need), shop.size))) + shop.appeal
    return np.argsort(-score, axis=1, kind="stable")[:, :SHOWN]


def _shown_rows(shown: np.ndarray, chosen: np.ndarray, split: str) -> tuple[np.ndarray, ...]:
    position = np.tile(np.arange(SHOWN), len(chosen))
    return chosen.repeat(SHOWN), shown[chosen].ravel(), position, np.full(len(position), split)


def _open_rows(
    shop: _Shop, need: np.ndarray, open_pages: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    in_category = shop.categories == shop.need_category[need[open_pages], None]
    others = np.where(in_category, 2.0, rng.random(in_category.shape)).argsort(1)[:, :OPEN_OTHERS]
    candidates = in_category.copy()
    np.put_along_axis(candidates, others, True, axis=1)
    row, item = np.nonzero(candidates)
    return open_pages[row], item, np.full(len(row), -1), np.full(len(row), "open")


def _behaviours(
    shop: _Shop, users: np.ndarray, user: np.ndarray, wording: np.ndarray, timestamp: np.ndarray, shown: np.ndarray,
    bought: np.ndarray,
) -> dict[str, np.ndarray | pa.Array]:  # fmt: skip
    """All pages, clicked and skipped, and as `purchase` what was bought but not shown."""
    lost = np.flatnonzero(~(shown == bought[:, None]).any(1))
    page = np.concatenate([np.arange(len(user)).repeat(SHOWN), lost])
    item = np.concatenate([shown.ravel(), bought[lost]])
    is_search = np.arange(len(page)) < shown.size
    order = np.lexsort((np.where(is_search, page, len(user)), timestamp[page]))
    page, item, is_search = page[order], item[order], is_search[order]
    return {
        "user_id": users[user[page]], "query": pa.array(shop.wording[wording[page]], mask=~is_search),
        "query_category": shop.need_category[shop.need_of_wording[wording[page]]],
        "item_id": shop.ids[item], "clicked": item == bought[page], "timestamp": timestamp[page],
        "event_type": np.where(is_search, "search", "purchase"), "page_id": pa.array(page, mask=~is_search),
    }  # fmt: skip


def _pairs(shop: _Shop, rng: np.random.Generator) -> dict[str, np.ndarray | pa.Array]:
    """Every wording with a few items of each level: gold by the split of wording and product, and unlabelled ones."""
    parts = []
    for per_level, name in ((2, "gold"), (3, "unlabelled")):
        for level in range(len(LEVEL_NAMES)):
            fits = shop.level[shop.need_of_wording] == level
            chosen = np.where(fits, rng.random(fits.shape), 2.0).argsort(1)[:, :per_level]
            keep = np.take_along_axis(fits, chosen, 1)
            wording = np.broadcast_to(np.arange(len(shop.wording))[:, None], chosen.shape)[keep]
            parts.append((wording, chosen[keep], np.full(keep.sum(), name)))
    wording, item, kind = (np.concatenate(part) for part in zip(*parts, strict=True))
    has_gold, unseen = shop.has_gold[shop.need_of_wording[wording]], shop.unseen[wording]
    is_validation = rng.random(len(wording)) < 0.15
    conditions = [kind == "unlabelled", ~has_gold, unseen, is_validation]
    split = np.select(conditions, ["unlabelled", "test_types", "test", "validation"], "train")
    keep = (kind == "gold") | ~unseen
    wording, item, split = wording[keep], item[keep], split[keep]
    return {
        "query": shop.wording[wording], "item_id": shop.ids[item], "item_text": pa.nulls(len(item), pa.string()),
        "level": pa.array(shop.level[shop.need_of_wording[wording], item], mask=split == "unlabelled"), "split": split,
    }  # fmt: skip
