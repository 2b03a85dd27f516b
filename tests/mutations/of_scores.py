"""Wrong ratios, score entropies and steps from scores."""

from mutation import Mutation

SCORES = "process/scores.py"
PREDICTION = "process/prediction.py"

MUTATIONS = (
    Mutation(SCORES, "found = log_q - log_q.gather(-1, z)", "found = log_q", "score/ratios uniform, one-minus-t"),
    Mutation(
        SCORES,
        "scale = (at.alpha / at.mask).log() - math.log(law.vocabulary.size)",
        "scale = (at.alpha / at.mask).log() - math.log(law.vocabulary.rows)",
        "score/tight mask, one-minus-t",
    ),
    Mutation(
        SCORES,
        "log_q[..., law.vocabulary.mask] = at.mask",
        "log_q[..., law.vocabulary.mask] = at.real",
        "score/ratios mix, one-minus-t",
    ),
    Mutation(
        SCORES,
        "d = log_s - _column(at.real.log() - log_q_z, log_s)",
        "d = log_s - _column(at.real.log(), log_s)",
        "score/entropy-of-free-ratios uniform, geometric",
    ),
    Mutation(
        SCORES,
        "torch.where(hit, 0.0, own * h(log_s_x - own.log() + log_q_z))",
        "torch.where(hit, 0.0, at.alpha * h(log_s_x - own.log() + log_q_z))",
        "score/entropy-of-free-ratios uniform, one-minus-t",
    ),
    Mutation(
        SCORES,
        "cost = log_q_z.exp() * rest.exp().sum(-1).double()",
        "cost = torch.zeros_like(log_q_z)",
        "score/entropy-of-free-ratios mask, cos",
    ),
    Mutation(
        SCORES,
        "cost = cost + at.mask * h(log_s_m - at.mask.log() + log_q_z)",
        "cost = cost + at.real * h(log_s_m - at.mask.log() + log_q_z)",
        "score/entropy-of-prediction mix, one-minus-t",
    ),
    Mutation(
        SCORES,
        "stay = torch.where(s > 0, (1 - leave).clamp(min=0.0), 0.0)",
        "stay = torch.where(s > 0, (at_t.corrupted - leave).clamp(min=0.0), 0.0)",
        "score/tweedie-is-the-kernel mask, one-minus-t, score",
    ),
    Mutation(
        SCORES,
        "carried = (share - _column(spread, share)).clamp(min=0.0)",
        "carried = share",
        "score/tweedie-is-the-kernel uniform, geometric, score",
    ),
    Mutation(
        SCORES,
        "carried = (share - _column(spread, share)).clamp(min=0.0)",
        "carried = (share - _column(spread, share)).abs()",
        "score/tweedie-of-free-ratios uniform, one-minus-t",
    ),
    Mutation(
        SCORES,
        "return Move(stay, spread / kept * ",
        "return Move(stay, spread * ",
        "score/tweedie-is-the-kernel uniform, geometric, score",
    ),
    Mutation(SCORES, "leave = (rate * (t - s) * ", "leave = (rate * t * ", "score/euler-golden uniform"),
    Mutation(
        PREDICTION,
        "above = (log_score.softmax(-1) * (tokens + factor) - 1).clamp(min=least)",
        "above = log_score.softmax(-1)",
        "score/posterior uniform, one-minus-t",
    ),
    Mutation(
        "objective/concrete_score.py",
        "gap.square().sum(-1).double() + missed.square()",
        "gap.square().sum(-1).double()",
        "objective/concrete-score uniform, geometric",
    ),
)
