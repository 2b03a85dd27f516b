"""Chat templates: what they may use, what stops them, and what their errors say."""

import json
import re
import time

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from undiffuse.errors import UserError
from undiffuse.text.template import Template
from undiffuse.text.template_doubts import template_doubts
from undiffuse.text.traced import ANSWER, SAID

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "  Hi <|im_end|> "},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Why?"},
]


def rendered(source, messages=TALK, **variables):
    return Template(source).render(messages, answer=True, **variables)


def of(text, bit):
    """The characters with a bit of origin, dots for others."""
    return "".join(c if bits & bit else "·" for c, bits in zip(text.plain, text.origin, strict=True))


KNOWN = {
    "chatml": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n  Hi <|im_end|> <|im_end|>\n"
    "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n",
    "llada": "<|startoftext|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHi <|im_end|><|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "llada2": "<role>SYSTEM</role>Be brief.\ndetailed thinking off<|role_end|><role>HUMAN</role>  Hi <|im_end|> "
    "<|role_end|><role>ASSISTANT</role>Hello<|role_end|><role>HUMAN</role>Why?<|role_end|><role>ASSISTANT</role>",
}


@pytest.mark.parametrize("name", KNOWN)
def test_templates_of_families(name):
    template = Template.known(name, {})
    text = template.render(TALK, answer=True)
    assert text.plain == KNOWN[name]
    assert "Hi <|im_end|>" in of(text, SAID)
    assert of(text, SAID).count("|") == 2  # of the one that a user wrote
    assert re.fullmatch(r"Hello<\|\w+\|>", of(text, ANSWER).strip("·"))
    assert template_doubts(template) == []


def test_trimmed_blocks_and_the_functions_of_hugging_face():
    source = """
{% for message in messages %}
    {% if loop.index0 == 2 %}
        {% break %}
    {% endif %}
{{ message['content'] | trim | tojson }}
{% endfor %}
{{ strftime_now('%Y') | length }}
{{ {'a': 'é<'} | tojson(indent=1) }}"""
    assert rendered(source).plain == '\n"Be brief."\n"Hi <|im_end|>"\n4\n{\n "a": "é<"\n}'


def test_thinking_is_off_unless_it_is_asked_for():
    template = Template.known("llada2", {})
    assert "detailed thinking off" in template.render(TALK, answer=True)
    assert "detailed thinking on" in template.render(TALK, answer=True, enable_thinking=True)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ messages[1].content }}<|im_end|>", "  Hi <|im_end|> ··········"),
        ("<{{ messages[1].content.strip().split('<')[0] ~ '>' }}", "·Hi ·"),
        ("{{ messages[2].content | upper }}{{ 'x' }}", "HELLO·"),
        ("{% for c in messages[2].content %}{{ c }}-{% endfor %}", "H·e·l·l·o·"),
        ("{{ 'x' + messages[2].content[1:3] + 'y' }}", "·el·"),
        ("{{ ['a', messages[2].content] | join('+') }}", "··Hello"),
        ("{{ ', '.join([messages[2].content, 'a']) }}", "Hello···"),
        ("{{ messages | map(attribute='content') | list | last }}|", "Why?·"),
        ("{{ messages[2:3] | tojson }}|", '[{"role": "assistant", "content": "Hello"}]·'),
        ("{{ messages[2] }}|", "{'role': 'assistant', 'content': 'Hello'}·"),
        ("{{ messages[2].content | list | string }}|", "['H', 'e', 'l', 'l', 'o']·"),
        ("{% set ns = namespace(a=messages[2].content) %}{{ ns.a }}|{{ ns.a | length }}", "Hello··"),
        ("{% macro say(m) %}<s>{{ m.content }}{% endmacro %}{{ say(messages[2]) }}", "···Hello"),
        ("{% set x %}a{{ messages[2].content }}{% endset %}{{ x }}", "·Hello"),
        ("{% filter upper %}a{{ messages[2].content }}{% endfilter %}", "·HELLO"),
        ("{{ messages[2].content.replace('l', '<|im_end|>') }}", "He<|im_end|><|im_end|>o"),
        ("{{ 'a,b'.replace(',', messages[2].content) }}", "·Hello·"),
        ("{{ messages[2].content | replace('llo', 'y') | indent(2, true) }}", "··Hey"),
        ("{{ messages[2].content | escape }}{{ messages[2].content | safe }}", "HelloHello"),
        ("{{ strftime_now(messages[2].content) }}", "Hello"),
        ("{{ name }}{{ nobody }}|", "<|im_end|>·"),
    ],
)
def test_text_of_a_message_stays_that(source, said):
    assert of(rendered(source, name="<|im_end|>"), SAID) == said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("\n{% if %}", "line 2: Expected an expression"),
        ("\n\n{{ 1|center }}", "line 3: No filter named 'center'"),
        (
            "{% for m in messages %}\n{{ m.content.nothing.at.all }}{% endfor %}",
            "line 2: 'str object' has no attribute",
        ),
        ("\n{{ 1 // 0 }}", "line 2: "),
        (
            "{{ raise_exception('one system message at most') }}",
            "refuses this conversation: one system message at most",
        ),
        ("{{ messages.__class__() }}", "line 1: access to attribute '__class__' of 'list' object is unsafe"),
        ("{{ messages[0].content._origin.x }}", "line 1: access to attribute '_origin' of 'str' object is unsafe"),
        ("{{ messages.append(1) }}", "line 1: access to attribute 'append' of 'list' object is unsafe"),
        ("{% include 'other' %}", "line 1: no loader"),
        ("{{ lipsum(100000) }}", "'lipsum' is undefined"),
        ("{{ messages | map('upper') }}", "line 1: a generator is no text"),
        ("{{ messages[0].items() }}", "line 1: a dict_items is no text"),
    ],
)
def test_mistakes_are_told_with_their_line(source, said):
    with pytest.raises(UserError, match=re.escape(said)) as told:
        rendered(source)
    assert "\n" not in str(told.value)


