"""What is compared: the ranker, its rivals, and the ranker with one part changed at a time."""

import difflib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from prectr.rank.__main__ import CONFIGS
from prectr.shared.errors import PrectrError
from prectr.shared.run.settings import read_config

REFERENCE = "prectr_v2"
TREES = ("lightgbm", "xgboost", "catboost", "lambdarank", "cutoff_lightgbm")
NETWORKS = ("din", "dcnv2", "finalmlp", "sim_or_twin")
RIVALS = ("prectr_v1", *TREES, *NETWORKS, "frozen_emb_mlp")
"""Every system that may be the best rival of a measure. All read the whole feature file: counts of exact matches, soft
counts of frozen text vectors and stage one's levels are columns of it."""

PACKAGES = {"xgboost": "xgboost", "catboost": "catboost", **dict.fromkeys(NETWORKS, "fuxictr")}
"""What a rival cannot do without, by the name it is imported under; all are of the extra `bench`."""

RANDOM_ENCODER = "random_encoder"
# Warm-up trains nothing but the encoder's level module.
_FROZEN = ("--encoder_learning_rate", "0", "--warmup_share", "0")
# Relevance loss and warm-up live on replayed pairs, so they go with them.
_NO_REPLAY = ("--replay_share", "0", "--relevance_weight", "0", "--warmup_share", "0")

FROZEN = "frozen_encoder"
_PARTS: dict[str, tuple[str, ...]] = {
    "no_user_preference": ("--user_preference", "false"),
    "no_cross_preference": ("--cross_preference", "false"),
    "no_incentive": ("--incentive", "none"),
    "no_debias": ("--debias_weight", "0"),
    "no_consistency": ("--consistency_weight", "0"),
    "no_exact_match": ("--exact_match", "false"),
    "no_stage_one_features": ("--stage_one_features", "false"),
    "no_engagement_teacher": ("--engagement_weight", "0"),
    "no_text_vectors": ("--text_vectors", "false"),
    "no_soft_counts": ("--soft_counts", "false"),
    # Semantic consistency compares the levels' click logits, of which there is one then.
    "no_fusion": ("--fusion", "sigmoid", "--consistency_weight", "0"),
    "noise_isotropic": ("--noise", "isotropic", "--noise_scale", "0.7"),
}
ABLATIONS: dict[str, tuple[str, ...]] = {
    FROZEN: _FROZEN,
    **{name: (*flags, *_FROZEN) for name, flags in _PARTS.items()},
    "no_two_step": ("--warmup_share", "0"),
    # Replayed pairs teach the level head alone, which is frozen in all of the above.
    "no_replay": _NO_REPLAY,
    # Its `--encoder` knows nothing, and its own judgements would be noise: gold pairs alone are replayed.
    RANDOM_ENCODER: ("--replay_pairs", "0"),
}
"""What stage two is told in each, beyond the profile. None but `random_encoder` changes the features: they are shared.

A part is taken away from the ranker whose text encoder is frozen, and compared with it: that costs a third, and what
part does is not mixed up with where the encoder drifts [O]. What is about the encoder is compared with `prectr_v2`.
"""

ABOUT_THE_ENCODER = tuple(name for name in ABLATIONS if name not in _PARTS)
"""Ablations of how the encoder starts and learns."""

BASES = {name: FROZEN for name in _PARTS}
"""What an ablation is compared with, where that is not `prectr_v2`."""

VARIANTS: dict[str, tuple[str, ...]] = {
    "tau_outside": ("--incentive", "outside"),
    "ordinal_head": ("--ordinal_head", "true"),
    "stop_gradient": ("--click_trains_level", "false"),
    "noise_covariance": ("--noise", "covariance", "--noise_scale", "0.7"),
}
"""As `ABLATIONS`, with the encoder learning, and run only when named."""

_FROZEN_EMB_MLP = (
    "--user_preference", "false", "--cross_preference", "false", "--incentive", "none", "--fusion", "sigmoid",
    "--debias_weight", "0", "--consistency_weight", "0", *_NO_REPLAY, "--encoder_learning_rate", "0",
    "--engagement_weight", "0", "--text_vectors", "false", "--members", "1",
)  # fmt: skip

TELLING = (
    REFERENCE, "lightgbm", "xgboost", "catboost", FROZEN, RANDOM_ENCODER, "no_debias", "no_cross_preference",
)  # fmt: skip
"""What a comparison is made for: trained with every seed before anything else."""

DEFAULT = (REFERENCE, *RIVALS, *ABLATIONS)
SYSTEMS = (*DEFAULT, *VARIANTS)


def flags_of(system: str) -> list[str]:
    """What stage two is told for a system of ours; PRECTR V1 is what its own profile says."""
    if system == "prectr_v1":
        return flags_in(CONFIGS / "prectr_v1.yaml")
    return list({REFERENCE: (), "frozen_emb_mlp": _FROZEN_EMB_MLP, **ABLATIONS, **VARIANTS}[system])


def flags_in(path: Path) -> list[str]:
    """A settings file as flags, which stand above any profile; which data set and which seed is not its to say."""
    settings = {name: value for name, value in read_config(path).items() if name not in ("name", "seed")}
    return [word for name, value in settings.items() for word in (f"--{name}", str(value))]


def is_ours(system: str) -> bool:
    """Whether stage two trains it; the others are `benchmarks.rivals`."""
    return system not in (*TREES, *NETWORKS)


def base_of(system: str) -> str:
    """What a system is compared with."""
    return BASES.get(system, REFERENCE)


def choose(names: Sequence[str]) -> list[str]:
    """The systems asked for and those they are compared with, in the order of `SYSTEMS`; `prectr_v2` always is one.

    Raises:
        PrectrError: an unknown name, or a rival without its package.
    """
    for name in names:
        if name not in (*SYSTEMS, "all"):
            closest = difflib.get_close_matches(name, SYSTEMS, n=1, cutoff=0.0)[0]
            raise PrectrError(
                f"unknown system {name!r}; did you mean {closest!r}? There are {', '.join(SYSTEMS)}, and all."
            )
    wanted = {REFERENCE, *(SYSTEMS if "all" in names else names)}
    for name in tuple(wanted):
        while name != REFERENCE:
            wanted.add(name := base_of(name))
    chosen = [name for name in SYSTEMS if name in wanted]
    missing = {name: PACKAGES[name] for name in chosen if name in PACKAGES and not _is_installed(PACKAGES[name])}
    if missing:
        raise PrectrError(
            f"{', '.join(missing)}: not installed: {', '.join(dict.fromkeys(missing.values()))}; run `pip install "
            "-c constraints.txt -e '.[bench]'`, or name the other systems with --systems."
        )
    return chosen


def order_of(system: str) -> tuple[bool, int]:
    """Sorts systems as they are trained: the telling ones first, whatever the seed."""
    return (False, TELLING.index(system)) if system in TELLING else (True, SYSTEMS.index(system))


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
