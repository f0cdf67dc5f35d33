#!/usr/bin/python3
"""Measures an Exec URL over WebSocket (v4.channel.k8s.io): stream_client.py first|echo|bulk URL, one sample a line.

first: ms from the connection to the first byte of output; echo: ms of 200 round trips through `cat`; bulk: MB/s of all output.
"""
import asyncio
import sys
import time

import websockets

STDIN, STDOUT = b"\x00", b"\x01"


async def output(ws):
    """The next bytes of stdout; None at the end."""
    while True:
        try:
            message = await ws.recv()
        except websockets.exceptions.ConnectionClosed:
            return None
        if message[:1] == STDOUT and len(message) > 1:
            return message[1:]


async def echo(ws):
    for _ in range(200):
        start = time.perf_counter()
        await ws.send(STDIN + b"ping\n")
        got = b""
        while len(got) < 5:
            part = await output(ws)
            if part is None:
                sys.exit("the stream ended before the echo came")
            got += part
        print("%.3f" % ((time.perf_counter() - start) * 1000))


async def bulk(ws, start):
    total = 0
    while True:
        part = await output(ws)
        if part is None:
            break
        total += len(part)
    if total != 512 * 65536:
        sys.exit("%d bytes came in the place of %d" % (total, 512 * 65536))
    print("%.3f" % (total / 1e6 / (time.perf_counter() - start)))


async def main(kind, url):
    start = time.perf_counter()
    async with websockets.connect(url.replace("http", "ws", 1), subprotocols=["v4.channel.k8s.io"], compression=None, max_size=None) as ws:
        if kind == "first":
            if await output(ws) is None:
                sys.exit("the stream ended without output")
            print("%.3f" % ((time.perf_counter() - start) * 1000))
        elif kind == "echo":
            await echo(ws)
        else:
            await bulk(ws, start)


asyncio.run(main(sys.argv[1], sys.argv[2]))
