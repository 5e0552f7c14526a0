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

    /// Frees everything that is kept, for good: the run can no longer be taken back.
    ///
    /// - Returns: how many entries, of how many bytes.
    package func release(
        _ sites: Sides<LocalSite>
    ) throws -> Freed {
        let freed = try eraseAll(sites)
        try folder.append(.released(.now))
        try UndoPlace(folder).removeAll()
        return freed
    }

    /// Frees what a slice of the plan displaced, so that there is room for the next one; it can no
    /// longer be taken back.
    package func free(_ sites: Sides<LocalSite>) throws -> Freed {
        let freed = try eraseAll(sites)
        let old = UndoPlace(folder)
        try folder.append(.freed(folder.state.results.indices, .now))
        try old.removeAll()
        return freed
    }

    package typealias Freed = (entries: Int, bytes: Int)

    private func eraseAll(_ sites: Sides<LocalSite>) throws -> Freed {
        let hand = hand(sites)
        var freed = (entries: 0, bytes: 0)
        var touched: Set<Side> = []
        try forEach { number, action in
            freed.entries += 1
            freed.bytes = cappedSum(freed.bytes, action.bytesDisplaced)
            // What patches displaced lies in one file, which goes as a whole.
            guard action.kind != .patch else { return }
            try hand.changer(action.side).erase(number)
            touched.insert(action.side)
        }
        for side in touched { try hand.changer(side).sync() }
        return freed
    }

    /// Frees what is kept of one path, or of what lies below it, and records that it did.
    ///
    /// - Returns: the paths.
    package func erase(
        _ path: RelativePath, _ sites: Sides<LocalSite>
    ) throws -> [RelativePath] {
        var found: [(number: Int, action: Action)] = []
        try forEach { number, action in
            if action.kind != .patch, action.path.isWithin(path) { found.append((number, action)) }
        }
        let hand = hand(sites)
        for (number, action) in found {
            try hand.changer(action.side).erase(number)
            try hand.changer(action.side).sync()
            try folder.append(.erased(number: number, .now))
        }
        return found.map { $0.action.path }
    }

    private func hand(_ sites: Sides<LocalSite>) -> Hand {
        Hand(
            sites.map { $0 as any Site },
            ChangeOrder(run: folder.run.id, secret: folder.state.secret))
    }
}

extension Action {
    /// Whether something goes into the quarantine, or an undo file, when it is done.
    var keepsOld: Bool {
        switch kind {
        case .makeDirectory, .write, .link, .symlink, .special, .remove, .removeDirectory:
            before != nil
        case .patch: true
        case .metadata, .settleDirectory: false
        }
    }
}
