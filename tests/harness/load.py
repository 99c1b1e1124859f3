"""Load with a memory: every connection has a number, and what became of it is known in the end.

A Load runs in a thread of its own and never fails a test by itself: the test looks at `outcomes` and `broken` when it is over.
"""
import asyncio
import collections
import json
import threading

SERVED = "served"            # the answer came, and it was this number's
REFUSED = "refused"          # connect() failed
RESET = "reset"              # a reset, or the end of the stream, before the answer was complete
TIMEOUT = "timed out"
WRONG = "wrong answer"
STATUS = "error status"      # limpet said 4xx or 5xx


class Load:
    """Short connections, `concurrency` at a time, and `pinned` long ones that echo numbered lines all the time.

    numbers    an iterator: each connection takes the next
    sources    how many client addresses; 127.1.x.y
    head       what follows the request line of short connections (bytes, with their line ends)
    """

    def __init__(self, address, numbers, *, concurrency=8, pinned=0, sources=64, pause=0.0, head=b"", seconds=10.0):
        self.address = address
        self.numbers = numbers
        self.concurrency = concurrency
        self.pinned = pinned
        self.sources = sources
        self.pause = pause
        self.head = head
        self.seconds = seconds
        self.outcomes = {}   # number -> outcome; pinned ones: of their first answer
        self.answers = {}    # number -> what the worker said of itself
        self.slowest = 0.0
        self.broken = []     # (number, why) of pinned connections
        self.echoes = 0
        self.open = 0        # pinned connections that work now
        self._stopping = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopping = True
        self._thread.join(self.seconds * 2 + 10)
        assert not self._thread.is_alive(), "the load does not end"

    def count(self, outcome):
        return sum(1 for found in list(self.outcomes.values()) if found == outcome)

    @property
    def served(self):
        return self.count(SERVED)

    def summary(self):
        counted = collections.Counter(self.outcomes.values())
        return (f"{len(self.outcomes)} attempted: " + ", ".join(f"{n} {what}" for what, n in counted.most_common())
                + f"; slowest {self.slowest:.3f} s; {self.pinned} pinned, {len(self.broken)} broken, {self.echoes} echoes")

    async def _run(self):
        await asyncio.gather(*(self._short(i) for i in range(self.concurrency)),
                             *(self._pin(i) for i in range(self.pinned)))

    def _source(self, number):
        number %= self.sources
        return f"127.1.{number // 250}.{number % 250 + 1}"

    async def _ask(self, number, path, head):
        """(reader, writer) if it was served, else None; notes the outcome."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        writer = None
        outcome = RESET
        try:
            async with asyncio.timeout(self.seconds):
                try:
                    reader, writer = await asyncio.open_connection(
                        *self.address, local_addr=(self._source(number), 0))
                except ConnectionError:
                    outcome = REFUSED
                    return None
                writer.write(f"GET {path} HTTP/1.1\r\n".encode() + head + b"Host: localhost\r\n\r\n")
                answer = await reader.readuntil(b"\r\n\r\n")
                if b" 200 " not in answer.split(b"\r\n")[0]:
                    outcome = STATUS
                    return None
                length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                said = json.loads(await reader.readexactly(length))
                outcome = SERVED if said["number"] == number else WRONG
                self.answers[number] = said
                return reader, writer
        except TimeoutError:
            outcome = TIMEOUT
        except (ConnectionError, asyncio.IncompleteReadError):
            outcome = RESET
        finally:
            self.outcomes[number] = outcome
            if outcome == SERVED:
                self.slowest = max(self.slowest, loop.time() - start)
            elif writer:
                writer.close()
        return None

    async def _short(self, _):
        while not self._stopping:
            number = next(self.numbers)
            answered = await self._ask(number, f"/{number}", self.head)
            if answered:
                answered[1].close()
            await asyncio.sleep(self.pause)

    async def _pin(self, _):
        number = next(self.numbers)
        answered = await self._ask(number, f"/pin/{number}", self.head)
        if not answered:
            self.broken.append((number, self.outcomes[number]))
            return
        reader, writer = answered
        self.open += 1
        sequence = 0
        try:
            while not self._stopping:
                line = b"%d:%d\n" % (number, sequence)
                writer.write(line)
                async with asyncio.timeout(self.seconds):
                    echo = await reader.readline()
                if echo != line:
                    self.broken.append((number, f"sent {line!r}, got {echo!r}"))
                    break
                sequence += 1
                self.echoes += 1
                await asyncio.sleep(0.02)
        except (OSError, TimeoutError) as problem:
            self.broken.append((number, repr(problem)))
        finally:
            self.open -= 1
            writer.close()
