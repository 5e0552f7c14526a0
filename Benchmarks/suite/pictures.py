"""Charts of a recorded run. Told apart by hatching, marker and label, so that no colour is needed;
bars begin at zero."""

import json
import math

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator  # noqa: E402

from . import report  # noqa: E402
from .machine import MIB  # noqa: E402

OURS, THEIRS, LIMIT = "#1f4e79", "#c9d6e3", "#ffffff"
# All but sparse, whose rivals' bars would leave nothing to see of ours.
WORKS = ["small", "big", "tree", "scan", "cached", "nightly", "huge", "deep", "divergent", "apply"]
STYLE = {
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "resync",
    "axes.titlesize": 10, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "font.family": "DejaVu Sans"}


def draw(folder):
    """The paths of what was drawn into the folder."""
    summary = json.loads((folder / "summary.json").read_text())
    paths = []
    with plt.rc_context(STYLE):
        for name, body in (("comparison", comparison), ("growth", growth), ("workers", workers)):
            figure = body(summary)
            if figure is None:
                continue
            for kind in ("svg", "png"):
                path = folder / f"{name}.{kind}"
                # Without a date, so that the same run gives the same file.
                details = {"Date": None} if kind == "svg" else {"Software": None}
                figure.savefig(path, dpi=130, bbox_inches="tight", metadata=details)
                if kind == "svg":
                    lines = path.read_text().splitlines()
                    path.write_text("".join(line.rstrip() + "\n" for line in lines))
                paths.append(path)
            plt.close(figure)
    return paths


def comparison(summary):
    """A panel for each workload and cache: ours, its limit, its rivals, in seconds."""
    found = [
        found for found in report.every(summary, "comparisons", WORKS)
        if any(row["seconds"] for row in found["rows"])]
    if not found:
        return None
    rows = [bars_of(comparison) for comparison in found]
    columns = 2
    halves = split([len(bars) for bars in rows])
    lines = math.ceil(max(sum(len(rows[i]) + 2.4 for i in half) for half in halves))
    figure = plt.figure(figsize=(12.5, 0.235 * lines + 0.6))
    for column, half in enumerate(halves):
        top = 1.0
        for index in half:
            height = (len(rows[index])) / lines
            axes = figure.add_axes(
                (0.17 + column / columns * 1.02, top - height - 1 / lines, 0.30, height))
            panel(axes, found[index], rows[index])
            top -= (len(rows[index]) + 2.4) / lines
    figure.text(
        0.0, 1.02, "Seconds of whole commands, medians; a line from the least to the most. Filled: "
        "resync. Dashed: what binds it on this machine.", fontsize=10)
    return figure


def split(heights):
    """The panels in order, in two columns of nearly the same height."""
    whole = sum(height + 2.4 for height in heights)
    column, taken = [[], []], 0
    for index, height in enumerate(heights):
        column[0 if taken + (height + 2.4) / 2 <= whole / 2 else 1].append(index)
        taken += height + 2.4
    return column


def bars_of(comparison):
    bars = [("resync", comparison["seconds"], "ours")]
    if comparison["limit_seconds"]:
        bars.append((comparison["limit"], comparison["limit_seconds"], "limit"))
    rivals = [row for row in comparison["rows"] if row["seconds"]]
    rivals.sort(key=lambda row: row["seconds"]["median"])
    return bars + [(row["tool"], row["seconds"], "rival") for row in rivals]


def panel(axes, comparison, bars):
    looks = {
        "ours": dict(color=OURS, edgecolor=OURS),
        "limit": dict(color=LIMIT, edgecolor="black", linestyle="--", hatch="////"),
        "rival": dict(color=THEIRS, edgecolor="black", linewidth=0.6)}
    most = max(seconds["high"] for _, seconds, _ in bars)
    for at, (_, seconds, kind) in enumerate(bars):
        median = seconds["median"]
        axes.barh(at, median, height=0.72, zorder=2, **looks[kind])
        if seconds["count"] > 1:
            axes.plot([seconds["low"], seconds["high"]], [at, at], color="black",
                      linewidth=1, marker="|", markersize=5, zorder=3)
        note = report.short(median) + (" (one run)" if seconds["count"] == 1 else "")
        axes.text(max(median, seconds["high"]) + most * 0.015, at, note, va="center", fontsize=8)
    axes.set_yticks(range(len(bars)), [name for name, _, _ in bars])
    axes.set_xlim(0, most * 1.3)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=7, pad=1, length=2)
    axes.xaxis.set_major_locator(plt.MaxNLocator(5))
    axes.set_title(f"{comparison['benchmark']}, {comparison['cache']}", pad=3)
    axes.text(1.0, 1.0, "seconds", transform=axes.transAxes, ha="right", va="bottom", fontsize=8)


