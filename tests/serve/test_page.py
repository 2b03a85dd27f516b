"""The page at / in a real Chromium, on a small model with random weights."""

import json
import re
import time
from dataclasses import replace
from importlib import resources
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest
from browser import Tab, chromium
from served_model import MODEL
from serving import serving

from undiffuse.serve.api.app import Options
from undiffuse.serve.api.desk import Bounds
from undiffuse.serve.engine import Limits

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
    label = tab.page.locator("#sides .committed").first.get_attribute("aria-label")
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


def filled(address, *segments):
    """What the server makes of segments; a number is a hole of so many tokens."""
    holes = [{"text": each} if isinstance(each, str) else {"hole": {"min": each, "max": each}} for each in segments]
    return httpx.post(f"{address}/v1/fill", json={"segments": holes}, timeout=60).json()


def test_tokens_are_masked_again_by_keys(tab, address):
    tab.denoise(TEXT)
    first, rest = MODEL.fill(TEXT)[0].holes[0].text[:-1], FILLED[FILLED.index("\x19") :]
    assert f"The {first}{rest}" == FILLED
    tab.page.locator("#sides .committed").first.focus()
    tab.page.keyboard.press("m")
    assert len(tab.tokens(".masked")) == 1
    tab.page.click("#again")
    tab.finished()
    assert tab.text() == shown(filled(address, "The ", 1, rest)["text"])
    tab.page.click("#back")
    assert tab.text() == shown(FILLED)


def test_a_pinned_token_stays_where_time_is_turned_back(tab, address):
    tab.denoise(TEXT)
    last = tab.page.locator("#sides .committed").last
    word = last.text_content()
    last.focus()
    tab.page.keyboard.press("p")
    tab.page.focus("#scrub")
    tab.page.keyboard.press("Home")
    assert tab.tokens(".pinned") == [word]
    assert len(tab.tokens(".pending")) == 2
    tab.page.click("#again")
    tab.finished()
    assert tab.text() == shown(filled(address, "The ", 2, f" fox {word} dog.")["text"])


def test_all_but_pinned_and_edited_tokens_are_denoised_again(tab, address):
    tab.denoise(TEXT)
    tab.page.locator("#sides .committed").first.click()
    tab.page.fill("#card input", "quick")
    tab.page.keyboard.press("Enter")
    assert tab.tokens(".edited") == ["quick"]
    tab.page.keyboard.press("Escape")
    tab.page.click("#remask")
    assert len(tab.tokens(".masked")) == 2
    tab.page.click("#again")
    tab.finished()
    assert tab.text() == shown(filled(address, "The quick", 1, " fox ", 1, " dog.")["text"])


def test_alternatives_are_asked_for_once_and_taken_by_a_click(tab, address):
    tab.denoise(TEXT)
    asked = []
    tab.page.on("request", lambda request: asked.append(request.url))
    token = tab.page.locator("#sides .committed").last
    token.hover()
    tab.page.wait_for_selector(".alternatives li")
    found = tab.page.locator(".alternatives bdi").all_text_contents()
    before, after = FILLED.rsplit("emoji", 1)
    (hole,) = filled(address, before, 1, after)["holes"]
    assert set(found) >= {shown(hole["text"]), *(shown(each["text"]) for each in hole["alternatives"])}
    tab.page.mouse.move(0, 0)
    tab.page.wait_for_selector("#card", state="hidden")
    token.click()
    tab.page.locator(".alternatives button").nth(1).click()
    assert tab.tokens(".edited") == [found[1]]
    assert len([url for url in asked if url.endswith("/v1/fill")]) == 1


def test_two_strategies_stand_side_by_side(tab):
    tab.page.click("#more summary")
    tab.page.select_option("#strategy", "left-to-right")
    tab.page.check("#compare")
    tab.page.select_option("#strategy2", "remdm")
    tab.denoise("A [MASK:6] B")
    assert tab.page.locator("#sides h3").all_text_contents() == ["Strategy: left-to-right", "Strategy: remdm"]
    assert tab.text(0) == shown(MODEL.fill("A [MASK:6] B", strategy="left-to-right")[0].text)
    assert tab.text(1) == shown(MODEL.fill("A [MASK:6] B", strategy="remdm")[0].text)
    for numbers in tab.page.locator(".numbers").all_text_contents():
        assert re.fullmatch(r"\d+ evaluations \(NFE\) · [\d.]+ tokens per forward · [\d.]+\ss", numbers)
    tab.page.select_option("#shade", "order")
    marks = [
        each.get_attribute("data-mark") for each in tab.page.locator("#sides .tokens").first.locator(".committed").all()
    ]
    assert marks == ["1", "2", "3", "4", "5", "6"]


