"""The figures of the report: each a title, how to read it, its charts, and the numbers behind them as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup

from prectr.rank.reports.charts import Interval, Series, dot_plot, line_chart
from prectr.rank.reports.data import Scored
from prectr.rank.reports.diagnostics import TOP, Mean, activity, in_top, means_by, reliability, violations

OURS, RIVAL = "PRECTR", "LightGBM"

LOG_FACTS = ("loss", "grad_norm", "learning_rate", "epoch", "step")  # what a log line holds beside the losses' parts
LOSS_PARTS = {
    "click": ("Click loss", "cross-entropy, nats"),
    "relevance": ("Relevance loss on replayed pairs", "cross-entropy, nats"),
    "consistency": ("Semantic consistency", "hinge, logits"),
    "debias": ("Exposure-bias loss", "weighted hinge, logits"),
    "incentive": ("Squared incentive", "logits²"),
    "level_fall": ("Fall of the hard negatives' level (logged only)", "levels"),
}


VALIDATION = {
    "validation_auc": ("AUC of validation weeks", "AUC"),
    "validation_logloss": ("Logloss of validation weeks", "nats"),
}


@dataclass(frozen=True)
class Table:
    """A table of texts; the first cell of a row names it. A `folded` one is opened by whoever wants it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Figure:
    """Charts that answer one question. `reading` is one sentence on how to read them."""

    title: str
    reading: str
    charts: Mapping[str, Markup]
    table: Table
    findings: Sequence[str] = field(default_factory=tuple)


def told(value: float | None, interval: Interval = None) -> str:
    """A figure with its interval, as tables show it."""
    if value is None:
        return "–"
    return f"{value:.4f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval is not None else "")


def told_mean(mean: Mean | None) -> str:
    return "–" if mean is None else told(mean.value, mean.interval)


def ladder(systems: Mapping[str, Mapping[str, Any]]) -> Figure:
    """AUC of new users by how many of their pages are known."""
    rungs = list(next(iter(systems.values()))["new_users"])
    series = [
        Series(
            name,
            [part["new_users"][rung] for rung in rungs],
            [part["new_users_ci95"][rung] for rung in rungs],
            x=list(range(len(rungs))),
        )
        for name, part in systems.items()
    ]
    title = "New users: AUC by how much of their past is known"
    return Figure(
        title,
        "Further up is better; the rungs share their pages, so a rise to the right is what knowing more of the same "
        "users is worth, and the bands are 95 % intervals over users.",
        {title: line_chart(title, series, "pages of the user that are known", "AUC", x_names=rungs)},
        Table(title, ["system", *(f"{rung} pages" for rung in rungs)], [
            [one.name, *map(told, one.value, one.interval)] for one in series
        ]),
    )  # fmt: skip


def slices(systems: Mapping[str, Mapping[str, Any]]) -> Figure:
    """AUC in each part of the exposed pages."""
    names = list(next(iter(systems.values()))["slices"])
    series = []
    for name, part in systems.items():
        parts = [part["slices"][one] for one in names]
        series.append(
            Series(name, [one["auc"] for one in parts], [(one.get("ci95") or {}).get("auc") for one in parts])
        )
    title = "Slices of the exposed pages"
    return Figure(
        title,
        "Each row is a part of the test pages; further right is better, a whisker is the 95 % interval over "
        "users, and parts differ in how hard they are: compare systems within a row.",
        {title: dot_plot(title, names, series, "AUC")},
        Table(title, ["slice", *(f"AUC, {one.name}" for one in series)], [
            [name, *(told(one.value[row], one.bounds(row)) for one in series)] for row, name in enumerate(names)
        ]),
    )  # fmt: skip


