"""Making stores the same: plan and apply, beside rsync."""

import os
import re

from . import tools
from .machine import size_of
from .session import Figure, benchmark


@benchmark
def apply(session):
    """What differs in divergent, from the finished verification on: planned, applied with an undo
    kept, or copied over by rsync, which finds it anew and syncs nothing by itself."""
    result = session.begin("apply")
    a, b = session.workloads.stores("divergent")
    target = os.path.join(os.path.dirname(a), "target")
    state = os.path.join(session.scratch, "apply")
    _, size, _ = size_of(a)

    def reset():
        """The target as B was; rsync's own comparison takes times for content."""
        session.stopwatch(lambda _: ["rm", "-rf", f"{target}/.resync-quarantine", state])
        session.stopwatch(lambda _: ["rsync", "-ac", "--delete", f"{b}/", f"{target}/"])
        session.stopwatch(lambda _: ["sync"])
        session.stopwatch(
            lambda _: [session.binary, "verify", "--state", state, "--settle", "0s", "-q", a,
                       target], statuses=(1,))

    script = ('"$1" plan last --state "$2" --authority a -o "$3/plan" $4 > "$3/out" && '
              '"$1" apply "$3/plan" --state "$2" $4 > "$3/out"')
    ours = tools.Tool("resync plan, apply", lambda place: [
        "bash", "-c", script, "apply", session.binary, state, place, ""])
    rival = tools.Tool(
        "rsync -ac --delete, sync", lambda _: [
            "bash", "-c", 'rsync -ac --delete "$1/" "$2/" && sync -f "$2"', "rsync", a, target],
        "rsync", "rsync")
    session.compare(
        result, "warm", ours, [rival], [a, b, target], size, before=reset, needed=1 << 40,
        runs=3)
    session.stopwatch(lambda _: ["rm", "-rf", target])


@benchmark
def added(session):
    """20 000 new files of 1 to 8 KiB, a tenth of small, from their plan into an empty store. Both
    sync what they write; rsync finds out itself what is missing."""
    result = session.begin("added")
    a, _ = session.workloads.stores("small", 0.1)
    _, size, _ = size_of(a)
    target = os.path.join(session.scratch, "added")
    state = os.path.join(session.scratch, "added-state")
    plan = os.path.join(session.scratch, "added-plan")

    def reset():
        session.stopwatch(lambda _: ["rm", "-rf", target, state, plan])
        session.stopwatch(lambda _: ["mkdir", target])
        session.stopwatch(
            lambda _: [session.binary, "verify", "--state", state, "-q", a, target], statuses=(1,))
        session.stopwatch(
            lambda _: [session.binary, "plan", "last", "--state", state, "--authority", "a", "-o",
                       plan])
        session.stopwatch(lambda _: ["sync"])

    ours = tools.Tool(
        "resync apply", lambda _: [session.binary, "apply", plan, "--state", state])
    rival = tools.Tool(
        "rsync -a --fsync", lambda _: ["rsync", "-a", "--fsync", f"{a}/", f"{target}/"], "rsync",
        "rsync", 1.0)
    session.compare(
        result, "warm", ours, [rival], [a], size, before=reset, needed=1 << 40)


@benchmark
def patch(session):
    """1000 changes of 4 KiB in an image of 4 GiB, with an undo file, beside rsync --inplace. resync
    has its plan; rsync reads the whole image to find out what differs."""
    result = session.begin("patch")
    folder = os.path.join(session.scratch, "patch")
    words = [session.generator, "patch", folder, "--rounds", "1"]
    words += ["--size", "128", "--changes", "100"] if session.is_small else []
    ratios = []
    for _ in range(1 if session.is_small else min(3, session.runs)):
        output = session.stopwatch(lambda _: words).output
        ours, theirs, ratio = map(float, re.findall(r"\d+\.\d+", output))
        ratios.append(ratio)
        result.notes.append(f"patch {ours:.2f} s, rsync --inplace {theirs:.2f} s")
    result.figures.append(Figure.of(
        "patch cold, resync by rsync --inplace", ratios, "lower", 0.1))