def test_a_run_is_saved_and_replayed_without_a_server(browser, tmp_path):
    with serving(Options()) as (address, _):
        found = Tab(browser, address).open()
        found.denoise(TEXT)
        with found.page.expect_download() as saved:
            found.page.click("#save")
        saved.value.save_as(tmp_path / "run.json")
        with found.page.expect_download() as drawn:
            found.page.click("#animate")
        found.denoise("A [MASK] B")
    run = json.loads((tmp_path / "run.json").read_text("utf-8"))
    assert run["result"]["text"] == FILLED
    found.page.set_input_files("#load", tmp_path / "run.json")
    last = len(run["frames"]) - 1
    found.wait("#at", f"step {last} of {last}, 0 open")
    assert found.text() == shown(FILLED)
    found.page.focus("#scrub")
    found.page.keyboard.press("Home")
    assert len(found.tokens(".pending")) == 3
    drawing = ElementTree.fromstring(Path(drawn.value.path()).read_text("utf-8"))
    names = {element.tag.split("}")[1] for element in drawing.iter()}
    assert "animate" in names
    assert "script" not in names
    assert drawing.find("{*}desc").text == shown(FILLED)
    (tmp_path / "other.json").write_text("{}")
    found.page.set_input_files("#load", tmp_path / "other.json")
    found.page.wait_for_selector("#error:not([hidden])")
    assert "no run that was saved here" in found.page.inner_text("#error-text")
    assert not found.errors
    found.context.close()


def test_the_menu_writes_blanks(tab):
    tab.page.fill("#text", "A ")
    tab.page.focus("#text")
    tab.page.keyboard.press("End")
    tab.page.select_option("#holes", "{NAME:choice(yes|perhaps|no)}")
    assert tab.page.input_value("#text") == "A {x1:choice(yes|perhaps|no)}"
    tab.page.keyboard.type("br|qu")
    tab.page.keyboard.press("End")
    tab.page.select_option("#holes", "{NAME:int(1-99)}")
    assert tab.page.input_value("#text") == "A {x1:choice(br|qu)}{x2:int(1-99)}"
    tab.denoise()
    assert re.fullmatch(r"A (br|qu)\d+", tab.text())


def test_proofreading_takes_a_proposal_by_one_click(tab):
    text = "🙂 The quick fox jumps"
    tab.page.check('input[value="check"]')
    tab.page.fill("#text", text)
    tab.page.click("#run")
    tab.page.wait_for_selector("#findings li")
    first = MODEL.check(text).json()["findings"][0]
    expected = text[: first["start"]] + first["proposals"][0]["text"] + text[first["end"] :]
    assert tab.page.text_content("#proof-text") == text
    tab.page.locator("#findings button").first.click()
    assert tab.page.text_content("#proof-text") == expected
    assert tab.page.input_value("#text") == expected


def test_a_conversation(tab):
    tab.page.check('input[value="chat"]')
    tab.page.click("#more summary")
    tab.page.fill("#length", "5")
    tab.denoise("Hello fox")
    said = MODEL.chat([{"role": "user", "content": "Hello fox"}], length=5).text
    tab.page.wait_for_selector("#messages li.assistant")
    assert tab.page.locator("#messages li").all_text_contents() == ["Hello fox", said]
    assert tab.page.is_disabled("#again")
    assert "conversation" in tab.page.inner_text("#again-why")


def test_what_a_model_refuses_is_disabled_with_its_reason(browser):
    with serving(Options(), models={"plain": replace(MODEL, manifest={})}) as (address, _):
        found = Tab(browser, address).open()
        assert found.page.is_disabled('input[value="chat"]')
        assert "no chat template" in found.page.inner_text("#why-chat")
        found.context.close()