def growth(summary):
    """Time and peak memory over entries and bytes, both axes logarithmic."""
    series = [s for s in report.every(summary, "series") if s["kind"] == "growth"]
    if not series:
        return None
    figure, grid = plt.subplots(2, len(series), figsize=(9.5, 6), squeeze=False)
    for column, found in enumerate(series):
        amounts = [point["amount"] for point in found["points"]]
        labels = [axis_amount(amount, found["unit"]) for amount in amounts]
        seconds = [point["seconds"]["median"] for point in found["points"]]
        curve(grid[0][column], amounts, seconds, labels, found["exponent_time"])
        grid[0][column].set_title(f"Time over {found['unit']}")
        grid[0][column].set_ylabel("seconds")
        axes = grid[1][column]
        memory = [point["peak"] / MIB for point in found["points"]]
        axes.plot(amounts, memory, marker="s", color=OURS)
        axes.set_xscale("log")
        axes.set_ylim(0, max(memory) * 1.35)
        mark(axes, amounts, memory, labels)
        axes.set_title(f"Peak memory over {found['unit']}")
        axes.set_ylabel("MiB")
        exponent = round(found["exponent_memory"], 2) + 0.0
        axes.text(0.03, 0.06, f"exponent {exponent:.2f}", transform=axes.transAxes)
        axes.set_xlabel("files in both stores" if found["unit"] == "entries"
                        else "bytes in both stores")
    figure.tight_layout(h_pad=2, w_pad=3)
    return figure


def curve(axes, amounts, seconds, labels, exponent):
    axes.plot(amounts, seconds, marker="o", color=OURS)
    axes.plot(amounts, [seconds[0] * amount / amounts[0] for amount in amounts], linestyle=":",
              color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(min(seconds) / 1.6, max(seconds[-1], seconds[0] * 8) * 1.8)
    mark(axes, amounts, seconds, labels)
    axes.text(0.03, 0.92, f"exponent {exponent:.2f}; dotted: 1.00", transform=axes.transAxes)


def mark(axes, amounts, values, labels):
    axes.set_xticks(amounts, labels)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(amounts[0] / 1.3, amounts[-1] * 1.3)
    for amount, value in zip(amounts, values):
        axes.annotate(report.short(value), (amount, value), textcoords="offset points",
                      xytext=(4, -12), fontsize=8)


def axis_amount(amount, unit):
    if unit == "bytes":
        return f"{amount / (1 << 30):.3g} GiB"
    return f"{amount:,}"


def workers(summary):
    """Seconds over the number of workers; a line where nothing was said."""
    series = [s for s in report.every(summary, "series") if s["kind"] == "workers"]
    if not series:
        return None
    names = list(dict.fromkeys(found["workload"] for found in series))
    figure, grid = plt.subplots(1, len(names), figsize=(9.5, 3.6), squeeze=False)
    for axes, name in zip(grid[0], names):
        most = 0
        for found in (s for s in series if s["workload"] == name):
            looks = (dict(marker="o", linestyle="-") if found["cache"] == "warm"
                     else dict(marker="s", linestyle="--"))
            points = found["points"][1:]
            counts = [point["workers"] for point in points]
            seconds = [point["seconds"]["median"] for point in points]
            most = max(most, *seconds)
            axes.plot(counts, seconds, color=OURS, label=found["cache"], **looks)
            chosen = found["points"][0]["seconds"]["median"]
            most = max(most, chosen)
            axes.axhline(chosen, color="black", linewidth=0.8,
                         linestyle="-" if found["cache"] == "warm" else "--",
                         label=f"{found['cache']}, number chosen by itself")
        axes.set_xscale("log", base=2)
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.set_ylim(0, most * 1.1)
        axes.set_title(f"A quarter of {name}")
        axes.set_xlabel("workers")
        axes.set_ylabel("seconds")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, frameon=False, fontsize=8)
    figure.tight_layout(rect=(0, 0.07, 1, 1), w_pad=3)
    return figure
