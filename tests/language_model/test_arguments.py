"""Arguments of the Python API are checked like those of the command line."""

import numpy as np
import pytest
import torch

from undiffuse.errors import UserError


@pytest.mark.parametrize("kind", [list, torch.tensor, np.array])
def test_ids_that_leave_no_token_are_refused_in_any_form(model, kind):
    every = kind(list(model.predictor.process.vocabulary.predictable))
    with pytest.raises(UserError, match="banned_ids leave no token to write"):
        model.decode([[1]], 2, strategy="confidence", banned_ids=every)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"banned_ids": 3}, "banned_ids must be a list of whole numbers, not 3"),
        ({"stop_ids": "12"}, "stop_ids must be a list of whole numbers, not '12'"),
        ({"banned_ids": [1.5]}, "an id of banned ids must be at least 0, not 1.5"),
        ({"steps": 2.0}, "steps must be at least 1, not 2.0"),
        ({"steps": "2"}, "steps must be at least 1, not 2"),
        ({"max_nfe": 1.5}, "max nfe must be at least 1, not 1.5"),
        ({"seed": None}, "seed must be at least 0, not None"),
        ({"samples": 3}, "leave out samples"),
    ],
)
def test_wrong_arguments_are_named(model, options, said):
    with pytest.raises(UserError, match=said):
        model.decode([[1]], 2, strategy="confidence", **options)


def test_complex_prompts_are_refused(model):
    with pytest.raises(UserError, match="prompts must be a list of lists of ids"):
        model.decode(torch.ones(1, 2, dtype=torch.complex64), 2, strategy="confidence")


def test_numbers_of_numpy_are_numbers(model):
    plain = model.decode([[1]], 4, strategy="confidence", steps=2, seed=1)
    numpy = model.decode(np.array([[1]]), np.int64(4), strategy="confidence", steps=np.int32(2), seed=np.int64(1))
    assert torch.equal(plain.ids[0], numpy.ids[0])
