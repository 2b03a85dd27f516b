"""Wrong block diffusion."""

from mutation import Mutation

MUTATIONS = (
    Mutation("models/rules.py", "(other < own) & asked", "(other != own) & asked", "block/tight blocks of 1, mask"),
    Mutation("models/rules.py", "(other < own) & asked", "(other < own) & ~asked", "block/tight blocks of 1, mask"),
    Mutation("models/rules.py", "other == own, asking == asked", "other == own, asked", "block/chain-rule blocks of 2"),
    Mutation(
        "predictor.py",
        "seen = (seen - 1) // block_length",
        "seen = (seen - 2) // block_length",
        "block/tight blocks of 1, mask",
    ),
    Mutation("predictor.py", "clean=both(no, ~no)", "clean=both(no, no)", "block/tight blocks of 2, mask"),
    Mutation(
        "objective/times/equal_count.py",
        "every.cumsum(-1) - every + count",
        "every + count",
        "block/unbiased equal-count per block, blocks of 2",
    ),
    Mutation("objective/times/estimator.py", "low + (high - low) *", "low + high *", "objective/clipped"),
)
