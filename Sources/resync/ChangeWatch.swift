import ArgumentParser
import ResyncCore
import ResyncEngine
import ResyncStorage
import Synchronization

struct PatienceOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "A store that does not answer in this time is named, and the run ends.",
            valueName: "DURATION"))
    var ioTimeout = "60s"
}

/// Ends a command that changes stores where one of these does not answer, with the report that is
/// true at that moment.
final class ChangeWatch: Sendable {
    private let stalls = StallWatch()
    private let run = Mutex<RunFolder?>(nil)
    private let found = Mutex(ConfirmResult())

    /// What was read back so far.
    var confirmed: ConfirmResult { found.withLock { $0 } }

    func disk(_ side: Side) -> any Disk { WatchedDisk(LinuxDisk(), side, stalls) }

    func follow(_ sites: Sides<LocalSite>) {
        for side in Side.allCases {
            let facts = sites[side].facts
            stalls.follow(facts.kind == .device ? facts.stat.special : facts.stat.device, side)
        }
    }

    func began(_ run: RunFolder) { self.run.withLock { $0 = run } }

    func read(_ result: ConfirmResult) { found.withLock { $0 = result } }

    /// - Parameters:
    ///   - body: the whole of the command's work.
    ///   - stalled: called where it could not come to its end, with the run as its journal has it.
    func guarding(
        _ options: PatienceOptions, json: Bool, _ body: @escaping () throws -> ExitStatus,
        stalled: (ApplyFolder, ApplyResult) throws -> ExitStatus
    ) throws -> ExitStatus {
        do {
            return try stalls.guarding(within: try duration(options.ioTimeout), body)
        } catch let stall as Stall {
            guard let run = run.withLock({ $0 }) else {
                throw CommandError("\(stall.sentence): nothing was changed")
            }
            if json { try JSONReport.stalled(stall) }
            Main.complain(stall.sentence)
            // The thread that waits may have its own in hand.
            let folder = try ApplyFolder(reading: run)
            return try stalled(
                folder,
                ApplyResult(
                    counts: folder.state.counts, ending: .stalled,
                    failure: StoreFailure(
                        stall.side, DiskError(stall.call, ErrorNumber.timedOut))))
        }
    }
}

extension Stall {
    fileprivate var sentence: String {
        let place = path == .root ? "" : " of '\(shown(path))'"
        return "\(side.letter) has not answered in \(Int(seconds)) s: \(call.rawValue)\(place)"
    }
}
