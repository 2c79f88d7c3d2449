"""A WebSocket server: says its name, and then everything back. Arguments: ip, port, name."""

import asyncio
import sys

import websockets

ip, port, name = sys.argv[1:]


async def echo(socket):
    await socket.send(name)
    async for message in socket:
        await socket.send(message)


async def main():
    async with websockets.serve(echo, ip, int(port), max_size=None):
        print("listening", flush=True)
        await asyncio.Future()


asyncio.run(main())
