"""Tools take turns: what each took in every turn, and how they compare pair by pair."""

import dataclasses
import statistics

from .machine import MIB, Failure, drop_caches, fill_cache, say


@dataclasses.dataclass
class Sample:
    """One counted run, as it stands in raw.csv."""

    benchmark: str
    cache: str
    tool: str
    turn: int
    seconds: float
    read: int
    peak: int


@dataclasses.dataclass
class Spread:
    """Median, least and most of what was measured, and how often."""

    median: float
    low: float
    high: float
    count: int

    @staticmethod
    def of(values):
        values = list(values)
        return Spread(statistics.median(values), min(values), max(values), len(values))


@dataclasses.dataclass
class Turns:
    """One benchmark's tools in turns, so that drift hits all alike.

    Where the cache is warm each runs once before it counts. Every other turn goes the other way round, so that
    nobody always follows the same tool. A rival that has used up `budget` seconds runs no more:
    the ratio of the pairs that there are is told with their number.
    """

    stopwatch: object
    runs: int
    budget: float

    def __call__(self, benchmark, cache, tools, stores, needed, before=None):
        """`needed` is how many bytes a warm run wants in the page cache below `stores`; `before`
        is called before every run, uncounted. The first tool is ours and always runs."""
        self.stores, self.needed, self.before = stores, needed, before
        if cache == "warm":
            fill_cache(stores)
        samples = []
        active = list(tools)
        for turn in range(0 if cache == "warm" else 1, self.runs + 1):
            for tool in active if turn % 2 else active[::-1]:
                done = self.run(tool, cache)
                seconds = tool.seconds(done.output) if tool.seconds else done.seconds
                say(f"  {tool.name}: {seconds:.2f} s" + (" (warm-up)" if turn == 0 else ""))
                samples.append(
                    Sample(benchmark, cache, tool.name, turn, seconds, done.read, done.peak))
            active = [tool for tool in active if self.goes_on(tool, tools[0], samples)]
        return self.counted(samples)

    def goes_on(self, tool, ours, samples):
        if tool is ours or tool.is_limit:
            return True
        used = [sample.seconds for sample in samples if sample.tool == tool.name]
        # A warm-up that takes twice the budget is not worth a second run.
        if len(used) == 1 and samples[0].turn == 0:
            return used[0] <= 2 * self.budget
        return sum(used) <= self.budget + used[0]

    def counted(self, samples):
        """Without warm-ups, but for a tool that had no other run."""
        again = {sample.tool for sample in samples if sample.turn > 0}
        return [
            dataclasses.replace(sample, turn=max(1, sample.turn)) for sample in samples
            if sample.turn > 0 or sample.tool not in again]

    def run(self, tool, cache):
        if self.before:
            self.before()
        if cache == "cold":
            drop_caches()
            return self.stopwatch(tool.argv, tool.statuses)
        if tool.drops_cache:
            # What the cache holds for it is read by others before and after it.
            fill_cache(self.stores)
            done = self.stopwatch(tool.argv, tool.statuses)
            fill_cache(self.stores)
            return done
        return warm_run(self.stopwatch, tool, self.stores, self.needed, self.before)


def warm_run(stopwatch, tool, stores, needed, before=None):
    """A run that finds all but a hundredth of `needed` bytes below `stores` in the page cache: it is
    repeated until it does. resync itself leaves there only what was there before it."""
    for _ in range(10):
        done = stopwatch(tool.argv, tool.statuses)
        if done.read <= needed / 100:
            return done
        say(f"  {tool.name}: {done.seconds:.2f} s, {done.read // MIB} MiB of it cold: repeated")
        fill_cache(stores)
        if before:
            before()
    raise Failure(f"{tool.name}: the files do not stay in the page cache")


def seconds_of(samples, tool):
    """By turn."""
    return {sample.turn: sample.seconds for sample in samples if sample.tool == tool}


def pairs(ours, theirs, ratio=lambda mine, other: mine / other):
    """The ratio in every turn that both had."""
    return [ratio(ours[turn], theirs[turn]) for turn in sorted(ours.keys() & theirs.keys())]
