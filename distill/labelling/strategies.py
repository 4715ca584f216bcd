"""Which pairs the teacher labels: strategies with a name, mixed by shares.

| strategy | pairs |
|---|---|
| `logged` | the split `unlabelled` of the table `pairs` |
| `near_misses_lexical` | a query and items whose words look like it: character n-gram TF-IDF |
| `near_misses_embedding` | a query and items that mean something like it: mean word embeddings of the student's start |
| `pseudo_queries` | two to four rare words in a row of an item text, with that item, one that looks like it, any |
| `random` | a query and any item |

Queries are those of the splits `train` and `unlabelled`. No strategy gives a pair that has a gold level in any split,
nor one that is in `unlabelled`, except `logged` itself. [O]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer

from prectr.distill.config import parse_strategies
from prectr.distill.pairs import Pairs
from prectr.distill.teachers.base import Pair
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import progress
from prectr.shared.seeds import generator

Texts = Sequence[str] | np.ndarray

NEAR = 20
"""Neighbours are drawn from the nearest 20 of a query first, then from the next 20, and so on."""

BLOCK = 256
"""Queries compared with all items at once; bounds the memory to 256 numbers per item."""

PSEUDO_QUERY_WORDS = (2, 3, 4)
WORDS_READ = 24
"""Words of an item text that pseudo-queries are cut from: what student and teacher read of it."""


WITHOUT_A_LOG = ["near_misses_lexical", "random"]
"""What is labelled where `logged` was asked for and no pair is `unlabelled`."""


@dataclass(frozen=True)
class Chosen:
    """n distinct pairs and the strategy that chose each; `strategy` [n] str."""

    pairs: Pairs
    strategy: np.ndarray


def choose_pairs(
    pairs: Mapping[str, Pairs], item_texts: Sequence[str], strategies: Sequence[str], size: int, seed: int, encoder: str
) -> Chosen:
    """The job: up to `size` pairs, each strategy its share; fewer where a strategy runs out of pairs.

    The same arguments give the same pairs in the same order, and a larger `size` gives (but for rounding of the shares)
    all the pairs of a smaller one and more.

    Args:
        pairs: by split, as `read_pairs` gives them.
        item_texts: of the whole catalogue; equal texts count once.
        strategies: `name` or `name:share`, as `parse_strategies` takes them.
        encoder: folder or hub id of the text encoder whose word embeddings `near_misses_embedding` compares.

    Raises:
        PrectrError: an unknown strategy or a bad share; `near_misses_embedding` without a trained encoder.

    Example:
        >>> choose_pairs(read_pairs(data), texts, ["logged:0.7", "random:0.3"], 6000, seed=0, encoder="random")
    """
    shares = parse_strategies(strategies)
    corpus = Corpus(pairs, item_texts, seed, encoder)
    gold = {pair for split, found in pairs.items() if split != "unlabelled" for pair in _tuples(found)}
    logged = set(_tuples(pairs["unlabelled"])) - gold
    quota = {name: int(share * size) for name, share in shares.items()}
    quota[next(iter(shares))] += size - sum(quota.values())
    chosen: dict[Pair, str] = {}
    for name, wanted in quota.items():
        excluded = gold if name == "logged" else gold | logged
        room = len(chosen) + wanted
        for pair in STRATEGIES[name](corpus):
            if len(chosen) >= room:
                break
            if pair not in excluded:
                chosen.setdefault(pair, name)
    query, text = (np.array([pair[side] for pair in chosen], dtype=object) for side in (0, 1))
    return Chosen(Pairs(query, text, np.full(len(query), -1)), np.array(list(chosen.values()), dtype=object))


class Corpus:
    """Queries that may be labelled, distinct item texts, and what strategies compare them by; made when first asked
    for.
    """

    def __init__(self, pairs: Mapping[str, Pairs], item_texts: Sequence[str], seed: int, encoder: str) -> None:
        self.seed, self.encoder = seed, encoder
        self.unlabelled = pairs["unlabelled"]
        self.queries = np.unique(np.concatenate([pairs["train"].query, self.unlabelled.query]))
        self.texts = np.unique(np.array(item_texts, dtype=object))
        self.known_queries = {query for found in pairs.values() for query in found.query}

    @cached_property
    def tfidf(self) -> TfidfVectorizer:
        vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, dtype=np.float32)
        return vectorizer.fit(self.texts)

    @cached_property
    def texts_by_ngram(self) -> csr_array:
        return csr_array(self.tfidf.transform(self.texts).T)

    def shuffled(self, size: int, *names: str) -> np.ndarray:
        return generator(self.seed, "label", *names).permutation(size)


def logged(corpus: Corpus) -> Iterator[Pair]:
    # Drawn under the name "label": the same order for every number of pairs.
    yield from _tuples(corpus.unlabelled.sample(len(corpus.unlabelled), corpus.seed, "label"))


def near_misses_lexical(corpus: Corpus) -> Iterator[Pair]:
    vectors = csr_array(corpus.tfidf.transform(corpus.queries))

    def similarity(rows: np.ndarray) -> np.ndarray:
        return (vectors[rows] @ corpus.texts_by_ngram).toarray()

    yield from _near_misses(corpus, "near_misses_lexical", similarity)


def near_misses_embedding(corpus: Corpus) -> Iterator[Pair]:
    embed = mean_embeddings(corpus.encoder, corpus.texts)
    queries, texts = embed(corpus.queries), embed(corpus.texts)
    yield from _near_misses(corpus, "near_misses_embedding", lambda rows: queries[rows] @ texts.T)


def pseudo_queries(corpus: Corpus) -> Iterator[Pair]:
    rng = generator(corpus.seed, "label", "pseudo_queries")
    idf = _word_idf(corpus.texts)
    order = corpus.shuffled(len(corpus.texts), "pseudo_queries", "items")
    for start in range(0, len(order), BLOCK):
        sources, queries = [], []
        for source in order[start : start + BLOCK]:
            query = _cut_query(corpus.texts[source], idf, rng)
            if query and query not in corpus.known_queries:
                sources.append(source)
                queries.append(query)
        if not queries:
            continue
        similarity = (csr_array(corpus.tfidf.transform(queries)) @ corpus.texts_by_ngram).toarray()
        similarity[np.arange(len(sources)), sources] = -np.inf
        nearest = _nearest(similarity, 0)
        drawn = rng.integers(0, nearest.shape[1], len(queries))
        anything = rng.integers(0, len(corpus.texts), len(queries))
        for row, query in enumerate(queries):
            for text in (sources[row], nearest[row, drawn[row]], anything[row]):
                if text >= 0:
                    yield query, corpus.texts[text]


def random(corpus: Corpus) -> Iterator[Pair]:
    """Every query once, then every query again, each time with another item."""
    first = generator(corpus.seed, "label", "random").integers(0, len(corpus.texts), len(corpus.queries))
    item_order = corpus.shuffled(len(corpus.texts), "random", "items")
    query_order = corpus.shuffled(len(corpus.queries), "random", "queries")
    for step in range(len(corpus.texts)):
        for row in query_order:
            yield corpus.queries[row], corpus.texts[item_order[(first[row] + step) % len(corpus.texts)]]


STRATEGIES: dict[str, Callable[[Corpus], Iterator[Pair]]] = {
    strategy.__name__: strategy
    for strategy in (logged, near_misses_lexical, near_misses_embedding, pseudo_queries, random)
}


def mean_embeddings(encoder: str, texts: Texts) -> Callable[[Texts], np.ndarray]:
    """Embeds texts as the idf-weighted mean of their static word embeddings: m texts -> [m, width] float32 unit rows.

    Args:
        encoder: folder or hub id of a trained text encoder; only its embedding matrix and tokenizer are used.
        texts: n texts the idf is taken from.

    Raises:
        PrectrError: the encoder is `random` or `scratch`.
    """
    if encoder in ("random", "scratch"):
        raise PrectrError(
            f"label_strategies: near_misses_embedding needs a trained encoder, but init_from is {encoder}."
        )
    from transformers import AutoModel  # here: the other strategies need no torch

    from prectr.shared.pretrained import open_model, open_tokenizer

    tokenizer = open_tokenizer(encoder)
    words: Any = open_model(AutoModel, encoder, num_hidden_layers=1).get_input_embeddings()
    matrix = words.weight.detach().numpy()

    def counts(of: Texts) -> csr_array:
        ids = tokenizer(list(of), add_special_tokens=False, truncation=True, max_length=64)["input_ids"]
        ends = np.cumsum([0, *map(len, ids)])
        columns = np.fromiter((token for row in ids for token in row), np.int32, ends[-1])
        return csr_array((np.ones(len(columns), np.float32), columns, ends), shape=(len(of), len(matrix)))

    frequency = np.bincount(_distinct_columns(counts(texts)), minlength=len(matrix))
    weighted = (matrix * np.log((len(texts) + 1) / (frequency + 1))[:, None]).astype(np.float32)

    def embed(of: Texts) -> np.ndarray:
        vectors = counts(of) @ weighted
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)

    return embed


def _near_misses(corpus: Corpus, name: str, similarity: Callable[[np.ndarray], np.ndarray]) -> Iterator[Pair]:
    """For each query one of its nearest items, then for each another; `similarity(rows [b])` -> [b, texts]."""
    order = corpus.shuffled(len(corpus.queries), name, "queries")
    for skip in range(0, len(corpus.texts), NEAR):
        rows = [order[start : start + BLOCK] for start in range(0, len(order), BLOCK)]
        nearest = np.concatenate([_nearest(similarity(block), skip) for block in progress(rows, name)])
        if not (nearest >= 0).any():
            return
        rng = generator(corpus.seed, "label", name, skip)
        for item in rng.permuted(nearest, axis=1).T:
            for row, text in zip(order, item, strict=True):
                if text >= 0:
                    yield corpus.queries[row], corpus.texts[text]


def _nearest(similarity: np.ndarray, skip: int) -> np.ndarray:
    """[b, n] -> the columns of each row's `skip`-th and next largest values, at most `NEAR`; -1 where one is not
    positive.
    """
    last = min(skip + NEAR, similarity.shape[1])
    column = np.argpartition(-similarity, last - 1, axis=1)[:, :last]
    value = np.take_along_axis(similarity, column, 1)
    # By value and then by column: which of two equal ones comes first must not depend on the partition.
    order = np.lexsort((column, -value), axis=1)[:, skip:]
    column, value = np.take_along_axis(column, order, 1), np.take_along_axis(value, order, 1)
    return np.where(value > 0, column, -1)


def _cut_query(text: str, idf: Mapping[str, float], rng: np.random.Generator) -> str:
    """Two to four words in a row, the rarer the likelier; empty where the text has fewer than two."""
    words = _words(text)[:WORDS_READ]
    length = min(int(rng.choice(PSEUDO_QUERY_WORDS)), len(words))
    if length < min(PSEUDO_QUERY_WORDS):
        return ""
    rarity = np.convolve([idf[word] for word in words], np.ones(length), "valid")
    start = int(rng.choice(len(rarity), p=rarity / rarity.sum()))
    return " ".join(words[start : start + length])


def _words(text: str) -> list[str]:
    """Lower-cased, without punctuation around them."""
    stripped = (word.strip(".,;:!?()[]{}\"'#*&|-/") for word in text.lower().split())
    return [word for word in stripped if word]


def _word_idf(texts: Texts) -> dict[str, float]:
    frequency: dict[str, int] = {}
    for text in texts:
        for word in set(_words(text)):
            frequency[word] = frequency.get(word, 0) + 1
    return {word: float(np.log((len(texts) + 1) / (count + 1)) + 1) for word, count in frequency.items()}


def _distinct_columns(counts: csr_array) -> np.ndarray:
    """The column of every distinct (row, column) entry."""
    counts = counts.copy()
    counts.sum_duplicates()
    return counts.indices


def _tuples(pairs: Pairs) -> Iterator[Pair]:
    return zip(pairs.query, pairs.item_text, strict=True)
