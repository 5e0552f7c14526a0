"""Whether `resync bench` is right about what a verification takes."""

import json
import math
import os
import statistics

from .machine import drop_caches, fill_cache, say, size_of
from .session import Figure, benchmark
from .tools import Tool
from .turns import Sample, warm_run


@benchmark
def estimates(session):
    """What `resync bench STORE` says of a full verification of one side, held against a comparison
    of it with its copy, warm and cold."""
    result = session.begin("estimates")
    cases = [(workload, "warm", "hash") for workload in ("small", "big", "tree")]
    cases += [("small", "warm", "metadata"), ("small", "warm", "cached")]
    if "cold" in session.caches:
        cases += [("small", "cold", "media"), ("big", "cold", "media")]
    duration = "5s" if session.is_small else "60s"
    for workload, cache, level in cases:
        a, b = session.workloads.stores(workload)
        verify = session.verify(a, b, "--assurance", level)
        if level == "cached":
            verify = kept(session, a, b)
        _, size, _ = size_of(a, b)
        # Only that level reads what a run of before it left in the cache.
        needed = size if level == "hash" else 1 << 40
        session.stopwatch(verify.argv)
        label = f"{workload} at {level}"
        errors = []
        for turn in range(1, min(3, session.runs) + 1):
            if cache == "warm":
                fill_cache([a, b])
            told = ask(session, a, duration, cache, level)
            if cache == "cold":
                drop_caches()
                real = session.stopwatch(verify.argv)
            else:
                real = warm_run(session.stopwatch, verify, [a, b], needed)
            # What was not counted in time has no upper bound.
            say(f"  {label}: {told['seconds']:.2f} s told ({told['low_s']:.2f} to "
                f"{told.get('high_s', math.inf):.2f}), {real.seconds:.2f} s taken")
            result.samples.append(Sample(
                result.benchmark, cache, label, turn, real.seconds, real.read, real.peak))
            errors.append(abs(told["seconds"] / real.seconds - 1))
        result.figures.append(Figure(
            f"estimate of {label}, off by", statistics.median(errors), min(errors), max(errors),
            "lower", 0.25))


def kept(session, a, b):
    """A verification with the digests that one before it kept."""
    state = os.path.join(session.scratch, "estimates")
    words = [session.binary, "verify", "--state", state, a, b]
    session.stopwatch(lambda _: words + ["--keep"])
    return Tool("resync verify --assurance cached", lambda _: words + ["--assurance", "cached"])


def ask(session, store, duration, cache, level):
    if cache == "cold":
        drop_caches()
    tool = session.ours("resync bench", "bench", store, "--max-duration", duration, "--json")
    answer = session.stopwatch(tool.argv)
    lines = [json.loads(line) for line in answer.output.splitlines()]
    return next(line for line in lines
                if line["type"] == "estimate" and line["assurance"] == level)