def calibration(scored: Scored, systems: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Reliability diagram of both systems."""
    bins = {
        name: reliability(scored.clicked, probability, scored.user)
        for name, probability in zip(systems, (scored.ours, scored.rival), strict=True)
    }
    series = [
        Series(
            name,
            [one.clicked.value for one in parts],
            [one.clicked.interval for one in parts],
            x=[one.predicted for one in parts],
        )
        for name, parts in bins.items()
    ]
    title = "Reliability: what was predicted, and what was clicked"
    rows = [
        [f"{number + 1}, {name}", told(one.predicted), told_mean(one.clicked), f"{one.clicked.n:,}"]
        for number in range(max(map(len, bins.values())))
        for name, parts in bins.items()
        for one in parts[number : number + 1]
    ]
    return Figure(
        title,
        "Each point is a fifteenth of the exposed impressions, sorted by prediction; on the dashed line predictions "
        "come true, above it they are too low, and both axes have a square-root scale to tell small probabilities "
        "apart.",
        {
            title: line_chart(
                title, series, "mean predicted P(click)", "observed click-through rate", diagonal=True, height=440
            )
        },
        Table(title, ["bin", "mean prediction", "click-through rate", "impressions"], rows),
        [
            f"{name}: ECE {told(part['exposed']['ece'])}, PCOC {told(part['exposed']['pcoc'])} (1 is calibrated)."
            for name, part in systems.items()
        ],
    )


def click_given_level(scored: Scored, levels: Sequence[str]) -> Figure:
    """What the ranker learnt of P(click | level)."""
    means = [Mean.of(scored.click_given_level[:, level], scored.user) for level in range(len(levels))]
    anywhere, steps = violations(scored.click_given_level)
    series = Series(OURS, [one.value for one in means], [one.most for one in means], [one.middle for one in means])
    title = "Learned P(click | level) on the exposed pages"
    rows = [
        [name, told_mean(mean), _range(mean.middle), _range(mean.most), fall]
        for name, mean, fall in zip(levels, means, [*(f"{step:.1%}" for step in steps), "–"], strict=True)
    ]
    return Figure(
        title,
        "The click probability the ranker would give an impression if its level were this one: the dot is the mean, "
        "the thick bar the middle half of the impressions, the thin one the middle 90 %; it should rise from level to "
        "level.",
        {title: dot_plot(title, levels, [series], "P(click | level), probability", reference=0.0)},
        Table(title, ["level", "mean", "middle half", "middle 90 %", "falls to the next level"], rows),
        [f"{anywhere:.1%} of the {len(scored.page):,} impressions violate P(click | k) ≤ P(click | k + 1) at some k."],
    )


def open_scores(scored: Scored, levels: Sequence[str]) -> Figure:
    """Score against gold level among everything on sale; every gold level is known."""
    found = {
        name: means_by(scored.gold_level, range(len(levels)), probability, scored.user)
        for name, probability in ((OURS, scored.ours), (RIVAL, scored.rival))
    }
    series = [_of_means(name, means) for name, means in found.items()]
    title = "Open candidates: mean P(click) by gold level"
    return Figure(
        title,
        "A ranker that respects relevance rises from level to level and stays near 0 for what does not fit the query; "
        "whiskers are 95 % intervals over users.",
        {title: dot_plot(title, levels, series, "mean predicted P(click), probability", reference=0.0)},
        _means_table(title, "gold level", levels, found),
    )


def open_top(scored: Scored, levels: Sequence[str]) -> Figure:
    """Which levels fill the first ten places among everything on sale; every gold level is known."""
    gold = scored.gold_level
    chosen = {OURS: in_top(scored.page, scored.ours), RIVAL: in_top(scored.page, scored.rival)}
    chosen["all candidates"] = np.ones(len(gold), bool)
    found: dict[str, list[Mean | None]] = {
        name: [Mean.of((gold[rows] == level) * 1.0, scored.user[rows]) for level in range(len(levels))]
        for name, rows in chosen.items()
    }
    series = [_of_means(name, means) for name, means in found.items()]
    title = f"Open candidates: share of the top {TOP} by gold level"
    return Figure(
        title,
        f"Of each system's first {TOP} places, the share that each level takes, beside its share among all "
        "candidates: low levels should get fewer places and high ones more; whiskers are 95 % intervals over "
        "users.",
        {title: dot_plot(title, levels, series, f"share of the top {TOP}", reference=0.0)},
        _means_table(title, "gold level", levels, found),
    )


def incentive_by_level(scored: Scored, levels: Sequence[str]) -> Figure:
    """τ by the level the ranker thinks most probable."""
    means = means_by(scored.level_prob.argmax(1), range(len(levels)), scored.tau, scored.user)
    return _incentive("Incentive τ by relevance level", "most probable level", levels, means)


def incentive_by_activity(shown: Scored, new_users: Scored | None) -> Figure | None:
    """τ by how much is known of the user; None where nothing tells."""
    names: list[str] = []
    means: list[Mean | None] = []
    if new_users is not None:
        rungs = np.unique(new_users.history_pages).tolist()
        names += [f"new users, {rung} known" for rung in rungs]
        means += means_by(new_users.history_pages, rungs, new_users.tau, new_users.user)
    if shown.past_pages is not None:
        row_class, classes = activity(shown.past_pages)
        names += [f"{pages} pages" for pages in classes]
        means += means_by(row_class, range(len(classes)), shown.tau, shown.user)
    return _incentive("Incentive τ by user activity", "past pages", names, means) if means else None


def learning_curves(log: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Every part of the loss over the steps; None where nothing was logged."""
    lines = [line for line in log if "loss" in line]
    if not lines:
        return None
    parts = ["loss", *dict.fromkeys(name for line in lines for name in line if name not in LOG_FACTS)]
    charts = {}
    for name in parts:
        title, unit = LOSS_PARTS.get(name, ("Total loss, weighted", "loss") if name == "loss" else (name, "loss"))
        steps, values = zip(*((line["step"], line[name]) for line in lines if name in line), strict=True)
        charts[title] = line_chart(
            title, [Series(title, values, x=steps)], "step, batches", unit, width=360, height=230
        )
    return Figure(
        "Learning curves",
        "Each chart is one part of the loss, unweighted, averaged over the steps between two log lines; it should fall "
        "and level off, and a part that rises pays for another one.",
        charts,
        Table("Learning curves", ["step", *parts], [
            [f"{line['step']:,}", *(told(line.get(name)) for name in parts)] for line in lines
        ]),
    )  # fmt: skip


def validation_curve(log: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Figures of the validation weeks at a few points of the training; None where none were taken."""
    lines = [line for line in log if any(name in line for name in VALIDATION)]
    if not lines:
        return None
    charts = {}
    for name, (title, unit) in VALIDATION.items():
        found = [(line["step"], line[name]) for line in lines if name in line]
        if found:
            steps, values = zip(*found, strict=True)
            charts[title] = line_chart(
                title, [Series(title, values, x=steps)], "step, batches", unit, width=360, height=230
            )
    return Figure(
        "Validation weeks during training",
        "Each point is a sample of some 2,000 impressions of validation pages, the same at every point, before "
        "calibration; where AUC falls at the end and logloss rises, it trained too long.",
        charts,
        Table("Validation weeks during training", ["step", "AUC", "logloss"], [
            [f"{line['step']:,}", *(told(line.get(name)) for name in VALIDATION)] for line in lines
        ]),
    )  # fmt: skip


def _incentive(title: str, what: str, names: Sequence[str], means: Sequence[Mean | None]) -> Figure:
    kept = [(name, mean) for name, mean in zip(names, means, strict=True) if mean is not None]
    series = Series(
        "τ", [one.value for _, one in kept], [one.most for _, one in kept], [one.middle for _, one in kept]
    )  # fmt: skip
    return Figure(
        title,
        "What the user's own and other users' past adds to the click logit: right of 0 it speaks for a click, left "
        "of it against one; dot the mean, thick bar the middle half of the impressions, thin one the middle 90 %.",
        {title: dot_plot(title, [name for name, _ in kept], [series], f"τ, logits; by {what}", reference=0.0)},
        Table(title, [what, "mean τ", "middle half", "middle 90 %", "impressions"], [
            [name, told_mean(one), _range(one.middle), _range(one.most), f"{one.n:,}"] for name, one in kept
        ]),
    )  # fmt: skip


def _of_means(name: str, means: Sequence[Mean | None]) -> Series:
    return Series(name, [one.value if one else None for one in means], [one.interval if one else None for one in means])


def _means_table(title: str, what: str, names: Sequence[str], found: Mapping[str, Sequence[Mean | None]]) -> Table:
    rows = [[name, *(told_mean(means[row]) for means in found.values())] for row, name in enumerate(names)]
    return Table(title, [what, *found], rows)


def _range(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.3f} … {ends[1]:.3f}"
