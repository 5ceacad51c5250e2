"""asyncio's streams: sink, and the terminator, crlf or lf."""
import asyncio, sys

terminator = b"\n" if sys.argv[2:] == ["lf"] else b"\r\n"


async def sink(reader, writer):
    frames = count = 0
    try:
        while True:
            count += len(await reader.readuntil(terminator)) - len(terminator)
            frames += 1
    except asyncio.IncompleteReadError:
        writer.write(b"%d %d" % (frames, count))
    writer.close()


async def main():
    server = await asyncio.start_server(sink, "127.0.0.1", 0, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
