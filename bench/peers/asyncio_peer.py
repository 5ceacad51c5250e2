"""The streams of CPython's asyncio: `asyncio_peer.py <mode> ...`, see ../peers.ts for the modes."""

import asyncio
import socket
import sys

SEPARATORS = {"crlf": b"\r\n", "lf": b"\n"}


async def lines(reader, writer):
    separator = SEPARATORS[sys.argv[2]]
    frames = size = 0
    try:
        while True:
            size += len(await reader.readuntil(separator)) - len(separator)
            frames += 1
    except asyncio.IncompleteReadError:
        writer.close()
        print(frames, size, flush=True)


async def prefixed(reader, writer):
    frames = size = 0
    try:
        while True:
            head = await reader.readexactly(4)
            size += len(await reader.readexactly(int.from_bytes(head, "big")))
            frames += 1
    except asyncio.IncompleteReadError:
        writer.close()
        print(frames, size, flush=True)


async def echo(reader, writer):
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        while True:
            writer.write(await reader.readuntil(b"\r\n"))
            await writer.drain()
    except asyncio.IncompleteReadError:
        writer.close()


async def main():
    handle = {"lines": lines, "prefixed": prefixed, "echo": echo}[sys.argv[1]]
    server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=511)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
