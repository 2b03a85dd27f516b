"""Wrong schedules and destinations."""

from mutation import Mutation

MUTATIONS = (
    # schedules and destinations
    Mutation(
        "process/schedules/one_minus_t.py",
        "return -torch.ones_like(t)",
        "return torch.ones_like(t)",
        "schedule/derivative one-minus-t",
    ),
    Mutation(
        "process/schedules/cos.py",
        "2 * torch.sin(math.pi / 4 * t) ** 2",
        "torch.sin(math.pi / 4 * t) ** 2",
        "schedule/complement cos",
    ),
    Mutation(
        "process/schedules/cos.py",
        "torch.tan(math.pi / 4 * t)",
        "torch.tan(math.pi / 2 * t)",
        "schedule/golden-weights cos",
    ),
    Mutation(
        "process/schedules/one_minus_cos.py",
        "torch.asin(torch.sqrt(alpha / 2))",
        "torch.asin(torch.sqrt(alpha))",
        "schedule/inverse one-minus-cos",
    ),
    Mutation(
        "process/schedules/one_minus_cos.py",
        "2 * torch.sin(math.pi / 4 * (1 - t)) ** 2",
        "2 * torch.sin(math.pi / 4 * (1 - t))",
        "schedule/published-curve one-minus-cos",
    ),
    Mutation(
        "process/schedules/polynomial.py", "t ** (self.power - 1)", "t**self.power", "schedule/derivative polynomial"
    ),
    Mutation("process/schedules/affine.py", "self.end * t", "self.end", "schedule/published-curve affine"),
    Mutation(
        "process/schedules/geometric.py",
        "return -self._log_ratio * sigma",
        "return -sigma",
        "schedule/derivative geometric",
    ),
    Mutation("process/schedules/gidd.py", "** (self.shape / 2)", "**self.shape", "schedule/published-curve gidd"),
    Mutation(
        "process/schedules/gidd.py",
        "(1 - 2 * t) / (t * (1 - t))",
        "(1 - t) / (t * (1 - t))",
        "schedule/derivative gidd",
    ),
    Mutation(
        "process/schedules/schedule.py",
        "return -self.derivative(t) / self.one_minus_alpha(t)",
        "return -self.derivative(t) / self.alpha(t)",
        "schedule/weight geometric",
    ),
    Mutation(
        "process/destinations/growing_mask.py",
        "return 1 / t - (1 + self",
        "return 1 / t - (self",
        "destination/derivatives growing-mask",
    ),
    Mutation(
        "process/destinations/growing_mask.py",
        "return c_derivative / c - ",
        "return c_derivative / c + ",
        "bound/golden growing",
    ),
    Mutation(
        "process/destinations/mix.py",
        "torch.full_like(t, 1 - self.uniform_share)",
        "torch.full_like(t, self.uniform_share)",
        "destination/shares mix",
    ),
)
