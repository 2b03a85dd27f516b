"""Wrong operators, soft tokens, jumps and renewals."""

from mutation import Mutation

PROCESS = "process/duo.py"

MUTATIONS = (
    Mutation(PROCESS, "((size - 1) * log_ndtr(mu + away))", "(size * log_ndtr(mu + away))", "duo/quadrature K=27"),
    Mutation(PROCESS, "-scale * mu[..., 0] / 2 * (", "-scale * mu[..., 0] * (", "duo/derivative K=27"),
    Mutation(
        PROCESS,
        "torch.arange(others, others - top, -1, device=log_u.device)",
        "torch.arange(others + 1, others + 1 - top, -1, device=log_u.device)",
        "duo/argmax K=2 top=1",
    ),
    Mutation(PROCESS, "name = name + (name >= earlier)", "name = name + (name > earlier)", "duo/names K=64 top=8"),
    Mutation(
        PROCESS, "log_ndtr(cut - steep) - log_ndtr(cut)", "log_ndtr(cut - steep) + log_ndtr(cut)", "duo/rest c=0.3"
    ),
    Mutation("objective/duo.py", "shape.derivative(gamma)", "shape.alpha(gamma)", "duo/unbiased one-minus-t"),
    Mutation(
        "objective/duo_simple.py",
        "(1 - at_x.exp()) - entropy",
        "(1 - at_x.exp()) + entropy",
        "duo-simple/optimum symmetric",
    ),
    Mutation(
        "objective/flow_matching.py",
        "-at_z.exp() - at_x)",
        "-at_x)",
        "flow/bound-golden uniform",
    ),
    Mutation(
        "decode/strategies/flow_jump.py", "-torch.expm1((s - t) * rate)", "-((s - t) * rate)", "flow/golden flow-jump"
    ),
    Mutation(
        "decode/strategies/psi.py",
        'process.corrupt(clean, s, draws.stream("again")',
        'process.corrupt(clean, t, draws.stream("again")',
        "flow/steps psi, constant",
    ),
    Mutation("decode/renewal.py", "1 - taken / corrupted", "1 - taken", "psi/share cap"),
)
