#!/usr/bin/python3
"""The foreign client of websocket_client_test.c: python3-websockets, which owes Kubernetes nothing, on a socket by number."""
import asyncio, base64, socket, sys
import websockets


def connect(fd, protocols, **more):
    sock = socket.socket(fileno=int(fd))
    return websockets.connect("ws://node/exec/token", sock=sock, subprotocols=protocols, max_size=None, **more)


async def v5(fd):
    async with connect(fd, ["v9.channel.k8s.io", "v5.channel.k8s.io", "v4.channel.k8s.io"]) as ws:
        assert ws.subprotocol == "v5.channel.k8s.io", ws.subprotocol
        assert await ws.recv() == b"\1"
        await ws.send(b"\0hello")
        assert await ws.recv() == b"\1hello"
        await ws.send([b"\0in", b"", b" many", b" fragments"])
        assert await ws.recv() == b"\1in many fragments"
        await (await ws.ping(b"alive?"))
        await ws.send(b'\4{"Width":80,"Height":24}\n')
        assert await ws.recv() == b"\00280x24"
        for n in (124, 125, 126, 65534, 65535, 65536, 1024 * 1024 - 1):
            await ws.send(b"\0" + b"x" * n)
            assert await ws.recv() == b"\1" + b"x" * n, n
        await ws.send(b"\xff\0")
        assert await ws.recv() == b'\3{"status":"Success"}'
        await closed(ws, 1000)


async def text(fd):
    async with connect(fd, ["v4.base64.channel.k8s.io"]) as ws:
        assert await ws.recv() == "1"
        await ws.send("0" + base64.b64encode(b"\xff\0hello").decode())
        answer = await ws.recv()
        assert answer[0] == "1" and base64.b64decode(answer[1:]) == b"\xff\0hello", answer
        await ws.send("0!!!!")
        await closed(ws, 1007)


async def big(fd):
    async with connect(fd, None) as ws:
        assert ws.subprotocol is None and await ws.recv() == b"\1"
        await ws.send(b"\0" * (1024 * 1024 + 1))
        await closed(ws, 1009)


async def leaves(fd):
    async with connect(fd, ["channel.k8s.io"]) as ws:
        assert await ws.recv() == b"\1"
        await ws.close(3000, "enough")
        assert ws.close_code == 3000, ws.close_code


async def closed(ws, code):
    try:
        raise AssertionError(await ws.recv())
    except websockets.ConnectionClosed as end:
        assert end.rcvd.code == code, end


asyncio.run(asyncio.wait_for(globals()[sys.argv[1]](sys.argv[2]), 20))
