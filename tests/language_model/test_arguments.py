"""Arguments of the Python API are checked like those of the command line."""

import numpy as np
import pytest
import torch

from undiffuse.errors import UserError
from undiffuse.language_model import load
from undiffuse.training.run import resume, train


@pytest.mark.parametrize("kind", [list, torch.tensor, np.array])
def test_ids_that_leave_no_token_are_refused_in_any_form(model, kind):
    every = kind(list(model.predictor.process.vocabulary.predictable))
    with pytest.raises(UserError, match="banned_ids leave no token to write"):
        model.decode([[1]], 2, strategy="confidence", banned_ids=every)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"banned_ids": 3}, "banned_ids must be a list, not 3"),
        ({"stop_ids": "12"}, "stop_ids must be a list of whole numbers, not '12'"),
        ({"banned_ids": [1.5]}, "an id of banned ids must be at least 0, not 1.5"),
        ({"steps": 2.0}, "steps must be at least 1, not 2.0"),
        ({"steps": "2"}, "steps must be at least 1, not '2'"),
        ({"max_nfe": 1.5}, "max nfe must be at least 1, not 1.5"),
        ({"seed": None}, "the seed must lie between 0 and 18446744073709551615, not None"),
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


@pytest.mark.parametrize(
    ("verb", "options", "said"),
    [
        ("fill", {"text": "[MASK]", "deadline_ms": "9"}, "deadline ms must be a number, not '9'"),
        ("fill", {"text": "[MASK]", "deadline_ms": float("nan")}, "deadline-ms must be positive, not nan"),
        ("fill", {"text": "[MASK]", "temperature": "hot"}, "temperature must be a number, not 'hot'"),
        ("fill", {"text": "[MASK]", "temperature": True}, "temperature must be a number, not True"),
        ("fill", {"text": "[MASK]", "temperature": 1j}, "temperature must be a number, not 1j"),
        ("fill", {"text": "[MASK]", "temperature": 1e300}, "temperature must be at most 1e\\+30, not 1e\\+300"),
        ("fill", {"text": "[MASK]", "confidence": np.array([1, 2])}, "confidence must be a string"),
        ("fill", {"text": "[MASK]", "strategy": np.array([1, 2])}, "strategy must be a name"),
        ("fill", {"text": "[MASK]", "steps": 1 << 70}, "steps must be at most 9007199254740991"),
        ("generate", {"samples": None}, "samples must be at least 1, not None"),
        ("fill", {"text": "[MASK]", "top_p": [1.0]}, r"top p must be a number, not \[1\.0\]"),
        ("fill", {"text": "[MASK]", "top_k": 2.5}, "top k must be a whole number, not 2.5"),
        ("fill", {"text": "[MASK]", "strategy": "threshold", "threshold": "0.5"}, "threshold must be a number"),
        ("fill", {"text": "[MASK]", "top": 0}, "top must be at least 1, not 0"),
        ("fill", {"text": "[MASK]", "top": None}, "top must be at least 1, not None"),
        ("fill", {"text": "[MASK]", "samples": "2"}, "samples must be at least 1, not '2'"),
        ("fill", {"text": 3}, "several texts must be a list, not 3"),
        ("fill_object", {"prompt": "a", "schema": "{}"}, "a schema must be an object of keys, not '{}'"),
        ("fill_object", {"prompt": 1, "schema": {}}, "a text must be a string, not 1"),
        ("generate", {"length": 4.0}, "length must be at least 1, not 4.0"),
        ("generate", {"length": 1 << 21}, "length must be at most 1048576 tokens"),
        ("generate", {"until": 3}, "until must be a list, not 3"),
        ("score", {"texts": "a b", "draws": 2.5}, "draws must be at least 1, not 2.5"),
        ("score", {"texts": "a b", "precision": "1%"}, "precision must be a number, not '1%'"),
        ("score", {"texts": "a b", "seed": -1}, "the seed must lie between 0"),
        ("score", {"texts": ["a b"], "prompts": [3]}, "texts and prompts must be strings, not 3"),
        ("check", {"text": "a b", "proposals": 1.5}, "proposals must be at least 1, not 1.5"),
        ("check", {"text": "a b", "threshold": None}, "threshold must be a number, not None"),
        ("check", {"text": "a b", "top": "3"}, "top must be at least 1, not '3'"),
        ("logits", {"ids": torch.ones(1, 2, dtype=torch.bool)}, "ids must be whole numbers"),
        ("logits", {"ids": [[1], [1, 2]]}, "ids must be a tensor, or lists of numbers of one length"),
        ("decode", {"prompt_ids": 3, "length": 2, "strategy": "confidence"}, "prompts must be a list, not 3"),
        ("generate", {"temperature": "hot"}, "temperature must be a number, not 'hot'"),
        ("score", {"texts": "a", "as_": 7}, "a convention is named by a string"),
        ("score", {"texts": "a", "prompts": torch.tensor(2)}, r"prompts must be a list, not tensor\(2\)"),
        ("logits", {"ids": [[1]], "valid": object()}, "valid must be a tensor"),
        ("generate", {"until": "\ud800"}, "lone surrogate U\\+D800"),
        ("generate", {"length": 3, "guidance": 1e300}, "guidance must be 0 or more, and at most 1000000, not"),
        ("score", {"texts": "a", "per_token": np.array([1, 2])}, r"per_token must be True or False, not array"),
        ("embed", {"texts": "a", "layer": 0.5}, "layer must be a whole number, not 0.5"),
        ("fill_answer", {"messages": [], "number": 1j}, "number must be at least 0, not 1j"),
        ("fill_answer", {"messages": [], "number": 0, "top": {}}, "top must be at least 1, not {}"),
        ("with_template", {"source": 0.5}, "source must be a string, not 0.5"),
        ("save", {"directory": b"x"}, "directory must be a path, as a string or a Path, not b'x'"),
        ("save", {"directory": "\ud800"}, "directory must be a path, and no file can be called"),
        ("save", {"directory": "x", "layout": []}, r"layout must be a string, not \[\]"),
    ],
)
def test_every_verb_names_its_wrong_argument(model, verb, options, said):
    with pytest.raises(UserError, match=said):
        getattr(model, verb)(**options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"files": None}, "files must be a list, not None"),
        ({"files": [3]}, "files must be a path, as a string or a Path, not 3"),
        ({"valid": 3}, "valid must be a path"),
        ({"recipe": b"default"}, "recipe must be a path"),
        ({"revision": 3}, "revision must be a string, not 3"),
        ({"revision": "main"}, "a revision is of a model to start from, and none is named"),
        ({"out": 1}, "out must be a path"),
        ({"overrides": "model.width=8"}, "overrides must be a list of strings, not"),
        ({"seed": 1.5}, "the seed must lie between 0"),
        ({"seed": None}, "the seed must lie between 0"),
        ({"steps": 2.5}, "steps must be at least 1, not 2.5"),
        ({"minutes": "2"}, "minutes must be a number, not '2'"),
        ({"threads": 0}, "threads must be at least 1, not 0"),
        ({"threads": 1.5}, "threads must be at least 1, not 1.5"),
        ({"device": 1.5}, "device must be a name such as 'cuda', not 1.5"),
        ({"device": np.array([1, 2])}, "device must be a name such as 'cuda', not array"),
        ({"progress": 1e300}, r"progress must be a function, not 1e\+300"),
        ({"overrides": np.float32(0.5)}, "overrides must be a list, not"),
        ({"overrides": [3]}, "one of overrides must be a string, not 3"),
        ({"plugins": "a"}, "plugins must be a list of strings, not 'a'"),
        ({"files": torch.tensor(2)}, "files must be a list, not tensor"),
        ({"files": "\ud800"}, "files must be a path, and no file can be called"),
        ({"files": "a\0b"}, "files must be a path, and no file can be called"),
    ],
)
def test_training_names_its_wrong_argument(tmp_path, options, said):
    (tmp_path / "a.txt").write_text("a text that is long enough\n" * 20)
    with pytest.raises(UserError, match=said):
        train(**{"files": tmp_path / "a.txt", "out": tmp_path / "run", **options})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"directory": np.int64(2)}, "directory must be a path, as a string or a Path, not"),
        ({"device": np.array([1, 2])}, "device must be a name such as 'cuda', not array"),
        ({"dtype": np.array([1, 2])}, "there is no number format array"),
        ({"family": -np.inf}, "family must be a string, not -inf"),
        ({"family": []}, r"family must be a string, not \[\]"),
        ({"mask_id": 0.5}, "mask id must be at least 0, not 0.5"),
        ({"attention": 3}, "attention must be a string, not 3"),
        ({"shift": "full"}, "shift must be True or False, not 'full'"),
        ({"check_head": None}, "check_head must be True or False, not None"),
        ({"plugins": 3}, "plugins must be a list, not 3"),
        ({"revision": 1}, "revision must be a string, not 1"),
    ],
)
def test_loading_names_its_wrong_argument(options, said):
    with pytest.raises(UserError, match=said):
        load(**{"directory": "anywhere", **options})


def test_resuming_names_its_wrong_argument(tmp_path):
    for options in ({"directory": 3}, {"plugins": "a"}, {"progress": 3}, {"threads": "2"}, {"minutes": "2"}):
        with pytest.raises(UserError, match=next(iter(options))):
            resume(**{"directory": tmp_path, **options})


def test_numbers_of_numpy_and_torch_are_options(model):
    plain = model.fill("a [MASK:3] b", temperature=0.5, top_k=4, top=2)
    taken = model.fill("a [MASK:3] b", temperature=torch.tensor(0.5), top_k=np.int64(4), top=np.int8(2))
    assert taken == plain
