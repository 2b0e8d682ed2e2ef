"""A WebSocket server of the Python package `websockets`: greets whoever asks, then leaves the connection idle.

Its one argument says how, as JSON; it prints where it listens, and ends with its standard input.
"""

import asyncio
import json
import platform
import sys

import websockets
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

TASK = json.loads(sys.argv[1])
# As the package has it by itself, and so whatever the window.
SETTINGS = {"memLevel": 5}


async def greet(socket, *_):
    """The first message is the ask; nothing is ever published."""
    try:
        await socket.recv()
        await socket.send(TASK["hello"])
        await socket.wait_closed()
    except websockets.ConnectionClosed:
        pass


def extensions():
    """One window and one takeover for both directions, as the client asks for."""
    deflate = TASK["deflate"]
    if deflate is None:
        return []
    bits, forget = deflate["window_bits"], not deflate["takeover"]
    return [ServerPerMessageDeflateFactory(forget, forget, bits, bits, SETTINGS)]


async def main():
    """Serves until the parent closes the pipe."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin, ended.set)
    serve = websockets.serve(greet, "127.0.0.1", 0, compression=None, extensions=extensions())
    async with serve as server:
        port = next(iter(server.sockets)).getsockname()[1]
        said = {"port": port, "websockets": websockets.__version__, "python": platform.python_version()}
        print(json.dumps(said), flush=True)
        await ended.wait()


asyncio.run(main())
