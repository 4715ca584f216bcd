"""Who won: the one whose paired interval says so, whoever it is; else nobody."""

from typing import Any

from prectr.rank.reports.verdict import trial, verdict


def found(gap: float | None, *ci95: float) -> dict[str, Any]:
    return {"gap": gap, "ci95": list(ci95) or None}


def told(**differences: Any) -> str:
    sentence = verdict({"differences": differences})
    assert sentence is not None and sentence.endswith(".") and "\n" not in sentence
    return sentence


def test_the_winner_is_named_measure_by_measure_with_what_it_wins_by() -> None:
    sentence = told(
        exposed={"auc": found(-0.0003, -0.0015, 0.0009), "gauc_page": found(-0.001, -0.0018, -0.0002)},
        open={"ndcg@10": found(0.0123, 0.01, 0.02), "excess_low@10": found(-0.018, -0.025, -0.01)},
    )
    ours, theirs, nobody = sentence.split("; ")[-3:]
    assert ours.endswith(
        "the ranker leads in NDCG@10 of open candidates by .0123 [.0100, .0200], few irrelevant items in their "
        "top ten by .0180 [.0100, .0250]"
    )
    assert theirs == "LightGBM leads in GAUC per page by .0010 [.0002, .0018]"
    assert nobody == "neither leads in AUC on pages as shown (-.0003 [-.0015, +.0009])."


def test_where_lightgbm_wins_everything_it_says_so() -> None:
    sentence = told(exposed={"auc": found(-0.01, -0.02, -0.005), "logloss": found(0.01, 0.005, 0.02)})
    assert "the ranker leads in" not in sentence
    assert "LightGBM leads in AUC on pages as shown by .0100 [.0050, .0200], logloss by .0100" in sentence


def test_new_users_are_those_of_whom_least_is_known() -> None:
    sentence = told(new_users={"10": found(0.2, 0.1, 0.3), "0": found(12.5, 10.25, 20.0)})
    assert (
        "AUC for new users with 0 known pages by 12.5000 [10.2500, 20.0000]" in sentence and "10 known" not in sentence
    )


def test_too_few_users_name_no_winner() -> None:
    assert "too few users to say who leads in AUC on pages as shown (+.0400)" in told(exposed={"auc": found(0.04)})
    assert "nothing was measured" in told(exposed={"auc": found(None)})
    assert verdict({}) is None, "figures of before"


def test_a_trial_is_known_by_its_profile_its_models_and_its_data() -> None:
    sentence = trial({"command": "python -m rank run --profile smoke --name toy"})
    assert sentence == "TRIAL RUN: these figures mean nothing (profile smoke)."
    origin = {"teacher_source": "org/teacher,random", "init_from": "org/start"}
    assert "random model" in str(trial({"command": "python -m rank run", "encoder": origin}))
    assert "generated" in str(trial({"command": "x", "reconstructed": "The toy shop is generated from end to end."}))
    real = {"teacher_source": "org/random-forest", "init_from": "org/start", "assistant_source": ""}
    assert trial({"command": "python -m rank run --profile default --name smoke", "encoder": real}) is None
    assert trial({"command": "python -m rank run", "encoder": None}) is None
