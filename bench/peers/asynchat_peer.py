"""The asynchat of CPython (up to 3.11): `asynchat_peer.py <mode> ...`, see ../peers.ts for the modes."""

import asynchat
import asyncore
import socket
import sys
import time

SEPARATORS = {"crlf": b"\r\n", "lf": b"\n"}


class Counter(asynchat.async_chat):
    """Counts frames and their bytes."""

    def __init__(self, sock=None, map=None):
        super().__init__(sock, map)
        self.frames = self.bytes = 0

    def collect_incoming_data(self, data):
        self.bytes += len(data)

    def found_terminator(self):
        self.frames += 1

    def handle_close(self):
        self.close()
        print(self.frames, self.bytes, flush=True)


class Lines(Counter):
    def __init__(self, sock=None, map=None):
        super().__init__(sock, map)
        self.set_terminator(SEPARATORS[sys.argv[2]])


class Prefixed(Counter):
    def __init__(self, sock):
        super().__init__(sock)
        self.head = []
        self.in_body = False
        self.set_terminator(4)

    def collect_incoming_data(self, data):
        if self.in_body:
            self.bytes += len(data)
        else:
            self.head.append(data)

    def found_terminator(self):
        if self.in_body:
            self.frames += 1
            self.set_terminator(4)
        else:
            self.set_terminator(int.from_bytes(b"".join(self.head), "big"))
            self.head.clear()
        self.in_body = not self.in_body


class Echo(asynchat.async_chat):
    def __init__(self, sock):
        super().__init__(sock)
        self.parts = []
        self.set_terminator(b"\r\n")

    def collect_incoming_data(self, data):
        self.parts.append(data)

    def found_terminator(self):
        self.push(b"".join(self.parts) + b"\r\n")
        self.parts = []


class Greeter(asynchat.async_chat):
    """The greeter as it was written with asyncore: HTTP/1.0, one request a connection."""

    def __init__(self, sock):
        super().__init__(sock)
        self.parts = []
        self.set_terminator(b"\r\n\r\n")

    def collect_incoming_data(self, data):
        self.parts.append(data)

    def answer(self, status):
        request = b"".join(self.parts).decode("latin-1")
        self.parts = []
        name = request.split("\r\n", 1)[0].split(" ")[1][1:]
        page = f"<html>\r\n<body>\r\nHello {name}! \r\n</body>\r\n</html>\r\n".encode("latin-1")
        # wrk treats an answer without a length as broken.
        self.push(status + b"\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(page))
        self.push(page)

    def found_terminator(self):
        self.answer(b"HTTP/1.0 200 OK")
        self.close_when_done()


class KeptGreeter(Greeter):
    """The same, with the minimal change that keeps the connection."""

    def found_terminator(self):
        self.answer(b"HTTP/1.1 200 OK")


class Server(asyncore.dispatcher):
    def __init__(self, chat):
        super().__init__()
        self.chat = chat
        self.create_socket(socket.AF_INET, socket.SOCK_STREAM)
        self.bind(("127.0.0.1", 0))
        self.listen(511)
        print(self.socket.getsockname()[1], flush=True)

    def handle_accepted(self, sock, addr):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.chat(sock)


def memory(separator, path, times, piece, seconds):
    """Reads the bytes of the file over and over, without a socket: `recv` returns them."""
    with open(path, "rb") as file:
        data = file.read()

    def run(seconds):
        chat = Lines(map={})
        offset = 0

        def recv(_size):
            return data[offset : offset + piece]

        start = time.perf_counter()
        while True:
            chat.recv = recv
            for _ in range(times):
                for offset in range(0, len(data), piece):
                    chat.handle_read()
            chat.recv = lambda _size: separator
            chat.handle_read()
            passed = time.perf_counter() - start
            if passed >= seconds:
                return chat.frames, chat.bytes, passed

    run(seconds / 4)
    print(*run(seconds))


def main():
    mode = sys.argv[1]
    if mode == "memory":
        return memory(SEPARATORS[sys.argv[2]], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6]))
    greeter = KeptGreeter if sys.argv[2:] == ["keep"] else Greeter
    Server({"lines": Lines, "prefixed": Prefixed, "echo": Echo, "http": greeter}[mode])
    asyncore.loop(use_poll=True)


main()