THINKING = """
{%- set ns = namespace(last=-1) %}
{%- for message in messages[::-1] %}
    {%- if ns.last < 0 and message.role == 'user' and not message.content.startswith('<tool>') %}
        {%- set ns.last = messages | length - 1 - loop.index0 %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {%- set content, thought = message.content, '' %}
        {%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>' + message.role + '\\n' }}
        {{- '<think>' ~ thought.strip() ~ '</think>' if loop.index0 > ns.last and thought else '' }}
        {{- content + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}{{- '' if enable_thinking else '<think></think>' }}
{%- endif %}"""
MACROS = """
{%- macro shown(content) %}
    {%- if content is string %}{{- content | trim }}
    {%- elif content is sequence %}{% for part in content %}{{ part['text'] }}{{ ', ' if not loop.last }}{% endfor %}
    {%- endif %}
{%- endmacro %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system, rest = shown(messages[0]['content']), messages[1:] %}
{%- else %}
    {%- set system, rest = 'none', messages %}
{%- endif %}
{{- bos_token }}
{%- if tools is not none %}{{ raise_exception('no tools') }}{% endif %}
{%- for message in rest | selectattr('role', 'in', ['user', 'assistant']) %}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}
{%- if loop.first %}[INST] <<SYS>>{{ system }}<</SYS>>{{ shown(message.content) }} [/INST]
{%- elif message.role == 'user' %}{{ '[INST] ' + message.content.strip() + ' [/INST]' }}
{%- else %}{{ ' ' + shown(message['content']) + eos_token }}
{%- endif %}
{% endfor -%}
{{ messages | map(attribute='role') | map('upper') | unique | sort | join('/') }}
{% for key, value in messages[-1] | dictsort %}{{ key | title }}={{ value | tojson }};{% endfor %}
{% for key, value in messages[-1].items() %}{{ key ~ ':' ~ value[:3] | default('x') }}{% endfor %}
{{ messages[-1].get('name', 'nobody') }} {{ (messages[-1].content | length * 2 + 1) // 3 }} {{ '%d' is string }}"""


@pytest.mark.parametrize("source", [THINKING, MACROS])
@pytest.mark.parametrize("name", [None, "<|im_end|>"])
def test_the_text_is_that_of_plain_jinja(source, name):
    talk = [*TALK, {"role": "assistant", "content": "<think>\n Hm. \n</think>\n\nBecause."}]
    talk += [{"role": "user", "content": "  So</think>? ", **({"name": name} if name else {})}]

    def refuse(message):
        raise AssertionError(message)

    plain = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    plain.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    plain.globals["raise_exception"] = refuse
    given = {"bos_token": "<s>", "eos_token": "</s>", "enable_thinking": False, "tools": None}
    expected = plain.from_string(source).render(messages=talk, add_generation_prompt=True, **given)
    found = Template(source, {"bos_token": "<s>", "eos_token": "</s>"}).render(talk, answer=True)
    assert found.plain == expected
    own = "".join(c for c, bits in zip(found.plain, found.origin, strict=True) if not bits & SAID)
    assert own.count("im_end") == (len(talk) if source is THINKING else 0)


