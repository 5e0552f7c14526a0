package import ResyncCore

/// What really happened to two stores since they were last proven alike, written down by whoever
/// made it happen; without a look at stats, digests or any rule of the program.
package struct HistoryOracle {
    /// What one side has under a name, as its user sees it.
    package struct Thing: Hashable, Sendable {
        package var type: EntryType
        package var mode: UInt16
        /// Tells one version of the bytes from all others; 0 is nothing but zeros.
        package var version: UInt64

        package init(_ type: EntryType, mode: UInt16, version: UInt64) {
            self.type = type
            self.mode = mode
            self.version = version
        }
    }

    /// How one side's entry came to be as it is.
    package enum Origin: Sendable {
        /// As it was proven.
        case proven
        /// Somebody wrote, changed, made or removed it.
        case edited
        /// As `edited`, with the old time put back, as what rotted and was touched since looks.
        case editedBack
        /// As `edited`; an episode lost what the inode said of it.
        case editedUnseen
        /// Its bytes changed by themselves, under a stat that was proven with it.
        case rotten
        /// As `rotten`, over what was not proven: nobody can tell.
        case rottenUnseen
        /// Zeros came in the place of its bytes.
        case zeroed
        /// It went in an episode.
        case lost
        /// As it was proven, but for times or inode.
        case touched
        /// A plan brought it; not proven yet.
        case copied

        /// Once somebody has changed the mode as well, which moves the ctime.
        package var afterChmod: Origin {
            switch self {
            case .editedBack, .editedUnseen: self
            case .rotten, .rottenUnseen: .rottenUnseen
            default: .edited
            }
        }

        var isEdit: Bool { self == .edited || self == .editedBack || self == .editedUnseen }
    }

    private var origins: [String: Sides<Origin>] = [:]
    private var proven: [String: Thing] = [:]
    /// Modes that a plan brought: with these nobody else gave an entry its own.
    private var copiedModes: [String: Sides<UInt16?>] = [:]
    /// Whether a side had an episode since the entry was proven.
    private var episodes: [String: Sides<Bool>] = [:]
    private var episode = Sides(a: false, b: false)

    package init() {}

    package func origin(_ path: String, _ side: Side) -> Origin {
        origins[path]?[side] ?? .proven
    }

    /// - Parameter now: what is there now.
    package mutating func note(
        _ path: String, _ side: Side, _ origin: Origin, _ now: Thing?
    ) {
        var both = origins[path] ?? Sides(a: .proven, b: .proven)
        let isLeftAlone = now == proven[path] && (origin.isEdit || origin == .zeroed)
        // Where an undo brings back what a plan replaced, what an episode did since stays.
        let isOverlaid = origin == .proven && now != proven[path]
        both[side] = isLeftAlone ? .touched : isOverlaid ? .editedUnseen : origin
        origins[path] = both
        if origin == .copied {
            copiedModes[path, default: Sides(a: nil, b: nil)][side] = now?.mode
        }
    }

    package mutating func noteEpisode(on side: Side, _ paths: some Sequence<String>) {
        episode[side] = true
        for path in paths { episodes[path, default: episode][side] = true }
    }

    package mutating func noteProof(_ path: String, _ thing: Thing?) {
        origins[path] = nil
        copiedModes[path] = nil
        proven[path] = thing
        episodes[path] = Sides(a: false, b: false)
    }

    package mutating func swap() {
        origins = origins.mapValues { $0.swapped }
        copiedModes = copiedModes.mapValues { $0.swapped }
        episodes = episodes.mapValues { $0.swapped }
        episode = episode.swapped
    }

    package func hadEpisode(_ path: String) -> Sides<Bool> { episodes[path] ?? episode }

    // MARK: Judging

    /// What a plan did to one side's entry that nobody may do without being asked to.
    ///
    /// - Parameters:
    ///   - isResumed: the plan was made for what both sides had before.
    ///   - original: what an undo is to bring back, whatever has become of the other side.
    package func violations(
        _ path: String, _ side: Side, before: Sides<Thing?>, after: Sides<Thing?>,
        isResumed: Bool = false, original: Sides<Thing?>? = nil
    ) -> [String] {
        let (old, new) = (before[side], after[side])
        guard old != new else { return [] }
        let isBroughtBack = original.map { $0[side] == new } ?? false
        let taken = before[side.other]
        var found: [String] = []
        func say(_ what: String) {
            let origins = (origin(path, side), origin(path, side.other))
            found.append("\(path) on \(side.letter): \(what): \(origins.0), other \(origins.1)")
        }
        if !isResumed, new?.type != .directory, new != taken { say("became what neither side had") }
        if let old, origin(path, side).isEdit, loses(path, side, old, new) {
            say("an edit was overwritten")
        }
        if old == nil, origin(path, side).isEdit, !hadEpisode(path)[side],
            origin(path, side.other) == .proven, proven[path] != nil
        {
            say("a deletion was undone")
        }
        if !isResumed, new == nil, origin(path, side.other) == .lost {
            say("a lost entry was deleted")
        }
        if isBroughtBack { return found }
        if new != nil, new == taken, origin(path, side.other) == .rotten { say("damage won") }
        if let old, let new, new.version == 0, old.version != 0, new.type == .file,
            origin(path, side.other) == .zeroed
        {
            say("zeros won")
        }
        return found
    }

    /// Whether something goes that was not there when the entry was proven.
    private func loses(_ path: String, _ side: Side, _ old: Thing, _ new: Thing?) -> Bool {
        guard let proven = proven[path], let new, new.type == old.type else { return true }
        // Zeros are nothing that anybody wrote.
        return (new.version != old.version && old.version != proven.version && old.version != 0)
            || (new.mode != old.mode && old.mode != proven.mode
                && old.mode != copiedModes[path]?[side])
    }

    /// What both sides must have after a plan that was carried out whole, where one thing alone
    /// happened to an entry, on one side; nil where nothing is to be expected.
    package func expectation(_ path: String, before: Sides<Thing?>) -> Sides<Thing?>? {
        let (a, b) = (origin(path, .a), origin(path, .b))
        guard (a == .proven) != (b == .proven), before.a != before.b else { return nil }
        let side: Side = a == .proven ? .b : .a
        let episodes = hadEpisode(path)
        let winner: Side
        switch origin(path, side) {
        case .edited:
            // Zeros stay a matter for a person, whatever else was done to them.
            guard before[side]?.version != 0, before[side] != nil || !episodes[side] else {
                return nil
            }
            winner = side
        case .rotten:
            guard !episodes.a, !episodes.b, before.a?.mode == before.b?.mode else { return nil }
            winner = side.other
        case .lost: winner = side.other
        case .proven, .touched, .editedBack, .editedUnseen, .rottenUnseen, .zeroed, .copied:
            return nil
        }
        return Sides(a: before[winner], b: before[winner])
    }
}
