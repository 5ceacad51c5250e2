"""CPython's asynchat: sink | sink4 | echo | greet, and for sink the terminator, crlf or lf."""
import asynchat, asyncore, socket, struct, sys

what, terminator = sys.argv[1], b"\n" if sys.argv[2:] == ["lf"] else b"\r\n"


class Sink(asynchat.async_chat):
    ac_in_buffer_size = 65536
    frames = bytes = 0

    def __init__(self, sock):
        super().__init__(sock)
        self.set_terminator(terminator)

    def collect_incoming_data(self, data):
        self.bytes += len(data)

    def found_terminator(self):
        self.frames += 1

    def handle_close(self):
        self.socket.setblocking(True)
        self.socket.sendall(b"%d %d" % (self.frames, self.bytes))
        self.close()


class Sink4(Sink):
    def __init__(self, sock):
        super().__init__(sock)
        self.set_terminator(4)
        self.head, self.in_head = b"", True

    def collect_incoming_data(self, data):
        if self.in_head:
            self.head += data
        else:
            self.bytes += len(data)

    def found_terminator(self):
        if self.in_head:
            self.set_terminator(struct.unpack(">I", self.head)[0])
        else:
            self.frames += 1
            self.head = b""
            self.set_terminator(4)
        self.in_head = not self.in_head


class Echo(asynchat.async_chat):
    def __init__(self, sock):
        super().__init__(sock)
        self.set_terminator(b"\r\n")
        self.line = []

    def collect_incoming_data(self, data):
        self.line.append(data)

    def found_terminator(self):
        self.push(b"".join(self.line) + b"\r\n")
        self.line = []


class Greet(Echo):
    def __init__(self, sock):
        super().__init__(sock)
        self.set_terminator(b"\r\n\r\n")

    def found_terminator(self):
        head = b"".join(self.line)
        self.line = []
        name = head.split(b" ", 2)[1][1:]
        page = b"<html>\r\n<body>\r\nHello %s! \r\n</body>\r\n</html>\r\n" % name
        close = b"\r\nConnection: close" in head
        self.push(b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n%s\r\n%s"
                  % (len(page), b"Connection: close\r\n" if close else b"", page))
        if close:
            self.close_when_done()


class Server(asyncore.dispatcher):
    def __init__(self):
        super().__init__()
        self.create_socket()
        self.bind(("127.0.0.1", 0))
        self.listen(1024)
        print(self.socket.getsockname()[1], flush=True)

    def handle_accepted(self, sock, address):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        {"sink": Sink, "sink4": Sink4, "echo": Echo, "greet": Greet}[what](sock)


server = Server()
asyncore.loop(use_poll=True)
