"""The official `openai` package. Arguments: the base URL of a proxy that masks cards, and of one that refuses them."""

import io
import json
import sys

import openai
from scenarios import ASKS_FOR_CARD, ATTACK, CARD, WITH_CARD, equal, error_of, is_before_the_card, run

HELLO = "Good morning."
MODEL = "demo"

PARAMETERS = {"type": "object", "properties": {"note": {"type": "string"}}, "required": ["note"]}
CHAT_TOOL = {"type": "function", "function": {"name": "keep", "description": "Keeps a note.", "parameters": PARAMETERS}}
TOOL = {"type": "function", "name": "keep", "description": "Keeps a note.", "parameters": PARAMETERS, "strict": False}


def user(text):
    return [{"role": "user", "content": text}]


def arguments_with(note):
    return json.dumps({"note": note}, separators=(",", ":"))


class Chat:
    """Chat completions."""

    def create(self, client, text, **more):
        return client.chat.completions.create(model=MODEL, messages=user(text), **more)

    def text(self, client, text):
        choice = self.create(client, text).choices[0]
        equal(choice.finish_reason, "stop")
        return choice.message.content

    def streamed(self, client, text):
        """The text, and why it ended."""
        stream = self.create(client, text, stream=True, stream_options={"include_usage": True})
        chunks = list(stream)
        choices = [choice for chunk in chunks for choice in chunk.choices]
        text = "".join(choice.delta.content or "" for choice in choices)
        return text, choices[-1].finish_reason, chunks

    def tool_call(self, client, text):
        choice = self.create(client, text, tools=[CHAT_TOOL]).choices[0]
        equal(choice.finish_reason, "tool_calls")
        return choice.message.tool_calls[0].function

    def tool_call_streamed(self, client, text):
        with client.chat.completions.stream(model=MODEL, messages=user(text), tools=[CHAT_TOOL]) as stream:
            return stream.get_final_completion().choices[0].message.tool_calls[0].function


class Responses:
    """The Responses API."""

    def create(self, client, text, **more):
        return client.responses.create(model=MODEL, input=text, **more)

    def text(self, client, text):
        response = self.create(client, text)
        equal(response.status, "completed")
        return response.output_text

    def tool_call(self, client, text):
        return self.create(client, text, tools=[TOOL]).output[0]

    def tool_call_streamed(self, client, text):
        with client.responses.stream(model=MODEL, input=text, tools=[TOOL]) as stream:
            deltas = [event.delta for event in stream if event.type == "response.function_call_arguments.delta"]
            call = stream.get_final_response().output[0]
        equal("".join(deltas), call.arguments)
        return call


def chat_allowed(masks, _):
    equal(Chat().text(masks, HELLO), f"You said: {HELLO}")


def chat_allowed_stream(masks, _):
    text, finish_reason, chunks = Chat().streamed(masks, HELLO)
    equal((text, finish_reason), (f"You said: {HELLO}", "stop"))
    equal((chunks[-1].choices, chunks[-1].usage.total_tokens), ([], 2))


def chat_allowed_tool_call(masks, _):
    call = Chat().tool_call(masks, HELLO)
    equal((call.name, call.arguments), ("keep", arguments_with(HELLO)))


def chat_allowed_tool_call_stream(masks, _):
    call = Chat().tool_call_streamed(masks, HELLO)
    equal((call.name, call.arguments), ("keep", arguments_with(HELLO)))


def chat_restored(masks, _):
    equal(Chat().text(masks, WITH_CARD), f"You said: {WITH_CARD}")


def chat_restored_stream(masks, _):
    text, finish_reason, _ = Chat().streamed(masks, WITH_CARD)
    equal((text, finish_reason), (f"You said: {WITH_CARD}", "stop"))


def chat_restored_tool_call(masks, _):
    equal(Chat().tool_call(masks, WITH_CARD).arguments, arguments_with(WITH_CARD))


def chat_restored_tool_call_stream(masks, _):
    equal(Chat().tool_call_streamed(masks, WITH_CARD).arguments, arguments_with(WITH_CARD))


def chat_restored_tool_loop(masks, _):
    """The client calls the tool with the card, and sends the card back as the tool's result."""
    messages = user(WITH_CARD)
    first = masks.chat.completions.create(model=MODEL, messages=messages, tools=[CHAT_TOOL]).choices[0].message
    [call] = first.tool_calls
    note = json.loads(call.function.arguments)["note"]
    equal(note, WITH_CARD)
    messages += [first, {"role": "tool", "tool_call_id": call.id, "content": f"Kept: {note}"}]
    second = masks.chat.completions.create(model=MODEL, messages=messages, tools=[CHAT_TOOL])
    equal(second.choices[0].message.content, f"You said: Kept: {WITH_CARD}")


