"""The official `anthropic` package. Arguments: the URL of a proxy that masks cards, and of one that refuses them."""

import sys

import anthropic
from scenarios import ASKS_FOR_CARD, ATTACK, CARD, WITH_CARD, equal, error_of, is_before_the_card, run

HELLO = "Good morning."
TOOL = {
    "name": "keep",
    "description": "Keeps a note.",
    "input_schema": {"type": "object", "properties": {"note": {"type": "string"}}, "required": ["note"]},
}


def asking(text, **more):
    return {"model": "demo", "max_tokens": 100, "messages": [{"role": "user", "content": text}], **more}


def create(client, text, **more):
    return client.messages.create(**asking(text, **more))


def text_of(message):
    equal(message.stop_reason, "end_turn")
    [block] = message.content
    return block.text


def streamed_text(client, text):
    """What came in deltas is what the helper puts together."""
    with client.messages.stream(**asking(text)) as stream:
        deltas = "".join(stream.text_stream)
        equal(text_of(stream.get_final_message()), deltas)
    return deltas


def note_of(message):
    equal(message.stop_reason, "tool_use")
    [block] = message.content
    equal((block.type, block.name), ("tool_use", "keep"))
    return block.input["note"]


def streamed_note(client, text):
    with client.messages.stream(**asking(text, tools=[TOOL])) as stream:
        return note_of(stream.get_final_message())


def allowed(masks, _):
    equal(text_of(create(masks, HELLO)), f"You said: {HELLO}")


def allowed_stream(masks, _):
    equal(streamed_text(masks, HELLO), f"You said: {HELLO}")


def allowed_stream_of_events(masks, _):
    events = [event.type for event in create(masks, HELLO, stream=True)]
    equal((events[0], events[-2:]), ("message_start", ["message_delta", "message_stop"]))


def allowed_tool_use(masks, _):
    equal(note_of(create(masks, HELLO, tools=[TOOL])), HELLO)


def allowed_tool_use_stream(masks, _):
    equal(streamed_note(masks, HELLO), HELLO)


def restored(masks, _):
    equal(text_of(create(masks, WITH_CARD)), f"You said: {WITH_CARD}")


def restored_stream(masks, _):
    equal(streamed_text(masks, WITH_CARD), f"You said: {WITH_CARD}")


def restored_tool_use(masks, _):
    equal(note_of(create(masks, WITH_CARD, tools=[TOOL])), WITH_CARD)


def restored_tool_use_stream(masks, _):
    equal(streamed_note(masks, WITH_CARD), WITH_CARD)


def restored_tool_loop(masks, _):
    """The client calls the tool with the card, and sends the card back as the tool's result."""
    request = asking(WITH_CARD, tools=[TOOL])
    first = masks.messages.create(**request)
    note = note_of(first)
    equal(note, WITH_CARD)
    result = {"type": "tool_result", "tool_use_id": first.content[0].id, "content": f"Kept: {note}"}
    request["messages"] += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    equal(text_of(masks.messages.create(**request)), f"You said: Kept: {WITH_CARD}")


def card_of_the_answer_is_masked(masks, _):
    for text in (text_of(create(masks, ASKS_FOR_CARD)), streamed_text(masks, ASKS_FOR_CARD)):
        equal(text, "On file is [CARD_1], as you asked.")


def blocked_request(masks, _):
    is_block(error_of(anthropic.PermissionDeniedError, lambda: create(masks, ATTACK)))
    # The same connection goes on to work.
    equal(text_of(create(masks, HELLO)), f"You said: {HELLO}")


def blocked_request_for_a_stream(masks, _):
    is_block(error_of(anthropic.PermissionDeniedError, lambda: create(masks, ATTACK, stream=True)))


def blocked_request_tells_its_id(masks, _):
    """The client takes it from the header `request-id`, whatever the body says."""
    error = error_of(anthropic.PermissionDeniedError, lambda: create(masks, ATTACK))
    assert error.request_id, dict(error.response.headers)
    equal(error.body["request_id"], error.request_id)


async def blocked_request_async(masks, _):
    async with anthropic.AsyncAnthropic(base_url=masks.base_url, api_key=masks.api_key) as client:
        try:
            await client.messages.create(**asking(ATTACK))
        except anthropic.PermissionDeniedError as error:
            is_block(error)
        else:
            raise AssertionError("not blocked")
        async with client.messages.stream(**asking(HELLO)) as stream:
            equal(text_of(await stream.get_final_message()), f"You said: {HELLO}")


def blocked_answer(_, refuses):
    is_block(error_of(anthropic.PermissionDeniedError, lambda: create(refuses, ASKS_FOR_CARD)))


def blocked_answer_stream(_, refuses):
    with refuses.messages.stream(**asking(ASKS_FOR_CARD)) as stream:
        events = [event.type for event in stream]
        message = stream.get_final_message()
    equal(message.stop_reason, "refusal")
    is_before_the_card("".join(block.text for block in message.content))
    # The helper makes `content_block_stop` and `message_stop` of the events with the same names.
    equal([event for event in events if event.endswith(("_stop", "message_delta"))], ENDS)


def blocked_tool_use_stream(_, refuses):
    """A block of JSON that is cut off is closed, too, and the client does not choke on it."""
    with refuses.messages.stream(**asking(ASKS_FOR_CARD, tools=[TOOL])) as stream:
        events = [event.type for event in stream]
        message = stream.get_final_message()
    equal((message.stop_reason, [block.type for block in message.content]), ("refusal", ["tool_use"]))
    assert CARD not in message.to_json()
    equal([event for event in events if event.endswith(("_stop", "message_delta"))], ENDS)


def count_tokens(masks, _):
    equal(masks.messages.count_tokens(model="demo", messages=asking(HELLO)["messages"]).input_tokens, 1)


ENDS = ["content_block_stop", "message_delta", "message_stop"]


def is_block(error):
    equal((error.status_code, error.type), (403, "permission_error"))
    equal(error.body["type"], "error")
    assert "blocked by policy" in error.api_message and CARD not in str(error), error


SCENARIOS = [
    allowed,
    allowed_stream,
    allowed_stream_of_events,
    allowed_tool_use,
    allowed_tool_use_stream,
    restored,
    restored_stream,
    restored_tool_use,
    restored_tool_use_stream,
    restored_tool_loop,
    card_of_the_answer_is_masked,
    blocked_request,
    blocked_request_for_a_stream,
    blocked_request_tells_its_id,
    blocked_request_async,
    blocked_answer,
    blocked_answer_stream,
    blocked_tool_use_stream,
    count_tokens,
]

if __name__ == "__main__":
    proxies = [anthropic.Anthropic(base_url=url, api_key="sk-test") for url in sys.argv[1:3]]
    run(SCENARIOS, *proxies)
