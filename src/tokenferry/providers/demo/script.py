"""Decides what the simulator answers: a pure function from a request to the pieces of an answer.

Weakness: a tool is called when its exact name stands in the user's message; nothing is understood.
"""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

import msgspec

from tokenferry.domain.usage import Usage
from tokenferry.errors import InvalidRequest, UnsupportedParameter
from tokenferry.protocol.chat import (
    ChatRequest,
    Delta,
    Function,
    FunctionDelta,
    Message,
    ToolCallDelta,
    ToolChoice,
)
from tokenferry.providers.demo.pieces import (
    count_tokens,
    is_han_or_kana,
    is_kana,
    pieces,
    quote,
)
from tokenferry.providers.demo.schema import Unbuildable, smallest
from tokenferry.providers.demo.texts import TEXTS, Language, Texts

# How much of a message is looked at (language, tool names, wish for a long answer) and repeated.
SEARCHED_CHARACTERS_MAX = 4_096
QUOTED_CHARACTERS_MAX = 240
QUOTED_RESULT_CHARACTERS_MAX = 1_000
QUOTED_RESULTS_MAX = 4

_LONG = re.compile(
    r"\blong(?:er|est)?\b|\blengthy\b|길게|길고|(?:^|\s)긴(?=\s|답|글|이야기|설명|문장)"
    r"|長い|長く|长一点|更长|较长|很长|长文|长篇",
    re.IGNORECASE,
)
# A Latin word; a word of another script counts by its own rule.
_LATIN_WORD = re.compile(r"[A-Za-z]+")
_HANGUL_WORD = re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]+")


class Step(NamedTuple):
    """One piece of an answer: what one tick of the clock sends.

    Attributes:
        kind: Where the text belongs.
        text: The text; the arguments' fragment for a call.
        call: The index of the tool call.
        call_id: Its id, on the first step of a call only.
        name: Its function, on the first step of a call only.
    """

    kind: Literal["text", "reasoning", "call"]
    text: str
    call: int = 0
    call_id: str | None = None
    name: str | None = None

    def delta(self) -> Delta:
        """Return the step in the adapters' common form."""
        if self.kind == "text":
            return Delta(content=self.text)
        if self.kind == "reasoning":
            return Delta(reasoning=self.text)
        return Delta(
            tool_calls=[
                ToolCallDelta(
                    index=self.call,
                    id=self.call_id,
                    type="function" if self.call_id else None,
                    function=FunctionDelta(name=self.name, arguments=self.text),
                )
            ]
        )


class Script(NamedTuple):
    """A whole answer.

    Attributes:
        steps: Its pieces, in order.
        finish_reason: stop, length or tool_calls.
        choice_count: How often it is given; all choices are alike, since nothing is random.
        usage: What it counts as.
    """

    steps: tuple[Step, ...]
    finish_reason: str
    choice_count: int
    usage: Usage


def write(request: ChatRequest) -> Script:
    """Return the answer to a request; the same for the same request.

    Raises:
        InvalidRequest: If the tool choice or the response format contradicts itself.
        UnsupportedParameter: If the request wants what a simulator cannot give.
    """
    _refuse_unsupported(request)
    asked = _last_question(request.messages)
    texts = TEXTS[language_of(asked)]
    steps = _reasoning(request, asked, texts)
    functions = _functions_to_call(request, asked)
    if functions:
        finish_reason = "tool_calls"
        for index, function in enumerate(functions):
            steps += _call(function, index, f"call_demo_{len(request.messages)}_{index}")
    else:
        finish_reason = "stop"
        answer = _cut_at_stop(_answer(request, asked, texts), request.stop)
        steps += [Step("text", piece) for piece in pieces(answer)]
    limit = request.output_tokens_max
    if limit is not None and len(steps) > limit:
        steps, finish_reason = steps[:limit], "length"
    return Script(tuple(steps), finish_reason, request.choice_count, _usage(request, steps))


