"""Training the student: batches hold a text once, it learns, and a seed decides everything."""

from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from prectr.distill.pairs import Pairs
from prectr.distill.student.model import PairDataset, SoftTarget, StudentModel
from prectr.distill.student.train import GoldOrder, Schedule, train_student
from prectr.distill.teachers.base import Judgement
from prectr.shared.encoder.level_encoder import LevelEncoder
from tests.shared.encoder.tiny_encoder import WORDS, tiny_encoder

SCHEDULE = Schedule(
    epochs=3,
    learning_rate=1e-3,
    head_learning_rate=1e-2,
    batch_size=16,
    bf16=False,
    train_embeddings=True,
    seed=0,
)


def matches(rows: int, seed: int) -> Pairs:
    """Level 1 exactly if the item holds the query's word."""
    rng = np.random.default_rng(seed)
    words = np.array(WORDS)
    query = rng.choice(words, rows)
    level = rng.integers(0, 2, rows)
    item = np.where(level == 1, query, rng.choice(words, rows))
    texts = [f"{first} {second}" for first, second in zip(rng.choice(words, rows), item, strict=True)]
    return Pairs(query.astype(object), np.array(texts, object), level)


def judged(pairs: Pairs) -> Judgement:
    log_odds = np.where(np.eye(2)[pairs.level] == 1, np.log(0.9), np.log(0.1)).astype(np.float32)
    return Judgement(log_odds, np.tile(np.float32([1, -1, 2]), (len(pairs), 1)))


def student(folder: Path) -> LevelEncoder:
    return tiny_encoder(folder, level_names=("no", "yes"))


def test_a_batch_holds_each_text_once_and_every_pair(tmp_path: Path) -> None:
    encoder = student(tmp_path)
    pairs = Pairs(
        np.array(["red", "red", "blue"], object), np.array(["hat", "shoe", "hat"], object), np.array([0, 1, 1])
    )
    batch = PairDataset(encoder, pairs, tmp_path / "rows").__getitems__([0, 1, 2, 1])
    assert batch["query_ids"].shape[0] == 2 and batch["item_ids"].shape[0] == 2
    words = encoder.tokenizer.batch_decode(batch["item_ids"][batch["item_row"]], skip_special_tokens=True)
    assert words == ["hat", "shoe", "hat", "shoe"]
    assert batch["labels"].tolist() == [0, 1, 1, 1]


def test_soft_labels_travel_with_their_pairs(tmp_path: Path) -> None:
    pairs = matches(10, 0)
    judgement = judged(pairs)
    batch = PairDataset(student(tmp_path), pairs, tmp_path / "rows", judgement).__getitems__([7, 2])
    assert batch["labels"].tolist() == pairs.level[[7, 2]].tolist()  # not looked at: Trainer counts rows by them
    np.testing.assert_array_equal(batch["teacher_log_odds"], judgement.log_odds[[7, 2]])
    assert batch["teacher_state"].shape == (2, 3)


def test_texts_encoded_together_give_the_logits_of_texts_encoded_apart(tmp_path: Path) -> None:
    encoder, pairs = student(tmp_path), matches(20, 3)
    batch = PairDataset(encoder, pairs, tmp_path / "rows").__getitems__(range(20))
    model = StudentModel(encoder).eval()
    lengths = []
    encode = encoder.text_encoder.forward
    with patch.object(encoder.text_encoder, "forward", lambda **given: lengths.append(1) or encode(**given)):
        found = model(**batch)["logits"]
    assert len(lengths) == 1, "all texts here are of one length: one group"
    np.testing.assert_allclose(found.softmax(-1).detach(), encoder.score_pairs(pairs.query, pairs.item_text), atol=1e-6)


@pytest.mark.parametrize("soft", [False, True])
def test_the_student_learns_to_match_words(tmp_path: Path, soft: bool) -> None:
    encoder, train, held_out = student(tmp_path), matches(256, 1), matches(100, 2)
    model = StudentModel(encoder, SoftTarget(1.0, 0.1, 3) if soft else None)
    data = PairDataset(encoder, train, tmp_path / "rows", judged(train) if soft else None)
    train_student(model, data, PairDataset(encoder, held_out, tmp_path / "held_out"), SCHEDULE, tmp_path)
    level_prob = encoder.eval().score_pairs(held_out.query, held_out.item_text)
    assert (level_prob.argmax(1) == held_out.level).mean() > 0.8


