"""What limpet's parser takes and Node's own does not, and the reverse: every difference is of a kind that is listed here, with the
reason why it does no harm. Where both take a head they read the same in it."""
import itertools
import json
import struct
import subprocess

import pytest

from harness import paths

RESULTS = ["done", "more", "invalid", "tls", "http2", "too many fields"]

HEADS = [
    b"GET / HTTP/1.1\r\nHost: a\r\nCookie: sid=1\r\n\r\n",
    b"GET /?sid=%31 HTTP/1.1\r\nHost: a\r\nA: 1\r\na: 2\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    b"GET / HTTP/1.1\r\nA:\r\n\r\n",
    b"GET / HTTP/1.1\r\nA: \t b \t\r\n\r\n",
    b"GET / HTTP/1.1\r\nA: \xc3\xa9\xff\r\n\r\n",
    b"GET / HTTP/1.1\r\nA: b\x01\r\n\r\n",
    b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
    b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
    b"GET / HTTP/1.1\r\n: b\r\n\r\n",
    b"GET / HTTP/1.1\nA: b\n\n",
    b"GET / HTTP/1.1\rA: b\r\r",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.2\r\n\r\n",
    b"GET / HTTP/2.0\r\n\r\n",
    b"GET / HTTP71.1\r\n\r\n",
    b"GET / HTTP/1.1 \r\n\r\n",
    b"GET  / HTTP/1.1\r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET / http/1.1\r\n\r\n",
    b"get / HTTP/1.1\r\n\r\n",
    b"ABC / HTTP/1.1\r\n\r\n",
    b"GET http://a/b?c=d#e HTTP/1.1\r\n\r\n",
    b"GET a HTTP/1.1\r\n\r\n",
    b"GET /\xa0 HTTP/1.1\r\n\r\n",
    b"GET /\x00 HTTP/1.1\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\n\r\n",
    b"\r\n" * 8 + b"GET / HTTP/1.1\r\n\r\n",
    b"\r\n" * 9 + b"GET / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 129 + b"\r\n",
    b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
]

# (limpet's result, Node's): why that does no harm. What is not here must not happen: above all not that limpet takes a head
# where Node waits for more of it, since then Node could read a key in it that limpet did not.
WORKER_REFUSES = "it is routed by what it says, and the worker answers 400 to it: nobody gets anything for it"
DIFFERENCES = {
    ("done", "invalid"): WORKER_REFUSES + " (unknown methods, bare line feeds, HTTP/1.2 to 1.9)",
    ("more", "invalid"): "limpet looks at whole lines and waits; it says so when the head ends, or when head_timeout does",
    ("tls", "invalid"): "handed off by another source, for workers that speak TLS; one that does not refuses it",
    ("http2", "invalid"): "handed off by another source, for workers that speak HTTP/2; one that does not refuses it",
    ("http2", "more"): "the same, earlier",
    ("invalid", "more"): "more than 16 empty line ends before a request: no client sends them",
    ("invalid", "done"): "limpet answers 400 to HTTP/0.9 and 2.0, to more than 16 empty line ends, to control characters and blanks where "
                         "RFC 9112 has none: stricter than the worker",
    ("too many fields", "done"): "431 past 128 fields: a bound of limpet's own",
}

NODES = ["node"] + [str(paths.MODULES / f"node{version}" / "bin" / "node") for version in (18, 22, 24)]


def corpus():
    return [path.read_bytes() for path in sorted((paths.TESTS / "fuzz" / "corpus" / "request_head").iterdir())]


def limpets(records):
    done = subprocess.run([paths.build() / "tests" / "integration" / "head_parse"], input=records, capture_output=True, check=True,
                          timeout=60)
    for line in done.stdout.decode().splitlines():
        result, *spans = line.split()
        spans = [bytes.fromhex(span[1:]) for span in spans]
        yield RESULTS[int(result)], spans


def nodes(node, records):
    done = subprocess.run([node, paths.TESTS / "clients" / "parse_heads.js"], input=records, capture_output=True, check=True,
                          timeout=60)
    for line in done.stdout.decode().splitlines():
        answer = json.loads(line)
        if answer["result"] == "done":
            yield "done", [answer["method"].encode(), answer["target"].encode("latin-1"),
                           *map(bytes.fromhex, answer["fields"])]
        else:
            yield answer["result"], []


def unfolded(span):
    """A folded value: limpet keeps its line ends, Node drops them. No key is in such a value that Node would read in it."""
    return span.replace(b"\r", b"").replace(b"\n", b"")


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.split("/")[-3] if "/" in node else node)
def test_every_difference_is_known(node):
    heads = HEADS + corpus()
    records = b"".join(struct.pack("<I", len(head)) + head for head in heads)
    seen = set()
    for head, ours, theirs in itertools.zip_longest(heads, limpets(records), nodes(node, records)):
        if ours[0] == theirs[0]:
            if ours[0] == "done":
                assert list(map(unfolded, ours[1])) == theirs[1], head
            continue
        assert (ours[0], theirs[0]) in DIFFERENCES, (head, ours, theirs)
        seen.add((ours[0], theirs[0]))
    # What only limpet or only Node takes is really among them.
    assert {("done", "invalid"), ("tls", "invalid"), ("too many fields", "done")} <= seen
