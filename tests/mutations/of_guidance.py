"""Wrong mixtures of laws, and wrong things that the copies and classifiers are told."""

from mutation import Mutation

REVERSE = "decode/reverse.py"
LAW = "process/law.py"
GUIDANCE = "decode/guidance/guidance.py"
PROMPT = "decode/guidance/prompt.py"
CLASSIFIER = "decode/guidance/classifier.py"

MUTATIONS = (
    Mutation(
        GUIDANCE, "+ scale * torch.where(excluded", "+ (1 + scale) * torch.where(excluded", "guidance/prompt mask"
    ),
    Mutation(
        GUIDANCE, "return conditional if scale == 1", "return conditional if scale == 0", "guidance/prompt uniform"
    ),
    Mutation(PROMPT, "torch.where(given, 1.0, t)", "t", "guidance/prompt uniform"),
    Mutation(PROMPT, "ids=torch.where(given, noise, canvas.ids)", "ids=canvas.ids", "guidance/prompt mask"),
    Mutation(
        CLASSIFIER,
        "= s[r, m].to(times.dtype)",
        "= t[r, sites.index[r, m]]",
        "guidance/classifier-exact uniform",
    ),
    Mutation(
        CLASSIFIER,
        "-torch.inf, law + log_weight.to(law.dtype))",
        "-torch.inf, law - log_weight)",
        "guidance/classifier-golden",
    ),
    Mutation(
        LAW,
        "*(() if self.mask is None else (self.mask,))",
        "*()",
        "guidance/classifier-exact mask",
    ),
    Mutation(
        "decode/guidance/first_order.py", "self.scale * slope", "self.scale**2 * slope", "guidance/first-order uniform"
    ),
    Mutation(REVERSE, "mix = mixture.at(s)", "mix = mixture.at(t)", "guidance/samples uniform"),
    Mutation(
        "decode/advance.py",
        "wanted = wanted | canvas.window & canvas.pending",
        "wanted = wanted.clone()",
        "guidance/samples mask",
    ),
    Mutation(
        LAW,
        "(renoise + (1 - share).log())",
        "(renoise + share.log())",
        "guidance/transition mix, cos",
    ),
)
