"""Wrong objectives, draws of time and likelihood estimates."""

from mutation import Mutation

JUMPS = "process/jumps.py"
BOUND = "likelihood/bound.py"
ESTIMATE = "likelihood/estimate.py"
EARLY = "likelihood/early.py"

MUTATIONS = (
    # objectives and draws of time
    Mutation(
        "objective/llada.py",
        "nats / noised.t[sites]",
        "nats / (1 - noised.t[sites])",
        "objective/llada-is-the-bound uniform",
    ),
    Mutation(
        "objective/times/equal_count.py",
        "size).long() + 1",
        "size).long()",
        "estimator/unbiased equal-count, arbitrary network, mask, one",
    ),
    Mutation(
        "objective/times/equal_count.py",
        "return nats / law.schedule.one_minus_alpha(noised.t)",
        "return nats * law.schedule.weight(noised.t)",
        "estimator/unbiased equal-count, arbitrary network, mask, cos",
    ),
    Mutation(
        "objective/times/shared_offset.py",
        'place = draws.stream("strata").along(cells.total).order()[cells.slot]',
        "place = cells.slot / 2",
        "estimator/less-variance shared-offset",
    ),
    Mutation(
        "objective/times/stratified.py",
        'stratum = draws.stream("strata").along(cells.total).order()[cells.slot]',
        "stratum = cells.slot",
        "estimator/levels stratified",
    ),
    # likelihood
    Mutation(EARLY, "2 * nats / (1 + slope)", "nats / (1 + slope)", "likelihood/unbiased exact network, growing"),
    Mutation(
        EARLY, "_place(process, middle, kept) < levels", "middle < levels", "likelihood/unbiased exact network, growing"
    ),
    Mutation(
        EARLY,
        "nats / (process.steps - 1) / drawn",
        "nats / process.steps / drawn",
        "discrete-time/likelihood exact network, uniform, T=3",
    ),
    Mutation(BOUND, "+= found / passes", "+= found", "likelihood/unbiased exact network, uniform"),
    Mutation(
        BOUND,
        "process.prior_cost(text.ids[text.editable]).double()",
        "process.prior_cost(text.ids[text.editable]).double().mean() / 3",
        "likelihood/unbiased *geometric",
    ),
    Mutation(
        JUMPS,
        "self.steps is None and self.law.schedule.ends[0] == 1",
        "self.steps is None and self.law.schedule.ends[0] < 1",
        "likelihood/reconstruction",
    ),
    Mutation(BOUND, "draw = key.at(len(diffusion))", "draw = key.at(0)", "likelihood/coverage arbitrary"),
    Mutation(
        BOUND,
        'draw.stream("reconstruction")',
        'key.stream("reconstruction")',
        "likelihood/standard-error *loud",
    ),
    Mutation(
        ESTIMATE,
        "self.diffusion + self.ends + self.prior_by_row",
        "self.diffusion + self.ends - self.prior_by_row",
        "likelihood/unbiased *geometric",
    ),
    Mutation(
        ESTIMATE,
        "self.drawn[:, first:stop].sum(-1).mean().item()",
        "self.drawn[:, first:stop].sum(-1).max().item()",
        "likelihood/unbiased arbitrary",
    ),
    Mutation(
        ESTIMATE,
        "var(0, unbiased=True) / len(drawn)",
        "var(0, unbiased=True)",
        "likelihood/standard-error exact network, uniform",
    ),
    Mutation(ESTIMATE, "student_t(degrees) * stderr / mean", "stderr / mean / 3", "likelihood/coverage *mix"),
    Mutation(ESTIMATE, "(0.475 - mass)", "(0.45 - mass)", "likelihood/student-t 7 degrees"),
)
