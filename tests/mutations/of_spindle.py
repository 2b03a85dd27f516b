"""Wrong masks by frequency."""

from mutation import Mutation

SPINDLE = "process/spindle.py"

MUTATIONS = (
    Mutation(SPINDLE, "mean = (counts * f).sum() / counts.sum()", "mean = f.mean()", "spindle/tight"),
    Mutation(SPINDLE, "return 1 - bend * torch.cos(math.pi * t)", "return 1 - bend * torch.sinc(t)", "spindle/tight"),
    Mutation(SPINDLE, "log_p = prediction.posterior()", "log_p = prediction.leave_one_out()", "spindle/tight"),
    Mutation(SPINDLE, "turn = (fade - torch.cos(math.pi * t))", "turn = (1 - torch.cos(math.pi * t))", "spindle/tight"),
    Mutation(SPINDLE, "mean - of_x - of_x * log_p_x", "-of_x * log_p_x", "spindle/rates"),
    Mutation(SPINDLE, "stays = s * self.share(bend, s)", "stays = s * self.share(bend, t)", "spindle/draws 0.9"),
    Mutation(
        SPINDLE,
        "v = draw_categorical(prediction.posterior()",
        "v = draw_categorical(prediction.leave_one_out()",
        "spindle/draws",
    ),
)
