"""Plays conversations with CPython's own asynchat.

Reads one JSON object a line, answers with one JSON object a line. The module under the hooks is the real one, from the
readiness events (`asyncore.read`, `asyncore.write`) down to `recv` and `send`. Only the socket is simulated: it returns
the chunks of the conversation, and takes as many bytes a write as the conversation says. Nothing blocks.

Bytes are written as text, one character (U+0000 to U+00FF) a byte. conversation.ts documents the fields.
"""

import errno
import json
import sys
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import asynchat
    import asyncore

# More events than any conversation has: an endless loop is a bug in the conversation, and raises.
MAX_TURNS = 100_000


def to_bytes(text):
    return text.encode("latin-1")


def to_text(data):
    return bytes(data).decode("latin-1")


class Socket:
    """The peer of a conversation, as a non-blocking socket."""

    def __init__(self, conversation):
        chunks = conversation["chunks"]
        self.chunks = [to_bytes(chunk) for chunk in chunks.split("|")] if chunks else []
        self.pauses = conversation.get("pauses", [])
        self.takes = conversation.get("takes", [1 << 30])
        self.fault = conversation.get("fault")
        self.ended = False
        self.reads = 0
        self.sends = 0
        self.sent = b""

    def setblocking(self, flag):
        pass

    def getpeername(self):
        return ("peer", 0)

    def fileno(self):
        return 0

    def close(self):
        pass

    def recv(self, size):
        self.reads += 1
        if self.reads in self.pauses:
            raise BlockingIOError(errno.EAGAIN, "no data yet")
        if not self.chunks:
            if self.fault:
                raise OSError(getattr(errno, self.fault), self.fault)
            self.ended = True
            return b""
        data, rest = self.chunks[0][:size], self.chunks[0][size:]
        self.chunks[:1] = [rest] if rest else []
        return data

    def send(self, data):
        room = self.takes[self.sends % len(self.takes)]
        self.sends += 1
        if room == 0:
            raise BlockingIOError(errno.EAGAIN, "would block")
        if room < 0:
            raise BrokenPipeError(errno.EPIPE, "the peer is gone")
        taken = bytes(data[:room])
        self.sent += taken
        return len(taken)


class Pieces:
    """A producer of these pieces."""

    def __init__(self, pieces):
        self.pieces = [to_bytes(piece) for piece in pieces]

    def more(self):
        return self.pieces.pop(0) if self.pieces else b""


class Thrower:
    """A producer that fails."""

    def more(self):
        raise RuntimeError("as the conversation says")


class Chat(asynchat.async_chat):
    """Performs the steps of the conversation in its hooks, and records the hook calls."""

    def __init__(self, conversation, sock, channels):
        super().__init__(sock, channels)
        self.ac_in_buffer_size = conversation.get("readSize", self.ac_in_buffer_size)
        self.ac_out_buffer_size = conversation.get("sendSize", self.ac_out_buffer_size)
        self.steps = conversation["steps"][1:]
        self.on_data = conversation.get("onData", [])
        self.gather = conversation.get("gather", False)
        self.echo = conversation.get("echo", False)
        self.goes_on = conversation.get("goesOn", False)
        self.events = []
        self.held = b""
        self.data_calls = 0
        try:
            self.perform(conversation["steps"][0])
        except Exception:
            self.handle_error()

    def log_info(self, message, type="info"):
        pass  # the event is recorded

    def handle_connect(self):
        self.events.append(["handle_connect"])

    def collect_incoming_data(self, data):
        if self.gather:
            self._collect_incoming_data(data)
        else:
            self.record_data(data)
        if self.echo:
            self.push(data)
        call = self.data_calls
        self.data_calls += 1
        if call < len(self.on_data):
            self.perform(self.on_data[call])

    def found_terminator(self):
        self.record_gathered()
        self.events.append(["found", self.terminator_now()])
        if self.steps:
            self.perform(self.steps.pop(0))

    def handle_close(self):
        self.record_gathered()
        self.events.append(["handle_close"])
        if self.socket.ended:
            self.held = self.ac_in_buffer
        super().handle_close()

    def handle_error(self):
        self.events.append(["error", sys.exc_info()[0].__name__])
        if not self.goes_on:
            super().handle_error()

    def record_data(self, data):
        if data and self.events and self.events[-1][0] == "data":
            self.events[-1][1] += to_text(data)
        else:
            self.events.append(["data", to_text(data)])

    def record_gathered(self):
        data = self._get_data()
        if data:
            self.record_data(data)

    def terminator_now(self):
        terminator = getattr(self, "terminator", None) or None
        return to_text(terminator) if isinstance(terminator, bytes) else terminator

    def perform(self, step):
        for operation, *arguments in step:
            getattr(self, "do_" + operation)(*arguments)

    def do_terminator(self, terminator):
        self.set_terminator(to_bytes(terminator) if isinstance(terminator, str) else terminator)

    def do_push(self, data):
        self.push(to_bytes(data) if isinstance(data, str) else data)

    def do_push_noted(self, data):
        self.events.append(["pushed", self.push(to_bytes(data))])

    def do_push_bytearray(self, data):
        self.push(bytearray(to_bytes(data)))

    def do_push_view(self, data):
        self.push(memoryview(b"<" + to_bytes(data) + b">")[1:-1])

    def do_push_text(self, text):
        self.push(text)

    def do_produce(self, pieces):
        self.push_with_producer(Pieces(pieces))

    def do_produce_simple(self, data, buffer_size):
        self.push_with_producer(asynchat.simple_producer(to_bytes(data), buffer_size))

    def do_produce_bytes(self, data):
        self.push_with_producer(to_bytes(data))

    def do_note_terminator(self):
        self.events.append(["terminator", self.terminator_now()])

    def do_note_queue(self):
        self.events.append(["queued", sum(map(len, self.producer_fifo))])

    def do_produce_throwing(self):
        self.push_with_producer(Thrower())

    def do_discard_buffers(self):
        self.discard_buffers()

    def do_close_when_done(self):
        self.events.append(["close_when_done"])
        self.close_when_done()

    def do_close(self):
        self.events.append(["close"])
        self.close()

    def do_throw(self):
        raise RuntimeError("as the conversation says")


