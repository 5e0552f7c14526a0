"""One run of the suite: what is measured, and what came of it."""

import dataclasses
import datetime
import os
import shutil
import subprocess
import tempfile

from . import tools
from .limits import Limits
from .machine import PROJECT, Failure, Stopwatch, is_root, say
from .turns import Spread, Turns, pairs, seconds_of
from .workloads import Workloads, build


@dataclasses.dataclass
class Row:
    """A tool beside ours."""

    tool: str
    version: str
    seconds: Spread | None = None
    ratio: Spread | None = None  # our time by its time, pair by pair
    target: float | None = None  # the most that the ratio may be
    missing: str = ""  # Debian's package of a tool that is not here


@dataclasses.dataclass
class Comparison:
    """Ours on one workload from one cache, its limit, and its rivals."""

    benchmark: str
    cache: str
    tool: str
    seconds: Spread
    peak: int
    bytes: int
    limit: str = ""
    limit_seconds: Spread | None = None
    share: Spread | None = None  # the limit's time by ours
    rows: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Figure:
    """One number that is held against a target, or against what was recorded before."""

    name: str
    value: float
    low: float
    high: float
    better: str  # "lower" or "higher"
    target: float | None = None
    unit: str = ""

    @property
    def is_met(self):
        if self.target is None:
            return None
        return self.value <= self.target if self.better == "lower" else self.value >= self.target

    @staticmethod
    def of(name, values, better, target=None, unit=""):
        spread = Spread.of(values)
        return Figure(name, spread.median, spread.low, spread.high, better, target, unit)


@dataclasses.dataclass
class Result:
    """What one benchmark found."""

    benchmark: str
    day: str
    comparisons: list = dataclasses.field(default_factory=list)
    figures: list = dataclasses.field(default_factory=list)
    series: list = dataclasses.field(default_factory=list)  # of growth: dictionaries, for pictures
    notes: list = dataclasses.field(default_factory=list)
    samples: list = dataclasses.field(default_factory=list)
    device: dict | None = None  # its limits, as they were known when it was measured


