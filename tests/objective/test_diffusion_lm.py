"""Predicted embeddings: whose gradient goes where, clamping, what a constraint changes, what is refused."""

from dataclasses import dataclass, field

import pytest
import torch

from undiffuse.decode.canvas import start
from undiffuse.decode.constraint import Constraint
from undiffuse.decode.decoder import Decoder
from undiffuse.decode.loop import denoise, finished
from undiffuse.decode.proposal import Filters
from undiffuse.decode.strategies.gaussian_ancestral import GaussianAncestral
from undiffuse.errors import UserError
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.objective.diffusion_lm import DiffusionLM
from undiffuse.objective.times.equal_count import EqualCount
from undiffuse.objective.variational import Variational
from undiffuse.predictor import Predictor
from undiffuse.process.gammas.learned import Learned
from undiffuse.process.gammas.square_root import SquareRoot
from undiffuse.process.gaussian import Gaussian
from undiffuse.randomness import Draws
from undiffuse.types import Batch
from undiffuse.vocabulary import Vocabulary

VOCABULARY = Vocabulary(3, mask=2)
LAW = torch.tensor([0.45, 0.1, 0.1, 0.35], dtype=torch.float64)  # of 00, 01, 10, 11


def network(**model) -> Transformer:
    torch.manual_seed(3)
    settings = {"width": 32, "depth": 1, "heads": 2, "context": 2, "latent": 2, "time_conditioning": True} | model
    net = Transformer(TransformerConfig(rows=3, **{"output": "embedding"} | settings))
    with torch.no_grad():
        net.embedding.weight[:2, :2] = torch.tensor([[1.0, 0.2], [-1.0, 0.2]])
    return net


def predictor(**model) -> Predictor:
    return Predictor(network(**model), Gaussian(VOCABULARY, SquareRoot(), "free"), "posterior")


