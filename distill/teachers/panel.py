"""One front for teachers of every kind: trains what can be trained, calibrates the rest, and opens one or several as a
single `Teacher`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from prectr.distill.config import TeacherArguments
from prectr.distill.models.output_names import output_order
from prectr.distill.models.sources import ADAPTER_FILES, Source, find_adapter
from prectr.distill.pairs import Pairs
from prectr.distill.teachers.base import Judgement, Teacher
from prectr.distill.teachers.calibration import CalibratedTeacher, Calibration
from prectr.distill.teachers.causal import CausalTeacher
from prectr.distill.teachers.cross_encoder import CrossEncoderTeacher, finetune_cross_encoder, training_settings
from prectr.distill.teachers.dtype import reads_bf16, resolved_dtype
from prectr.distill.teachers.endpoint import open_endpoint
from prectr.distill.teachers.ensemble import EnsembleTeacher, fit_weights, read_weights, save_weights
from prectr.distill.teachers.lora import finetune
from prectr.distill.teachers.prompt import Prompt
from prectr.distill.teachers.similarity import SimilarityTeacher, teach_similarity
from prectr.shared.errors import PrectrError
from prectr.shared.pretrained import open_config
from prectr.shared.run.fingerprint import file_fingerprint
from prectr.shared.run.steps import RECORD, fingerprint_of

CALIBRATION, WEIGHTS = "calibration.json", "ensemble.json"

SETTINGS = {
    "causal": ("teacher_", "lora_"),
    "cross_encoder": ("teacher_", "cross_encoder_"),
    "similarity": ("teacher_pairs", "teacher_validation_pairs", "teacher_test_pairs", "teacher_dtype"),
    "endpoint": (
        *("teacher_query_tokens", "teacher_item_tokens"),
        *("teacher_calibration_pairs", "teacher_validation_pairs", "teacher_test_pairs"),
        *("endpoint_model", "endpoint_top_logprobs", "endpoint_chat_template"),
    ),
}
"""How the names of those settings begin that decide what a teacher says, by its role."""

LEARNT = ("*.safetensors", "*.json", "trees-*.txt")
NOT_LEARNT = ("metrics.json", RECORD)
"""Files that hold what a teacher learnt: adapter, model and tokenizer, trees, calibration, weights of an ensemble. And
those among them that only tell of it.
"""


@dataclass(frozen=True)
class Panel:
    """The judges, one or several, and how they are asked.

    Args:
        sources: what `find_teachers` found.
        locations: where each is opened from, after `convert_teacher`.
        prompt: the question to causal models and endpoints.
        level_names: of the K levels, lowest first.
        arguments: the settings.
        batch_size: pairs per forward pass.
        texts: items and training queries; what `similarity` weighs words by.
    """

    sources: Sequence[Source]
    locations: Sequence[str]
    prompt: Prompt
    level_names: Sequence[str]
    arguments: TeacherArguments
    batch_size: int
    texts: Sequence[str] = ()

    @property
    def num_levels(self) -> int:
        return len(self.level_names)

    def order(self, member: int) -> list[int] | None:
        """The output of each level of a cross-encoder that is used as it comes; None where output k is level k."""
        if self.arguments.teacher_pairs:
            return None
        return output_order(self.sources[member], self.level_names, self.arguments.level_names)

    @property
    def inputs(self) -> dict[str, Any]:
        """All that decides what is learnt and said, besides the pairs and the seed, as JSON values."""
        decisive = tuple(name for source in self.sources for name in SETTINGS[source.role])
        settings = {name: value for name, value in asdict(self.arguments).items() if name.startswith(decisive)}
        for name, read in (("teacher_adapter", find_adapter), ("endpoint_chat_template", file_fingerprint)):
            if settings.get(name):
                settings[name] = read(settings[name])
        identities = [source.identity for source in self.sources]
        prompt = self.prompt.fingerprint
        orders = [self.order(member) for member in range(len(self.sources))]
        ordered = {"outputs": orders} if any(orders) else {}
        return {"teacher": identities, "prompt": prompt, "batch_size": self.batch_size, **settings, **ordered}

    def folder(self, taught: Path, member: int) -> Path:
        """What was learnt by a member: `taught` itself, or one folder each of an ensemble."""
        return taught if len(self.sources) == 1 else taught / self.sources[member].name


def teach(panel: Panel, train: Pairs, validation: Pairs, seed: int, work: Path) -> None:
    """Teaches every member on gold pairs and, if there are several, weighs them; `open_teacher` reads the result.

    A causal model learns by LoRA (or takes `teacher_adapter` as it is), a cross-encoder is fine-tuned and a judge of
    likeness grows its trees, on `teacher_pairs` of `train`. Endpoints, and the first two where `teacher_pairs` is 0,
    are calibrated on `teacher_calibration_pairs` of `train`. Weights are fitted on `validation`; without it all count
    alike. A member of an
    ensemble that is finished in `work` is not taught again.
    """
    for member in range(len(panel.sources)):
        folder = panel.folder(work, member)
        if folder == work:
            _teach_member(panel, member, train, validation, seed, work)
        elif not folder.is_dir():
            unfinished = folder.with_name(f".{folder.name}.part")
            unfinished.mkdir(exist_ok=True)
            _teach_member(panel, member, train, validation, seed, unfinished)
            shutil.rmtree(unfinished / "checkpoints", ignore_errors=True)
            unfinished.rename(folder)
    if len(panel.sources) > 1 and len(validation):
        sample = validation.sample(panel.arguments.teacher_validation_pairs, seed, "teacher", "validation")
        said = [_score(_open_member(panel, member, work, ""), sample) for member in range(len(panel.sources))]
        weights = fit_weights([judgement.log_odds for judgement in said], sample.level)
        save_weights(work / WEIGHTS, [source.name for source in panel.sources], weights)


def open_teacher(panel: Panel, taught: Path | None, identity: str) -> Teacher:
    """The teacher as `teach` left it in `taught`, or as it comes (None; several then weigh the same).

    Args:
        identity: of what `taught` holds (`learnt`), for the fingerprint.

    Raises:
        PrectrError: a cross-encoder or a similarity judge that has not learnt to say K levels.
    """
    members = [_open_member(panel, member, taught, identity) for member in range(len(panel.sources))]
    if len(members) == 1:
        return members[0]
    if taught is not None and (taught / WEIGHTS).is_file():
        return EnsembleTeacher(members, read_weights(taught / WEIGHTS))
    return EnsembleTeacher(members, [1 / len(members)] * len(members))


def open_untaught(panel: Panel) -> Teacher | None:
    """The teacher before `teach`, to be compared with what became of it; None where nothing is taught, where it cannot
    say levels before, and where asking is paid for.
    """
    arguments = panel.arguments
    has_levels = all(source.role == "causal" or source.outputs == panel.num_levels for source in panel.sources)
    if not has_levels or not (arguments.teacher_pairs or arguments.teacher_adapter):
        return None
    try:
        return open_teacher(replace(panel, arguments=replace(arguments, teacher_pairs=0)), None, "")
    except PrectrError:  # its outputs are called otherwise than the levels, which teaching mends
        return None


def learnt(taught: Path) -> str:
    """sha256 of what `teach` left in `taught`, by content: a teacher that learns the same again is the same teacher,
    however it was then examined, and its labels are found again.
    """
    # In the folder itself and in those of an ensemble's members; checkpoints lie deeper.
    found = (file for pattern in LEARNT for where in (pattern, f"*/{pattern}") for file in taught.glob(where))
    names = sorted(file.relative_to(taught).as_posix() for file in found if file.name not in NOT_LEARNT)
    contents = "".join(f"{name}:{file_fingerprint(taught / name)}\n" for name in names)
    return hashlib.sha256(contents.encode()).hexdigest()


def ask(teacher: Teacher, pairs: Pairs) -> tuple[Pairs, Judgement]:
    """Those of `pairs` that `teacher` could judge, and its judgement of them."""
    if not len(pairs):
        return pairs, Judgement(np.zeros((0, 0), np.float32))
    judgement = _score(teacher, pairs)
    judged = np.flatnonzero(np.isfinite(judgement.log_odds).all(1))
    return pairs.take(judged), Judgement(judgement.log_odds[judged])


def _teach_member(panel: Panel, member: int, train: Pairs, validation: Pairs, seed: int, work: Path) -> None:
    source, arguments = panel.sources[member], panel.arguments
    gold = train.sample(arguments.teacher_pairs, seed, "teacher")
    unseen = validation.sample(arguments.teacher_validation_pairs, seed, "teacher", "validation")
    if source.role == "causal" and arguments.teacher_adapter:
        for file in ADAPTER_FILES:
            shutil.copyfile(Path(arguments.teacher_adapter).expanduser() / file, work / file)
    elif source.role == "causal" and len(gold):
        finetune(_open_causal(panel, member, None, ""), gold, unseen, arguments, seed, work)
    elif source.role == "cross_encoder" and len(gold):
        finetune_cross_encoder(
            panel.locations[member],
            panel.num_levels,
            gold,
            unseen,
            seed=seed,
            work=work,
            **training_settings(arguments),
        )
    elif source.role == "similarity":
        teach_similarity(
            panel.locations[member],
            panel.texts,
            gold,
            unseen,
            panel.num_levels,
            bf16=reads_bf16(arguments),
            seed=seed,
            work=work,
        )
    elif arguments.teacher_calibration_pairs and not (work / CALIBRATION).is_file():
        sample = train.sample(arguments.teacher_calibration_pairs, seed, "teacher", "calibration")
        said = _score(_open_bare(panel, member, work, ""), sample).log_odds
        Calibration.fit(said, sample.level, panel.num_levels).save(work / CALIBRATION)


def _open_member(panel: Panel, member: int, taught: Path | None, identity: str) -> Teacher:
    folder = None if taught is None else panel.folder(taught, member)
    teacher = _open_bare(panel, member, folder, identity)
    if folder is not None and (folder / CALIBRATION).is_file():
        return CalibratedTeacher(teacher, Calibration.load(folder / CALIBRATION))
    if isinstance(teacher, CrossEncoderTeacher) and teacher.num_outputs != panel.num_levels:
        raise PrectrError(
            f"teacher {panel.sources[member].name}: it has {teacher.num_outputs} outputs for {panel.num_levels} levels "
            "and has learnt nothing of this data yet; run `make distill`."
        )
    return teacher


def _open_bare(panel: Panel, member: int, folder: Path | None, identity: str) -> Teacher:
    source, location, arguments = panel.sources[member], panel.locations[member], panel.arguments
    if source.role == "causal":
        return _open_causal(panel, member, folder, identity)
    if source.role == "endpoint":
        return open_endpoint(location, panel.prompt, arguments)
    if source.role == "similarity":
        if folder is None:
            raise PrectrError(f"teacher {source.name}: it has learnt nothing of this data yet; run `make distill`.")
        bf16 = reads_bf16(arguments)
        return SimilarityTeacher(folder, location, bf16=bf16, identity=_identity(panel, member, identity))
    is_taught = folder is not None and (folder / "config.json").is_file()
    heads = [] if is_taught else open_config(location).architectures or []
    if heads and not any(name.endswith("ForSequenceClassification") for name in heads):
        raise PrectrError(
            f"teacher {source.name}: it has no outputs for {panel.num_levels} levels and has learnt nothing of this "
            "data yet; run `make distill`."
        )
    return CrossEncoderTeacher(
        str(folder) if is_taught else location,
        order=None if is_taught else panel.order(member),
        max_length=arguments.cross_encoder_length,
        batch_size=panel.batch_size,
        bf16=reads_bf16(arguments),
        identity=_identity(panel, member, identity),
    )


def _open_causal(panel: Panel, member: int, adapter: Path | None, identity: str) -> CausalTeacher:
    arguments = panel.arguments
    return CausalTeacher(
        panel.locations[member],
        panel.prompt,
        query_tokens=arguments.teacher_query_tokens,
        item_tokens=arguments.teacher_item_tokens,
        adapter=adapter,
        dtype=resolved_dtype(arguments),
        device_map=arguments.teacher_device_map,
        four_bit=arguments.teacher_4bit,
        identity=_identity(panel, member, identity),
        batch_size=panel.batch_size,
    )


def _identity(panel: Panel, member: int, taught: str) -> str:
    source = panel.sources[member]
    # A random model is made of a seed and the words of the data, which its name does not tell.
    made = [fingerprint_of(Path(panel.locations[member]))] if source.kind == "random" else []
    return json.dumps([source.identity, taught, *made], sort_keys=True)


def _score(teacher: Teacher, pairs: Pairs) -> Judgement:
    return teacher.score(list(zip(pairs.query, pairs.item_text, strict=True)))