def chat_card_of_the_answer_is_masked(masks, _):
    for text in (Chat().text(masks, ASKS_FOR_CARD), Chat().streamed(masks, ASKS_FOR_CARD)[0]):
        equal(text, "On file is [CARD_1], as you asked.")


def chat_blocked_request(masks, _):
    is_block(error_of(openai.PermissionDeniedError, lambda: Chat().create(masks, ATTACK)), "request")
    # The same connection goes on to work.
    equal(Chat().text(masks, HELLO), f"You said: {HELLO}")


def chat_blocked_request_for_a_stream(masks, _):
    is_block(error_of(openai.PermissionDeniedError, lambda: Chat().create(masks, ATTACK, stream=True)), "request")


def chat_blocked_request_tells_its_id(masks, _):
    """The client takes it from the header `x-request-id`."""
    error = error_of(openai.PermissionDeniedError, lambda: Chat().create(masks, ATTACK))
    assert error.request_id, dict(error.response.headers)
    equal(error.body["sentinel"]["request_id"], error.request_id)


async def chat_blocked_request_async(masks, _):
    async with openai.AsyncOpenAI(base_url=masks.base_url, api_key=masks.api_key) as client:
        try:
            await client.chat.completions.create(model=MODEL, messages=user(ATTACK))
        except openai.PermissionDeniedError as error:
            is_block(error, "request")
        else:
            raise AssertionError("not blocked")
        stream = await client.chat.completions.create(model=MODEL, messages=user(HELLO), stream=True)
        deltas = [chunk.choices[0].delta.content or "" async for chunk in stream]
        equal("".join(deltas), f"You said: {HELLO}")


def chat_blocked_answer(_, refuses):
    is_block(error_of(openai.PermissionDeniedError, lambda: Chat().create(refuses, ASKS_FOR_CARD)), "response")


def chat_blocked_answer_stream(_, refuses):
    text, finish_reason, chunks = Chat().streamed(refuses, ASKS_FOR_CARD)
    equal(finish_reason, "content_filter")
    is_before_the_card(text)
    # The last chunk belongs to the answer that it ends.
    equal(len({(chunk.id, chunk.model, chunk.object) for chunk in chunks}), 1)


def chat_blocked_answer_stream_helper(_, refuses):
    with refuses.chat.completions.stream(model=MODEL, messages=user(ASKS_FOR_CARD)) as stream:
        error = error_of(openai.ContentFilterFinishReasonError, stream.get_final_completion)
    assert CARD not in str(error)


def responses_allowed(masks, _):
    equal(Responses().text(masks, HELLO), f"You said: {HELLO}")


def responses_allowed_stream(masks, _):
    events = list(Responses().create(masks, HELLO, stream=True))
    is_numbered(events)
    equal(text_of(events), f"You said: {HELLO}")
    equal((events[-1].type, events[-1].response.output_text), ("response.completed", f"You said: {HELLO}"))


def responses_allowed_tool_call(masks, _):
    equal(Responses().tool_call(masks, HELLO).arguments, arguments_with(HELLO))


def responses_allowed_tool_call_stream(masks, _):
    equal(Responses().tool_call_streamed(masks, HELLO).arguments, arguments_with(HELLO))


def responses_restored(masks, _):
    equal(Responses().text(masks, WITH_CARD), f"You said: {WITH_CARD}")


def responses_restored_stream(masks, _):
    """Every event that repeats the text has it restored."""
    events = list(Responses().create(masks, WITH_CARD, stream=True))
    is_numbered(events)
    by_type = {event.type: event for event in events}
    texts = [
        text_of(events),
        by_type["response.output_text.done"].text,
        by_type["response.content_part.done"].part.text,
        by_type["response.output_item.done"].item.content[0].text,
        by_type["response.completed"].response.output_text,
    ]
    equal(set(texts), {f"You said: {WITH_CARD}"})


def responses_restored_tool_call(masks, _):
    equal(Responses().tool_call(masks, WITH_CARD).arguments, arguments_with(WITH_CARD))


def responses_restored_tool_call_stream(masks, _):
    equal(Responses().tool_call_streamed(masks, WITH_CARD).arguments, arguments_with(WITH_CARD))


def responses_restored_tool_loop(masks, _):
    call = Responses().tool_call(masks, WITH_CARD)
    note = json.loads(call.arguments)["note"]
    equal(note, WITH_CARD)
    result = {"type": "function_call_output", "call_id": call.call_id, "output": f"Kept: {note}"}
    second = masks.responses.create(model=MODEL, input=[*user(WITH_CARD), call, result], tools=[TOOL])
    equal(second.output_text, f"You said: Kept: {WITH_CARD}")


