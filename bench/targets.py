"""What limpet is to reach, and whether it did, in one run."""
import statistics

MESSAGE_KINDS = ["WebSocket 32 B", "WebSocket 1 kB", "WebSocket 64 kB", "HTTP"]


class Targets:
    """tables: {name: Table}. A target whose rows were not measured is left out."""

    def __init__(self, tables):
        self.tables = tables
        self.found = []  # (target, measured, met)
        for check in (self.front_cpu, self.whole_machine, self.rate, self.latency, self.after, self.servers, self.idle, self.scale, self.storm):
            check()

    def has(self, table, *rows):
        return table in self.tables and self.tables[table].has(*rows)

    def median(self, table, row, figure):
        return self.tables[table].median(row, figure)

    def paired(self, table, row, other, figure, combine):
        """The median of combine(a, b) over the rounds: what was measured next to each other is compared."""
        rows = self.tables[table].rows
        return statistics.median(combine(a[figure], b[figure]) for a, b in zip(rows[row], rows[other]))

    def add(self, target, measured, met):
        self.found.append((target, measured, "yes" if met else "NO"))

    def front_cpu(self):
        for own, other, times in (("limpet-cookie", "haproxy-http", 10), ("limpet-cookie", "nginx-http", 7),
                                  ("limpet-node", "node-cluster", 4), ("limpet-node", "sticky-session", 7),
                                  ("limpet-node", "socket.io-sticky", 10)):
            if self.has("connections", own, other):
                ratio = self.paired("connections", other, own, "front_cpu", lambda a, b: a / max(b, 0.01))
                self.add(f"front's CPU a connection, {own}: {times} times less than {other}",
                         f"{ratio:.1f} times ({self.median('connections', own, 'front_cpu'):.1f} us)", ratio >= times)

    def whole_machine(self):
        for own, none, most in (("limpet-node", "none-node", 25), ("limpet-cookie", "none-c", 12)):
            if self.has("connections", own, none):
                more = self.paired("connections", own, none, "sum_cpu", lambda a, b: a - b)
                self.add(f"CPU of front and workers, {own}: at most {most} us a connection more than {none}", f"{more:+.1f} us",
                         more <= most)

    def rate(self):
        if self.has("connections", "limpet-cookie", "none-c"):
            ratio = self.paired("connections", "limpet-cookie", "none-c", "rate", lambda a, b: a / max(b, 1))
            self.add("connections/s, limpet-cookie: 0.95 of none-c", f"{ratio:.3f}", ratio >= 0.95)

    def latency(self):
        if self.has("connections", "limpet-cookie", "none-c"):
            more = self.paired("connections", "limpet-cookie", "none-c", "low_p50", lambda a, b: a - b)
            self.add("first byte at a low rate, limpet-cookie: less than 60 us later than none-c (p50)", f"{more:+.0f} us",
                     more < 60)

    def after(self):
        for kind in MESSAGE_KINDS:
            own, none = f"{kind}, limpet-cookie", f"{kind}, none-c"
            if not self.has("after", own, none):
                continue
            ratio = self.paired("after", own, none, "rate", lambda a, b: a / max(b, 1))
            low = self.tables["after"].spread(none, "rate")[0]
            most = self.tables["after"].spread(own, "rate")[1]
            self.add(f"after the hand-off, {kind}: not fewer messages/s than none-c (the spreads meet)", f"{ratio:.2f}",
                     most >= low)
        rows = [f"{kind}, limpet-cookie" for kind in MESSAGE_KINDS if self.has("after", f"{kind}, limpet-cookie")]
        if rows:
            worst = max(self.median("after", row, "front_cpu_seconds") for row in rows)
            self.add("after the hand-off: the front uses no CPU", f"{worst * 1e3:.2f} ms a round", worst < 0.001)

    def servers(self):
        for server in ("nginx", "Node.js", "uvicorn"):
            own, native = f"{server}, limpet", f"{server}, native"
            if not self.has("servers", own, native):
                continue
            ratio = self.paired("servers", own, native, "rate", lambda a, b: a / max(b, 1))
            self.add(f"{server} behind limpet: 0.8 of its native connections/s", f"{ratio:.2f}", ratio >= 0.8)
            ratio = self.paired("servers", own, native, "keep_alive", lambda a, b: a / max(b, 1))
            low = self.tables["servers"].spread(native, "keep_alive")[0]
            most = self.tables["servers"].spread(own, "keep_alive")[1]
            self.add(f"{server} behind limpet: not fewer requests/s with keep-alive (the spreads meet)", f"{ratio:.2f}", most >= low)

    def idle(self):
        row = "42,000, limpet-cookie"
        if self.has("idle", row):
            each = self.median("idle", row, "memory_each")
            # Counted in pages: 42,000 times 16 bytes are 164 of them.
            self.add("front's memory, each of 42,000 pinned connections: 0 bytes (under 16)", f"{each:.0f} bytes", abs(each) < 16)
            memory = self.median("idle", row, "memory")
            self.add("the whole front with 42,000 pinned connections: less than 6 MB resident", f"{memory:.1f} MB", memory < 6)

    def scale(self):
        for slots, most in (("64", 150), ("1,024", 2000)):
            if self.has("scale", f"{slots} slots"):
                took = self.median("scale", f"{slots} slots", "pick_ns")
                self.add(f"a pick among {slots} slots: less than {most:,} ns", f"{took:,.0f} ns", took < most)

    def storm(self):
        if self.has("storm", "limpet-cookie"):
            rounds = self.tables["storm"].rows["limpet-cookie"]
            failures, used = sum(row["failures"] for row in rounds), self.median("storm", "limpet-cookie", "front_cpu")
            clients = rounds[0]["clients"]
            self.add(f"a storm of {clients:,} clients: no failure", f"{failures} in {len(rounds)} storms", failures == 0)
            if clients >= 20000:
                self.add(f"a storm of {clients:,} clients: less than 0.4 s of the front's CPU", f"{used:.2f} s", used < 0.4)

    def markdown(self):
        lines = ["## Targets", "", "Medians of the rounds' ratios and differences: what was measured side by side is compared.", "",
                 "| target | measured | met? |", "| --- | --- | --- |"]
        return "\n".join(lines + [f"| {target} | {measured} | {met} |" for target, measured, met in self.found]) + "\n"

    def grid(self):
        return ["target", "measured", "met?"], [list(row) for row in self.found]