def converse(conversation):
    """Plays a conversation to its end, as `asyncore.loop` would."""
    channels = {}
    sock = Socket(conversation)
    chat = Chat(conversation, sock, channels)
    writes = conversation.get("writes", [1])
    for turn in range(MAX_TURNS):
        if not channels:
            break
        if not sock.chunks and not conversation.get("hasty"):
            # The peer reads everything before it ends, so that what is sent does not depend on timing.
            write(chat, channels, MAX_TURNS)
        if channels:
            asyncore.read(chat)
        write(chat, channels, writes[turn % len(writes)])
    else:
        raise RuntimeError("the conversation does not end")
    return {
        "events": chat.events,
        "sent": to_text(sock.sent),
        "held": to_text(chat.held),
        "terminator": chat.terminator_now(),
    }


def write(chat, channels, times):
    for _ in range(times):
        if not (channels and chat.writable()):
            return
        asyncore.write(chat)


class ListeningSocket:
    """A socket whose `accept` has these outcomes: an errno, or the name of a connection."""

    def __init__(self, outcomes):
        self.outcomes = list(outcomes)

    def fileno(self):
        return 0

    def close(self):
        pass

    def accept(self):
        outcome = self.outcomes.pop(0)
        if hasattr(errno, outcome):
            raise OSError(getattr(errno, outcome), outcome)
        return outcome, ("peer", 0)


class Listener(asyncore.dispatcher):
    """A listening channel that raises for a connection named "throw"."""

    def __init__(self, sock, channels):
        super().__init__(map=channels)
        self.events = []
        self.set_socket(sock, channels)
        self.accepting = True

    def log_info(self, message, type="info"):
        pass

    def handle_accepted(self, sock, addr):
        self.events.append(["accepted", sock])
        if sock == "throw":
            raise RuntimeError("as the name says")

    def handle_error(self):
        self.events.append(["error", sys.exc_info()[0].__name__])
        super().handle_error()


def listen(outcomes):
    channels = {}
    sock = ListeningSocket(outcomes)
    listener = Listener(sock, channels)
    while channels and sock.outcomes:
        asyncore.read(listener)
    return {"events": listener.events, "listening": bool(channels)}


def find_prefixes(pairs):
    return {"lengths": [asynchat.find_prefix_at_end(to_bytes(hay), to_bytes(needle)) for hay, needle in pairs]}


ANSWERS = {"conversation": converse, "listener": listen, "prefixes": find_prefixes}


def main():
    sys.stdin.reconfigure(encoding="utf-8", newline="\n")
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    for line in sys.stdin:
        ((question, content),) = json.loads(line).items()
        print(json.dumps(ANSWERS[question](content), ensure_ascii=False, separators=(",", ":")))


main()
