import ResyncCore
import ResyncStorage

/// What a module's `prepare` has made ready to be read: its stores, or snapshots of them, until
/// `finish`.
final class Preparation {
    /// What is read; what is proven so is proven of the stores.
    private(set) var sites: Sides<LocalSite>
    /// While which the snapshots were made; nil where both stores are read themselves.
    private(set) var taken: ClosedRange<Timestamp>?
    /// Of each side that is one.
    private(set) var snapshots: Sides<[UInt8]?> = Sides(a: nil, b: nil)

    private let stores: Sides<LocalSite>
    private let commands: (prepare: [[UInt8]], finish: [[UInt8]]?)?
    /// In which `prepare` was begun, whatever came of it.
    private var begun: [Side] = []

    /// - Parameters:
    ///   - module: what is compared; nil where that is not one module alone.
    ///   - opening: how snapshots are opened.
    init(_ module: Module?, _ stores: Sides<LocalSite>) {
        self.stores = stores
        sites = stores
        commands = module?.prepare.map { ($0, module?.finish) }
    }

    /// Runs `prepare` for A, then for B.
    ///
    /// - Throws: `CommandError` where it fails, or names what is no snapshot of its store; then
    ///   `finish` is due all the same.
    func begin(
        _ opening: SiteOpening, patience: Double, _ interruption: Interruption
    ) throws {
        guard let commands else { return }
        let start = Timestamp.now
        for side in Side.allCases {
            begun.append(side)
            let words = commands.prepare + arguments(side)
            let outcome = CheckOutcome(running: words) { interruption.signalNumber != nil }
            if let signal = interruption.signalNumber {
                throw CommandError("ended before anything was compared", .signal(signal))
            }
            if let failure = outcome.failure {
                throw CommandError("prepare failed for \(side.letter): \(failure)")
            }
            guard !outcome.lastLine.isEmpty else { continue }
            guard outcome.lastLine.first == slash else {
                throw CommandError(
                    "prepare said '\(outcome.line)' for \(side.letter): its last line must be the "
                        + "whole path of a snapshot, or nothing")
            }
            snapshots[side] = outcome.lastLine
            sites[side] = try opened(outcome.lastLine, side, opening, patience)
        }
        guard snapshots.a != nil || snapshots.b != nil else { return }
        if try storeOverlap(sites.a, sites.b) != nil {
            throw CommandError("prepare named the same data for A and for B")
        }
        taken = start...max(start, .now)
    }

    /// Runs `finish` for each side that `prepare` was run for, also where that failed.
    ///
    /// - Returns: whether all is as it was.
    func finish() -> Bool {
        // What is still open cannot be unmounted.
        sites = stores
        guard let finish = commands?.finish else { return true }
        var isDone = true
        for side in begun.reversed() {
            let words = finish + arguments(side) + (snapshots[side].map { [$0] } ?? [])
            guard let failure = CheckOutcome(running: words).failure else { continue }
            Main.complain("finish failed for \(side.letter): \(failure)")
            isDone = false
        }
        begun = []
        return isDone
    }

    private func arguments(_ side: Side) -> [[UInt8]] {
        [Array(side.word.utf8), absolutePath(stores[side].facts.path)]
    }

    /// A snapshot that can stand for its store: else what is proven of it says nothing.
    private func opened(
        _ path: [UInt8], _ side: Side, _ opening: SiteOpening, _ patience: Double
    ) throws -> LocalSite {
        let store = stores[side]
        let snapshot = try opening.open(RawArguments.text(path))
        func refused(_ why: String) -> CommandError {
            CommandError(
                "prepare named '\(escaped(path))', which is no snapshot of \(side.letter): \(why)")
        }
        guard snapshot.facts.kind == store.facts.kind else {
            throw refused("it is a \(snapshot.facts.kind.rawValue)")
        }
        guard store.facts.kind == .directory else {
            guard snapshot.facts.size == store.facts.size else {
                throw refused("it is of another size")
            }
            return snapshot
        }
        // What has a file system of the same origin has the same inodes.
        guard snapshot.facts.stat.inode == store.facts.stat.inode else {
            throw refused("its root is another directory")
        }
        let markers = try answered(within: patience, path) {
            (try MarkerFile.read(store)?.store, try MarkerFile.read(snapshot)?.store)
        }
        guard markers.0 == markers.1 else { throw refused("it has not the store's marker") }
        return snapshot
    }
}
