"""Talks through a WebSocket, waits until it is ended, and opens another; says what it saw as JSON.
Arguments: ip, address of the WebSocket, certificate."""

import asyncio
import json
import ssl
import sys
import time

import websockets

ip, address, certificate = sys.argv[1:]


def connect():
    secure = address.startswith("wss:")
    more = {}
    if secure:
        more["ssl"] = ssl.create_default_context(cafile=certificate)
        more["server_hostname"] = "www.ispot.example"
    port = int(address.split(":")[2].split("/")[0])
    return websockets.connect(address, host=ip, port=port, max_size=None, **more)


async def talk(socket):
    assert await socket.recv()
    for message in ["text: ünïcödé", b"bytes", "long " * 200_000, bytes(1_000_000)]:
        await socket.send(message)
        assert await socket.recv() == message
    await asyncio.wait_for(await socket.ping(), 10)


async def main():
    async with connect() as socket:
        await talk(socket)
        print("talked", flush=True)
        try:
            await asyncio.wait_for(socket.recv(), 60)
            raise SystemExit("a message from nobody")
        except websockets.ConnectionClosed as closed:
            ended, told = time.time(), closed.rcvd
    while True:
        try:
            async with connect() as socket:
                side = await socket.recv()
            break
        except (websockets.InvalidHandshake, OSError):
            await asyncio.sleep(0.05)
    print(json.dumps({"ended": ended, "told": told and told.code, "side": side}))


asyncio.run(main())
