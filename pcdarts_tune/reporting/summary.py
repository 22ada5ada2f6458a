"""A sweep in words: what was searched, the best trial, how sure that is, the cost, what failed, what to do next.

for paragraph in summarize(facts): print(paragraph.title, paragraph.text)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pcdarts_tune.core.genotype import FAMILIES
from pcdarts_tune.reporting.facts import Facts
from pcdarts_tune.say import format_seconds
from pcdarts_tune.spaces import naming
from pcdarts_tune.spaces.methods import METHODS
from pcdarts_tune.spaces.scores import score_title, scored_on, trains
from pcdarts_tune.spaces.values import BENCHMARK
from pcdarts_tune.sweeps.leaderboard import RankedTrial, short_hours
from pcdarts_tune.sweeps.noise import MOST_CANDIDATES
from pcdarts_tune.sweeps.trials.repeats import describe_repeats
from pcdarts_tune.tasks import ENDED


@dataclass(frozen=True)
class Paragraph:
    """A titled paragraph of plain text, and the command that it ends in, if any."""

    title: str
    text: str
    command: str = ""


def summarize(facts: Facts) -> list[Paragraph]:
    """The paragraphs at the top of the report."""
    parts = [Paragraph("Searched", _describe_search(facts)), Paragraph("Best", _describe_best(facts))]
    if facts.best is not None:
        parts.append(Paragraph("How sure", _describe_certainty(facts)))
    if facts.agreement is not None:
        said = str(facts.agreement)
        parts.append(Paragraph("Short against full", f"{said[0].upper()}{said[1:]}."))
    parts.append(Paragraph("Cost", _describe_cost(facts)))
    if lost := _describe_failures(facts):
        parts.append(Paragraph("Lost", lost))
    text, command = next_step(facts)
    parts.append(Paragraph("Next", text, command))
    return parts


def next_step(facts: Facts) -> tuple[str, str]:
    """What to do now, and the command that does it."""
    name, home = facts.sweep.name, facts.sweep.where.home_flag
    ended = sum(facts.states.get(state, 0) for state in ENDED)
    if facts.running:
        text = (
            f"The sweep runs now: {ended} of {facts.target} trials have ended. Write this report again later."
        )
        return text, f"pcdarts-tune status {name}{home}"
    if ended < facts.target:
        return f"{facts.target - ended} trials are still to be run.", f"pcdarts-tune resume {name}{home}"
    if facts.best is None:
        return "No trial was completed; see below why.", f"pcdarts-tune leaderboard {name}{home}"
    if any(training.test is not None for training in facts.retrainings):
        text = "A genotype of this sweep was retrained and tested, see below. To look at the trials and the model in MLflow:"
        return text, f"pcdarts-tune ui{home}"
    level = len({s.record.genotype_hash for s in facts.tied})
    if facts.noise is not None and facts.noise.within:
        level = max(level, facts.noise.genotypes)
    if level > 1:
        text = f"Retrain the best genotypes with several seeds and the default beside them: {level} of them are level here."
        options = f"--candidates {min(level, MOST_CANDIDATES)} --seeds 3 --baseline default"
        return text, f"pcdarts-tune promote {name} {options}{home}"
    text = "Retrain the best genotype, test it once and register the model."
    return text, f"pcdarts-tune promote {name}{home}"


def group_failures(facts: Facts) -> list[tuple[str, list[RankedTrial]]]:
    """Reasons why trials have no accuracy, the most frequent first, each with its trials."""
    reasons: dict[str, list[RankedTrial]] = {}
    for trial in facts.trials:
        record = trial.record
        if record.state in ("failed", "pruned"):
            reasons.setdefault(f"{record.state}: {record.reason or 'no reason is known'}", []).append(trial)
    return sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0]))


def list_trials(numbers: Sequence[int], most: int = 12) -> str:
    """`trial 3`, `trials 3, 5 and 7`, `trials 1, 2, 3 and 40 more`."""
    shown = [str(number) for number in sorted(numbers)]
    if len(shown) == 1:
        return f"trial {shown[0]}"
    if len(shown) > most:
        shown = [*shown[:most], f"{len(numbers) - most} more"]
    return f"trials {', '.join(shown[:-1])} and {shown[-1]}"


def _describe_search(facts: Facts) -> str:
    space, about = facts.sweep.space, facts.sweep.about
    states = ", ".join(f"{n} {state}" for state, n in facts.states.items()) or "none has begun"
    goals = "" if space.objectives == ("accuracy",) else f" The objectives are {', '.join(space.objectives)}."
    tuned = ", ".join(facts.keys) or "nothing"
    method = METHODS[space.search.method]
    each = (
        f"{method.what} of {space.search.epochs} epochs; the cell it derives"
        if method.searches
        else method.what
    )
    happens = f"trained from scratch for {space.evaluation.epochs} epochs"
    if space.objective == BENCHMARK:
        happens = "looked up"
    several = ""
    if space.repeats > 1:
        several = f" A trial does so with {space.repeats} seeds, and the mean is its score."
    return (
        f"A cell for {about['data']['name']} in the space {space.name}: {facts.target} trials ({states}). Each is {each} "
        f"{'is' if method.searches else 'and'} {happens}, and its "
        f"{score_title(space.objective)} on {scored_on(space.objective)} is what counts.{several} Tuned by "
        f"{facts.sweep.settings.sampler}: {tuned}.{goals}"
    )


def _describe_best(facts: Facts) -> str:
    if facts.best is None:
        return "No trial is complete yet."
    best, record = facts.best, facts.best.record
    images = scored_on(facts.score)
    if facts.held_out and not trains(facts.score):
        images = f"{facts.held_out:,} {images}"
    error = "" if record.standard_error is None else f" ± {record.standard_error:.4f} (standard error)"
    majority = f", {facts.majority}" if facts.majority else ""
    settings = naming.format_settings(record.hyperparameters) or "nothing is tuned"
    size = "" if record.params is None else f", {naming.short_count(record.params)} parameters"
    macs, skips, family = "", "", FAMILIES[facts.sweep.space.supernet.family]
    if record.macs is not None:
        macs = f" and {naming.short_count(record.macs)} multiply-adds when retrained"
    if best.skip_connections is not None:
        skips = f"; {best.skip_connections} skip connections in its {family.skips_in}"
    others = [number for number in best.found_by if number != record.trial]
    again = f" Its genotype was also found by {list_trials(others)}." if others else ""
    return (
        f"Trial {record.trial}: {score_title(facts.score)} {record.objective:.4f}{error}{describe_repeats(record)} on {images}"
        f"{majority} ({settings}){size}{macs}{skips}.{again}"
    )


def _describe_certainty(facts: Facts) -> str:
    complete, level = len(facts.complete), len(facts.tied)
    texts = []
    if facts.resolution is not None:
        who = "alone" if level == 1 else f"level with {level - 1} of the {complete - 1} others"
        texts.append(
            f"{_on_images(facts)} two scores that differ by less than {facts.resolution:.4f} (two standard errors) cannot be "
            f"told apart: the best is {who}."
        )
    if facts.noise is not None:
        said = str(facts.noise)
        texts.append(f"{said[0].upper()}{said[1:]}.")
    if facts.majority and facts.best is not None:
        balanced = facts.best.record.held_out["balanced_accuracy"]
        texts.append(
            f"An accuracy may mislead here ({facts.majority} of the held-out images): the best trial's balanced accuracy is "
            f"{balanced:.4f}."
        )
    spreads = [s.spread for s in facts.complete if s.spread is not None and s.spread.std is not None]
    if spreads:
        widest = max(spread.std or 0.0 for spread in spreads)
        seeds = f"Where the same settings were searched with several seeds, the standard deviation was up to {widest:.4f}."
    else:
        seeds = "Every setting was searched with one seed, and every genotype evaluated with one: seeds come on top."
    deviations = [s.record.seed_std for s in facts.complete if s.record.seed_std is not None]
    if deviations and not spreads:
        seeds = "Every setting was searched with one seed, which comes on top."
    if deviations:
        seeds += f" Over the seeds of an evaluation the standard deviation was up to {max(deviations):.4f}."
    texts.append(
        f"{seeds} The best of many trials is also the luckiest: expect a little less from it elsewhere."
    )
    return " ".join(texts)


def _on_images(facts: Facts) -> str:
    return f"On {facts.held_out:,} images" if facts.held_out and not trains(facts.score) else "Here"


def _describe_cost(facts: Facts) -> str:
    if not facts.spent:
        seconds = sum(s.record.seconds or 0.0 for s in facts.trials)
        return f"{format_seconds(seconds)} of trials; what share of the machine they had was not recorded."
    sums = " and ".join(f"{short_hours(hours)} {unit}-hours" for unit, hours in sorted(facts.spent.items()))
    unknown = f" ({facts.unspent} trials that do not say are left out)" if facts.unspent else ""
    known = [s.spent.hours for s in facts.trials if s.spent is not None]
    mean = f", {short_hours(sum(known) / len(known))} a trial on average" if len(facts.spent) == 1 else ""
    return f"{sums} in all{mean}{unknown}."


def _describe_failures(facts: Facts) -> str:
    found = group_failures(facts)
    if not found:
        return ""
    number = sum(len(group) for _, group in found)
    reason, group = found[0]
    more = "" if len(found) == 1 else f" {len(found)} reasons; the most frequent:"
    who = list_trials([s.record.trial for s in group])
    return f"{number} of {len(facts.trials)} trials without a score.{more} {who.capitalize()} {reason}."
