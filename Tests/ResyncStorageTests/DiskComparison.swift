import ResyncCore
import ResyncStorage
import TestSupport
import Testing

/// Lays the same entries on both disks, runs `body` on both and compares the tapes.
func compareDisks(
    _ stage: (any Stage) -> Void = { _ in }, _ body: (DiskTape) -> Void
) throws {
    let real = try RealStage()
    let simulated = SimulatedStage()
    stage(real)
    stage(simulated)
    let kernel = try DiskTape(LinuxDisk(), root: Array(real.root.utf8))
    let simulation = try DiskTape(simulated.disk, root: Array(simulated.root.utf8))
    body(kernel)
    body(simulation)
    // One by one only to show the lines that differ: an expectation is slow.
    if simulation.lines == kernel.lines { return }
    try #require(kernel.lines.count == simulation.lines.count)
    for (expected, found) in zip(kernel.lines, simulation.lines) where found != expected {
        #expect(found == expected)
    }
}

func laySamples(_ stage: any Stage) {
    stage.file("file", "content")
    stage.directory("dir")
    stage.file("dir/inner", "more")
    stage.symlink("to-file", "file")
    stage.symlink("to-dir", "dir")
    stage.symlink("dangling", "nowhere")
    stage.symlink("loop", "loop")
    stage.symlink("slashed", "dir/")
    stage.fifo("fifo")
    stage.link("file", "second")
    stage.attribute("file", "user.note", "text")
}
