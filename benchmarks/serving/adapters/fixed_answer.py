"""What HTTP alone costs: servers that answer every request with the same bytes, and know no model.

`uvicorn fixed_answer:application` reads requests and writes answers as uvicorn does; `python fixed_answer.py` writes
what was prepared as soon as anything comes, reading nothing of it: the least that a server on Python's fastest event
loop can do.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

# The body of the answer, prepared by whoever starts this.
BODY = bytes.fromhex(os.environ["SERVED_ANSWER"])
LENGTH = b"content-length: %d\r\n" % len(BODY)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n%s\r\n%s" % (LENGTH, BODY)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """An ASGI application that reads the body and answers."""
    while (await receive())["more_body"]:
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": BODY})


class Fixed(asyncio.Protocol):
    """A connection. Requests of the load come in one piece each."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER)


async def main() -> None:
    """Serves until it is ended."""
    server = await asyncio.get_running_loop().create_server(Fixed, "127.0.0.1", int(os.environ["SERVED_PORT"]))
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
