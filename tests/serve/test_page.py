"""The page at / in a real Chromium, on a small model with random weights."""

import re

import pytest
from browser import Tab, chromium
from served_model import MODEL
from serving import serving

from undiffuse.serve.api.app import Options

pytestmark = pytest.mark.slow
TEXT = "The [MASK:2] fox ____ dog."
FILLED = MODEL.fill(TEXT)[0].text


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def address(browser):
    with serving(Options()) as (place, _):
        yield place


@pytest.fixture
def tab(browser, address):
    found = Tab(browser, address)
    yield found.open()
    errors = found.errors
    found.context.close()
    assert not errors


def shown(text):
    """A text as the page shows it: control characters have pictures."""
    return re.sub(r"[\x00-\x1f]", lambda found: chr(0x2400 + ord(found.group())), text)


def test_a_text_is_filled_as_the_verb_fills_it(tab):
    tab.page.fill("#text", TEXT)
    tab.page.keyboard.press("Control+Enter")
    tab.finished()
    assert tab.text() == shown(FILLED)
    assert "3 evaluations (NFE)" in tab.page.inner_text(".numbers")
    assert tab.page.inner_text("#at").endswith("0 open")
    label = tab.page.locator(".token.committed").first.get_attribute("aria-label")
    assert re.fullmatch(r".+, committed, \d+\s% sure", label)


def test_time_is_scrubbed_and_played(tab):
    tab.denoise(TEXT)
    scrub = tab.page.locator("#scrub")
    last = int(scrub.get_attribute("max"))
    scrub.focus()
    tab.page.keyboard.press("Home")
    assert len(tab.tokens(".pending")) == 3
    opened = [len(tab.tokens(".pending"))]
    for _ in range(last):
        tab.page.keyboard.press("ArrowRight")
        opened.append(len(tab.tokens(".pending")))
    assert opened == sorted(opened, reverse=True)
    assert opened[-1] == 0
    tab.page.keyboard.press("Home")
    tab.page.select_option("#speed", "30")
    tab.page.click("#play")
    tab.wait("#at", f"step {last} of {last}, 0 open")
    assert tab.text() == shown(FILLED)


def test_an_error_is_shown_in_the_words_of_the_server(tab):
    tab.page.click("#more summary")
    tab.page.fill("#options", "treshold=0.9")
    tab.page.fill("#text", TEXT)
    tab.page.click("#run")
    tab.page.wait_for_selector("#error:not([hidden])")
    assert "there is no option 'treshold'" in tab.page.inner_text("#error-text")
    assert tab.page.input_value("#text") == TEXT
    tab.page.fill("#options", "")
    tab.denoise()
    assert tab.page.is_hidden("#error")


def test_text_is_never_markup(tab):
    tab.denoise("<b>[MASK]</b><img src=x>")
    assert tab.page.locator("#sides img, #sides b").count() == 0
    assert tab.text() == shown(MODEL.fill("<b>[MASK]</b><img src=x>")[0].text)


def test_a_text_longer_than_the_context_is_shown_whole(tab):
    text = "The quick brown fox jumps over the lazy dog. " * 4
    tab.denoise(text + "[MASK:2] fox. " + text)
    assert tab.text() == shown(MODEL.fill(text + "[MASK:2] fox. " + text)[0].text)
    assert 0 < len(tab.tokens()) <= 32


def test_a_link_holds_the_whole_setting(tab, browser, address):
    tab.page.fill("#text", TEXT)
    tab.page.click("#more summary")
    tab.page.select_option("#strategy", "entropy")
    tab.page.fill("#seed", "7")
    tab.page.check("#compare")
    other = Tab(browser, "")
    other.address = tab.page.url
    other.open()
    assert other.page.input_value("#text") == TEXT
    assert other.page.input_value("#strategy") == "entropy"
    assert other.page.input_value("#seed") == "7"
    assert other.page.is_checked("#compare")
    other.context.close()


def test_two_clients_at_once(tab, browser, address):
    other = Tab(browser, address).open()
    for each, text in ((tab, TEXT), (other, "A [MASK:6] B")):
        each.page.fill("#text", text)
    tab.page.click("#run")
    other.page.click("#run")
    tab.finished()
    other.finished()
    assert tab.text() == shown(FILLED)
    assert other.text() == shown(MODEL.fill("A [MASK:6] B")[0].text)
    other.context.close()


def test_a_server_that_goes_away_and_comes_back(browser):
    with serving(Options()) as (address, _):
        found = Tab(browser, address).open()
        found.denoise(TEXT)
    found.page.fill("#text", "A [MASK] B")
    found.page.click("#run")
    found.page.wait_for_selector("#error:not([hidden])")
    assert "does not answer" in found.page.inner_text("#error-text")
    found.page.wait_for_selector('#health[data-state="away"]')
    assert found.text() == shown(FILLED)
    with serving(Options(), port=int(address.rsplit(":", 1)[1])):
        found.connected()
        assert found.page.input_value("#text") == "A [MASK] B"
        found.page.wait_for_selector("#error", state="hidden")
        found.denoise()
    assert found.text() == shown(MODEL.fill("A [MASK] B")[0].text)
    assert not found.errors
    found.context.close()
