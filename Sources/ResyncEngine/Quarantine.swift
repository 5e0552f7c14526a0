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

    /// What freeing came to.
    package struct Freed: Sendable {
        package var entries = 0
        package var bytes = 0
        /// What is kept all the same: somebody wrote to it in the quarantine, or may yet.
        package var late: [RelativePath] = []

        package init() {}
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
        let hand = folder.hand(sites.map { $0 as any Site })
        var freed = Freed()
        var kept: [Int] = []
        var touched: Set<Side> = []
        // What lies before it is erased, or among what is kept.
        var next = 0
        do {
            try forEach { number, action in
                // What patches displaced lies in one file, which goes as a whole.
                if action.kind != .patch {
                    let changer = hand.changer(action.side)
                    guard try !changer.isWrittenLate(number, action) else {
                        kept.append(number)
                        return freed.late.append(action.path)
                    }
                    try changer.erase(number, suffix: [])
                    touched.insert(action.side)
                    next = number + 1
                }
                freed.entries += 1
                freed.bytes = cappedSum(freed.bytes, action.bytesDisplaced)
            }
            for (stray, action) in try strays(sites) where isCopy(stray) {
                let changer = hand.changer(action.side)
                guard try changer.isAsTakenBack(stray, action) else {
                    freed.late.append(action.path)
                    continue
                }
                try changer.erase(stray.number, suffix: stray.suffix)
                touched.insert(action.side)
                freed.entries += 1
                freed.bytes = cappedSum(freed.bytes, stray.stat.size)
            }
            for side in touched { try hand.changer(side).sync() }
        } catch {
            // What is gone must not count as kept: an undo would take it for somebody's change.
            for record in self.freed(but: kept, before: next) { try folder.append(record) }
            throw error
        }
        // Released is what is not looked at again, and what displaces nothing any more.
        let isReleased =
            isAll && freed.late.isEmpty && (folder.state.isComplete || folder.state.isTakenBack)
        for record in isReleased ? [.released(.now)] : self.freed(but: kept) {
            try folder.append(record)
        }
        try place.removeAll()
        return freed
    }

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
