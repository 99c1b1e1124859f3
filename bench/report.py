"""Tables of rounds, and how they are printed: median and spread."""
import statistics


class Table:
    """Rows by name, each with one dict of figures a round. columns: [(name of the figure, heading, format)]."""

    def __init__(self, name, columns, title, about):
        self.name = name
        self.columns = columns
        self.title = title
        self.about = " ".join(about.split())
        self.rows = {}
        self.notes = {}
        self.seconds = 0.0

    def add(self, row, figures, note=""):
        self.rows.setdefault(row, []).append(figures)
        self.notes[row] = note

    def has(self, *rows):
        return all(row in self.rows for row in rows)

    def median(self, row, figure):
        values = [round_[figure] for round_ in self.rows[row] if figure in round_]
        if not values:
            return None
        if isinstance(values[0], str):
            return max(set(values), key=values.count)
        return statistics.median(values)

    def spread(self, row, figure):
        """Lowest and highest."""
        values = [round_[figure] for round_ in self.rows[row] if figure in round_]
        return min(values), max(values)

    def cell(self, row, figure, form):
        middle = self.median(row, figure)
        if middle is None:
            return ""
        if isinstance(middle, str):
            return middle
        low, high = self.spread(row, figure)
        text = form.format(middle)
        if len(self.rows[row]) > 1 and form.format(low) != form.format(high):
            text += f" ({form.format(low)}-{form.format(high)})"
        return text

    def grid(self):
        heading = ["", *(heading for _, heading, _ in self.columns), ""]
        return heading, [[row, *(self.cell(row, figure, form) for figure, _, form in self.columns), self.notes[row]]
                         for row in self.rows]

    def markdown(self, picture):
        heading, rows = self.grid()
        rounds = max((len(rounds) for rounds in self.rows.values()), default=0)
        lines = [f"## {self.title}", "", f"`{self.name}`, {rounds} rounds, {self.seconds:.0f} s. {self.about}", "",
                 "| " + " | ".join(heading) + " |", "| --- |" + " ---: |" * len(self.columns) + " --- |"]
        lines += ["| " + " | ".join(row) + " |" for row in rows]
        if picture:
            lines += ["", f"![{self.title}]({self.name}.svg)"]
        return "\n".join(lines) + "\n"

    def json(self):
        return {"title": self.title, "about": self.about, "seconds": round(self.seconds, 1), "notes": self.notes,
                "rows": {name: {"rounds": rounds, "median": {figure: self.median(name, figure) for figure in rounds[0]}}
                         for name, rounds in self.rows.items()}}


def print_grid(heading, rows):
    widths = [max(len(str(row[i])) for row in [heading, *rows]) for i in range(len(heading))]
    for row in [heading, *rows]:
        print("  ".join(str(cell).ljust(width) if i in (0, len(row) - 1) else str(cell).rjust(width)
                        for i, (cell, width) in enumerate(zip(row, widths))).rstrip(), flush=True)