def responses_blocked_request(masks, _):
    is_block(error_of(openai.PermissionDeniedError, lambda: Responses().create(masks, ATTACK)), "request")


def responses_blocked_request_for_a_stream(masks, _):
    blocked = error_of(openai.PermissionDeniedError, lambda: Responses().create(masks, ATTACK, stream=True))
    is_block(blocked, "request")


def responses_blocked_answer(_, refuses):
    is_block(error_of(openai.PermissionDeniedError, lambda: Responses().create(refuses, ASKS_FOR_CARD)), "response")


def responses_blocked_answer_stream(_, refuses):
    events = list(Responses().create(refuses, ASKS_FOR_CARD, stream=True))
    is_cut(events)
    is_numbered(events)


def responses_blocked_answer_stream_helper(_, refuses):
    """The helper compares each event with those before it, the id of the response above all."""
    with refuses.responses.stream(model=MODEL, input=ASKS_FOR_CARD) as stream:
        is_cut(list(stream))


def models(masks, _):
    equal([model.id for model in masks.models.list()], [MODEL])


def embeddings(masks, _):
    """The client asks for base64 by itself and decodes it."""
    equal(masks.embeddings.create(model=MODEL, input=HELLO).data[0].embedding, [0.0, 1.0])


def headers_of_the_answer(masks, _):
    raw = masks.chat.completions.with_raw_response.create(model=MODEL, messages=user(ASKS_FOR_CARD))
    equal((raw.request_id, raw.headers["x-sentinel-action"]), ("req_upstream", "mask"))


def upload_allowed(masks, _):
    # The upstream answers with what it got.
    upload = ("notes.txt", io.BytesIO(f"Notes on {CARD}".encode()))
    file = masks.files.create(file=upload, purpose="assistants")
    equal((file.filename, file.bytes), ("notes.txt", len("Notes on [CARD_1]")))


def upload_blocked(masks, _):
    upload = ("notes.txt", io.BytesIO(f"Notes. {ATTACK}".encode()))
    error = error_of(openai.PermissionDeniedError, lambda: masks.files.create(file=upload, purpose="assistants"))
    is_block(error, "request")


def transcription_blocked(masks, _):
    sound = ("a.mp3", io.BytesIO(b"\xff\xfb\x90\x00"))
    error = error_of(
        openai.PermissionDeniedError,
        lambda: masks.audio.transcriptions.create(file=sound, model="whisper-1", prompt=ATTACK),
    )
    is_block(error, "request")


def is_block(error, direction):
    equal((error.status_code, error.code, error.type), (403, "sentinel_blocked", "sentinel_policy"))
    equal(error.body["sentinel"]["direction"], direction)
    assert error.message and CARD not in str(error), error


def is_numbered(events):
    equal([event.sequence_number for event in events], list(range(len(events))))


def is_cut(events):
    """What the client has is what came before the card, and an end that says why."""
    is_before_the_card(text_of(events))
    equal(events[-1].type, "response.incomplete")
    response = events[-1].response
    equal((response.status, response.incomplete_details.reason), ("incomplete", "content_filter"))
    equal(response.id, events[0].response.id)
    assert CARD not in response.output_text + response.to_json()


def text_of(events):
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


SCENARIOS = [
    chat_allowed,
    chat_allowed_stream,
    chat_allowed_tool_call,
    chat_allowed_tool_call_stream,
    chat_restored,
    chat_restored_stream,
    chat_restored_tool_call,
    chat_restored_tool_call_stream,
    chat_restored_tool_loop,
    chat_card_of_the_answer_is_masked,
    chat_blocked_request,
    chat_blocked_request_for_a_stream,
    chat_blocked_request_tells_its_id,
    chat_blocked_request_async,
    chat_blocked_answer,
    chat_blocked_answer_stream,
    chat_blocked_answer_stream_helper,
    responses_allowed,
    responses_allowed_stream,
    responses_allowed_tool_call,
    responses_allowed_tool_call_stream,
    responses_restored,
    responses_restored_stream,
    responses_restored_tool_call,
    responses_restored_tool_call_stream,
    responses_restored_tool_loop,
    responses_blocked_request,
    responses_blocked_request_for_a_stream,
    responses_blocked_answer,
    responses_blocked_answer_stream,
    responses_blocked_answer_stream_helper,
    models,
    embeddings,
    headers_of_the_answer,
    upload_allowed,
    upload_blocked,
    transcription_blocked,
]

if __name__ == "__main__":
    proxies = [openai.OpenAI(base_url=f"{url}/v1", api_key="sk-test") for url in sys.argv[1:3]]
    run(SCENARIOS, *proxies)
