import re

from undiffuse.demo.toy_language import LENGTH, disagrees, known, language, letters, perfect, read, spelled
from undiffuse.evaluate.infill import Accuracy

OWN, NOUN = "(our|your|their)", "(dog|cat|friend)"
ONE = f"{OWN} {NOUN} is ({OWN} {NOUN}|{OWN} s)"
SEVERAL = f"((we|you|they)|({OWN} )?{NOUN} s) are (({OWN} )?{NOUN} s|{OWN} s)"


def test_sentences_are_those_of_the_grammar():
    texts = [read(sentence) for sentence in language()]
    assert len(set(texts)) == len(texts) == 252
    for text in texts:
        assert re.fullmatch(f"{ONE}|{SEVERAL}", text), text
        assert len(text.split()) <= LENGTH
    for text in ("dog s are our friend s", "our dog s are your s", "your cat is our friend"):
        assert spelled(text.split()) in known()


def test_errors_of_number_are_told_from_others():
    for wrong in ("your cat are our friend", "your cat is our friend s", "dog s is our s"):
        assert disagrees(spelled(wrong.split())), wrong
    for other in ("your cat is our friend", "our our our", "dog s are friend", "is is is"):
        assert not disagrees(spelled(other.split())) or spelled(other.split()) not in known()
    assert not disagrees(spelled(["your", "cat", "is", "our", "friend"]))
    assert not disagrees(spelled(["our", "our", "our"]))


def test_a_perfect_network_errs_in_one_step_as_the_marginals_say_and_never_one_word_at_a_time():
    sentences = language()
    share = 0.0
    for sentence in sentences:
        product = 1.0
        for place, letter in enumerate(sentence):
            product *= sum(other[place] == letter for other in sentences) / len(sentences)
        share += product
    count = 4000
    found = Accuracy(sum(text in known() for text in perfect(1, count)), count)
    error = (share * (1 - share) / count) ** 0.5
    assert abs(found.share - share) < 4 * error
    assert all(text in known() for text in perfect(LENGTH + 1, 300))


def test_what_is_no_word_is_padding():
    assert letters("W?ab") == "W-a---"
    assert len(letters("W" * 9)) == LENGTH
