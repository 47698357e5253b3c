"""The client of the official `mcp` package. Argument: the URL of a proxy before `mcp_server.py`.

Every scenario runs with answers as JSON and as event streams, and in both ways to begin: with the handshake of the
protocol's versions up to 2025, and with the newest version, which has no sessions."""

import asyncio
import logging
import sys
import warnings

from mcp import Client, MCPError
from mcp.types import ElicitResult
from scenarios import ATTACK, CARD, WITH_CARD, equal, run

HELLO = "Good morning."
BLOCKED = -32010

# It logs each server error with its stack.
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")


class At:
    """A way to reach the server."""

    def __init__(self, base, wire, mode):
        self.base, self.wire, self.mode = base, wire, mode

    def client(self, name="", **more):
        return Client(f"{self.base}{name}/{self.wire}", mode=self.mode, read_timeout_seconds=60, **more)


async def call(client, tool, **arguments):
    """The text of the result, and how much progress was told before it."""
    progress = []

    async def note(done, _total, _message):
        progress.append(done)

    result = await client.call_tool(tool, arguments, progress_callback=note)
    assert not result.is_error, result
    [block] = result.content
    equal(result.structured_content, {"result": block.text})
    return block.text, progress


async def blocked(method, *, direction):
    """What a block is to a client: an error of its own with our code, and a session that goes on."""
    try:
        result = await method
    except MCPError as error:
        equal(error.code, BLOCKED)
        assert error.message.startswith(f"The {direction} was blocked by policy"), error.error
        assert isinstance(error.data, dict) and CARD not in str(error.data), error.error
    else:
        raise AssertionError(f"not blocked: {result!r}")


async def still_works(client):
    text, _ = await call(client, "echo", text=HELLO)
    equal(text, "Good morning. (13 characters)")


async def allowed(at):
    async with at.client() as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        equal(tools[:2], ["echo", "page"])
        text, progress = await call(client, "echo", text=HELLO)
        equal(text, "Good morning. (13 characters)")
        # Only a stream has room for it.
        equal(progress, [1] if at.wire == "sse" else [])


async def restored(at):
    """The server counts the characters of the placeholder and not of the card."""
    async with at.client() as client:
        text, _ = await call(client, "echo", text=WITH_CARD)
        equal(text, f"{WITH_CARD} ({len('Charge [CARD_1], please.')} characters)")


async def card_of_the_answer_is_masked(at):
    async with at.client() as client:
        text, _ = await call(client, "customer")
        equal(text, "The card is [CARD_1].")


async def blocked_call(at):
    async with at.client() as client:
        await blocked(call(client, "echo", text=ATTACK), direction="request")
        await still_works(client)


async def blocked_result(at):
    async with at.client() as client:
        await blocked(call(client, "page"), direction="response")
        await still_works(client)


async def blocked_description(at):
    async with at.client("/poisoned") as client:
        await blocked(client.list_tools(), direction="response")


async def resumable_allowed(at):
    async with at.client("/resumable") as client:
        await still_works(client)


async def resumable_blocked_result(at):
    """A client that gets no answer to its request would ask for the rest of the stream again and again."""
    async with at.client("/resumable") as client:
        await blocked(call(client, "page"), direction="response")
        await still_works(client)


async def answer_to_the_server(at):
    """The server asks back while it works, and the answer goes the same way as any request."""

    async def answer(_context, _params):
        return ElicitResult(action="accept", content={"note": WITH_CARD})

    async with at.client(elicitation_callback=answer) as client:
        text, _ = await call(client, "ask")
        equal(text, "Charge [CARD_1], please. (24 characters)")


async def stream_of_the_session(at):
    """A GET that stays open carries what the server says of its own accord."""
    heard = asyncio.Event()

    async def hear(message):
        if getattr(message, "method", "") == "notifications/tools/list_changed":
            heard.set()

    async with at.client(message_handler=hear) as client:
        # What is said before the stream is open is lost.
        while not heard.is_set():
            await call(client, "announce")
            await asyncio.sleep(0.01)


SCENARIOS = [allowed, restored, card_of_the_answer_is_masked, blocked_call, blocked_result, blocked_description]
WITH_SESSION = [stream_of_the_session]
WITH_SESSION_AND_STREAM = [answer_to_the_server, resumable_allowed, resumable_blocked_result]

if __name__ == "__main__":
    base = sys.argv[1]
    for wire in ("json", "sse"):
        run([*SCENARIOS, *WITH_SESSION], At(base, wire, "legacy"), prefix=f"{wire}_with_session_")
        run(SCENARIOS, At(base, wire, "auto"), prefix=f"{wire}_")
    run(WITH_SESSION_AND_STREAM, At(base, "sse", "legacy"), prefix="sse_with_session_")
