"""All wrong formulas."""

import of_blocks
import of_decode
import of_diffusion_lm
import of_discrete_time
import of_duo
import of_guidance
import of_likelihood
import of_matrix
import of_process
import of_schedules
import of_scores
import of_spindle

MUTATIONS = (
    of_schedules.MUTATIONS
    + of_process.MUTATIONS
    + of_likelihood.MUTATIONS
    + of_decode.MUTATIONS
    + of_blocks.MUTATIONS
    + of_guidance.MUTATIONS
    + of_discrete_time.MUTATIONS
    + of_duo.MUTATIONS
    + of_spindle.MUTATIONS
    + of_scores.MUTATIONS
    + of_matrix.MUTATIONS
    + of_diffusion_lm.MUTATIONS
)
