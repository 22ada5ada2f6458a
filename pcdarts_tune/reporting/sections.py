"""The parts of a report, each from the facts alone; an empty one has nothing to say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pcdarts_tune.drawing.archhistory import arch_history
from pcdarts_tune.drawing.cells import cell_picture
from pcdarts_tune.drawing.heatmap import arch_heatmap
from pcdarts_tune.reporting import figures
from pcdarts_tune.reporting.importances import EVALUATOR, FEWEST
from pcdarts_tune.reporting.markup import Html, commands, figure, join, table, tag
from pcdarts_tune.reporting.reproduction import reproduction
from pcdarts_tune.reporting.summary import listed, losses
from pcdarts_tune.spaces import naming
from pcdarts_tune.spread import Spread
from pcdarts_tune.sweeps.leaderboard import leaderboard_columns, short_hours

if TYPE_CHECKING:
    from pcdarts_tune.reporting.facts import Facts

CELLS = 3
"""Genotypes whose cells are drawn."""
SHOWN = 30
"""Trials of the leaderboard that are not folded away."""


def leaderboard(facts: Facts) -> Html:
    """All trials, best first; those after the first ones folded away."""
    if not facts.standings:
        return Html()
    columns = leaderboard_columns(facts.standings, facts.keys)
    columns["outcome"] = [_cut(text) for text in columns["outcome"]]
    level = {s.record.trial for s in facts.level} if len(facts.level) > 1 else set()
    rows = [
        " ".join(["best"] * (s is facts.best) + ["level"] * (s.record.trial in level))
        for s in facts.standings
    ]
    note = (
        "Accuracy on held-out images of the derived network, trained from scratch. Params and MACs are those of the "
        "retraining network."
    )
    if level:
        note += " A bar at the left marks trials that cannot be told apart from the best by their accuracy."
    if "mean ± sd (n)" in columns:
        note += (
            " Mean and standard deviation are over trials with the same settings and different search seeds."
        )
    names = [f"{naming.short_name(key)} = {key}" for key in facts.keys]
    names.append("skips = skip connections in the normal cell")
    parts = [
        tag("p", note, class_="quiet"),
        tag("p", "Short names: ", ", ".join(names), ".", class_="quiet"),
        _rows(columns, rows, slice(0, SHOWN)),
    ]
    if len(rows) > SHOWN:
        rest = _rows(columns, rows, slice(SHOWN, None))
        parts.append(tag("details", tag("summary", f"{len(rows) - SHOWN} more"), rest))
    return join(parts)


def _rows(columns: dict[str, list[str]], rows: list[str], which: slice) -> Html:
    cells = {title: column[which] for title, column in columns.items()}
    return table(cells, words=("genotype", "outcome"), rows=rows[which])


def _cut(text: str) -> str:
    return text if len(text) <= 48 else f"{text[:47].rstrip()}…"


def history(facts: Facts) -> Html:
    """Accuracy by trial."""
    drawn = figures.history(facts)
    if drawn is None:
        return Html()
    lost = any(s.record.state in ("failed", "pruned") for s in facts.standings)
    crosses = " Crosses are trials that failed or were pruned." if lost else ""
    return figure(
        drawn,
        f"Each dot is a trial, the line the best so far.{crosses} Rest the mouse on a dot for its settings.",
    )


def settings(facts: Facts) -> Html:
    """Importances, and accuracy over each setting."""
    if not facts.complete or not facts.keys:
        return Html()
    found, parts = facts.importances, []
    bars = figures.importance_bars(facts)
    if bars is not None:
        parts.append(tag("h3", "Which settings decide whether a trial is among the best"))
        how = (
            f"{EVALUATOR} over {found.n} complete trials: how differently a setting is distributed among the best {found.best} "
            f"and among all. It measures what leads to higher accuracy, not what leads to a poor one. Shares add up to 1. "
            "Faint bars are not above what 95 % of shuffled accuracies give."
        )
        parts.append(tag("p", how, class_="quiet"))
        if found.caution:
            parts.append(tag("p", f"With care: {found.caution}."))
        if not found.above_chance:
            parts.append(tag("p", "No setting stands out from chance here."))
        parts.append(figure(bars))
    else:
        text = f"Importances need {FEWEST} complete trials that differ in accuracy; there are {found.n}."
        parts.append(tag("p", text, class_="quiet"))
    if found.trend:
        trends = ", ".join(f"{naming.short_name(key)} {rho:+.2f}" for key, rho in found.trend.items())
        text = (
            f"Rank correlation with accuracy (Spearman, n={found.n}; positive: higher is better): {trends}."
        )
        parts.append(tag("p", text, class_="quiet"))
    parts.append(tag("h3", "Accuracy over each setting"))
    parts.append(tag("div", *(figure(drawn) for _, drawn in figures.slices(facts)), class_="grid"))
    return join(parts)


def trade_offs(facts: Facts) -> Html:
    """Accuracy against parameters, multiply-adds and latency."""
    drawn = figures.trade_offs(facts)
    if not drawn:
        return Html()
    aimed = [name for name in facts.sweep.space.objectives if name != "accuracy"]
    note = (
        "The sweep aimed at accuracy alone; the other axis is measured. "
        if not aimed
        else f"The sweep aimed at accuracy and {', '.join(aimed)}. "
    )
    note += "On the line is the Pareto front: no other trial is both more accurate and smaller."
    charts = tag("div", *(figure(picture) for _, picture in drawn), class_="grid")
    return join([tag("p", note, class_="quiet"), charts])


def cells(facts: Facts) -> Html:
    """The cells of the best genotypes."""
    from pcdarts_tune.core.genotype import Genotype

    leading = facts.leading_genotypes
    if not leading:
        return Html()
    parts = []
    for standing in leading[:CELLS]:
        record = standing.record
        assert record.genotype is not None, "leading_genotypes have one"
        found = f", found by {len(standing.found_by)} trials" if len(standing.found_by) > 1 else ""
        parts.append(
            tag("h3", f"Rank {standing.rank}: trial {record.trial}, accuracy {record.objective:.4f}")
        )
        caption = f"Genotype {record.genotype_hash}{found}; {naming.settings(record.hyperparameters)}"
        drawn = cell_picture(Genotype.from_dict(record.genotype), title=f"Cells of trial {record.trial}")
        parts.append(figure(drawn, caption, paper=True))
    distinct, trials = len(leading), len(facts.complete)
    text = f"{trials} complete trials found {distinct} different genotypes."
    twice = [s for s in leading if len(s.found_by) > 1]
    if twice:
        most = max(twice, key=lambda s: len(s.found_by))
        text += f" The one found most often, {(most.record.genotype_hash or '')[:8]}, came up {len(most.found_by)} times."
    return join([tag("p", text), *parts])


def alphas(facts: Facts) -> Html:
    """Heat maps of the best trial's search."""
    if not facts.alphas or facts.best is None:
        return Html()
    names = ("alpha_normal", "alpha_reduce", "beta_normal", "beta_reduce")
    epochs = sorted(facts.alphas)
    last = facts.alphas[epochs[-1]]
    primitives = facts.sweep.space.supernet.primitives
    end_parts: list[Any] = [last.get(name) for name in names]
    try:
        parts: list[Any] = [
            [facts.alphas[epoch][name] for epoch in epochs] if last.get(name) else None for name in names
        ]
        end = arch_heatmap(end_parts[0], end_parts[1], end_parts[2], end_parts[3], primitives=primitives)
        numbers = [epoch + 1 for epoch in epochs]
        whole = arch_history(parts[0], parts[1], parts[2], parts[3], primitives=primitives, epochs=numbers)
    except (ValueError, KeyError, TypeError):
        return Html()  # records of another version
    return join(
        [
            figure(
                end,
                f"Trial {facts.best.record.trial} after its search; frames mark what the genotype takes.",
                paper=True,
            ),
            figure(whole, "Over the epochs of the search.", paper=True),
        ]
    )


