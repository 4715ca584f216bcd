"""Pairs are computed once, and forgotten where their texts become others or there is no room."""

import numpy as np

from prectr.rank.serving.texts.kept_pairs import KeptPairs


class Computed:
    """Values that say which pair they are of, and what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[int]]] = []

    def __call__(self, query: str, texts: np.ndarray) -> np.ndarray:
        self.asked.append((query, texts.tolist()))
        return np.stack([texts, np.full(len(texts), len(query))], 1).astype(np.float32)


def values(query: str, texts: list[int]) -> list[list[float]]:
    return [[float(text), float(len(query))] for text in texts]


def test_each_pair_is_computed_once() -> None:
    computed = Computed()
    pairs = KeptPairs(computed, 100)
    for texts in ([5, 2, 5], [2, 9], [9, 5, 2, 2], []):
        assert pairs.of("tea", np.array(texts, np.int64)).tolist() == values("tea", texts)
    assert computed.asked[:2] == [("tea", [2, 5]), ("tea", [9])]
    assert all(not texts for _, texts in computed.asked[2:])


def test_texts_that_become_others_are_computed_anew() -> None:
    computed = Computed()
    pairs = KeptPairs(computed, 100)
    pairs.of("tea", np.array([1, 7, 8]))
    pairs.of("soap", np.array([8]))
    pairs.keep(7)
    computed.asked.clear()
    assert pairs.of("tea", np.array([8, 1])).tolist() == values("tea", [8, 1])
    pairs.of("soap", np.array([8]))
    assert computed.asked == [("tea", [8]), ("soap", [8])]


def test_queries_asked_longest_ago_go_first() -> None:
    computed = Computed()
    pairs = KeptPairs(computed, 4)
    for query in ("a", "bb", "a", "ccc"):
        pairs.of(query, np.array([1, 2]))
    computed.asked.clear()
    for query in ("a", "ccc", "bb"):
        pairs.of(query, np.array([1, 2]))
    assert [query for query, _ in computed.asked] == ["bb"]