def texts(rows: int) -> Batch:
    which = torch.repeat_interleave(torch.arange(4), (LAW * rows).round().long())
    ids = torch.stack((which // 2, which % 2), dim=-1)
    index = torch.arange(len(ids))
    every = torch.ones_like(ids, dtype=torch.bool)
    return Batch(ids, every, every, torch.arange(2).expand_as(ids), index, torch.zeros_like(index), index)


def canvas(requests: int, steps: int):
    one = start(torch.zeros(2, dtype=torch.long), torch.ones(2, dtype=torch.bool), key=0, steps=steps)
    many = one.select(torch.zeros(requests, dtype=torch.long))
    return many.replace(key=Draws.seeded(8).at(torch.arange(requests)).key)


@pytest.mark.parametrize("term", ["estimate", "end", "rounding"])
def test_every_term_moves_the_embeddings(term):
    model = predictor()
    torch.nn.init.normal_(model.denoiser.unembedding.weight)
    getattr(DiffusionLM().terms(model, texts(40), Draws.seeded(1), 40), term).sum().backward()
    assert model.denoiser.embedding.weight.grad[:2].abs().min() > 0
    trunk = model.denoiser.latent.weight.grad
    assert (trunk is None) == (term != "estimate")  # the rounding is of the true vectors, not of the network's


@dataclass(frozen=True)
class Watched(GaussianAncestral):
    """Keeps what the kernel is given."""

    seen: list = field(default_factory=list)

    def moved(self, process, estimate, latent, times, look):
        self.seen.append((estimate, look.prediction.vectors))
        return super().moved(process, estimate, latent, times, look)


def test_top_k_1_clamps_to_the_nearest_embedding():
    """Of free norms: the largest product is another one."""
    model = predictor()
    torch.nn.init.normal_(model.denoiser.unembedding.weight, std=0.3)
    with torch.no_grad():
        model.denoiser.embedding.weight[:2] = torch.tensor([[0.3, 0.1], [2.0, -0.5]])
    table = model.process.table[:2].double()
    for filters in (Filters(temperature=1.0, top_k=1), Filters(temperature=0.0, top_k=1)):
        strategy = Watched(filters)
        finished(denoise(model, canvas(50, 4), strategy))
        estimate, own = (torch.cat(found).double() for found in zip(*strategy.seen, strict=True))
        nearest = (own[..., None, :] - table).square().sum(-1).argmin(-1)
        assert nearest.unique().tolist() == [0, 1]
        assert (nearest != (own @ table.T).argmax(-1)).any()
        torch.testing.assert_close(estimate, table[nearest], atol=1e-6, rtol=0)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_without_filters_the_estimate_is_the_networks_own(temperature):
    model = predictor()
    torch.nn.init.normal_(model.denoiser.unembedding.weight)
    strategy = Watched(Filters(temperature=temperature))
    finished(denoise(model, canvas(5, 3), strategy))
    for estimate, own in strategy.seen:
        assert torch.equal(estimate, own.double())


def test_only_where_a_constraint_bites_the_estimate_is_a_mean():
    model = predictor()
    torch.nn.init.normal_(model.denoiser.unembedding.weight)

    class One(Constraint):
        """The first position may hold token 1 alone."""

        def allowed(self, canvas, sites):
            free = torch.ones(*sites.index.shape, 3, dtype=torch.bool)
            free[..., 0] = sites.index != 0
            free[..., 2] = False  # which is no prediction anyway
            return free

        def together(self, canvas, sites, chosen, ids):
            return chosen

        def select(self, rows):
            return self

    strategy = Watched(Filters(temperature=1.0))
    done = finished(denoise(model, canvas(5, 3), Decoder(strategy, constraint=One())))
    assert (done.ids[:, 0] == 1).all()
    for estimate, own in strategy.seen:
        torch.testing.assert_close(estimate[:, 0], model.process.table[1].double().expand(5, 2), atol=1e-6, rtol=0)
        assert torch.equal(estimate[:, 1], own[:, 1].double())


def test_the_ramp_raises_the_share_of_the_evidence():
    objective = Variational(ramp=0.4)
    assert [objective.at(p).evidence for p in (0.0, 0.1, 0.4, 1.0)] == [0.0, 0.25, 1.0, 1.0]
    assert Variational().at(0.0) == Variational()
    model = Predictor(network(output="logits"), Gaussian(VOCABULARY, SquareRoot()), "leave_one_out")
    full, none = (Variational(evidence=share).loss(model, texts(40), Draws.seeded(1), 40).sum for share in (1.0, 0.0))
    assert none > full + 1  # a network that knows nothing is left with nothing


def test_what_cannot_be_is_said():
    free = Gaussian(VOCABULARY, SquareRoot(), "free")
    with pytest.raises(UserError, match=r'model\.output="embedding"'):
        DiffusionLM().check(Predictor(network(output="logits"), free, "posterior"))
    with pytest.raises(UserError, match='objective "diffusion-lm"'):
        Predictor(network(), free, "leave_one_out")
    learned = Predictor(network(noise_curve="monotone"), Gaussian(VOCABULARY, Learned(), "free"), "posterior")
    with pytest.raises(UserError, match=r'process\.gamma="square-root"'):
        DiffusionLM().check(learned)
    with pytest.raises(UserError, match=r"model\.feedback=false"):
        DiffusionLM().check(predictor(feedback=True))
    with pytest.raises(UserError, match=r"model\.latent=16"):
        TransformerConfig(rows=3, output="embedding")
    with pytest.raises(UserError, match="output 'vector' is none of logits, embedding"):
        TransformerConfig(rows=3, output="vector", latent=2)
    with pytest.raises(ValueError, match="shared-offset"):
        DiffusionLM(EqualCount())
    with pytest.raises(UserError, match="score_temperature must be above 0"):
        GaussianAncestral(score_temperature=0.0)
    with pytest.raises(ValueError, match="ramp"):
        Variational(ramp=2.0)
    with pytest.raises(ValueError, match="evidence"):
        Variational(evidence=-1.0)
    assert not GaussianAncestral(score_temperature=0.9).exact
