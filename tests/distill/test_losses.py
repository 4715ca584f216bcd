"""The distillation loss by hand."""

import math

import pytest
import torch

from prectr.distill.losses import confidence, distillation_loss, gold_loss, within_bounds, within_query_loss

STATE = torch.tensor([[1.0, 0.0]])


def kd(student: list[float], teacher: list[float], temperature: float = 1.0, weight: float = 0.0) -> float:
    target = torch.tensor([teacher])
    return distillation_loss(
        torch.tensor([student]), target, STATE, torch.tensor([[0.0, 2.0]]), temperature, weight
    ).item()


def test_kl_by_hand() -> None:
    # Teacher (3/4, 1/4), student (1/2, 1/2).
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert kd([0.0, 0.0], [math.log(3), 0.0]) == pytest.approx(expected)


def test_temperature_softens_both_and_scales_by_its_square() -> None:
    # At T = 2 the teacher's odds of 9 become 3.
    expected = 4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    assert kd([0.0, 0.0], [math.log(9), 0.0], temperature=2.0) == pytest.approx(expected)


def test_orthogonal_states_cost_the_whole_weight() -> None:
    assert kd([0.0, 0.0], [0.0, 0.0], weight=0.3) == pytest.approx(0.3)


def test_a_student_that_agrees_costs_nothing_whatever_constant_is_added() -> None:
    assert kd([1.0, 2.0], [11.0, 12.0]) == pytest.approx(0.0, abs=1e-6)


def test_a_teacher_without_states_leaves_the_second_term_out() -> None:
    logits = torch.tensor([[0.3, -0.2]])
    assert distillation_loss(logits, logits, STATE, None, 1.0, 5.0).item() == pytest.approx(0.0, abs=1e-6)


def test_confidence_by_hand() -> None:
    # Nothing is known; (3/4, 1/4); all but certain; certain.
    log_odds = torch.tensor([[5.0, 5.0], [math.log(3), 0.0], [60.0, 0.0], [0.0, -torch.inf]])
    entropy = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    torch.testing.assert_close(confidence(log_odds), torch.tensor([0.0, 1 - entropy, 1.0, 1.0]))


def test_labels_weigh_by_the_teachers_confidence() -> None:
    teacher = torch.tensor([[math.log(3), 0.0], [math.log(9), 0.0]])
    student, state = torch.zeros(2, 2), torch.zeros(2, 2)
    each = torch.tensor([kd([0.0, 0.0], row) for row in teacher.tolist()])
    for power in (0.0, 1.0, 2.0):
        weight = confidence(teacher) ** power
        found = distillation_loss(student, teacher, state, None, 1.0, 0.0, confidence_power=power)
        torch.testing.assert_close(found, (each * weight).sum() / weight.sum())


def test_a_batch_of_labels_that_say_nothing_teaches_nothing() -> None:
    student = torch.tensor([[2.0, 0.0]], requires_grad=True)
    distillation_loss(student, torch.zeros(1, 2), STATE, None, 1.0, 0.0, confidence_power=1.0).backward()
    assert student.grad is not None and student.grad.abs().max() == 0


def test_gold_loss_by_hand() -> None:
    logits = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]])
    assert gold_loss(logits, torch.tensor([0, 1])).item() == pytest.approx((-math.log(0.75) - math.log(0.5)) / 2)


def test_a_bound_pulls_a_student_only_from_above() -> None:
    # Levels 0 and 1 were given, e : 1; level 2 is at most as likely as e⁻³ of level 1.
    teacher, censored = torch.tensor([[1.0, 0.0, -3.0]]), torch.tensor([[False, False, True]])
    for student, expected in ((-5.0, -5.0), (-3.0, -3.0), (2.0, -3.0)):
        # The student says the same of levels 0 and 1, two nats up.
        found = within_bounds(teacher, torch.tensor([[3.0, 2.0, student + 2]]), censored)
        torch.testing.assert_close(found, torch.tensor([[1.0, 0.0, expected]]))
    below = torch.tensor([[3.0, 2.0, -9.0]])
    loss = distillation_loss(below, teacher, STATE, None, 1.0, 0.0, censored)
    assert loss.item() == pytest.approx(0.0, abs=1e-6)


def test_the_order_within_a_query_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1], [0.3, 0.7]]))
    levels, query = torch.tensor([0, 1, 1, 0]), torch.tensor([7, 7, 7, 2])
    # Rows 1 and 2 are above row 0; row 3 is of another query.
    expected = (math.log1p(math.exp(-(0.8 - 0.5))) + math.log1p(math.exp(-(0.1 - 0.5)))) / 2
    assert within_query_loss(logits, levels, query).item() == pytest.approx(expected, rel=1e-5)
    assert within_query_loss(logits, torch.zeros(4, dtype=torch.long), query).item() == 0
    assert within_query_loss(logits, levels, torch.arange(4)).item() == 0
