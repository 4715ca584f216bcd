"""From finished trainings to the figures that are kept: of every seed, gains over the best rival of each measure, what
each part earns.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.provenance import machine, today
from benchmarks.ranker.cell import Cell
from benchmarks.ranker.intervals import Bootstrap, Values
from benchmarks.ranker.scores import Figures, Protocol, by_system, read_facts, read_probabilities
from benchmarks.ranker.systems import ABLATIONS, REFERENCE, RIVALS, VARIANTS, base_of
from prectr.data.contract import reconstructed
from prectr.shared.run.console import progress
from prectr.shared.run.provenance import shareable

LOWER_IS_BETTER = ("exposed.logloss", "exposed.ece", "open.excess_low@10")
CALIBRATION = "exposed.pcoc"  # 1 is best

PER_SEED = ("violations", "seconds", "cell_seconds", "samples_per_second", "encoder_share")
"""What each training tells beside its figures, see `read_facts`."""

Systems = Mapping[str, Mapping[str, Sequence[float | None]]]
Difference = dict[str, Any]


def compute_results(command: str, cells: Sequence[Cell], resamples: int) -> dict[str, Any]:
    """Everything that `ranker_<name>.json` holds; differences are `prectr_v2` minus the other system, those of
    ablations what each is compared with (`ablation_of`) minus the ablation.

    Args:
        cells: finished, every system with the same seeds in the same order; `prectr_v2` first.
    """
    seeds = list(dict.fromkeys(cell.seed for cell in cells))
    protocol = Protocol(cells[0].workspace())
    bootstrap = Bootstrap(protocol, resamples, len(seeds))
    figures: dict[Cell, Figures] = {}
    facts: dict[Cell, dict[str, Any]] = {}
    drawn: dict[str, list[Values]] = {}
    for cell in progress(cells, "figures and intervals", unit="trainings"):
        probability = read_probabilities(cell, protocol)
        figures[cell] = protocol.judge(probability)
        facts[cell] = read_facts(cell, protocol)
        drawn.setdefault(cell.system, []).append(bootstrap.values(probability))
    systems, told = by_system(cells, figures), by_system(cells, facts)

    def against(other: str, base: str = REFERENCE) -> dict[str, Difference]:
        return {name: difference(systems, drawn, bootstrap, other, name, base) for name in systems[REFERENCE]}

    def gain(measure: str) -> Difference | None:
        rival = best_rival(systems, measure)
        if rival is None:
            return None
        means = {"ours": mean_of(systems[REFERENCE][measure]), "theirs": mean_of(systems[rival][measure])}
        return {"over": rival, **means, **difference(systems, drawn, bootstrap, rival, measure)}

    ours = [name for name in systems if name in (*ABLATIONS, *VARIANTS)]
    encoder = protocol.workspace.run.encoder
    return {
        "fair": True,  # every rival reads the counts that the ranker reads; before 0.3.0 none did
        "command": command,
        "commit": ", ".join(sorted({one["commit"] for one in facts.values() if "commit" in one})),
        "date": today(),
        "machine": machine(),
        "reconstructed": reconstructed(protocol.workspace.data),
        "n": protocol.counts(),
        "encoder": {"folder": shareable(encoder) if encoder else None, **facts[cells[0]]["encoder"]},
        "seeds": seeds,
        "resamples": resamples,
        "systems": systems,
        "gains": {name: found for name in systems[REFERENCE] if (found := gain(name)) is not None},
        "versus": {rival: against(rival) for rival in systems if rival in RIVALS},
        "ablations": {name: against(name, base_of(name)) for name in ours},
        "ablation_of": {name: base_of(name) for name in ours},
        **{name: _told(told, name) for name in PER_SEED},
        "level_accuracy": {
            "stage_one": protocol.level_accuracy(protocol.stage_one_levels),
            **_told(told, "level_accuracy"),
        },
    }


def difference(
    systems: Systems,
    drawn: Mapping[str, Sequence[Values]],
    bootstrap: Bootstrap,
    other: str,
    measure: str,
    base: str = REFERENCE,
) -> Difference:
    """`base` minus `other` in one measure, paired by seed: `mean`, and `ci95` over users and seeds.

    Either is None where it is undefined; ECE has no interval.
    """
    pairs = list(zip(systems[base][measure], systems[other][measure], strict=True))
    gaps = [ours - theirs for ours, theirs in pairs if ours is not None and theirs is not None]
    one, two = ([values[measure] for values in drawn[name] if measure in values] for name in (base, other))
    return {
        "mean": float(np.mean(gaps)) if len(gaps) == len(pairs) else None,
        "ci95": bootstrap.interval(one, two) if one and two else None,
    }


def best_rival(systems: Systems, measure: str) -> str | None:
    """The rival whose mean over the seeds is best in a measure; None if no rival has it."""
    means = {name: mean_of(systems[name][measure]) for name in systems if name in RIVALS}

    def loss(name: str) -> float:
        value = means[name]
        assert value is not None
        return abs(value - 1) if measure == CALIBRATION else value if measure in LOWER_IS_BETTER else -value

    return min((name for name, mean in means.items() if mean is not None), key=loss, default=None)


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean over seeds; None if the figure is undefined for one of them."""
    return None if None in values else float(np.mean(np.array(values, float)))


def _told(facts: Mapping[str, Mapping[str, list[Any]]], name: str) -> dict[str, list[Any]]:
    """{system: [a value per seed]} of the systems that tell `name`."""
    return {system: one[name] for system, one in facts.items() if name in one and None not in one[name]}
