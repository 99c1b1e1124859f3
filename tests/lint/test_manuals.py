"""The manuals list what the source lists: counters, answers, options, environment, keys."""
import re
import subprocess

import pytest

from harness import paths, servers

BEGIN = '.\\" The list of counters: a test compares it with src/stats/counters.h\n'
END = '.\\" End of the list of counters\n'
PAGES = sorted((paths.ROOT / "man").glob("*.[1-8]"))


def source(name):
    return (paths.ROOT / "src" / name).read_text(encoding="utf-8")


def page(name):
    return (paths.ROOT / "man" / name).read_text(encoding="utf-8")


def sentence(text):
    if not re.match(r"\w+\(", text):  # a function's name stays as it is
        text = text[0].upper() + text[1:]
    return text + ("" if text.endswith(".") else ".")


def counters():
    """[(name, help, remedy)] of the table in counters.h."""
    table = source("stats/counters.h").split("#define COUNTERS(COUNTER)", 1)[1]
    table = re.sub(r"\\\n", " ", table)
    rows = re.findall(r'COUNTER\((\w+),\s*"((?:[^"\\]|\\.)*)",\s*"((?:[^"\\]|\\.)*)"\)', table)
    assert len(rows) == table.count("COUNTER(") and len(rows) > 20
    return rows


def counters_as_mdoc():
    lines = [".Bl -tag -width Ds"]
    for name, help_text, remedy in counters():
        lines += [f".It Cm {name}", sentence(help_text)]
        if remedy:
            lines += [".br", f"Remedy: {remedy}."]
    return "\n".join([*lines, ".El", ""])


def test_counters():
    listed = page("limpet.8").split(BEGIN, 1)[1].split(END, 1)[0]
    assert listed == counters_as_mdoc(), "put this between the two comments of man/limpet.8:\n" + counters_as_mdoc()


def test_answers():
    reasons = re.findall(r"REASON\([A-Z_]+, (\w+), (\d+)\)", source("router/reason.h"))
    expected = sorted(("closed" if status == "0" else status, counter)
                      for counter, status in reasons
                      if counter not in ("acknowledged", "unanswered"))  # those are the worker's then
    listed = re.findall(r"^\.It (\d+|closed) Ta Cm (\w+) Ta ", page("limpet.8"), re.MULTILINE)
    assert len(expected) > 10 and sorted(listed) == expected


def test_servers():
    """Only those that were seen to pass are in the list: who adds one runs it."""
    assert list(servers.lines_listed()) == [server.name for server in servers.SERVERS], "run `sh tests/run servers`, which writes the list"


def options_of(usage):
    return set(re.findall(r"(?<![\w-])(--?[A-Za-z][\w-]*)", usage))


@pytest.mark.parametrize("manual,file", [("limpet.8", "options.c"), ("limpetctl.8", "limpetctl.c"),
                                         ("limpet-join.8", "join/main.c")])
def test_options(manual, file):
    usage = re.search(r"usage\[\] =(.*?);\n", source(file), re.DOTALL)[1]
    described = set(re.findall(r"^  (--?[A-Za-z][\w-]*)", re.sub(r'^\s*"|\\n"$', "", usage, flags=re.MULTILINE),
                               re.MULTILINE))
    assert described
    listed = set()
    for line in re.findall(r"^\.It (Fl .*)", page(manual), re.MULTILINE):
        listed |= {"-" + word for word in re.findall(r"(?:Fl |, )(-?[A-Za-z][\w-]*)", line)}
    assert described <= listed, described - listed
    short = set(re.search(r'getopt(?:_long)?\(argc, argv, "\+?([\w:]+)"', source(file))[1]) - {":"}
    assert {"-" + letter for letter in short} <= listed


def test_environment_of_workers():
    set_variables = set(re.findall(r'(?:setenv|set_number)\("(\w+)"', source("supervisor/spawn.c")))
    assert "LIMPET_SLOT" in set_variables
    section = page("limpet.8").split(".Sh ENVIRONMENT", 1)[1].split(".Sh", 1)[0]
    assert set_variables <= set(re.findall(r"[A-Z]+(?:_[A-Z]+)+", section))


def test_flavours_and_protocols():
    keys = source("config/keys.c")
    for table in ("protocol_choices", "flavour_choices"):
        names = re.findall(r'\{"([^"]+)"', keys.split(f"{table}[] =", 1)[1].split(";", 1)[0])
        assert names
        for name in names:
            assert re.search(rf"^\.(?:It )?Cm {re.escape(name)}\b", page("limpet.8"), re.MULTILINE), name


def test_types_of_messages():
    """limpet-worker(7) has every message that the code reads or writes."""
    native = source("channel/native.c") + source("supervisor/join.c")
    types = set(re.findall(r'strcmp\(type, "(\w+)"\)', native)) | set(re.findall(r'\{\\"type\\":\\"(\w+)\\"', native))
    assert {"connection", "hello", "ping"} <= types
    listed = set(re.findall(r"^\.It Cm (\w+)", page("limpet-worker.7"), re.MULTILINE))
    assert types <= listed, types - listed


def test_schema_is_what_limpet_prints():
    printed = subprocess.run([paths.limpet(), "--print-schema"], capture_output=True, text=True, check=True)
    assert printed.stdout == (paths.ROOT / "config" / "limpet.schema.json").read_text(encoding="utf-8"), \
        "run ninja config-docs"


@pytest.mark.parametrize("manual", PAGES, ids=lambda path: path.name)
def test_cross_references_are_ours(manual):
    ours = {path.name for path in PAGES}
    for name, section in re.findall(r"^\.Xr (\S+) (\d)", manual.read_text(encoding="utf-8"), re.MULTILINE):
        assert section == "2" or f"{name}.{section}" in ours
