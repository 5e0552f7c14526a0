"""What is kept of a run: a folder with the raw numbers, and its comparison with what was kept."""

import csv
import dataclasses
import io
import json

from . import report
from .machine import BENCHMARKS, Failure, hardware, machine_name, say
from .tools import versions

RUNS = BENCHMARKS / "Runs"
# A figure is worse when its median is by so much, and none of its pairs was as good as the median
# that was recorded: a disturbed pair or two prove nothing.
TOLERANCE = 0.15
# Of a figure near zero so much is noise, whatever part of it that is.
LEAST = 0.02
COLUMNS = ["day", "benchmark", "cache", "tool", "turn", "seconds", "read", "peak"]


def summary_of(session):
    results = {}
    for result in session.results:
        kept = dataclasses.asdict(result)
        del kept["samples"]
        kept["commit"] = session.commit
        kept["device"] = session.limits.found and dataclasses.asdict(session.limits.found)
        for figure, plain in zip(result.figures, kept["figures"]):
            plain["is_met"] = figure.is_met
            # What a start costs outweighs the work of a small one: its targets mean nothing.
            if session.is_small:
                plain["target"] = plain["is_met"] = None
        for comparison in kept["comparisons"] if session.is_small else []:
            for row in comparison["rows"]:
                row["target"] = None
        results[result.benchmark] = kept
    found = session.limits.found
    return {
        "scale": session.scale,
        "runs": session.runs,
        "hardware": hardware(session.workloads.folder),
        "versions": versions(),
        "device": found and dataclasses.asdict(found),
        "results": results,
    }


def samples_of(session):
    return [
        dict(day=result.day, **dataclasses.asdict(sample))
        for result in session.results for sample in result.samples]


def folder_of(session):
    """Where a run of this machine goes that began on that day."""
    name = f"{session.day}-{machine_name()}"
    return RUNS / (name + "-small" if session.is_small else name)


def record(session, folder, order):
    """Writes the folder, or adds to it what was measured now."""
    folder.mkdir(parents=True, exist_ok=True)
    summary, samples, commands = summary_of(session), samples_of(session), dict(session.commands)
    new = set(summary["results"])
    if (folder / "summary.json").exists():
        earlier = json.loads((folder / "summary.json").read_text())
        if earlier["scale"] != summary["scale"]:
            raise Failure(f"{folder} holds a run of another scale")
        merged = {**earlier["results"], **summary["results"]}
        summary["results"] = {name: merged[name] for name in order if name in merged}
        summary["device"] = summary["device"] or earlier["device"]
        summary["runs"] = min(summary["runs"], earlier["runs"])
        with open(folder / "raw.csv", newline="") as file:
            samples = [row for row in csv.DictReader(file) if row["benchmark"] not in new] + samples
        kept = json.loads((folder / "commands.json").read_text())
        commands = {
            **{key: words for key, words in kept.items() if key.split()[0] not in new}, **commands}
    samples.sort(key=lambda row: order.index(row["benchmark"]))
    write(folder, summary, samples, commands)


def write(folder, summary, samples, commands):
    (folder / "summary.json").write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    (folder / "summary.md").write_text(report.document(summary))
    text = json.dumps(commands, indent=1, ensure_ascii=False)
    # Where the checkout lies is nobody's business.
    (folder / "commands.json").write_text(text.replace(f"{BENCHMARKS.parent}/", "") + "\n")
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(samples)
    (folder / "raw.csv").write_text(text.getvalue())


def newest(scale):
    """The summary that was recorded last at this scale, and its folder."""
    for folder in sorted(RUNS.glob("*/summary.json"), reverse=True):
        summary = json.loads(folder.read_text())
        if summary["scale"] == scale:
            return folder.parent, summary
    raise Failure(f"no run at the scale '{scale}' is recorded in {RUNS.name}")


def check(session, folder, before):
    """Names each figure that is worse than the one that `before`, the summary in `folder`, has;
    whether there was none."""
    measured = {result.benchmark for result in session.results}
    recorded = {
        figure["name"]: figure
        for name, result in before["results"].items() if name in measured
        for figure in result["figures"]}
    now = {figure.name for result in session.results for figure in result.figures}
    for name in recorded.keys() - now:
        say(f"not measured now: {name}")
    worse = compared = 0
    for result in session.results:
        for figure in result.figures:
            old = recorded.get(figure.name)
            if old is None:
                continue
            compared += 1
            if is_worse(figure, old["value"]):
                worse += 1
                say(f"worse: {figure.name}: {figure.value:.3f}, recorded {old['value']:.3f}")
    say(f"{compared} figures held against {folder.name}, {worse} of them worse by more than "
        f"{TOLERANCE:.0%}")
    if compared == 0:
        raise Failure("none of the figures was recorded before")
    return worse == 0


def is_worse(figure, old):
    if abs(figure.value - old) <= LEAST:
        return False
    if figure.better == "lower":
        return figure.value > old * (1 + TOLERANCE) and figure.low > old
    return figure.value < old * (1 - TOLERANCE) and figure.high < old

