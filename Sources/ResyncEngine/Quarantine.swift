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
            guard action.keepsOld, folder.state.isDone(number),
                !folder.state.erased.contains(number)
            else { return }
            try body(number, action)
        }
    }

    /// Frees everything that is kept, for good: the run can no longer be taken back.
    ///
    /// - Returns: how many entries, of how many bytes.
    package func release(
        _ sites: Sides<LocalSite>
    ) throws -> (entries: Int, bytes: Int) {
        let hand = hand(sites)
        var entries = 0
        var bytes = 0
        var touched: Set<Side> = []
        try forEach { number, action in
            try hand.changer(action.side).erase(number)
            entries += 1
            bytes += action.bytesDisplaced
            touched.insert(action.side)
        }
        for side in touched { try hand.changer(side).sync() }
        try folder.append(.released(.now))
        return (entries, bytes)
    }

    /// Frees what is kept of one path, or of what lies below it, and records that it did.
    ///
    /// - Returns: the paths.
    package func erase(
        _ path: RelativePath, _ sites: Sides<LocalSite>
    ) throws -> [RelativePath] {
        var found: [(number: Int, action: Action)] = []
        try forEach { number, action in
            if action.path.isWithin(path) { found.append((number, action)) }
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
    /// Whether something goes into the quarantine when it is done.
    var keepsOld: Bool {
        switch kind {
        case .makeDirectory, .write, .link, .symlink, .special, .remove, .removeDirectory:
            before != nil
        case .metadata, .settleDirectory, .patch: false
        }
    }
}
