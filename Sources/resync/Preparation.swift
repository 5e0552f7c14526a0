import ResyncCore
import ResyncStorage

/// What a module's `prepare` has made ready to be read: its stores, or snapshots of them, until
/// `finish`.
final class Preparation {
    /// What is read; what is proven so is proven of the stores.
    private(set) var sites: Sides<LocalSite>
    /// Before the first snapshot was made; nil where both stores are read themselves.
    private(set) var taken: Timestamp?
    /// Of each side that is one.
    private(set) var snapshots: Sides<[UInt8]?> = Sides(a: nil, b: nil)

    private let stores: Sides<LocalSite>
    private let commands: (prepare: [[UInt8]], finish: [[UInt8]]?)?
    /// In which `prepare` was begun, whatever came of it.
    private var begun: [Side] = []

    /// - Parameter module: what is compared; nil where that is not one module alone.
    init(_ module: Module?, _ stores: Sides<LocalSite>) {
        self.stores = stores
        sites = stores
        commands = module?.prepare.map { ($0, module?.finish) }
    }

    /// Runs `prepare` for A, then for B.
    ///
    /// - Parameters:
    ///   - opening: how snapshots are opened.
    ///   - patience: seconds within which storage answers.
    /// - Throws: `CommandError` where it fails, or names what is no snapshot of its store; then
    ///   `finish` is due all the same.
    func begin(
        _ opening: SiteOpening, patience: Double, _ interruption: Interruption
    ) throws {
        guard let commands else { return }
        let start = Timestamp.now
        let mounts = mountTable()
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
            guard stores[side].isMeant(by: stores[side].facts.path) == true else {
                throw CommandError(
                    "after prepare the path of \(side.letter) leads to something else: a store "
                        + "is mounted before it is verified")
            }
            guard !outcome.lastLine.isEmpty else { continue }
            guard outcome.lastLine.first == slash else {
                throw CommandError(
                    "prepare said '\(outcome.line)' for \(side.letter): its last line must be the "
                        + "whole path of a snapshot, or nothing")
            }
            snapshots[side] = outcome.lastLine
            taken = start
            sites[side] = try opened(outcome.lastLine, side, opening)
            try require(sites[side], of: side, newIn: mounts, patience)
        }
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

    private func opened(
        _ path: [UInt8], _ side: Side, _ opening: SiteOpening
    ) throws -> LocalSite {
        guard stores[side].facts.kind == .directory else {
            throw CommandError("prepare gives snapshots of directories only")
        }
        return try opening.open(RawArguments.text(path))
    }

    /// What is proven of a snapshot says nothing of a store unless it is of that store, and new.
    ///
    /// - Parameter mounts: that there were before.
    private func require(
        _ snapshot: LocalSite, of side: Side, newIn mounts: MountTable?, _ patience: Double
    ) throws {
        func refused(_ why: String) -> CommandError {
            CommandError(
                "prepare named '\(escaped(snapshot.facts.path))', which is no snapshot of "
                    + "\(side.letter): \(why)")
        }
        guard snapshot.facts.kind == .directory else {
            throw refused("it is a \(snapshot.facts.kind.rawValue)")
        }
        let (store, other) = (stores[side], stores[side.other])
        let traits = try answered(within: patience, snapshot.facts.path) {
            (try Traits(snapshot), try Traits(store), try Traits(other))
        }
        if let why = traits.0.difference(from: traits.1) { throw refused(why) }
        guard traits.0.tells(traits.1, from: traits.2) else {
            throw refused(
                "nothing tells whether it is of \(side.letter) or of \(side.other.letter): "
                    + "'resync store adopt' marks a store")
        }
        // A subvolume of btrfs is no mount of its own.
        guard snapshot.facts.fileSystem.type != FileSystemKind.btrfs else { return }
        guard let mounts, let now = mountTable(), let mount = snapshot.mount(in: now) else {
            throw refused("the mount table does not tell whether it is new")
        }
        guard mounts.mount(id: mount.id) != mount else {
            throw refused("it was mounted before prepare was run")
        }
    }

    /// By what a directory store is known, and a snapshot of it as well.
    private struct Traits: Sendable {
        private let inode: UInt64
        private let birth: Timestamp?
        private let marker: Digest?
        /// Some file systems give a snapshot another one.
        private let fileSystem: UInt64

        init(_ site: LocalSite) throws {
            inode = site.facts.stat.inode
            birth = site.facts.stat.birth
            marker = try MarkerFile.read(site)?.store
            fileSystem = site.facts.fileSystem.identity
        }

        /// Why it cannot be a snapshot of a store.
        func difference(from store: Traits) -> String? {
            if inode != store.inode || birth != store.birth {
                return "its root is another directory"
            }
            return marker == store.marker ? nil : "it has not the store's marker"
        }

        /// Whether anything that it has in common with its store is not in common with the other.
        func tells(_ store: Traits, from other: Traits) -> Bool {
            store.inode != other.inode || store.birth != other.birth
                || store.marker != other.marker
                || fileSystem == store.fileSystem && fileSystem != other.fileSystem
        }
    }
}
