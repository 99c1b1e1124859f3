"""Pictures of some tables, as SVG."""
import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "limpet", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False,
                            "axes.spines.right": False})

from matplotlib import pyplot

from fronts import FRONTS

LIMPET, OTHERS, WORKERS = "#1b6ca8", "#b0552f", "#c9c9c9"


def colour(name):
    return LIMPET if "limpet" in name else OTHERS


def save(figure, directory, name):
    directory.mkdir(parents=True, exist_ok=True)
    figure.savefig(directory / f"{name}.svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    pyplot.close(figure)


def connections(table, directory):
    """CPU of front and workers, stacked: C workers, then those in Node.js."""
    node = [row for row in table.rows if FRONTS[row].kind == "node"]
    groups = [("C workers", [row for row in table.rows if row not in node]), ("Node.js workers", node)]
    groups = [(title, rows) for title, rows in groups if rows]
    figure, axes = pyplot.subplots(len(groups), 1, squeeze=False, figsize=(7, 0.6 + 0.32 * len(table.rows)),
                                   gridspec_kw={"height_ratios": [len(rows) for _, rows in groups]})
    for axis, (title, rows) in zip(axes[:, 0], groups):
        rows = rows[::-1]
        fronts = [table.median(row, "front_cpu") for row in rows]
        workers = [table.median(row, "workers_cpu") for row in rows]
        spread = [[abs(value - end) for value, end in zip(fronts, ends)]
                  for ends in zip(*(table.spread(row, "front_cpu") for row in rows))]
        axis.barh(rows, fronts, color=[colour(row) for row in rows], xerr=spread, error_kw={"lw": 0.8})
        axis.barh(rows, workers, left=fronts, color=WORKERS)
        axis.set_title(title, loc="left")
    axes[-1, 0].set_xlabel("CPU us a connection: front (coloured), workers (grey)")
    figure.tight_layout()
    save(figure, directory, "connections")


def after(table, directory):
    """Messages a second, as a part of what there are without a front."""
    kinds = list(dict.fromkeys(row.rsplit(", ", 1)[0] for row in table.rows))
    fronts = list(dict.fromkeys(row.rsplit(", ", 1)[1] for row in table.rows))
    base = "none-c" if "none-c" in fronts else fronts[0]
    figure, axis = pyplot.subplots(figsize=(7, 3))
    shades = ["#7f7f7f", LIMPET, "#e3a27f", "#b0552f", "#d9c27a", "#8a7a2b", "#6b8f71"]
    for index, front in enumerate(fronts):
        heights = [table.median(f"{kind}, {front}", "rate") / table.median(f"{kind}, {base}", "rate") for kind in kinds]
        axis.bar([place + (index - len(fronts) / 2) * 0.8 / len(fronts) for place in range(len(kinds))], heights, 0.8 / len(fronts),
                 label=front, color=shades[index % len(shades)])
    axis.set_xticks(range(len(kinds)), kinds)
    axis.set_ylabel(f"messages/s, {base} = 1")
    axis.legend(ncols=3, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1))
    save(figure, directory, "after")


def idle(table, directory):
    """The front's memory and CPU over the number of connections."""
    series = {}
    for row in table.rows:
        size, front = row.rsplit(", ", 1)
        if not front.startswith("none"):
            series.setdefault(front, []).append((int(size.replace(",", "")), table.median(row, "memory"),
                                                 table.median(row, "cpu_percent")))
    figure, axes = pyplot.subplots(1, 2, figsize=(8, 3))
    for front, points in series.items():
        for axis, index in zip(axes, (1, 2)):
            axis.plot([point[0] for point in points], [point[index] for point in points], "o-", label=front,
                      color=LIMPET if "limpet" in front else None)
    axes[0].set(xscale="log", yscale="log", xlabel="idle WebSockets", ylabel="front's memory, MB")
    axes[1].set(xscale="log", xlabel="idle WebSockets", ylabel="front's CPU, %")
    axes[0].legend(frameon=False)
    figure.tight_layout()
    save(figure, directory, "idle")


def processes(table, directory):
    """Throughput and context switches, as many workers as CPUs and four times as many."""
    what = ["requests", "messages"]
    figure, axes = pyplot.subplots(2, 2, figsize=(8, 4.5))
    for column, kind in enumerate(what):
        rows = [row for row in table.rows if row.endswith(f", {kind}")][::-1]
        names = [row.rsplit(", ", 1)[0] for row in rows]
        axes[0][column].barh(names, [table.median(row, "rate") for row in rows], color=LIMPET)
        axes[0][column].set_title(f"{kind} a second", loc="left")
        own = [table.median(row, "voluntary") for row in rows]
        axes[1][column].barh(names, own, color=WORKERS, label="own accord")
        axes[1][column].barh(names, [table.median(row, "involuntary") for row in rows], left=own, color=OTHERS, label="forced")
        axes[1][column].set_title("context switches for each", loc="left")
    axes[1][1].legend(frameon=False, ncols=2, loc="upper right", bbox_to_anchor=(1, -0.12))
    figure.tight_layout()
    save(figure, directory, "processes")


def draw(tables, directory):
    """Returns the names of the tables that it made a picture of, NAME.svg."""
    drawn = []
    for draw_one in (connections, after, idle, processes):
        table = tables.get(draw_one.__name__)
        if table and table.rows:
            draw_one(table, directory)
            drawn.append(table.name)
    return drawn
