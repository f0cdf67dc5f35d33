#!/usr/bin/python3
"""A client of exec, attach and port-forward on Debian's python3-websockets, which knows nothing of Kubernetes.

Usage: ws.py URL PROTOCOL STEPS [CA]
PROTOCOL may be "". STEPS is JSON: ["send", CHANNEL, TEXT], ["expect", CHANNEL, TEXT] (waits until the channel's text ends
so), ["finish", CHANNEL] (v5), ["ping"], ["parts", CHANNEL, [TEXT, ...]] (one message in fragments), ["end"] (waits for the
server's Close), ["leave"]. Prints JSON: protocol, channels (texts), code, reason.
"""
import asyncio
import base64
import json
import ssl
import sys

import websockets

LIMIT = 20


class Client:
    def __init__(self, ws):
        self.ws, self.texts = ws, {}
        self.base64 = "base64" in (ws.subprotocol or "")

    def encode(self, channel, data):
        return chr(48 + channel) + base64.b64encode(data).decode() if self.base64 else bytes([channel]) + data

    async def take(self):
        message = await self.ws.recv()
        if self.base64:
            channel, data = ord(message[0]) - 48, base64.b64decode(message[1:], validate=True)
        else:
            channel, data = message[0], message[1:]
        self.texts[channel] = self.texts.get(channel, b"") + data

    async def act(self, what, *args):
        if what == "send":
            await self.ws.send(self.encode(args[0], args[1].encode()))
        elif what == "parts":
            parts = [part.encode() for part in args[1]]
            await self.ws.send([bytes([args[0]]) + parts[0]] + parts[1:])
        elif what == "finish":
            await self.ws.send(bytes([255, args[0]]))
        elif what == "ping":
            await (await self.ws.ping())
        elif what == "expect":
            while not self.texts.get(args[0], b"").endswith(args[1].encode()):
                await self.take()
        elif what == "end":
            try:
                while True:
                    await self.take()
            except websockets.ConnectionClosed:
                pass
        elif what == "leave":
            await self.ws.close()


async def main():
    url, protocol, steps = sys.argv[1:4]
    context = ssl.create_default_context(cafile=sys.argv[4]) if len(sys.argv) > 4 else None
    async with websockets.connect(url.replace("http", "ws", 1), subprotocols=[protocol] if protocol else None, max_size=None,
                                  ssl=context) as ws:
        client = Client(ws)
        for step in json.loads(steps):
            await client.act(*step)
        print(json.dumps({"protocol": ws.subprotocol or "", "code": ws.close_code, "reason": ws.close_reason,
                          "channels": {k: v.decode("latin-1") for k, v in client.texts.items()}}))


asyncio.run(asyncio.wait_for(main(), LIMIT))
