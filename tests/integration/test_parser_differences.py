"""limpet's head parser beside that of the Node.js worker behind it.

limpet only looks at a head to find the key; the worker gets the same bytes and reads them for itself. The two may therefore
differ in what they accept, but not in silence: each such difference is in DIFFERENCES, with the reason why it does no harm.
What they may never differ in is the key, where both accept: that would send a client elsewhere than its session is.
"""
import collections
import fnmatch
import functools
import json
import re
import struct
import subprocess

import pytest

from harness import paths

SOURCES = ["cookie:sid", "cookie:a", "header:X", "header:A", "query:sid", "query:q", "path:1", "path:2"]
QUERY_NAMES = [source.removeprefix("query:") for source in SOURCES if source.startswith("query:")]
VERSIONS = [20, 22, 24, 26]
MEANING = {"DONE": "a request", "NEED_MORE": "waits"}  # anything else: refuses
CORPUS = sorted((paths.TESTS / "fuzz" / "corpus" / "request_head").iterdir())
KEYS = b"Cookie: a=1; sid=abc\r\nX: x\r\n"

Limpet = collections.namedtuple("Limpet", "result length target keys")
Difference = collections.namedtuple("Difference", "limpet node heads reason")


def get(fields=b"", target=b"/p/r?sid=q", method=b"GET", version=b"HTTP/1.1", end=b"\r\n"):
    return method + b" " + target + b" " + version + b"\r\n" + KEYS + fields + end


