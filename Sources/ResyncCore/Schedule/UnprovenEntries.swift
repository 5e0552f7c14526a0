/// Collects what of a pair is still to be proven, by its entries as they are now.
package struct UnprovenEntries: Sendable {
    /// What of it is wanted.
    package enum Part: String, Sendable, CaseIterable {
        /// What lies in hot paths.
        case hot
        /// What was most likely damaged: all but what has rank `other`.
        case suspect
        /// All of it.
        case unproven
        /// All of it that lies in no module.
        case rest
    }

    /// Paths that are collected, at most.
    package static let limit = 1_000_000

    private let part: Part
    private let suspicion: Suspicion
    /// Of each module, and last of what belongs to none.
    private let proofs: [ModuleProof]
    private let mismatches: Set<RelativePath>
    private let limit: Int
    private var owners: Owners

    /// Paths that are to be looked at, in walk order.
    package private(set) var paths: [RelativePath] = []
    /// Those of them that are directories whose entries were looked at one by one. What could not
    /// be looked at, or listed whole, is to be looked at with all that lies below; and so is what
    /// was no directory: it may have become one by then.
    package private(set) var directories: Set<RelativePath> = []
    /// How many entries need no looking at: they are proven.
    package private(set) var proven = 0
    /// How many are not, and do not belong to the part that is wanted.
    package private(set) var left = 0
    /// Whether there are more than could be collected.
    package private(set) var isCut = false

    /// - Parameters:
    ///   - modules: that the entries belong to, each with the spans that count against it. None
    ///     lies in another one.
    ///   - rest: the same for what belongs to none.
    ///   - mismatches: what was found to differ, and not proven equal since.
    package init(
        _ part: Part, _ modules: [(module: Module, spans: Sides<[SuspectSpan]>)],
        rest: Sides<[SuspectSpan]>, _ suspicion: Suspicion, mismatches: Set<RelativePath>,
        limit: Int = Self.limit
    ) {
        self.part = part
        self.suspicion = suspicion
        self.mismatches = mismatches
        self.limit = limit
        var nobody = Module(name: "", pair: "", paths: [.root])
        nobody.scope = .suspect
        proofs = modules.map { ModuleProof($0.module, $0.spans) } + [ModuleProof(nobody, rest)]
        owners = Owners(modules.map(\.module))
    }

    /// - Parameters:
    ///   - stats: nil where it could not be looked at; of a side, where it has no such entry.
    ///   - record: what both sides were last proven to share.
    package mutating func add(
        _ path: RelativePath, _ stats: Sides<Stat?>?, _ record: BaselineRecord?
    ) {
        // A directory that could not be listed whole comes again, behind what was listed of it.
        if stats == nil { directories.remove(path) }
        guard path != .root || stats == nil, isWanted(path, stats, record) else { return }
        guard paths.count < limit else {
            isCut = true
            return
        }
        paths.append(path)
        if stats?.isDirectory == true { directories.insert(path) }
    }

    private mutating func isWanted(
        _ path: RelativePath, _ stats: Sides<Stat?>?, _ record: BaselineRecord?
    ) -> Bool {
        let isMismatch = mismatches.contains(path)
        let owner = owners.owner(of: path)
        if let stats, !isMismatch, proofs[owner ?? proofs.count - 1].gap(stats, record) == nil {
            proven += 1
            return false
        }
        switch part {
        case .hot, .unproven: return true
        case .rest where owner == nil: return true
        case .suspect:
            guard let stats, !isMismatch else { return true }
            let rank = suspicion.rank(of: path, stats: stats, record: record, isMismatch: false)
            if rank != .other { return true }
        case .rest: break
        }
        left += 1
        return false
    }

    /// Whose an entry is: as a rule that of the entry before it.
    private struct Owners {
        private let places: [RelativePath: Int]
        private var directory: RelativePath?
        private var last: Int?

        init(_ modules: [Module]) {
            var places: [RelativePath: Int] = [:]
            for (index, module) in modules.enumerated() {
                for path in module.paths { places[path] = index }
            }
            self.places = places
        }

        mutating func owner(of path: RelativePath) -> Int? {
            if let own = places[path] { return own }
            let parent = path.parent
            if parent == directory { return last }
            var (above, found) = (parent, places[parent])
            while found == nil, above != .root {
                above = above.parent
                found = places[above]
            }
            (directory, last) = (parent, found)
            return found
        }
    }
}

extension Sides<Stat?> {
    /// Whether there is a directory, and nothing else.
    fileprivate var isDirectory: Bool {
        (a?.type ?? .directory) == .directory && (b?.type ?? .directory) == .directory
            && (a != nil || b != nil)
    }
}
