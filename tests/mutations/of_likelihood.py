"""Wrong objectives, draws of time and likelihood estimates."""

from mutation import Mutation

JUMPS = "process/jumps.py"
BOUND = "likelihood/bound.py"
ESTIMATE = "likelihood/estimate.py"

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
    Mutation(
        "likelihood/early.py", "2 * noised.t.sqrt()", "2 * noised.t", "likelihood/unbiased exact network, growing"
    ),
    Mutation(
        "likelihood/early.py",
        "quantiles(cells, draws).square()",
        "quantiles(cells, draws)",
        "likelihood/unbiased exact",
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
    Mutation(
        BOUND,
        "times, passes, key.at(repetition), clip)",
        "times, passes, key.at(0), clip)",
        "likelihood/coverage arbitrary",
    ),
    Mutation(
        BOUND,
        'key.at(repetition).stream("reconstruction")',
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
        "return drawn.mean().item(), spread",
        "return drawn.max().item(), spread",
        "likelihood/unbiased arbitrary",
    ),
    Mutation(
        ESTIMATE,
        "spread / math.sqrt(len(drawn))",
        "spread",
        "likelihood/standard-error exact network, uniform",
    ),
    Mutation(ESTIMATE, "(0.475 - mass)", "(0.45 - mass)", "likelihood/student-t 7 degrees"),
)