def retrained(facts: Facts) -> Html:
    """What promotions trained."""
    if not facts.retrainings:
        return Html()
    rows = sorted(facts.retrainings, key=lambda r: (-(r.held_out or 0.0), r.genotype_hash, r.seed or 0))
    best = facts.best.record.genotype_hash if facts.best is not None else None
    trial = {s.record.genotype_hash: s.record.trial for s in reversed(facts.complete)}
    columns: dict[str, list[object]] = {
        "genotype": [r.genotype_hash[:8] + (" (best here)" if r.genotype_hash == best else "") for r in rows],
        "trial": [trial.get(r.genotype_hash, "") for r in rows],
        "seed": ["" if r.seed is None else r.seed for r in rows],
        "epochs": [r.epochs for r in rows],
        "held-out accuracy": ["" if r.held_out is None else f"{r.held_out:.4f}" for r in rows],
        "test accuracy": ["" if r.test is None else f"{r.test:.4f}" for r in rows],
    }
    lines = []
    for name in dict.fromkeys(r.genotype_hash for r in rows):
        spread = facts.retrained(name)
        if isinstance(spread, Spread) and spread.n > 1:
            lines.append(f"{name[:8]}: {spread!r}")
    over = [tag("p", f"Held-out accuracy over seeds. {'; '.join(lines)}.")] if lines else []
    note = tag(
        "p", "By promotions of this sweep; the test split is read for the chosen model alone.", class_="quiet"
    )
    return join([note, table(columns, words=("genotype",)), *over])


def cost(facts: Facts) -> Html:
    """What the trials spent."""
    parts = []
    for unit in sorted(facts.spent, reverse=True):
        text = f"{short_hours(facts.spent[unit])} {unit}-hours: the hours of each trial, times the share of {unit}s it had."
        parts.append(tag("p", text))
        drawn = figures.cost_bars(facts, unit)
        if drawn is not None:
            parts.append(figure(drawn))
    if not parts and any(s.record.seconds for s in facts.standings):
        seconds = sum(s.record.seconds or 0.0 for s in facts.standings)
        parts.append(
            tag("p", f"{seconds / 3600:.2g} hours of trials; their share of the machine was not recorded.")
        )
    return join(parts)


def lost(facts: Facts) -> Html:
    """Trials without an accuracy, by reason."""
    found = losses(facts)
    if not found:
        return Html()
    columns: dict[str, list[object]] = {
        "trials": [len(group) for _, group in found],
        "which": [listed([s.record.trial for s in group]) for _, group in found],
        "reason": [reason for reason, _ in found],
        "settings of the first": [naming.settings(group[0].record.hyperparameters) for _, group in found],
    }
    return table(columns, words=("which", "settings of the first"), long=("reason",))


def reproduce(facts: Facts) -> Html:
    """Commands, versions, data and the space."""
    how = reproduction(facts)
    space_file = tag("a", how.space_file, href=how.space_link, download=how.space_file)
    return join(
        [
            tag("p", "Save the space as ", space_file, " (also below), then, with the same versions:"),
            commands(*how.commands),
            tag("p", how.exactness, class_="quiet"),
            table({"": list(how.facts), " ": list(how.facts.values())}, words=("", " ")),
            tag("details", tag("summary", f"The space, {how.space_file}"), commands(how.space_yaml)),
        ]
    )
