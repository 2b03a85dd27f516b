"""Wrong noise by matrices of moves."""

from mutation import Mutation

MATRIX = "process/matrix.py"
POWERS = "process/powers.py"

MUTATIONS = (
    Mutation(
        POWERS, "(1 - values).where(1 - values > 1e-12, 0.0)", "(1 - values).abs()", "matrix/path band, one-minus-t"
    ),
    Mutation(
        POWERS, "left = self.inverse.to(z.device).T[z]", "left = self.inverse.to(z.device)[z]", "matrix/path mask"
    ),
    Mutation(MATRIX, "- evidence.log() + of_model.log()", "", "matrix/path uniform, one-minus-t"),
    Mutation(MATRIX, "joint = step * true", "joint = true", "matrix/path gaussian, one-minus-t"),
    Mutation(
        MATRIX, "true = self.marginal(noised.x0, s)", "true = self.marginal(noised.x0, t)", "matrix/interpolating"
    ),
    Mutation(MATRIX, ".where(t > 0, 1.0)", "", "matrix/path band, geometric"),
    Mutation(
        MATRIX,
        "earlier = self._carried(prediction.leave_one_out(), s.expand(z.shape))",
        "earlier = self._carried(prediction.leave_one_out(), t.expand(z.shape))",
        "matrix/draws band",
    ),
    Mutation(
        MATRIX,
        "self.powers.into(self.numbers(state.ids), self.alpha(t)",
        "self.powers.into(self.numbers(state.ids), 1 - self.alpha(t)",
        "matrix/interpolating",
    ),
    Mutation(POWERS, "(sigma / 2**squarings / n)", "(sigma / 2**squarings)", "matrix/chapman-kolmogorov given, random"),
    Mutation(
        POWERS, "matrix.T[z.flatten()[here]]", "matrix[z.flatten()[here]]", "matrix/chapman-kolmogorov given, ring"
    ),
    Mutation(MATRIX, "self._ends.mean(0).to(draws", "self._ends[0].to(draws", "matrix/prior given, in parts"),
    Mutation(MATRIX, "self._ends / self._ends.mean(0)", "self._ends / self._ends[0]", "matrix/prior given, geometric"),
    Mutation(
        MATRIX,
        "return self.bound(prediction, noised) / self.steps",
        "return self.bound(prediction, noised)",
        "matrix/terms band",
    ),
)
