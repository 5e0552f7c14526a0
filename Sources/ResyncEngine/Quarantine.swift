package import ResyncCore
package import ResyncStorage

/// What a run displaced, and keeps so that it can be taken back.
package struct Quarantine {
    private let folder: ApplyFolder

    package init(_ folder: ApplyFolder) { self.folder = folder }

    /// Calls `body` with each entry that is kept, by its number in the plan.
    package func forEach(_ body: (_ number: Int, Action) throws -> Void) throws {
        guard folder.state.released == nil else { return }
        var plan = folder.plan
        try plan.forEach { number, action in
            guard action.keepsOld, folder.state.isKept(number) else { return }
            try body(number, action)
        }
    }

    /// Of what is kept, by number, what lies in the quarantine no more: somebody has taken it away.
    package func missing(_ sites: Sides<LocalSite>) throws -> Set<Int> {
        let hand = folder.hand(sites.map { $0 as any Site })
        var found = Sides<Set<Int>>(a: [], b: [])
        for side in Side.allCases where sites[side].facts.kind == .directory {
            let all = try hand.changer(side).strays { _ in false }
            found[side] = Set(all.filter { $0.suffix.isEmpty }.map(\.number))
        }
        var missing: Set<Int> = []
        try forEach { number, action in
            guard action.kind != .patch, !found[action.side].contains(number) else { return }
            missing.insert(number)
        }
        return missing
    }

    /// What freeing came to.
    package struct Freed: Sendable {
        package var entries = 0
        package var bytes = 0
        /// What is kept all the same: somebody wrote to it in the quarantine, or may yet.
        package var late: [RelativePath] = []
        /// What a run had put aside: gone as well, unless no entries were freed because of it.
        package var putAside: [PutAside] = []

        package init() {}

        fileprivate mutating func add(_ bytes: Int) {
            entries += 1
            self.bytes = cappedSum(self.bytes, bytes)
        }
    }

    /// Frees everything that is kept, for good. A run of which nothing more can be done can then no
    /// longer be taken back; of another one, what was done until now.
    ///
    /// - Throws: `UndoRefusal` where the run was cut off in its midst.
    package func release(_ sites: Sides<LocalSite>) throws -> Freed {
        try free(sites, isAll: true)
    }

    /// Frees what a slice of the plan displaced, so that there is room for the next one; it can no
    /// longer be taken back.
    package func freeSlice(_ sites: Sides<LocalSite>) throws -> Freed {
        try free(sites, isAll: false)
    }

    private func free(_ sites: Sides<LocalSite>, isAll: Bool) throws -> Freed {
        // What it displaced may be known to nothing but what would be freed.
        guard !folder.state.isCutOff else {
            throw UndoRefusal(
                reason: "run \(folder.run.id) was cut off in its midst: nothing is released before "
                    + "it has gone on")
        }
        let place = UndoPlace(folder)
        try place.check()
        let putAside = folder.putAside
        guard isAll || putAside.isEmpty else {
            // Whose it was nobody knows: it goes when somebody says so, not to make room.
            var freed = Freed()
            freed.putAside = putAside
            return freed
        }
        let hand = folder.hand(sites.map { $0 as any Site })
        let displaced = try Displaced(folder, hand)
        var freed = Freed()
        var kept: [Int] = []
        var gone: [(stray: Stray, side: Side)] = []
        var touched: Set<Side> = []
        // What lies before it is erased, or among what is kept.
        var next = 0
        do {
            try forEach { number, action in
                // What patches displaced lies in one file, which goes as a whole.
                if action.kind != .patch {
                    let changer = hand.changer(action.side)
                    guard try !displaced.isWrittenLate(number, action) else {
                        kept.append(number)
                        return freed.late.append(action.path)
                    }
                    try changer.erase(number, suffix: [])
                    touched.insert(action.side)
                    next = number + 1
                }
                freed.add(action.bytesDisplaced)
            }
            try freeCopies(sites, hand, &freed, &gone)
            touched.formUnion(gone.map(\.side))
            for side in touched { try hand.changer(side).sync() }
        } catch {
            // What is gone must not count as kept: an undo would take it for somebody's change.
            for record in self.freed(but: kept, before: next) { try folder.append(record) }
            try note(erased: gone.map(\.stray))
            throw error
        }
        try note(erased: gone.map(\.stray))
        // Released is what is not looked at again, and what displaces nothing any more.
        let isReleased =
            isAll && freed.late.isEmpty && (folder.state.isComplete || folder.state.isTakenBack)
        for record in isReleased ? [.released(.now)] : self.freed(but: kept) {
            try folder.append(record)
        }
        try place.removeAll()
        freed.putAside = putAside
        for piece in putAside { freed.add(piece.extent.length) }
        return freed
    }

    /// Frees what the run has made itself and taken back.
    private func freeCopies(
        _ sites: Sides<LocalSite>, _ hand: Hand, _ freed: inout Freed,
        _ gone: inout [(stray: Stray, side: Side)]
    ) throws {
        for (stray, action) in try strays(sites) where isCopy(stray) {
            let changer = hand.changer(action.side)
            guard try changer.isAsTakenBack(stray, action, folder.own(stray.number)) else {
                freed.late.append(action.path)
                continue
            }
            try changer.erase(stray.number, suffix: stray.suffix)
            gone.append((stray, action.side))
            freed.add(stray.stat.size)
        }
    }

    /// Names in one record of the journal.
    private static let recordNames = 1000

    private func note(erased strays: [Stray]) throws {
        let names = strays.map { StrayName(number: $0.number, suffix: $0.suffix) }
        for start in stride(from: 0, to: names.count, by: Self.recordNames) {
            let some = names[start..<min(start + Self.recordNames, names.count)]
            try folder.append(.straysErased(Array(some), .now))
        }
    }

    /// Removes undo files whose release a crash had cut off.
    ///
    /// - Returns: whether there were any.
    @discardableResult
    package func removeReleased() throws -> Bool {
        try UndoPlace(folder).removeFreed(all: folder.state.released != nil)
    }

    /// Removes the undo files of a run that is to be forgotten, where they lie elsewhere.
    ///
    /// - Precondition: nothing in them is kept.
    package func removeUndoFiles() throws { try UndoPlace(folder).removeFreed(all: true) }

    /// That all is freed but what some actions displaced.
    private func freed(but kept: [Int], before limit: Int? = nil) -> [JournalRecord] {
        var start = 0
        var records: [JournalRecord] = []
        let limit = limit ?? folder.state.results.count
        for end in kept.filter({ $0 < limit }) + [limit] {
            if end > start { records.append(.freed(start..<end, .now)) }
            start = end + 1
        }
        return records
    }

    /// Whether the run has made it itself and taken it back. Whatever else lies there may be the
    /// only one of its kind.
    package func isCopy(_ stray: Stray) -> Bool {
        folder.state.undone.contains(stray.number) && !stray.isUnplaced
    }

    /// What lies in the quarantine beside what is kept, with the action for which it was put there.
    package func strays(_ sites: Sides<LocalSite>) throws -> [(stray: Stray, action: Action)] {
        let hand = folder.hand(sites.map { $0 as any Site })
        var found: [(stray: Stray, action: Action)] = []
        for side in Side.allCases where sites[side].facts.kind == .directory {
            let strays = Dictionary(
                grouping: try hand.changer(side).strays { folder.state.isKept($0) },
                by: \.number)
            guard !strays.isEmpty else { continue }
            var plan = folder.plan
            try plan.forEach { number, action in
                guard action.side == side else { return }
                for stray in strays[number] ?? [] { found.append((stray, action)) }
            }
        }
        return found
    }

    /// Frees what is kept of one path, or of what lies below it, whoever wrote it, and records that
    /// it did.
    ///
    /// - Returns: the paths.
    /// - Throws: `UndoRefusal` where nobody can say yet what is the only one of its kind.
    package func erase(
        _ path: RelativePath, _ sites: Sides<LocalSite>
    ) throws -> [RelativePath] {
        guard !folder.state.isCutOff else {
            throw UndoRefusal(
                reason: "run \(folder.run.id) was cut off in its midst, and has to go on first")
        }
        let hand = folder.hand(sites.map { $0 as any Site })
        var found: [(number: Int, action: Action)] = []
        try forEach { number, action in
            if action.kind != .patch, action.path.isWithin(path) { found.append((number, action)) }
        }
        for (number, action) in found {
            let changer = hand.changer(action.side)
            try changer.erase(number, suffix: [])
            try changer.sync()
            try folder.append(.erased(number: number, .now))
        }
        let strays = try strays(sites).filter { $0.action.path.isWithin(path) }
        for (stray, action) in strays {
            let changer = hand.changer(action.side)
            try changer.erase(stray.number, suffix: stray.suffix)
            try changer.sync()
            try note(erased: [stray])
        }
        return found.map { $0.action.path } + strays.map { $0.action.path }
    }
}

extension Action {
    /// Whether something goes into the quarantine, or an undo file, when it is done.
    package var keepsOld: Bool {
        switch kind {
        case .makeDirectory, .write, .link, .symlink, .special, .remove, .removeDirectory:
            before != nil
        case .patch: true
        case .metadata, .settleDirectory: false
        }
    }
}