def rest_of(script: Script, text: str) -> Script | None:
    """Return what of an answer follows its beginning; None if it does not begin so."""
    steps = list(script.steps)
    while text and steps:
        step = steps.pop(0)
        if step.kind == "text" and text.startswith(step.text):
            text = text[len(step.text) :]
        elif step.kind == "text" and step.text.startswith(text):
            steps.insert(0, step._replace(text=step.text[len(text) :]))
            text = ""
        else:
            return None
    if text:
        return None
    usage = script.usage._replace(completion_tokens=len(steps), reasoning_tokens=0)
    return script._replace(steps=tuple(steps), usage=usage)


def language_of(text: str) -> Language:
    """Return the language that a text is mostly written in, as far as its letters tell.

    Latin words among Korean, Japanese or Chinese ones are usual (names, code), so those count
    double: "Python 예제를 보여 주세요" is Korean, "What does 사랑 mean?" is English.
    """
    text = text[:SEARCHED_CHARACTERS_MAX]
    latin = len(_LATIN_WORD.findall(text))
    korean = len(_HANGUL_WORD.findall(text))
    kana = sum(map(is_kana, text))
    unspaced = sum(map(is_han_or_kana, text))
    # Two characters make about one word where no spaces are written.
    if korean and korean * 2 >= latin and korean >= unspaced // 2:
        return "ko"
    if unspaced and unspaced >= latin:
        return "ja" if kana else "zh"
    return "en"


def _refuse_unsupported(request: ChatRequest) -> None:
    if request.logprobs:
        raise UnsupportedParameter(
            "The demo simulator has no probabilities; leave `logprobs` out.", param="logprobs"
        )
    if request.modalities and request.modalities != ["text"]:
        raise UnsupportedParameter(
            "The demo simulator answers in text only; leave `modalities` out.", param="modalities"
        )


def _text_of(message: Message) -> str:
    content = message.content
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(part.text for part in content if part.text)


def _last_question(messages: list[Message]) -> str:
    """Return the last user message that has text; the last message's text if there is none."""
    for message in reversed(messages):
        if message.role == "user" and (text := _text_of(message).strip()):
            return text
    return _text_of(messages[-1]).strip()


def _reasoning(request: ChatRequest, asked: str, texts: Texts) -> list[Step]:
    if request.reasoning_effort in (None, "none"):
        return []
    text = texts.reasoning.format(characters=len(asked))
    return [Step("reasoning", piece) for piece in pieces(text)]


def _functions_to_call(request: ChatRequest, asked: str) -> list[Function]:
    """Return the functions to call now: none after a tool's result, or a loop would never end."""
    functions = [tool.function for tool in request.tools or () if tool.function]
    choice = request.tool_choice
    if isinstance(choice, ToolChoice):
        if choice.function is not None:
            name = choice.function.name
            functions = [function for function in functions if function.name == name]
            if not functions:
                raise InvalidRequest(
                    f"`tool_choice` names `{name}`, which is not among `tools`.",
                    param="tool_choice",
                )
        forced = choice.function is not None
    elif choice in (None, "none", "auto", "required"):
        forced = choice == "required"
        if forced and not functions:
            raise InvalidRequest("`tool_choice` is required; add `tools`.", param="tool_choice")
    else:
        raise InvalidRequest(
            "`tool_choice` must be none, auto, required, or name a function.", param="tool_choice"
        )
    if choice == "none" or request.messages[-1].role in ("tool", "function"):
        return []
    named = [function for function in functions if _names(asked, function.name)]
    chosen = named or (functions[:1] if forced else [])
    return chosen[:1] if forced or request.parallel_tool_calls is False else chosen


def _names(text: str, name: str) -> bool:
    """Return whether a name stands in a text; Korean particles may follow it directly."""
    text = text[:SEARCHED_CHARACTERS_MAX]
    pattern = rf"(?<![A-Za-z0-9_-]){re.escape(name)}(?![A-Za-z0-9_-])"
    return bool(name) and name in text and re.search(pattern, text) is not None