def test_characters_of_several_tokens_and_right_to_left(tab, address):
    tab.denoise("漢字 שלום [MASK]")
    assert tab.text() == shown(MODEL.fill("漢字 שלום [MASK]")[0].text)
    whole = tab.page.locator(".token", has_text="漢")
    assert whole.count() == 1
    characters = whole.text_content()
    whole.focus()
    tab.page.keyboard.press("m")
    tab.page.click("#again")
    tab.finished()
    rest = MODEL.fill("漢字 שלום [MASK]")[0].text.removeprefix(characters)
    size = len(MODEL.tokenizer.encode(characters))
    assert size > 1
    assert tab.text() == shown(filled(address, size, rest)["text"])
    tab.denoise("שלום [MASK]")
    assert tab.page.locator("#sides .tokens").evaluate("element => getComputedStyle(element).direction") == "rtl"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1000])
def test_everyone_can_use_it(browser, address, scheme, width):
    axe = pytest.importorskip("axe_playwright_python", reason="needs axe-playwright-python: make test-page")
    script = Path(axe.__file__).with_name("axe.min.js").read_text("utf-8")
    found = Tab(browser, address, color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True).open()

    def sound():
        wrong = found.page.evaluate("axe.run()")["violations"]
        return [(each["id"], each["nodes"][0]["html"]) for each in wrong if each["impact"] in ("serious", "critical")]

    found.page.evaluate(script)
    found.page.click("#more summary")
    found.page.select_option("#strategy", "remdm")
    found.denoise(TEXT)
    found.page.locator("#sides .committed").first.click()
    found.page.wait_for_selector(".alternatives li")
    assert sound() == []
    assert found.page.locator("html").evaluate("page => page.scrollWidth <= page.clientWidth")
    found.page.keyboard.press("Escape")
    found.page.check('input[value="check"]')
    found.page.click("#run")
    found.page.wait_for_selector("#findings li")
    assert sound() == []
    found.context.close()


def test_the_page_is_small():
    files = [each for each in (resources.files("undiffuse.serve") / "web").iterdir() if each.is_file()]
    assert sum(len(each.read_bytes()) for each in files) < 150_000


def test_a_key_is_asked_for_and_nowhere_kept(browser):
    with serving(Options(keys=("secret",))) as (address, _):
        found = Tab(browser, address)
        found.page.goto(address)
        found.page.wait_for_selector("#key-form:not([hidden])")
        assert "API key" in found.page.inner_text("#error-text")
        found.page.fill("#key", "wrong")
        found.page.keyboard.press("Enter")
        found.page.wait_for_selector("#key-form:not([hidden])")
        assert not found.page.text_content("#about")
        found.page.fill("#key", "secret")
        found.page.click("#key-form button")
        found.connected()
        assert found.page.is_hidden("#error")
        found.denoise(TEXT)
        assert found.text() == shown(FILLED)
        assert "secret" not in found.page.url
        stored = found.page.context.storage_state()
        assert "secret" not in json.dumps(stored)
        assert not found.errors
        found.context.close()


def test_stop_ends_the_request_on_the_server_too(browser):
    with serving(Options(limits=Limits(rows=32), bounds=Bounds(tokens=4000))) as (address, app):
        found = Tab(browser, address).open()
        found.page.check('input[value="generate"]')
        found.page.click("#more summary")
        found.page.fill("#length", "4000")
        found.page.fill("#text", "The")
        assert found.page.is_hidden("#stop")
        found.page.click("#run")
        found.page.wait_for_selector("#sides .committed")
        found.page.click("#stop")
        found.wait("#live", r"^Stopped\.$")
        assert found.page.is_hidden("#stop")
        assert found.page.is_hidden("#error")
        until = time.monotonic() + 5
        while app.engine.busy:
            assert time.monotonic() < until, "it goes on"
            time.sleep(0.02)
        assert app.engine.counters.ended == {"cancelled": 1}
        found.page.check('input[value="fill"]')
        found.denoise(TEXT)
        assert found.text() == shown(FILLED)
        assert not found.errors
        found.context.close()


def test_a_link_is_copied_and_said_to_be(browser, address):
    found = Tab(browser, address, permissions=["clipboard-read", "clipboard-write"]).open()
    found.page.fill("#text", TEXT)
    found.page.click("#link")
    found.wait("#live", r"^The link is copied\.$")
    assert found.page.text_content("#link") == "Copied"
    found.page.fill("#text", "")
    found.page.focus("#text")
    found.page.keyboard.press("Control+V")
    link = found.page.input_value("#text")
    other = Tab(browser, "")
    other.address = link
    other.open()
    assert other.page.input_value("#text") == TEXT
    found.context.close()
    other.context.close()