HEADS = {
    # Request lines.
    "no target": b"GET  HTTP/1.1\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "only a method": b"GET\r\n\r\n",
    "two spaces before the target": get(method=b"GET "),
    "two spaces behind the target": get(target=b"/ "),
    "a tab before the target": b"GET\t/ HTTP/1.1\r\n\r\n",
    "a space before the method": get(method=b" GET"),
    "a space behind the version": get(version=b"HTTP/1.1 "),
    "a bare LF behind the version": b"GET / HTTP/1.1\nA: b\r\n\r\n",
    "bare LFs everywhere": get().replace(b"\r\n", b"\n"),
    "a bare LF at the end": get(end=b"\n"),
    "a bare CR at the end": get(end=b"\rX"),
    "one empty line before": b"\r\n" + get(),
    "16 bytes of empty lines before": b"\r\n" * 8 + get(),
    "17 bytes of empty lines before": b"\n" * 17 + get(),
    "a bare LF before": b"\n" + get(),
    "a bare CR before": b"\r" + get(),
    **{f"version {version.decode()}": get(version=version) for version in (
        b"HTTP/0.9", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/1.9", b"HTTP/2.0", b"HTTP/3.0", b"HTTP/11.1", b"HTTP/1.10",
        b"HTTP/01.1", b"HTTP/1", b"HTTP/1.", b"HTTP/-1.1", b"http/1.1", b"HTTPS/1.1", b"ICE/1.0", b"RTSP/1.0")},
    **{f"method {method.decode()}": get(method=method) for method in (
        b"HEAD", b"QUERY", b"PROPFIND", b"M-SEARCH", b"MKCALENDAR", b"SOURCE", b"PRI", b"DESCRIBE", b"get", b"G",
        b"GETT", b"BREW", b"!#$%&'*+-.^_`|~", b"X" * 32, b"X" * 33, b"G\xc3\x89T", b"GET/", b"G(T", b"\x00GET")},
    # Targets.
    **{f"target {target.decode('latin-1')}": get(target=target) for target in (
        b"*", b"//p/r?sid=q", b"/../p", b"/p//r", b"/p?sid=1&sid=2", b"/p?sid", b"/p?sid=&sid=2", b"/p?%73id=%31",
        b"/p?sid=a+b%2", b"/p?sid=%zz%00", b"/p?sid=%ff%c3%a9", b"/p?SID=1", b"/p?x?sid=1", b"/p?a;sid=1", b"/p#f?sid=1",
        b"/p?sid=1#f", b"/p?sid=1#f#g", b"/p?&&sid=1", b"?sid=1", b"#", b"p", b"http://h", b"http://h/p?sid=1",
        b"HTTP://u:p@h:1/p/r?sid=1", b"http://h?sid=1", b"http:///p", b"http:/p", b"http:p", b"h:1", b"h2-x+y://h/p",
        b"x2://h/p", b"a@b", b"/p|{}^\\\"<>`", b"/%", b"/p;sid=1/r", b"/p%2Fr/s", b"/\x7f", b"/\xc3\xa9", b"/\x00")},
    "CONNECT with a port": get(method=b"CONNECT", target=b"h:443"),
    "CONNECT without a port": get(method=b"CONNECT", target=b"h"),
    "CONNECT of a path": get(method=b"CONNECT", target=b"/p"),
    "CONNECT of an IPv6 address": get(method=b"CONNECT", target=b"[::1]:443"),
    # Fields.
    "no colon": get(b"A\r\n"),
    "no name": get(b": b\r\n"),
    "a space before the colon": get(b"A : b\r\n"),
    "a tab before the colon": get(b"A\t: b\r\n"),
    "a space in the name": get(b"A B: b\r\n"),
    "a value without blanks": get(b"A:b\r\n"),
    "a value between blanks": get(b"A: \t b \t \r\n"),
    "an empty value": get(b"A:\r\nA: \t\r\nA: b\r\n"),
    "a bare CR before the LF": get(b"A: b\r\r\n"),
    "a bare CR in a value": get(b"A: b\rC: d\r\n"),
    "a bare LF behind a value": get(b"A: b\nB: c\r\n"),
    "a bare LF behind a cookie": get().replace(b"abc\r\n", b"abc\n"),
    "a field that begins with a blank": b"GET / HTTP/1.1\r\n A: b\r\n\r\n",
    "a folded value": get(b"A: b\r\n c\r\n"),
    "a value folded at a bare LF": get(b"A: b\n c\r\n"),
    "a value folded with a tab": get(b"A: b\r\n\t\tc\r\n"),
    "a value folded at its begin": get(b"A:\r\n b\r\n"),
    "a value folded at its end": get(b"A: b\r\n \r\n"),
    "a folded cookie": get(b"Cookie: b=1;\r\n sid=2\r\n").replace(b"sid=abc", b"c=3"),
    "a cookie in two fields": get(b"Cookie: sid=2\r\n"),
    "a cookie in the second field": get(b"cookie: sid=2\r\n").replace(b"sid=abc", b"c=3"),
    "a cookie twice": get(b"Cookie: b; sid=1; sid=2\r\n").replace(b"; sid=abc", b""),
    "a cookie between blanks": get(b"Cookie: b ;\t sid\t = v w \t;c\r\n").replace(b"; sid=abc", b""),
    "a cookie in quotes": get().replace(b"abc", b'"a;b"'),
    "a cookie with commas": get().replace(b"; sid", b", sid"),
    "an empty cookie and one more": get().replace(b"sid=abc", b"sid=; sid=2"),
    "a cookie that ends in the field": get(b"Cookie: si\r\nCookie: d=2\r\n").replace(b"; sid=abc", b""),
    "a field twice": get(b"X: y\r\nx: z\r\n"),
    # Bodies.
    "a body": get(b"Content-Length: 3\r\n", method=b"POST") + b"abc",
    "a body that is yet to come": get(b"Content-Length: 3\r\n", method=b"POST"),
    "a body of a GET": get(b"Content-Length: 3\r\n") + b"abc",
    "a second request": get() + get().replace(b"abc", b"xyz"),
    **{f"Content-Length {length.decode()}": get(b"Content-Length: " + length + b"\r\n", method=b"POST") for length in (
        b"", b"0", b"00", b"+1", b"-1", b"1 1", b"1,1", b"0x1", b"1e1", b"a", b"1\t", b"9" * 19, b"18446744073709551615",
        b"18446744073709551616", b"9" * 40)},
    "the same Content-Length twice": get(b"Content-Length: 1\r\nContent-Length: 1\r\n", method=b"POST"),
    "two Content-Lengths": get(b"Content-Length: 1\r\nContent-Length: 2\r\n", method=b"POST"),
    "Content-Length and chunked": get(b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", method=b"POST"),
    "chunked and Content-Length": get(b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", method=b"POST"),
    "Content-Length and no known coding": get(b"Content-Length: 1\r\nTransfer-Encoding: x\r\n", method=b"POST"),
    **{f"Transfer-Encoding {coding.decode('latin-1')}": get(b"Transfer-Encoding: " + coding + b"\r\n", method=b"POST")
       for coding in (b"chunked", b"CHUNKED", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"identity", b"",
                      b"xchunked", b"chunked;a=b", b"\x0bchunked", b"chunked ,")},
    "Transfer-Encoding twice": get(b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", method=b"POST"),
    "chunked in HTTP/1.0": get(b"Transfer-Encoding: chunked\r\n", method=b"POST", version=b"HTTP/1.0"),
    # Other protocols, upgrades.
    "WebSocket": get(b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"),
    "an upgrade to HTTP/2": get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"),
    "Upgrade without Connection": get(b"Upgrade: websocket\r\n"),
    "an upgrade with a body": get(b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n"),
    "Expect: 100-continue": get(b"Expect: 100-continue\r\nContent-Length: 1\r\n", method=b"POST"),
    "Expect: something": get(b"Expect: something\r\n"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "SSL 2": b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10",
    "a PROXY header": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + get(),
    "an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    # Sizes.
    "128 fields": get(b"A: b\r\n" * 126),
    "129 fields": get(b"A: b\r\n" * 127),
    "15 KB": get(b"A: " + b"b" * 15_000 + b"\r\n"),
    "17 KB": get(b"A: " + b"b" * 17_000 + b"\r\n"),
    "a target of 17 KB": get(target=b"/" + b"p" * 17_000),
    "a name of 17 KB": get(b"A" * 17_000 + b": b\r\n"),
    "79 KB": get(b"A: " + b"b" * 79_000 + b"\r\n"),
    "90 KB": get(b"A: " + b"b" * 90_000 + b"\r\n"),
    # Unfinished.
    **{f"{part} cut off": get(b"A: b\r\n")[:-cut] for part, cut in (
        ("the last LF", 1), ("the empty line", 2), ("the LF behind a value", 3), ("a value", 4), ("a colon", 7),
        ("a cookie", 18))},
}

# Each place of a head with each byte in it.
PLACES = {
    "before the method": b"%sGET /p HTTP/1.1\r\nA: b\r\n\r\n",
    "in the method": b"G%sT /p HTTP/1.1\r\nA: b\r\n\r\n",
    "behind the method": b"GET%s/p HTTP/1.1\r\nA: b\r\n\r\n",
    "first of the target": b"GET %s HTTP/1.1\r\nA: b\r\n\r\n",
    "before the path": b"GET %s/p HTTP/1.1\r\nA: b\r\n\r\n",
    "in the path": b"GET /p%sr/s?sid=1 HTTP/1.1\r\nA: b\r\n\r\n",
    "in the query": b"GET /p?q=a%sb&sid=1 HTTP/1.1\r\nA: b\r\n\r\n",
    "in the fragment": b"GET /p#a%s?sid=1 HTTP/1.1\r\nA: b\r\n\r\n",
    "in the authority": b"GET http://h%sh/p?sid=1 HTTP/1.1\r\nA: b\r\n\r\n",
    "in the scheme": b"GET h%s://h/p?sid=1 HTTP/1.1\r\nA: b\r\n\r\n",
    "behind the target": b"GET /p%sHTTP/1.1\r\nA: b\r\n\r\n",
    "in the version": b"GET /p HTTP/1.%s\r\nA: b\r\n\r\n",
    "behind the version": b"GET /p HTTP/1.1%s\r\nA: b\r\n\r\n",
    "for the first line's CR": b"GET /p HTTP/1.1%s\nA: b\r\n\r\n",
    "for the first line's LF": b"GET /p HTTP/1.1\r%sA: b\r\n\r\n",
    "before a name": b"GET /p HTTP/1.1\r\nB: c\r\n%sX: x\r\nA: b\r\n\r\n",
    "in a name": b"GET /p HTTP/1.1\r\nX%sY: x\r\nA: b\r\n\r\n",
    "behind a name": b"GET /p HTTP/1.1\r\nX%s: x\r\nA: b\r\n\r\n",
    "for the colon": b"GET /p HTTP/1.1\r\nX%sx\r\nA: b\r\n\r\n",
    "before a value": b"GET /p HTTP/1.1\r\nX:%sx\r\nA: b\r\n\r\n",
    "in a value": b"GET /p HTTP/1.1\r\nX: x%sy\r\nA: b\r\n\r\n",
    "behind a value": b"GET /p HTTP/1.1\r\nX: x%s\r\nA: b\r\n\r\n",
    "in a cookie's name": b"GET /p HTTP/1.1\r\nCookie: a=1; s%sid=2\r\nA: b\r\n\r\n",
    "in a cookie": b"GET /p HTTP/1.1\r\nCookie: a=1%s2; sid=2\r\nA: b\r\n\r\n",
    "behind a cookie": b"GET /p HTTP/1.1\r\nCookie: a=1;%ssid=2\r\nA: b\r\n\r\n",
    "for a value's CR": b"GET /p HTTP/1.1\r\nX: x%s\nA: b\r\n\r\n",
    "for a value's LF": b"GET /p HTTP/1.1\r\nX: x\r%sA: b\r\n\r\n",
    "for the last CR": b"GET /p HTTP/1.1\r\nA: b\r\n%s\n",
    "for the last LF": b"GET /p HTTP/1.1\r\nA: b\r\n\r%s",
    "in a length": b"POST /p HTTP/1.1\r\nContent-Length: 1%s1\r\nA: b\r\n\r\n",
    "behind a length": b"POST /p HTTP/1.1\r\nContent-Length: 1%s\r\nA: b\r\n\r\n",
    "in a coding": b"POST /p HTTP/1.1\r\nTransfer-Encoding: chunked%s\r\nA: b\r\n\r\n",
}

# What limpet says, what Node.js says (a code of its parser, or "a request"), names of heads as for fnmatch, and why it does no
# harm. Of Node.js 20 and later: 18 is far more lenient.
REFUSED_THERE = "The worker has the connection and the same bytes, finds this out for itself and answers 400: "
REFUSED_HERE = "No worker ever sees it: limpet answers 400. "
DIFFERENCES = [
    Difference("DONE", "HPE_INVALID_METHOD", ["method *", "[2-7]? before the method", "[2-7]? in the method"],
               REFUSED_THERE + "any token is a method to limpet, as new ones come (RFC 9110, 9.1)."),
    Difference("DONE", "HPE_INVALID_CONSTANT", ["method DESCRIBE"], REFUSED_THERE + "a method of RTSP."),
    Difference("DONE", "HPE_INVALID_VERSION", ["version HTTP/1.[29]", "3[2-9] in the version"],
               REFUSED_THERE + "all versions 1.x have the same form (RFC 9112, 2.3)."),
    Difference("DONE", "HPE_INVALID_VERSION",
               ["corpus: bare_lf", "a bare LF behind the version", "bare LFs everywhere", "0a behind the version",
                "0a for the first line's CR"],
               REFUSED_THERE + "a bare LF ends a line, as a recipient may have it (RFC 9112, 2.2)."),
    Difference("DONE", "HPE_CR_EXPECTED",
               ["a bare LF behind a *", "a value folded at a bare LF", "0a behind a value", "?? for a value's CR",
                "0a behind a length", "0a in a coding"],
               REFUSED_THERE + "a bare LF, behind a value."),
    Difference("DONE", "HPE_INVALID_HEADER_TOKEN", ["a bare LF at the end", "0a for the last CR", "0a before a name"],
               REFUSED_THERE + "a bare LF for the empty line."),
    Difference("DONE", "HPE_INVALID_HEADER_TOKEN",
               ["corpus: folded", "a folded *", "a value folded *", "09 before a name", "20 before a name"],
               REFUSED_THERE + "a folded value, which is obsolete (RFC 9112, 5.2); what is in it is part of the key."),
    Difference("NEED_MORE", "HPE_INVALID_HEADER_TOKEN", ["09 for the last CR", "20 for the last CR"],
               "A folded value begins: limpet waits for its end, for as long as a head may take."),
    Difference("DONE", "HPE_INVALID_TRANSFER_ENCODING",
               ["Transfer-Encoding chunked, gzip", "Transfer-Encoding chunked, chunked", "Transfer-Encoding chunked ,",
                "2c in a coding", "Transfer-Encoding "],
               REFUSED_THERE + "limpet has no business with the body."),
    Difference("DONE", "HPE_HEADER_OVERFLOW", ["17 KB", "a target of 17 KB", "a name of 17 KB", "79 KB"],
               "The worker answers 431: its limit is 16 KB, and can be set."),
    Difference("INVALID", "a request",
               ["corpus: http09", "no version", "version HTTP/0.9", "[2-7]? behind the target"],
               REFUSED_HERE + "HTTP/0.9 has no fields, and no browser speaks it. Without the space before it, what was meant "
               "for the version is part of the target."),
    Difference("INVALID", "a request", ["version HTTP/2.0", "version RTSP/1.0"],
               REFUSED_HERE + "Neither is a version of HTTP/1."),
    Difference("INVALID", "a request", ["17 bytes of empty lines before"],
               REFUSED_HERE + "A client that sends nothing but line ends would cost a parse for each."),
    Difference("INVALID", "waits", ["corpus: only_lines"], REFUSED_HERE + "The same; Node.js waits for the rest."),
    Difference("INVALID", "a request", ["a bare CR before", "0d before the method"],
               REFUSED_HERE + "A CR without an LF is nothing to limpet, wherever it is."),
    Difference("INVALID", "a request", ["Content-Length 18446744073709551615"],
               REFUSED_HERE + "http-parser has this number for a length that is unknown."),
    Difference("INVALID", "a request", ["Content-Length 1\t", "09 behind a length"],
               REFUSED_HERE + "http-parser takes spaces behind a length, but no tabs. They would be allowed; nobody sends them."),
    Difference("TOO_MANY_FIELDS", "a request", ["corpus: too_many_fields", "129 fields"],
               "No worker ever sees it: limpet answers 431 beyond 128 fields. Node.js takes 2000."),
    Difference("NEED_MORE", "HPE_INVALID_METHOD", ["corpus: tls_begins"],
               "limpet waits for the second byte to tell TLS from nonsense."),
    Difference("NEED_MORE", "HPE_INVALID_METHOD", ["corpus: fuzz-*"],
               "A few bytes of what may become a method: limpet takes any token for one, and waits for the rest of the line."),
]


def all_heads():
    heads = {f"corpus: {path.name}": path.read_bytes() for path in CORPUS}
    heads.update(HEADS)
    for place, head in PLACES.items():
        before, behind = head.split(b"%s")
        heads.update({f"{byte:02x} {place}": before + bytes([byte]) + behind for byte in range(256)})
    return heads


def framed(heads):
    return b"".join(struct.pack(">I", len(head)) + head for head in heads.values())


def run(*command, heads):
    done = subprocess.run(command, input=framed(heads), capture_output=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr.decode()
    lines = done.stdout.decode().removesuffix("\n").split("\n")  # splitlines() would split at U+0085 as well
    assert len(lines) == len(heads)
    return lines


def ask_limpet(heads):
    found = {}
    for name, line in zip(heads, run(paths.build() / "tests" / "tools" / "head_check", *SOURCES, heads=heads)):
        result, *rest = line.split(" ")
        length, target = (int(rest[0]), bytes.fromhex(rest[1])) if rest else (0, b"")
        keys = [None if key == "-" else bytes.fromhex(key) for key in rest[2:]]
        found[name] = Limpet(result, length, target, dict(zip(SOURCES, keys)))
    return found


def ask_node(version, heads):
    program = paths.MODULES / f"node{version}" / "bin" / "node"
    lines = run(program, paths.TESTS / "tools" / "head_check.js", *QUERY_NAMES, heads=heads)
    return dict(zip(heads, map(json.loads, lines)))


# What an application finds in what Node.js gives it, written down apart from limpet: None for an empty value, too.

def cookie_of(answer, name):
    for part in answer["cookie"].split(";"):
        found, equals, value = part.partition("=")
        if equals and found.strip(" \t\r\n") == name:
            return value.strip(" \t\r\n").encode("latin-1")
    return None


def header_of(answer, name):
    names, values = answer["fields"][0::2], answer["fields"][1::2]
    # Where a field is there twice, Node.js joins the values: the first is at the front.
    return next((value.encode("latin-1") for found, value in zip(names, values)
                 if found.lower() == name.lower() and value), None)


def segment_of(answer, number):
    path = re.split("[?#]", answer["url"], maxsplit=1)[0]
    if not path.startswith("/"):
        rest = re.fullmatch(r"[^:]*://[^/]*(/.*)", path)
        path = rest[1] if rest else ""
    return dict(enumerate(path.split("/"))).get(number, "").encode("latin-1")


def key_of(answer, source):
    kind, name = source.split(":")
    if kind == "query":
        return answer["query"][name]
    return {"cookie": cookie_of, "header": header_of, "path": lambda *_: segment_of(answer, int(name))}[kind](answer, name)


def as_node_has_it(source, key):
    """URLSearchParams decodes to text, in which bytes that are not UTF-8 are lost; everything else is bytes."""
    return key.decode("utf-8", "replace") if key and source.startswith("query:") else key


def node_says(answer):
    return {200: "a request", 0: "waits"}.get(answer["result"]) or answer["code"]


@pytest.fixture(scope="module")
def heads():
    return all_heads()


@pytest.fixture(scope="module")
def limpets(heads):
    return ask_limpet(heads)


@pytest.fixture(scope="module")
def nodes(heads):
    """Asks a version of Node.js, once."""
    return functools.cache(lambda version: ask_node(version, heads))


@pytest.fixture(scope="module")
def differing(limpets, nodes):
    """{(name, what limpet says, what Node.js says)} of a version of Node.js."""
    def of(version):
        said = {name: node_says(answer) for name, answer in nodes(version).items()}
        return {(name, limpet.result, said[name]) for name, limpet in limpets.items()
                if MEANING.get(limpet.result, "refuses") != (said[name] if said[name] in MEANING.values() else "refuses")}
    return functools.cache(of)


@pytest.mark.parametrize("version", [18, *VERSIONS])
def test_both_find_the_same_key(heads, limpets, nodes, version):
    compared = collections.Counter()
    wrong = []
    for name, limpet in limpets.items():
        node = nodes(version)[name]
        if limpet.result != "DONE" or node["result"] != 200:
            continue
        if limpet.target.decode("latin-1") != node["url"]:
            wrong.append((name, heads[name][:200], "target", limpet.target, node["url"]))
        for source in SOURCES:
            here, there = as_node_has_it(source, limpet.keys[source]), key_of(node, source) or None
            compared[source] += here is not None
            if here != there:
                wrong.append((name, heads[name][:200], source, here, there))
    assert not wrong, "\n".join(map(str, wrong))
    assert all(compared[source] > 20 for source in SOURCES), compared


def listed(name, limpet, node):
    return [(difference, pattern) for difference in DIFFERENCES if (limpet, node) == difference[:2]
            for pattern in difference.heads if fnmatch.fnmatchcase(name, pattern)]


@pytest.mark.parametrize("version", VERSIONS)
def test_no_difference_that_is_not_listed(heads, differing, version):
    new = [(*found, heads[found[0]][:200]) for found in sorted(differing(version)) if len(listed(*found)) != 1]
    assert not new, "\n".join(map(str, new))


def test_nothing_is_listed_that_is_no_difference(differing):
    seen = {pattern for version in VERSIONS for found in differing(version) for _, pattern in listed(*found)}
    assert not [pattern for difference in DIFFERENCES for pattern in difference.heads if pattern not in seen]