class Session:
    """Where everything is: the programs, the stores, the limits, and a place to write in."""

    def __init__(self, options):
        self.scale = options.scale
        self.day = str(datetime.date.today())
        self.runs = options.runs
        self.is_small = options.scale == "small"
        self.caches = ["warm", "cold"] if is_root() else ["warm"]
        self.binary, generator = build(options.binary)
        self.commit = "another binary" if options.binary else commit()
        self.workloads = Workloads(options.store, options.scale, generator)
        self.generator = generator
        # Beside the stores, so that what is written and synced goes to the same file system.
        self.scratch = tempfile.mkdtemp(prefix="scratch-", dir=self.workloads.folder)
        self.stopwatch = Stopwatch(self.scratch)
        self.limits = Limits(self.stopwatch, 1 if self.is_small else 3)
        self.turns = Turns(self.stopwatch, self.runs, 0.8 if self.is_small else 15)
        self.results = []
        self.commands = {}

    def close(self):
        shutil.rmtree(self.scratch, ignore_errors=True)

    def begin(self, benchmark):
        say(f"== {benchmark}")
        self.results.append(Result(benchmark, str(datetime.date.today())))
        return self.results[-1]

    def ours(self, name, verb, *words, statuses=(0,)):
        """Our command, with a state directory that no other run has seen. PLACE is a fresh one."""
        def argv(place):
            said = [str(word).replace("PLACE", place) for word in words]
            return [self.binary, verb, "--state", f"{place}/state", *said]
        return tools.Tool(name, argv, statuses=statuses)

    def verify(self, a, b, *words, statuses=(0,)):
        name = " ".join(["resync verify", *words])
        return self.ours(name, "verify", *words, a, b, statuses=statuses)

    # Comparing

    def compare(self, result, cache, ours, rivals, stores, size, limits=(), bound=None,
                best_target=None, before=None, needed=None, runs=None):
        """Ours and its rivals in turns, into the result; None where the cache cannot be had.

        `limits` are tools that take part; `bound` maps the name of each limit to its seconds, from
        a function that knows the seconds of such a tool by turn. `best_target` is for the fastest
        rival alone; `size` is how many bytes there are, `needed` how many must be cached; `runs`
        are fewer than usual.
        """
        if cache not in self.caches:
            result.notes.append(f"{cache}: not measured, only root may empty the page cache")
            return None
        say(f"{result.benchmark}, {cache}")
        present = [tool for tool in [ours, *limits, *rivals] if not tool.is_missing()]
        self.note_commands(result.benchmark, cache, present)
        turns = dataclasses.replace(self.turns, runs=min(runs or self.runs, self.runs))
        samples = turns(
            result.benchmark, cache, present, stores, size if needed is None else needed, before)
        result.samples += samples
        mine = seconds_of(samples, ours.name)
        peak = max(sample.peak for sample in samples if sample.tool == ours.name)
        found = Comparison(
            result.benchmark, cache, ours.name, Spread.of(mine.values()), peak, size)
        result.comparisons.append(found)
        if bound:
            self.bind(found, mine, bound(lambda tool: seconds_of(samples, tool.name)))
        for rival in rivals:
            found.rows.append(self.row(rival, mine, seconds_of(samples, rival.name)))
        measured = [row for row in found.rows if row.seconds]
        if best_target and measured:
            min(measured, key=lambda row: row.seconds.median).target = best_target
        result.figures += self.figures(found)
        return found

    def row(self, rival, mine, theirs):
        if rival.is_missing():
            return Row(rival.name, "", missing=rival.package)
        version = tools.version(rival.program) if rival.program else ""
        return Row(rival.name, version, Spread.of(theirs.values()),
                   Spread.of(pairs(mine, theirs)), rival.target)

    @staticmethod
    def bind(found, mine, limits):
        """Keeps the limit that binds: the one that takes the most time."""
        limits = {name: seconds for name, seconds in limits.items() if seconds}
        if not limits:
            return
        name = max(limits, key=lambda name: Spread.of(limits[name].values()).median)
        found.limit, seconds = name, limits[name]
        found.limit_seconds = Spread.of(seconds.values())
        found.share = Spread.of(pairs(seconds, mine))

    @staticmethod
    def figures(found):
        title = f"{found.benchmark} {found.cache}"
        figures = []
        if found.share:
            share = found.share
            figures.append(Figure(
                f"{title}, share of its limit ({found.limit})", share.median, share.low, share.high,
                "higher"))
        for row in found.rows:
            if row.ratio:
                figures.append(Figure(
                    f"{title}, {found.tool} by {row.tool}", row.ratio.median, row.ratio.low,
                    row.ratio.high, "lower", row.target))
        return figures

    def note_commands(self, benchmark, cache, present):
        for tool in present:
            words = [str(word) for word in tool.argv("PLACE")]
            if len(words) > 60:
                words = words[:60] + [f"... {len(words) - 60} more"]
            self.commands[f"{benchmark} {cache}: {tool.name}"] = words

    def constant(self, value):
        """A limit that is the same in every turn."""
        return {turn: value for turn in range(1, self.runs + 1)}

    def quiet_device(self):
        """The device's limits, on the files of big."""
        fio = tools.Tool("fio", None, "fio", "fio")
        if fio.is_missing() or not is_root():
            return None
        a, b = self.workloads.stores("big")
        names = [os.path.join(side, name) for side in (a, b) for name in sorted(os.listdir(side))]
        return self.limits.device(names)


def commit():
    """Of the sources that are measured, with a mark where they were changed since."""
    return subprocess.run(
        ["git", "-C", str(PROJECT), "describe", "--always", "--dirty", "--abbrev=10"],
        stdout=subprocess.PIPE, text=True, check=False).stdout.strip() or "unknown"


BENCHMARKS = {}


def benchmark(body):
    """Makes a function of the session one of the suite, under its name and with its docstring."""
    BENCHMARKS[body.__name__.rstrip("_")] = body
    return body


def described(body):
    return " ".join((body.__doc__ or "").split())


__all__ = [
    "BENCHMARKS", "Comparison", "Failure", "Figure", "Result", "Row", "Session", "benchmark",
    "described"]
