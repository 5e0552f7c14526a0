import ResyncCore

/// Directories that a plan was to make and that are not the run's: somebody came first, or nobody
/// made them. What was to fill or to settle them is not done.
struct NotMade {
    private var paths: Sides<Set<RelativePath>> = Sides(a: [], b: [])

    mutating func add(_ action: Action) { paths[action.side].insert(action.path) }

    func hold(back action: Action) -> Bool {
        let missing = paths[action.side]
        guard !missing.isEmpty else { return false }
        var at = action.kind == .settleDirectory ? action.path : action.path.parent
        while at != .root {
            if missing.contains(at) { return true }
            at = at.parent
        }
        return false
    }
}
