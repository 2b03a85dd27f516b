"""Other people's clients, unchanged: OpenAI's for JavaScript, and LiteLLM, which speaks Anthropic's words to it."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from served_model import MODEL
from serving import serving

from undiffuse.serve.api.app import Options
from undiffuse.serve.api.desk import Bounds

pytestmark = pytest.mark.slow
HELLO = [{"role": "user", "content": "Hello fox"}]
PROGRAM = Path(__file__).with_name("openai_client.mjs")


@pytest.fixture(scope="module")
def place():
    with serving(Options(bounds=Bounds(tokens=4000))) as found:
        yield found


def packages():
    """The folder whose node_modules holds the client."""
    places = [os.environ.get("UNDIFFUSE_NODE", ""), str(Path(__file__).parents[2] / "build" / "node")]
    found = next((each for each in places if each and (Path(each) / "node_modules" / "openai").is_dir()), None)
    if found is None or shutil.which("node") is None:
        pytest.skip("needs node and its package openai: make test-page")
    return found


def test_the_client_for_javascript(place):
    address, app = place
    done = subprocess.run(
        ["node", str(PROGRAM), address, packages()], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    alone = MODEL.chat(HELLO, length=8, seed=3)
    written = MODEL.generate("The quick", length=9, seed=5)[0].text.removeprefix("The quick")
    assert said["models"] == ["tiny"]
    assert said["chat"] == said["chatStream"] == alone.text
    assert said["helper"] == alone.text
    assert said["tokens"] == said["streamTokens"] == alone.tokens
    assert said["finish"] in ("stop", "length")
    assert said["completion"] == said["completionStream"] == written
    assert said["embedding"] == MODEL.embed("fox").shape[-1]
    assert said["error"][0]
    assert "did you mean 'tiny'" in said["error"][1]
    until = time.monotonic() + 5
    while app.engine.busy:
        assert time.monotonic() < until, "the stream that it left goes on"
        time.sleep(0.05)


@pytest.mark.filterwarnings("ignore")
def test_litellm_in_words_of_openai_and_of_anthropic(place, monkeypatch):
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # or it asks the network for prices
    litellm = pytest.importorskip("litellm", reason="needs litellm: pip install litellm")
    own = {"model": "openai/tiny", "api_base": f"{place[0]}/v1", "api_key": "none", "max_tokens": 8, "seed": 3}
    alone = MODEL.chat(HELLO, length=8, seed=3)
    whole = litellm.completion(messages=HELLO, **own)
    assert whole.choices[0].message.content == alone.text
    assert whole.usage.completion_tokens == alone.tokens
    stream = litellm.completion(messages=HELLO, stream=True, **own)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == alone.text
    text = litellm.text_completion(
        **{**own, "model": "text-completion-openai/tiny", "max_tokens": 9, "seed": 5}, prompt="The quick"
    )
    assert "The quick" + text.choices[0].text == MODEL.generate("The quick", length=9, seed=5)[0].text
    with pytest.raises(litellm.BadRequestError, match="presence_penalty"):
        litellm.completion(messages=HELLO, presence_penalty=1.0, **own)
    monkeypatch.setattr(litellm, "use_chat_completions_url_for_anthropic_messages", True)
    said = litellm.anthropic.messages.create(messages=HELLO, **own)
    said = said if isinstance(said, dict) else said.model_dump()
    assert (said["type"], said["role"]) == ("message", "assistant")
    assert said["content"][0]["text"] == alone.text
    assert said["stop_reason"] in ("end_turn", "max_tokens")