def test_the_seed_decides_every_weight(tmp_path: Path) -> None:
    def weights(seed: int, folder: Path) -> torch.Tensor:
        encoder, pairs = student(tmp_path), matches(64, 1)
        schedule = Schedule(1, 1e-3, 1e-2, 16, False, True, seed)
        data = PairDataset(encoder, pairs, folder / "rows")
        train_student(StudentModel(encoder), data, data, schedule, folder)
        return torch.cat([parameter.detach().flatten() for parameter in encoder.parameters()])

    first = weights(0, tmp_path / "a")
    assert torch.equal(first, weights(0, tmp_path / "b"))
    assert not torch.equal(first, weights(1, tmp_path / "c"))


def test_frozen_word_embeddings_stay_and_the_layers_move(tmp_path: Path) -> None:
    encoder, pairs = student(tmp_path), matches(32, 1)
    before = {name: parameter.detach().clone() for name, parameter in encoder.named_parameters()}
    frozen = Schedule(1, 1e-2, 1e-2, 16, False, False, 0)
    data = PairDataset(encoder, pairs, tmp_path / "rows")
    train_student(StudentModel(encoder), data, data, frozen, tmp_path)
    moved = {name for name, parameter in encoder.named_parameters() if not torch.equal(parameter, before[name])}
    assert "text_encoder.embeddings.word_embeddings.weight" not in moved
    assert {"projection.weight", "text_encoder.encoder.layer.0.attention.self.query.weight"} <= moved


def shuffled(pairs: Pairs) -> Pairs:
    """The same texts with levels that mean the opposite."""
    return Pairs(pairs.query, pairs.item_text, 1 - pairs.level)


def test_a_training_that_loses_the_order_is_not_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder, held_out, taught = student(tmp_path), matches(300, 2), matches(256, 1)
    # It begins as a judge that knows its trade.
    train_student(
        StudentModel(encoder),
        PairDataset(encoder, taught, tmp_path / "first"),
        PairDataset(encoder, held_out, tmp_path / "first_held_out"),
        SCHEDULE,
        tmp_path / "first_work",
    )
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    capsys.readouterr()
    validation = PairDataset(encoder, held_out, tmp_path / "held_out")
    random = replace(held_out, item_text=np.roll(held_out.item_text, 1), level=np.zeros(300, np.int64))
    gold_order = GoldOrder(held_out, random, PairDataset(encoder, random, tmp_path / "random"))
    data = PairDataset(encoder, shuffled(taught), tmp_path / "rows")
    model = StudentModel(encoder, order_weight=1.0)
    train_student(model, data, validation, SCHEDULE, tmp_path / "work", gold_order, "sft")
    same = all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert same and "sft: not taken: order on validation" in capsys.readouterr().out


def test_a_training_that_validation_likes_less_by_chance_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, pairs = student(tmp_path), matches(64, 1)
    data = PairDataset(encoder, pairs, tmp_path / "rows")
    scores = iter([pairs.level + 0.0, np.where(np.arange(64) == 0, 1 - pairs.level, pairs.level)])
    monkeypatch.setattr(GoldOrder, "scores", lambda *_: (next(scores), np.full(64, -1.0)))
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    train_student(
        StudentModel(encoder), data, data, SCHEDULE, tmp_path / "work", GoldOrder(pairs, pairs, data), "distill"
    )
    assert "not taken" not in capsys.readouterr().out
    assert any(not torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_it_ends_in_the_mean_of_its_epochs(tmp_path: Path) -> None:
    """Which is what the files of its checkpoints say."""
    encoder, pairs = student(tmp_path), matches(64, 1)
    data = PairDataset(encoder, pairs, tmp_path / "rows")
    model, gold_order = StudentModel(encoder), GoldOrder(pairs, pairs, data)
    train_student(model, data, data, SCHEDULE, tmp_path / "work", gold_order, "sft", mean_of_epochs=True)
    files = list((tmp_path / "work" / "checkpoints").glob("checkpoint-*/model.safetensors"))
    assert 2 <= len(files) <= SCHEDULE.epochs
    name = "encoder.projection.weight"
    states = [load_file(file)[name] for file in files]
    torch.testing.assert_close(model.state_dict()[name], torch.stack(states).mean(0))
    assert not torch.equal(states[0], states[1])


def test_training_stops_where_the_order_does_not_gain(tmp_path: Path) -> None:
    encoder, pairs = student(tmp_path), matches(64, 1)
    data = PairDataset(encoder, pairs, tmp_path / "rows")
    asked: list[float] = []

    class Falling(GoldOrder):
        def metrics(self, model: StudentModel, prediction: object) -> dict[str, float]:
            asked.append(-float(len(asked)))
            return {"order": asked[-1]}

    gold_order = Falling(pairs, pairs, data)
    schedule = Schedule(9, 1e-3, 1e-2, 16, False, True, 0)
    train_student(StudentModel(encoder), data, data, schedule, tmp_path / "work", gold_order)
    assert len(asked) == 1 + 2, "before, the first epoch, and one that brought nothing"
