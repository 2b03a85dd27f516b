"""Wrong marginals, bounds, reverse steps and conversions."""

from mutation import Mutation

JUMPS = "process/jumps.py"
LAW = "process/law.py"
PROCESS = "process/interpolating.py"
PREDICTION = "process/prediction.py"

MUTATIONS = (
    # marginal, corruption, prior, evidence
    Mutation(
        LAW, "corrupted / self.vocabulary.size,", "corrupted / self.vocabulary.rows,", "marginal/published uniform"
    ),
    Mutation(
        LAW,
        "mask=self.destination.mask_share(t) * corrupted",
        "mask=self.destination.share(t) * corrupted",
        "marginal/table mix, cos",
    ),
    Mutation(
        LAW,
        ">= self.schedule.alpha(t)) & editable",
        ">= self.schedule.alpha(t))",
        "marginal/corruption uniform, geometric",
    ),
    Mutation(
        LAW,
        ">= self.schedule.alpha(t)) & editable",
        ">= self.schedule.one_minus_alpha(t)) & editable",
        "marginal/corruption uniform, cos",
    ),
    Mutation(
        LAW,
        "t = torch.where(editable, t.double(), hidden.double())",
        "t = t.double()",
        "marginal/corruption mask, one-minus-t",
    ),
    Mutation(
        LAW,
        "index = (u / share * self.vocabulary.size)",
        "index = (u * self.vocabulary.size)",
        "marginal/corruption mix, one-minus-t",
    ),
    Mutation(
        LAW,
        'noise = self.draw_noise(self.destination.share(t), draws.stream("noise"))',
        'noise = self.draw_noise(1 - self.destination.share(t), draws.stream("noise"))',
        "marginal/corruption mix, one-minus-t",
    ),
    Mutation(
        LAW,
        "one = torch.ones((), dtype=torch.float64, device=draws.key.device)",
        "one = torch.zeros((), dtype=torch.float64, device=draws.key.device)",
        "marginal/prior growing-mask, gidd",
    ),
    Mutation(
        LAW,
        "boost = torch.log1p(at.alpha / at.real)",
        "boost = torch.log1p(at.alpha / at.corrupted)",
        "marginal/evidence uniform, cos",
    ),
    Mutation(
        LAW,
        "boost = torch.log1p(at.alpha / at.real)",
        "boost = torch.log(at.alpha / at.real)",
        "head/posterior uniform, one-minus-t",
    ),
    # bound
    Mutation(
        PROCESS,
        "return self.schedule.weight(t) * self.law.masked_cross_entropy",
        "return self.schedule.alpha(t) * self.schedule.weight(t) * self.law.masked_cross_entropy",
        "bound/golden mask",
    ),
    Mutation(LAW, "g = (y - y.log1p())", "g = (y + y.log1p())", "forms/uniform uniform, one-minus-t"),
    Mutation(LAW, "a.log1p() - a - a * at_x", "a.log1p() - a + a * at_x", "forms/gidd"),
    Mutation(LAW, "return at.real * (g + (1 + a)", "return at.real * (g + a", "forms/score-entropy mix, one-minus-t"),
    Mutation(LAW, "return at.real * (g", "return at.corrupted * (g", "bound/golden uniform"),
    Mutation(
        PROCESS,
        "log_r = torch.where(hit, a.log1p(), 0.0) - at_z",
        "log_r = at_z - torch.where(hit, a.log1p(), 0.0)",
        "forms/uniform uniform, one-minus-t",
    ),
    Mutation(
        PROCESS,
        "itakura_saito = torch.where(masked, 0.0, log_r.expm1() - log_r)",
        "itakura_saito = torch.zeros_like(log_r)",
        "bound/golden uniform",
    ),
    Mutation(PROCESS, "torch.where(masked, 0.0, log_r.expm1() - log_r)", "log_r.expm1() - log_r", "bound/golden mix"),
    Mutation(LAW, "w / at.alpha + self.destination.log_mask_share_derivative(t),", "w / at.alpha,", "forms/gidd"),
    Mutation(
        LAW,
        "w / at.alpha + self.destination.log_mask_share_derivative(t),",
        "w / at.alpha + self.destination.log_share_derivative(t),",
        "bound/golden growing",
    ),
    Mutation(
        LAW,
        "self.destination.log_share_derivative(t)) / torch.where(hit, 1 + a, 1.0)",
        "self.destination.log_share_derivative(t))",
        "bound/golden uniform",
    ),
    Mutation(
        LAW,
        "(w / at.alpha + self.destination.log_share_derivative(t))",
        "(w + self.destination.log_share_derivative(t))",
        "bound/tight uniform, one-minus-t",
    ),
    Mutation(
        PROCESS,
        "spot = torch.where(masked, self.vocabulary.predictable[0], z)",
        "spot = torch.where(masked, self.vocabulary.predictable[0], x)",
        "bound/golden mix",
    ),
    Mutation(
        LAW,
        "torch.where(self.is_mask(noised.state.ids) & noised.editable, nats, 0.0)",
        "torch.where(~self.is_mask(noised.state.ids) & noised.editable, nats, 0.0)",
        "bound/golden mask",
    ),
    Mutation(
        LAW,
        "return noised.editable & self.is_mask(noised.state.ids)",
        "return noised.editable & ~self.is_mask(noised.state.ids)",
        "bound/golden mask",
    ),
    Mutation(
        LAW,
        "return noised.editable\n",
        "return noised.editable & (noised.state.ids != noised.x0)\n",
        "bound/golden uniform",
    ),
    Mutation(LAW, "excess = at.alpha * (1 - pi) / pi", "excess = at.alpha / pi", "bound/prior *sigma_max=0.5"),
    Mutation(
        LAW,
        "own = (1 + excess) * excess.log1p() - excess",
        "own = excess.log1p() - excess",
        "bound/prior *sigma_max=3.0",
    ),
    # reverse step
    Mutation(
        LAW,
        "at_t.alpha / at_s.alpha, 1.0)",
        "at_s.alpha / at_t.alpha, 1.0)",
        "step/bridge uniform, one-minus-t",
    ),
    Mutation(
        LAW,
        "copy = alpha_ts * (at_s.alpha * x_z + b_s)",
        "copy = alpha_ts * (at_t.alpha * x_z + b_s)",
        "step/plug-in uniform, one-minus-t",
    ),
    Mutation(
        LAW,
        "copy = alpha_ts * (at_s.alpha * x_z + b_s)",
        "copy = alpha_ts * (at_s.alpha * x_z + b_t)",
        "step/mass mask, one-minus-t",
    ),
    Mutation(LAW, "denoise=b_ts * at_s.alpha", "denoise=b_ts * at_t.alpha", "sampler/golden"),
    Mutation(LAW, "renoise=b_ts * at_s.corrupted", "renoise=b_ts * at_t.corrupted", "discrete/golden uniform, T=8"),
    Mutation(LAW, "b_ts = (b_t - alpha_ts * b_s)", "b_ts = (b_t - b_s)", "step/tweedie uniform, one-minus-t"),
    Mutation(LAW, "torch.where(masked, 0.0, x_z)", "x_z", "step/mixture-of-bridges mix, one-minus-t"),
    Mutation(
        LAW,
        "return Marginal(at.alpha.where(noisy, 1.0), corrupted, real, mask)",
        "return at",
        "step/finish-is-posterior uniform, geometric",
    ),
    Mutation(
        JUMPS,
        "self.law.draw_noise(self.law.destination.share(s.double())",
        "self.law.draw_noise(self.law.destination.share(1 - s.double())",
        "step/draws growing-mask, gidd",
    ),
    Mutation(
        JUMPS,
        "return masses.branches(draws)[0] & self.law.is_mask(state.ids)",
        "return masses.branches(draws)[1] & self.law.is_mask(state.ids)",
        "step/reads mask, cos",
    ),
    Mutation(LAW, "return (s <= 0).expand", "return (s < 0).expand", "step/draws uniform, one-minus-t"),
    Mutation(
        LAW, "(u >= self.copy) & (u < self.copy + self.denoise)", "u < self.copy", "step/draws uniform, one-minus-t"
    ),
    # the two meanings of a prediction
    Mutation(
        PREDICTION,
        "logits.scatter_add(-1, index, boost.masked_fill",
        "logits.scatter_add(-1, index, -boost.masked_fill",
        "head/posterior uniform, one-minus-t",
    ),
    Mutation(
        PREDICTION,
        "-boost.where(boost.isfinite(), 0.0)",
        "boost.where(boost.isfinite(), 0.0)",
        "head/leave-one-out uniform, one-minus-t",
    ),
    Mutation(
        PREDICTION,
        'if self.kind == "leave_one_out":',
        'if self.kind == "posterior":',
        "head/leave-one-out uniform, one-minus-t",
    ),
    Mutation(
        PREDICTION,
        "return self.posterior().gather(-1, ids[..., None])[..., 0]",
        "return self.leave_one_out().gather(-1, ids[..., None])[..., 0]",
        "bound/golden uniform",
    ),
    Mutation(
        PREDICTION,
        "barred = torch.zeros_like(boost).masked_fill(known, -torch.inf)",
        "barred = torch.zeros_like(boost)",
        "head/unpredictable-rows mask, cos",
    ),
    Mutation(
        "predictor.py",
        "else logits + excluded",
        "else logits",
        "head/unpredictable-rows uniform, one-minus-t",
    ),
    Mutation(JUMPS, "((size - 1) * at.real /", "(size * at.real /", "facts/errors uniform, one-minus-t"),
    Mutation(JUMPS, "return self.law.schedule.inverse(kept", "return 1 - (kept", "facts/time mask, cos"),
    Mutation(JUMPS, "return self.law.spreads", "return self.law.mask is None", "facts/table mix, one-minus-t"),
    Mutation(
        LAW, "if self.destination.mask else None", "if self.vocabulary.mask else None", "facts/table uniform, cos"
    ),
    Mutation(
        "process/spindle.py", "return 1 - kept.double()", "return (1 - kept.double()) ** 1.1", "facts/time spindle"
    ),
    Mutation("process/matrix.py", "(1 - own.sum() / seen.sum())", "(1 - own.mean())", "facts/errors matrix, mask"),
)
