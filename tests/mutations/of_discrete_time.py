"""Wrong bounds of steps."""

from mutation import Mutation

DISCRETE = "process/discrete.py"
OBJECTIVE = "objective/discrete_time.py"

MUTATIONS = (
    Mutation(DISCRETE, ".ceil() / self.steps, draws", ".floor() / self.steps, draws", "discrete-time/hybrid uniform"),
    Mutation(
        DISCRETE,
        "opened = (at_s.alpha - at_t.alpha) / at_t.corrupted",
        "opened = (at_s.alpha - at_t.alpha) / at_t.corrupted * at_s.alpha",
        "discrete-time/path mask, cos, T=5",
    ),
    Mutation(DISCRETE, "+ log_r_s - log_r_t", "- log_r_t", "discrete-time/path uniform, cos, T=5"),
    Mutation(DISCRETE, "(b_t + at_t.alpha * (z == x))", "b_t", "discrete-time/golden"),
    Mutation(DISCRETE, "double() - log_r_t", "double()", "discrete-time/golden"),
    Mutation(
        DISCRETE, "self.law.divergence(inner, log_x, x)", "self.law.divergence(at_t, log_x, x)", "discrete-time/golden"
    ),
    Mutation(
        DISCRETE,
        "return self.bound(prediction, noised) / self.steps",
        "return self.bound(prediction, noised)",
        "discrete-time/path uniform, cos, T=5",
    ),
    Mutation(
        "likelihood/bound.py",
        "whole = (process.first, 1.0), 1 - process.first",
        "whole = (0.0, 1.0), 1.0",
        "discrete-time/likelihood exact network, uniform, T=3",
    ),
    Mutation(
        "likelihood/estimate.py",
        "self.diffusion + self.ends + self.prior_by_row",
        "self.diffusion + self.ends.mean(0) + self.prior_by_row",
        "discrete-time/likelihood arbitrary network, uniform, geometric, T=1",
    ),
    Mutation(OBJECTIVE, "self.auxiliary * process.steps * cross", "self.auxiliary * cross", "discrete-time/hybrid"),
)
