"""Wrong formulas, each with the law that must catch it.

A mutation replaces one piece of source text, which must occur exactly once in its file. `caught_by` is a pattern of
`undiffuse verify`; one failing result among those that it selects is enough.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    file: str  # below undiffuse/
    source: str
    replacement: str
    caught_by: str


PROCESS = "process/interpolating.py"
PREDICTION = "process/prediction.py"
BOUND = "likelihood/bound.py"
ESTIMATE = "likelihood/estimate.py"
STRATEGY = "decode/strategies/strategy.py"
PROPOSAL = "decode/proposal.py"
LOOP = "decode/loop.py"

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
    # marginal, corruption, prior, evidence
    Mutation(
        PROCESS, "corrupted / self.vocabulary.size,", "corrupted / self.vocabulary.rows,", "marginal/published uniform"
    ),
    Mutation(
        PROCESS,
        "mask=self.destination.mask_share(t) * corrupted",
        "mask=self.destination.share(t) * corrupted",
        "marginal/table mix, cos",
    ),
    Mutation(
        PROCESS,
        ">= self.schedule.alpha(t)) & editable",
        ">= self.schedule.alpha(t))",
        "marginal/corruption uniform, geometric",
    ),
    Mutation(
        PROCESS,
        ">= self.schedule.alpha(t)) & editable",
        ">= self.schedule.one_minus_alpha(t)) & editable",
        "marginal/corruption uniform, cos",
    ),
    Mutation(
        PROCESS, "t = torch.where(editable, t.double(), 0.0)", "t = t.double()", "marginal/corruption mask, one-minus-t"
    ),
    Mutation(
        PROCESS,
        "index = (u / share * self.vocabulary.size)",
        "index = (u * self.vocabulary.size)",
        "marginal/corruption mix, one-minus-t",
    ),
    Mutation(
        PROCESS,
        'noise = self._draw_noise(self.destination.share(t), draws.stream("noise"))',
        'noise = self._draw_noise(1 - self.destination.share(t), draws.stream("noise"))',
        "marginal/corruption mix, one-minus-t",
    ),
    Mutation(
        PROCESS,
        "one = torch.ones((), dtype=torch.float64, device=draws.key.device)",
        "one = torch.zeros((), dtype=torch.float64, device=draws.key.device)",
        "marginal/prior growing-mask, gidd",
    ),
    Mutation(
        PROCESS,
        "boost = torch.log1p(at.alpha / at.real)",
        "boost = torch.log1p(at.alpha / at.corrupted)",
        "marginal/evidence uniform, cos",
    ),
    Mutation(
        PROCESS,
        "boost = torch.log1p(at.alpha / at.real)",
        "boost = torch.log(at.alpha / at.real)",
        "head/posterior uniform, one-minus-t",
    ),
    # bound
    Mutation(
        PROCESS,
        "return w * self.masked_cross_entropy",
        "return at.alpha * w * self.masked_cross_entropy",
        "bound/golden mask",
    ),
    Mutation(PROCESS, "g = (y - y.log1p())", "g = (y + y.log1p())", "forms/uniform uniform, one-minus-t"),
    Mutation(PROCESS, "a.log1p() - a - a * at_x", "a.log1p() - a + a * at_x", "forms/gidd"),
    Mutation(PROCESS, "kl = at.real * (g + (1 + a)", "kl = at.real * (g + a", "forms/score-entropy mix, one-minus-t"),
    Mutation(PROCESS, "kl = at.real * (g", "kl = at.corrupted * (g", "bound/golden uniform"),
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
    Mutation(PROCESS, "w / at.alpha + self.destination.log_mask_share_derivative(t),", "w / at.alpha,", "forms/gidd"),
    Mutation(
        PROCESS,
        "w / at.alpha + self.destination.log_mask_share_derivative(t),",
        "w / at.alpha + self.destination.log_share_derivative(t),",
        "bound/golden growing",
    ),
    Mutation(
        PROCESS,
        "self.destination.log_share_derivative(t)) / torch.where(hit, 1 + a, 1.0)",
        "self.destination.log_share_derivative(t))",
        "bound/golden uniform",
    ),
    Mutation(
        PROCESS,
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
        PROCESS,
        "torch.where(self._is_mask(noised.state.ids) & noised.editable, nats, 0.0)",
        "torch.where(~self._is_mask(noised.state.ids) & noised.editable, nats, 0.0)",
        "bound/golden mask",
    ),
    Mutation(
        PROCESS,
        "return noised.editable & self._is_mask(noised.state.ids)",
        "return noised.editable & ~self._is_mask(noised.state.ids)",
        "bound/golden mask",
    ),
    Mutation(
        PROCESS,
        "return noised.editable\n",
        "return noised.editable & (noised.state.ids != noised.x0)\n",
        "bound/golden uniform",
    ),
    Mutation(PROCESS, "excess = at.alpha * (1 - pi) / pi", "excess = at.alpha / pi", "bound/prior *sigma_max=0.5"),
    Mutation(
        PROCESS,
        "own = (1 + excess) * excess.log1p() - excess",
        "own = excess.log1p() - excess",
        "bound/prior *sigma_max=3.0",
    ),
    # reverse step
    Mutation(
        PROCESS, "at_t.alpha / at_s.alpha, 1.0)", "at_s.alpha / at_t.alpha, 1.0)", "step/bridge uniform, one-minus-t"
    ),
    Mutation(
        PROCESS,
        "copy = alpha_ts * (at_s.alpha * x_z + b_s)",
        "copy = alpha_ts * (at_t.alpha * x_z + b_s)",
        "step/plug-in uniform, one-minus-t",
    ),
    Mutation(
        PROCESS,
        "copy = alpha_ts * (at_s.alpha * x_z + b_s)",
        "copy = alpha_ts * (at_s.alpha * x_z + b_t)",
        "step/mass mask, one-minus-t",
    ),
    Mutation(PROCESS, "denoise=b_ts * at_s.alpha", "denoise=b_ts * at_t.alpha", "sampler/golden"),
    Mutation(PROCESS, "renoise=b_ts * at_s.corrupted", "renoise=b_ts * at_t.corrupted", "discrete/golden uniform, T=8"),
    Mutation(PROCESS, "b_ts = (b_t - alpha_ts * b_s)", "b_ts = (b_t - b_s)", "step/tweedie uniform, one-minus-t"),
    Mutation(PROCESS, "torch.where(masked, 0.0, x_z)", "x_z", "step/mixture-of-bridges mix, one-minus-t"),
    Mutation(
        PROCESS,
        "return Marginal(at.alpha.where(noisy, 1.0), corrupted, real, mask)",
        "return at",
        "step/finish-is-posterior uniform, geometric",
    ),
    Mutation(
        PROCESS,
        "self.destination.share(s.double())",
        "self.destination.share(1 - s.double())",
        "step/draws growing-mask, gidd",
    ),
    Mutation(
        PROCESS,
        "return masses.branches(draws)[0] & self._is_mask(state.ids)",
        "return masses.branches(draws)[1] & self._is_mask(state.ids)",
        "step/reads mask, cos",
    ),
    Mutation(PROCESS, "final = s <= 0 if", "final = s < 0 if", "step/draws uniform, one-minus-t"),
    Mutation(
        PROCESS, "(u >= self.copy) & (u < self.copy + self.denoise)", "u < self.copy", "step/draws uniform, one-minus-t"
    ),
    # the two meanings of a prediction
    Mutation(
        PREDICTION,
        "logits.scatter_add(-1, self.index[..., None], boost.where",
        "logits.scatter_add(-1, self.index[..., None], -boost.where",
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
        "torch.where(boost.isinf(), known,",
        "torch.where(boost.isinf(), logits,",
        "head/masked-agreement mask, cos",
    ),
    Mutation(
        "predictor.py",
        "else logits + excluded",
        "else logits",
        "head/unpredictable-rows uniform, one-minus-t",
    ),
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
        "return nats / process.schedule.one_minus_alpha(noised.t)",
        "return nats * process.schedule.weight(noised.t)",
        "estimator/unbiased equal-count, arbitrary network, mask, cos",
    ),
    Mutation(
        "objective/times/shared_offset.py",
        'place = draws.stream("strata").along(rows).order()[batch.slot]',
        "place = batch.slot / 2",
        "estimator/less-variance shared-offset",
    ),
    Mutation(
        "objective/times/stratified.py",
        'stratum = draws.stream("strata").along(rows).order()[batch.slot]',
        "stratum = batch.slot",
        "estimator/levels stratified",
    ),
    # likelihood
    Mutation(BOUND, "+= value / passes", "+= value", "likelihood/unbiased exact network, uniform"),
    Mutation(BOUND, "prior=process.prior_kl() * tokens", "prior=process.prior_kl()", "likelihood/unbiased *geometric"),
    Mutation(BOUND, "process.schedule.ends[0] == 1", "process.schedule.ends[0] < 1", "likelihood/reconstruction"),
    Mutation(BOUND, "times, passes, key.at(repetition))", "times, passes, key.at(0))", "likelihood/coverage arbitrary"),
    Mutation(
        ESTIMATE,
        "self.totals.mean().item() + self.prior",
        "self.totals.mean().item() - self.prior",
        "likelihood/unbiased *geometric",
    ),
    Mutation(
        ESTIMATE,
        "self.totals.mean().item() + self.prior",
        "self.totals.max().item() + self.prior",
        "likelihood/unbiased arbitrary",
    ),
    Mutation(
        ESTIMATE,
        "(self.totals.std(unbiased=True) / math.sqrt(len(self.totals)))",
        "self.totals.std(unbiased=True)",
        "likelihood/standard-error exact network, uniform",
    ),
    Mutation(ESTIMATE, "(0.475 - mass)", "(0.45 - mass)", "likelihood/student-t 7 degrees"),
    # proposals
    Mutation(
        PROPOSAL,
        "ids = log_p.argmax(-1)",
        'ids = draw_categorical(log_p.exp(), draws.stream("token"))',
        "decode/greedy left-to-right, 4",
    ),
    Mutation(
        PROPOSAL,
        "scaled = (log_p / self.temperature)",
        "scaled = (log_p * self.temperature)",
        "decode/filters temperature .5",
    ),
    Mutation(
        PROPOSAL,
        "dropped = p.cumsum(-1) - p >= mass",
        "dropped = (p.cumsum(-1) >= mass) & (p.cumsum(-1) > p)",
        "decode/filters top-p .6",
    ),
    Mutation(PROPOSAL, "dropped[..., count:] = True", "dropped[..., count + 1 :] = True", "decode/filters top-k 3"),
    Mutation(
        PROPOSAL,
        'ranked = logp if filters.confidence == "raw"',
        'ranked = logp if filters.confidence == "filtered"',
        "decode/filters temperature 2",
    ),
    Mutation(
        PROPOSAL,
        "logp = log_p.gather(-1, ids[..., None])[..., 0]",
        "logp = chosen.gather(-1, ids[..., None])[..., 0]",
        "decode/filters temperature .5",
    ),
    # strategies and the loop
    Mutation(
        STRATEGY,
        "argsort(dim=-1, descending=True, stable=True)",
        "argsort(dim=-1, stable=True)",
        "decode/greedy confidence, 4",
    ),
    Mutation(STRATEGY, "(rank < count[:, None])", "(rank <= count[:, None])", "decode/greedy left-to-right, 4"),
    Mutation(
        STRATEGY, "return -(-pending // left)", "return (pending // left).clamp(min=1)", "decode/greedy confidence, 3"
    ),
    Mutation(STRATEGY, "left = (step.planned - step.index)", "left = step.planned", "decode/greedy confidence, 2"),
    Mutation(
        STRATEGY,
        "s=1 - (index + 1).double() / planned",
        "s=(1 - (index + 1).double() / planned) ** 2",
        "decode/ancestral ancestral, uniform",
    ),
    Mutation(
        "decode/strategies/left_to_right.py",
        "best(-look.sites.index.double()",
        "best(look.sites.index.double()",
        "decode/greedy left-to-right, 2",
    ),
    Mutation(
        "decode/strategies/threshold.py",
        "proposal.confidence >= self.threshold",
        "proposal.confidence < self.threshold",
        "decode/greedy threshold, 1",
    ),
    Mutation(
        "decode/strategies/random.py",
        'look.draws.stream("order").uniform()',
        "look.sites.index.double()",
        "decode/random-order",
    ),
    Mutation(
        "decode/strategies/ancestral.py",
        "log_p = look.prediction.leave_one_out()",
        "log_p = look.prediction.posterior()",
        "decode/ancestral ancestral, uniform",
    ),
    Mutation(
        "decode/canvas.py",
        "Draws(self.key).at(self.step)[:, None].at(self.positions)",
        "Draws(self.key)[:, None].at(self.positions)",
        "decode/commit-times",
    ),
    Mutation(
        "decode/canvas.py",
        "Draws(self.key).at(self.step)[:, None].at(self.positions)",
        "Draws(self.key).at(self.step)[:, None].expand(*self.ids.shape)",
        "decode/parallel random",
    ),
    Mutation(
        LOOP,
        "torch.where(canvas.window, step.t[:, None], later), 0.0)",
        "torch.where(canvas.window, step.s[:, None], later), 0.0)",
        "decode/ancestral ancestral, uniform",
    ),
    Mutation(
        LOOP,
        "torch.where(running & same, before.clock + 1, 0)",
        "torch.where(running & same, before.clock, 0)",
        "decode/greedy confidence, 2",
    ),
    Mutation(
        LOOP, "nfe=before.nfe + wanted.any(-1)", "nfe=before.nfe + wanted.sum(-1)", "decode/log-probability random"
    ),
)