def _call(function: Function, index: int, call_id: str) -> Iterator[Step]:
    try:
        arguments = smallest({"type": "object", **(function.parameters or {})}, "demo")
    except Unbuildable as exc:
        raise UnsupportedParameter(
            f"The demo simulator cannot fill the parameters of `{function.name}`: {exc}.",
            param="tools",
        ) from None
    yield Step("call", "", index, call_id, function.name)
    for piece in pieces(msgspec.json.encode(arguments).decode()):
        yield Step("call", piece, index)


def _answer(request: ChatRequest, asked: str, texts: Texts) -> str:
    form = request.response_format
    kind = form.type if form else "text"
    if kind not in ("text", "json_object", "json_schema"):
        raise InvalidRequest(
            "`response_format.type` must be text, json_object or json_schema.",
            param="response_format.type",
        )
    if form and kind == "json_schema" and form.json_schema and form.json_schema.definition:
        return _structured(form.json_schema.definition)
    if kind != "text":
        about = {
            "simulator": "Tokenferry demo",
            "note": texts.json_note,
            "message": quote(asked, QUOTED_CHARACTERS_MAX),
        }
        return msgspec.json.encode(about).decode()
    return "\n\n".join(_paragraphs(request, asked, texts))


def _structured(schema: dict[str, object]) -> str:
    try:
        return msgspec.json.encode(smallest(schema, "Tokenferry demo simulator")).decode()
    except Unbuildable as exc:
        raise UnsupportedParameter(
            f"The demo simulator cannot fill this schema: {exc}.",
            param="response_format.json_schema.schema",
        ) from None


def _paragraphs(request: ChatRequest, asked: str, texts: Texts) -> Iterator[str]:
    yield texts.introduction
    results = _trailing_results(request.messages)
    if results:
        for name, result in results:
            yield texts.tool_result.format(name=name)
            yield _block_quote(quote(result, QUOTED_RESULT_CHARACTERS_MAX))
        yield texts.tool_note
        return
    if asked:
        yield texts.wrote
        yield _block_quote(quote(asked, QUOTED_CHARACTERS_MAX))
    content = request.messages[-1].content
    if isinstance(content, list) and any(part.type != "text" for part in content):
        yield texts.attachments
    if _LONG.search(asked[:SEARCHED_CHARACTERS_MAX]):
        yield texts.journey
        yield "\n".join(f"{n}. {sentence}" for n, sentence in enumerate(texts.steps, 1))
    yield texts.remedy.rstrip()
    yield texts.meanwhile


def _block_quote(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def _trailing_results(messages: list[Message]) -> list[tuple[str, str]]:
    """Return name and text of the tool results that the conversation ends with."""
    names = {call.id: call.texts()[0] for message in messages for call in message.tool_calls or ()}
    results: list[tuple[str, str]] = []
    for message in reversed(messages):
        if message.role not in ("tool", "function") or len(results) == QUOTED_RESULTS_MAX:
            break
        name = names.get(message.tool_call_id or "") or message.name or message.tool_call_id or "?"
        results.append((name, _text_of(message)))
    return results[::-1]


def _cut_at_stop(text: str, stop: str | list[str] | None) -> str:
    """Return what comes before the first stop sequence, which itself is not sent."""
    sequences = [stop] if isinstance(stop, str) else stop or []
    found = [at for sequence in sequences if sequence and (at := text.find(sequence)) >= 0]
    return text[: min(found)] if found else text


def _usage(request: ChatRequest, steps: list[Step]) -> Usage:
    reasoning = sum(step.kind == "reasoning" for step in steps)
    return Usage(
        prompt_tokens=count_tokens(_prompt(request.messages)),
        completion_tokens=len(steps) * request.choice_count,
        reasoning_tokens=reasoning * request.choice_count,
    )


def _prompt(messages: list[Message]) -> Iterator[str]:
    for message in messages:
        yield _text_of(message)
        for call in message.tool_calls or ():
            yield from call.texts()