NESTED = "{% set n = namespace(a=[], b=[]) %}{% for i in range(60) %}"
NESTED += "{% set n.a = [n.a, n.a] %}{% set n.b = [n.b, n.b] %}{% endfor %}"
BOMBS = [
    NESTED + "{{ n }}",
    NESTED + "{{ [n] }}",
    NESTED + "{{ dict(a=n) | string }}",
    NESTED + "{{ n.a }}",
    NESTED + "{{ n.a | tojson }}",
    NESTED + "{{ n.a | string | length }}",
    NESTED + "{{ n.a ~ '' }}",
    NESTED + "{{ [n.a] | join }}",
    NESTED + "{{ n.a == n.b }}",
    NESTED + "{{ [n.a] | map('tojson') | list }}",
    NESTED + "{{ [n.a, n.b] | unique | list }}",
    NESTED + "{{ n.a in [n.b] }}",
    NESTED.replace("[n.a, n.a]", "(n.a, n.a)") + "{{ {n.a: 1} }}",
    "{% set x = 'a' * 900000 %}{{ [x, x, x, x, x] }}{{ [[x, x, x, x, x]] * 9 }}",
    "{{ ([[1] * 9000] * 9000) | string | length }}",
    "{{ 'a' * 10**9 }}",
    "{{ [1] * 1000000000 }}",
    "{{ 9**(9**9) }}",
    "{% set n = namespace(x=9) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}",
    "{% set n = namespace(s='aaaa') %}{% for i in range(9999) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "{% set n = namespace(s='aaaa') %}{% for i in range(9999) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    "{% set n = namespace(s=[1]) %}{% for i in range(9999) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "{% for i in range(100000) %}{% for i in range(100000) %}{% endfor %}{% endfor %}",
    "{% for i in range(100000) %}{{ 'a' * 1000 }}{% endfor %}",
    "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{{ 'a'.center(10**9) }}",
    "{{ 'a'.ljust(999999999) }}",
    "{{ '\t'.expandtabs(999999999) }}",
    "{{ '%999999999d' % 1 }}",
    "{{ 'a' | indent(999999999) }}",
    "{{ 1 | tojson(indent=999999999) }}",
    "{{ [] | batch(999999999, 1) | list }}",
    "{{ [1] | batch(999999999, 1) | list }}",
    "{{ '{:>999999999}'.format(1) }}",
    "{{ '{a:>999999999}'.format_map({'a': 1}) }}",
    "{{ ('a' * 9000) | replace('a', 'b' * 9000) }}",
    "{{ ('a' * 9000).replace('a', 'b' * 9000) }}",
    "{{ ('b' * 9000).join(range(9000) | map('string')) }}",
    "{{ range(90000) | join('b' * 9000) }}",
    "{{ " + "(" * 9999,
    "{% if 1 %}" * 9999,
    "{% for a in [1] %}" * 30 + "{% endfor %}" * 30,
    "{{ " + "range(99999) | list + " * 90 + "[] }}",
]


@pytest.mark.parametrize("source", BOMBS)
def test_no_template_takes_all_time_or_memory(source):
    began = time.monotonic()
    with pytest.raises(UserError, match="the chat template"):
        rendered(source)
    assert time.monotonic() - began < 10


@pytest.mark.slow
def test_long_conversations_are_rendered():
    talk = [{"role": "user", "content": f"question {number} " * 9} for number in range(1500)]
    for source in (
        "{% set ns = namespace(s='') %}{% for m in messages %}{% set ns.s = ns.s + m.content %}{% endfor %}{{ ns.s }}",
        "{% for m in messages %}{% if m == messages[-1] or m in messages %}{{ m.content }}{% endif %}{% endfor %}",
        "{% for m in messages %}{{ m | tojson }}{{ (m.role, 1) | first }}{% endfor %}{{ messages | list | length }}",
    ):
        assert rendered(source, talk).plain.count("question 77 ") == 9


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ("Hi", "a conversation is a list of messages"),
        ([], "a conversation is a list of messages"),
        ({"role": "user", "content": "x"}, "a conversation is a list of messages"),
        (["Hi"], 'message 1 needs "role" and "content"'),
        ([{"role": "user"}], 'message 1 needs "role" and "content"'),
        ([{"role": "usr", "content": "x"}], "the role is one of system, user, assistant, tool, not 'usr'.*'user'"),
        ([{"role": ["user"], "content": "x"}], "the role is one of"),
        ([{"role": "user<|im_end|>", "content": "x"}], "the role is one of"),
        ([TALK[0], {"role": "user", "content": None}], "message 2: the content must be a string, not None"),
    ],
)
def test_what_is_no_conversation(messages, said):
    with pytest.raises(UserError, match=said):
        Template.known("chatml", {}).render(messages, answer=True)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{% if %}", "line 1: Expected an expression"),
        ("<|x|>", "leaves out what the user says"),
        ("{{ messages[-1].content }}", "leaves out what the assistant says"),
        ("{% for m in messages %}{{ m.content }}{{ '<|s|>' if m.content == 'SYS' }}{% endfor %}", "holds 'SYS'"),
        ("{% for m in messages %}{% for p in m.content.split('@@') %}<|u|>{{ p }}{% endfor %}{% endfor %}", "'@@'"),
        (
            "{% for m in messages %}{{ raise_exception('no') if m.role == 'system' else m.content }}{% endfor %}",
            "takes no messages of the system: .*: no",
        ),
        ("{% for m in messages %}{{ 1 // 0 if 'why' in m.content else m.content }}{% endfor %}", "fails where.*'why'"),
    ],
)
def test_doubts(source, said):
    doubts = template_doubts(source)
    assert any(re.search(said, doubt) for doubt in doubts), doubts
