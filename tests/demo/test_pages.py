from types import SimpleNamespace

from undiffuse.data.split import split
from undiffuse.data.topics import topics
from undiffuse.demo.pages import blanks
from undiffuse.text.tokenizer import Tokenizer


def test_words_of_held_out_paragraphs_that_are_one_token_are_asked_for():
    parts = split(topics())
    tokenizer = Tokenizer.train((page.text for page in parts.train.documents), 1024)
    model = SimpleNamespace(tokenizer=tokenizer, context=128)
    found = blanks(model, parts, 4)
    assert len(set(found)) == 4
    for left, word, right in found:
        assert any(left + word + right in page.text for page in parts.valid.documents)
        assert len(tokenizer.encode(" " + word)) == 1
    assert blanks(model, parts, 4) == found
