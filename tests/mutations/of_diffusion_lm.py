"""Wrong roundings, priors and bounds of predicted embeddings."""

from mutation import Mutation

GAUSSIAN = "process/gaussian.py"
OBJECTIVE = "objective/diffusion_lm.py"

MUTATIONS = (
    Mutation(GAUSSIAN, "bias = -table.square().sum(-1) / 2", "bias = -table.square().sum(-1)", "diffusion-lm/nearest"),
    Mutation(
        GAUSSIAN,
        "self.rounding(latent / self.at(t).alpha[..., None])",
        "self.rounding(latent)",
        "diffusion-lm/rounding γ from -1 to 5",
    ),
    Mutation(GAUSSIAN, "return (kept * square - self.size", "return (kept - self.size", "diffusion-lm/prior γ from -3"),
    Mutation(
        GAUSSIAN,
        "return (latent - (latent - alpha * estimate) / temperature) / alpha",
        "return (latent - (latent - alpha * estimate) * temperature) / alpha",
        "gaussian/score-temperature linear",
    ),
    Mutation(OBJECTIVE, "-log_p.gather(-1, ids", "log_p.gather(-1, ids", "diffusion-lm/loss"),
    Mutation(
        OBJECTIVE,
        "first = torch.full(batch.ids.shape, FIRST,",
        "first = torch.full(batch.ids.shape, 0.5,",
        "diffusion-lm/loss",
    ),
)
