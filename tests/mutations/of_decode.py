"""Wrong proposals, strategies and steps of the loop."""

from mutation import Mutation

STRATEGY = "decode/strategies/strategy.py"
PROPOSAL = "decode/proposal.py"
ADVANCE = "decode/advance.py"

MUTATIONS = (
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
        'ranks = log_p if filters.confidence == "raw"',
        'ranks = log_p if filters.confidence == "filtered"',
        "decode/filters temperature 2",
    ),
    Mutation(
        PROPOSAL,
        "logp = log_prob(log_p, ids)",
        "logp = log_prob(chosen, ids)",
        "decode/filters temperature .5",
    ),
    # strategies and the loop
    Mutation(
        "ranking.py",
        "argsort(dim=-1, descending=True, stable=True)",
        "argsort(dim=-1, stable=True)",
        "decode/greedy confidence, 4",
    ),
    Mutation(
        "ranking.py",
        "torch.empty_like(order).scatter_(1, order, level).argsort(dim=-1, stable=True)",
        "order.shape[1] - 1 - torch.empty_like(order).scatter_(1, order, level).flip(1).argsort(dim=-1, stable=True)",
        "decode/greedy confidence, ties",
    ),
    Mutation(STRATEGY, "near) < count[:, None])", "near) <= count[:, None])", "decode/greedy left-to-right, 4"),
    Mutation(
        STRATEGY,
        "return -((decided - canvas.shared) // left)",
        "return ((canvas.shared - decided) // left).clamp(min=1)",
        "decode/greedy confidence, 3",
    ),
    Mutation(STRATEGY, "left = (step.planned - step.index)", "left = step.planned", "decode/greedy confidence, 2"),
    Mutation(
        STRATEGY,
        "s=left * (1 - (index + 1).double() / planned)",
        "s=left * (1 - (index + 1).double() / planned) ** 2",
        "decode/ancestral ancestral, uniform",
    ),
    Mutation(
        "decode/strategies/left_to_right.py",
        "best(-seen.sites.index.double()",
        "best(seen.sites.index.double()",
        "decode/greedy left-to-right, 2",
    ),
    Mutation(
        "decode/strategies/threshold.py",
        "proposal.confidence >= threshold",
        "proposal.confidence < threshold",
        "decode/greedy threshold, 1",
    ),
    Mutation(
        "decode/strategies/factor.py",
        "count = torch.arange(2, ordered.shape[1] + 2",
        "count = torch.arange(1, ordered.shape[1] + 1",
        "decode/certificate",
    ),
    Mutation(
        "decode/strategies/factor.py",
        "return passed.cumprod(-1).sum(-1).clamp(min=1)",
        "return (passed.cumprod(-1).sum(-1) + 1).clamp(max=passed.shape[1])",
        "decode/greedy factor, 2",
    ),
    Mutation(
        "decode/strategies/certified.py",
        "(count + 1) * (1 - least)",
        "count * (1 - least)",
        "decode/certificate",
    ),
    Mutation(
        "decode/strategies/entropy_bounded.py",
        "summed.cumsum(-1) - summed.cummax(-1).values",
        "summed.cumsum(-1)",
        "decode/greedy entropy-bounded, 2",
    ),
    Mutation(
        "decode/strategies/dynamic.py",
        "proposal.confidence > self.threshold",
        "proposal.confidence > 1 - self.threshold",
        "decode/greedy dynamic, 2",
    ),
    Mutation(
        "decode/ranked.py", "(step.index + 1) + step.planned)", "(step.index + 1))", "decode/greedy maskgit-plus, 3"
    ),
    Mutation(
        "decode/strategies/entropy.py",
        "return -proposal.entropy",
        "return proposal.entropy",
        "decode/greedy entropy, 3",
    ),
    Mutation(
        "decode/strategies/random.py",
        'seen.draws.stream("order").uniform()',
        "seen.sites.index.double()",
        "decode/random-order",
    ),
    Mutation(
        "decode/reverse.py",
        "log_p = prediction.leave_one_out()",
        "log_p = prediction.posterior()",
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
        "Draws(self.key).at(self.step)[:, None].at(0 * self.positions)",
        "decode/parallel random",
    ),
    Mutation(
        ADVANCE,
        "torch.where(canvas.window, step.t[:, None], later), 0.0)",
        "torch.where(canvas.window, step.s[:, None], later), 0.0)",
        "decode/ancestral ancestral, uniform",
    ),
    Mutation(
        ADVANCE,
        "torch.where(running & same, before.clock + 1, 0)",
        "torch.where(running & same, before.clock, 0)",
        "decode/greedy confidence, 2",
    ),
    Mutation(
        "decode/observe.py",
        "spent = running.to(canvas.nfe)",
        "spent = 2 * running.to(canvas.nfe)",
        "decode/log-probability random",
    ),
)
