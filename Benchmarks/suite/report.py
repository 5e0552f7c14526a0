"""Tables of a summary, for a terminal, for the folder of a run, and for the README."""

import textwrap

from .machine import MIB, PROJECT, Failure

BEGIN, END = "<!-- speed:begin -->", "<!-- speed:end -->"
WIDTH = 100


def table(titles, rows):
    lines = ["| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def short(value):
    """Three digits that count, and no more decimals than that takes."""
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def spread(found):
    """Median, and least to most where there were several."""
    if found["count"] == 1:
        return f"{short(found['median'])} (one run)"
    return f"{short(found['median'])} ({short(found['low'])}–{short(found['high'])})"


def met(is_met):
    return {True: "met", False: "missed", None: ""}[is_met]


def bound(comparison):
    """The share of the limit that binds, and which that is."""
    if not comparison["share"]:
        return "", ""
    return f"{comparison['share']['median']:.0%}", comparison["limit"]


def comparisons(summary, names=None):
    rows = []
    for comparison in every(summary, "comparisons", names):
        share, limit = bound(comparison)
        ours = [
            comparison["benchmark"], comparison["cache"], comparison["tool"],
            spread(comparison["seconds"]), share, limit]
        if not comparison["rows"]:
            rows.append(ours + ["", "", "", ""])
        for row in comparison["rows"]:
            rows.append(ours + rival(row))
            ours = ["", "", "", "", "", ""]
    return table(
        ["Work", "Cache", "Ours", "s", "Of its limit", "The limit", "Rival", "s", "Ours by it",
         "Target"], rows)


def rival(row):
    name = f"{row['tool']} {row['version']}".strip()
    if not row["seconds"]:
        return [name, "", "", f"not installed: Debian's {row['missing']}"]
    target = ""
    if row["target"]:
        is_met = row["ratio"]["median"] <= row["target"]
        target = f"≤ {row['target']:.3g}: {met(is_met)}"
    return [name, spread(row["seconds"]), spread(row["ratio"]), target]


def targets(summary):
    """Every figure that is in no row of the comparisons."""
    in_rows = {
        f"{c['benchmark']} {c['cache']}, {c['tool']} by {row['tool']}"
        for c in every(summary, "comparisons") for row in c["rows"]}
    rows = []
    for figure in every(summary, "figures"):
        if figure["name"] in in_rows or ", share of its limit (" in figure["name"]:
            continue
        sign = "≤" if figure["better"] == "lower" else "≥"
        unit = figure["unit"] and " " + figure["unit"]
        target = figure["target"] is not None and f"{sign} {figure['target']:.3g}{unit}"
        between = f"{short(figure['low'])}–{short(figure['high'])}"
        rows.append([
            figure["name"], short(figure["value"]) + unit,
            between if figure["low"] < figure["high"] else "", target or "",
            met(figure["is_met"])])
    return table(["Figure", "Median", "Least–most", "Target", ""], rows) if rows else ""


def growth(summary):
    rows, last = [], None
    for series in every(summary, "series"):
        if series["kind"] != "growth":
            continue
        last = series
        for point in series["points"]:
            rows.append([
                amount(point["amount"], series["unit"]), spread(point["seconds"]),
                f"{point['peak'] / MIB:.1f}"])
        # No minus before a zero.
        memory = round(series["exponent_memory"], 3) + 0.0
        rows.append(["exponent", f"{series['exponent_time']:.2f}", f"{memory:.3f}"])
    return table(["Both stores", "s", "Peak memory, MiB"], rows) if last else ""


def amount(count, unit):
    return f"{count / (1 << 30):.3g} GiB" if unit == "bytes" else f"{count:,} files"


def workers(summary):
    series = [found for found in every(summary, "series") if found["kind"] == "workers"]
    if not series:
        return ""
    titles = ["Workers"] + [f"{found['workload']} {found['cache']}, s" for found in series]
    rows = []
    for index, point in enumerate(series[0]["points"]):
        rows.append([point["workers"] or "chosen by itself"] + [
            short(found["points"][index]["seconds"]["median"]) for found in series])
    return table(titles, rows)


def every(summary, kind, names=None):
    for name, result in summary["results"].items():
        if names is None or name in names:
            yield from result[kind]


def header(summary):
    facts = summary["hardware"]
    days = sorted({result["day"] for result in summary["results"].values()})
    lines = [
        f"{' and '.join(days)}, {facts['processor']}, {facts['cores']} cores, "
        f"{facts['memory_gib']} GiB of memory, Linux {facts['kernel']}, {facts['storage']}. Whole "
        f"processes in turns, medians of {summary['runs']} runs or more after a warm-up (least to "
        f"most in brackets); ratios and shares pair by pair."]
    if summary["scale"] != "full":
        lines[0] += f" Scale: {summary['scale']}, which shows that all works, and not how fast."
    found = [result.get("device") for result in summary["results"].values()]
    devices = [device for device in found if device] or [summary["device"]]
    if devices[0]:
        device = devices[-1]
        random = ", ".join(
            f"{between(float(one['random'][depth]) for one in devices)} at depth {depth}"
            for depth in device["random"])
        sequential = between(one["sequential"] / 1e6 for one in devices)
        lines.append(
            f"The device by fio: {sequential} MB/s in pieces of 1 MiB "
            f"({device['engine']}, depth {device['depth']}); reads of 4 KiB a second: {random}.")
    if facts["pages_out"]:
        lines.append("This kernel pages out what was not used for a minute (DAMON); warm runs that "
                     "had to read from the device were repeated.")
    return "\n".join(textwrap.fill(line, WIDTH) for line in lines) + "\n"


def between(values):
    """Whole numbers, least to most where the parts of a run met others."""
    values = sorted(values)
    least, most = f"{values[0]:,.0f}", f"{values[-1]:,.0f}"
    return least if least == most else f"{least} to {most}"


def sections(summary):
    parts = [("", comparisons(summary)), ("Figures and targets", targets(summary)),
             ("Growth", growth(summary)), ("Workers", workers(summary))]
    notes = [
        f"- {result['benchmark']}: {note}"
        for result in summary["results"].values() for note in result["notes"]]
    if notes:
        parts.append(("Notes", "\n".join(notes) + "\n"))
    return [(title, text) for title, text in parts if text]


def document(summary):
    """All of it."""
    text = "# What was measured\n\n" + header(summary)
    for title, part in sections(summary):
        text += (f"\n## {title}\n" if title else "") + "\n" + part
    commits = {result.get("commit", "unknown") for result in summary["results"].values()}
    versions = ", ".join(
        [f"resync {' and '.join(sorted(commits))}"]
        + [f"{name} {text}" for name, text in summary["versions"].items()])
    return text + "\n## Versions\n\n" + textwrap.fill(versions, WIDTH) + "\n"


def missed(summary):
    return [
        figure["name"] for figure in every(summary, "figures") if figure.get("is_met") is False]


README_WORKS = [
    "small", "big", "tree", "scan", "cached", "nightly", "sparse", "huge", "deep", "divergent",
    "apply"]


def write_readme(folder, summary):
    """The section of the README between its markers, with the pictures that the folder has."""
    path = PROJECT / "README.md"
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Failure(f"{path} has no {BEGIN} … {END}")
    place = folder.relative_to(PROJECT)
    text = header(summary) + f"All of it: [{folder.name}]({place}/summary.md).\n"
    for name, title in PICTURES.items():
        if (folder / f"{name}.svg").exists():
            text += f"\n![{title}]({place}/{name}.svg)\n"
    text += "\n" + comparisons(summary, README_WORKS) + "\n" + targets(summary)
    path.write_text(f"{before}{begin}\n{text}{end}{after}")


PICTURES = {
    "comparison": "Seconds of each tool, by workload and cache",
    "growth": "Time and memory at N, 2N, 4N and 8N",
    "workers": "Seconds with 1 to 128 workers",
}
