package import ResyncCore
package import ResyncStorage

/// Takes back what a run has done, last action first; what was changed since stays as it is.
///
/// A crash at any moment leaves each action done or taken back; the same undo goes on.
package final class UndoRun {
    private let folder: ApplyFolder
    private let sites: Sides<any Site>
    private let controls: RunControls
    private let progress = Progress()

    /// By number, what a later run has changed once more: that one goes back first.
    private let later: [Int: String]

    package init(
        _ folder: ApplyFolder, _ sites: Sides<any Site>, _ controls: RunControls,
        later: [Int: String] = [:]
    ) {
        self.folder = folder
        self.sites = sites
        self.controls = controls
        self.later = later
    }

    /// - Precondition: no intent of the run is open: see `ApplyRun.settleOpen`.
    package func callAsFunction() throws -> ApplyResult {
        var counts = ApplyCounts()
        try lookAside()
        // What moves entries comes before what sets the times of their directories.
        var ending = try pass(settling: false, &counts)
        if ending == nil, failure == nil { ending = try pass(settling: true, &counts) }
        counts.undone = folder.state.undone.count
        var result = ApplyResult(counts: counts, ending: ending ?? .complete, failure: failure)
        result.notUndone = notUndone
        result.late = late
        result.later = later
        return result
    }

    /// Takes back the rest of a batch in which an undo was cut off; throws where that cannot be
    /// done.
    package func settleOpen() throws {
        guard let open = folder.state.openUndo else { return }
        try lookAside()
        var counts = ApplyCounts()
        for frame in 0..<folder.plan.frameCount where failure == nil {
            let (first, actions) = try folder.plan.actions(frame: frame)
            guard open.overlaps(first..<first + actions.count) else { continue }
            // Settling comes when all else of the plan was tried.
            let isSettling = actions.indices.allSatisfy { at in
                !isLeft(first + at, actions[at], false) || folder.state.isLeftByUndo(first + at)
            }
            let chosen = actions.indices.filter { isLeft(first + $0, actions[$0], isSettling) }
            try takeBack(first, actions, isSettling ? chosen : chosen.reversed(), &counts)
        }
        if let failure { throw failure }
    }

    /// What was left as it is, and why.
    private var notUndone: [Int: ActionResult] = [:]

    private var late: [(number: Int, path: RelativePath)] = []

    /// Of actions that met somebody else at work: what lies in the quarantine for them.
    private var aside: [Int: [Stray]] = [:]

    private func lookAside() throws {
        let state = folder.state
        guard !state.conflicts.isEmpty else { return }
        let hand = folder.hand(sites)
        for side in Side.allCases where folder.plan.trailer.totals[side].actions > 0 {
            let strays = try hand.changer(side).strays { state.isKept($0) }
            for stray in strays where state.conflicts.contains(stray.number) {
                aside[stray.number, default: []].append(stray)
            }
        }
    }

    /// What becomes of an action that met somebody else and is not done; nil where something may be
    /// brought back for it.
    private func end(ofConflict number: Int) -> ActionResult? {
        guard let strays = aside[number] else { return .done }
        return strays.allSatisfy { $0.isUnplaced } ? .conflict : nil
    }

    private var failure: StoreFailure?

    /// How it ended early; nil when it came to its end.
    private func pass(settling: Bool, _ counts: inout ApplyCounts) throws -> Ending? {
        let frames = folder.plan.frameCount
        for frame in 0..<frames {
            if let signal = controls.interruption() { return .interrupted(signal) }
            controls.report(.comparing, progress)
            // Settling goes from the deepest directory to the root, forwards and backwards alike.
            let at = settling ? frame : frames - 1 - frame
            let (first, actions) = try folder.plan.actions(frame: at)
            let chosen = actions.indices.filter { isLeft(first + $0, actions[$0], settling) }
            if settling { try restoreTimes(actions) }
            guard !chosen.isEmpty else { continue }
            try takeBack(first, actions, settling ? chosen : chosen.reversed(), &counts)
            if failure != nil { return nil }
        }
        return nil
    }

    /// Whether an action is to be taken back. Every directory that the plan would settle is: what
    /// was done in it moved its time, come to its settling or not.
    private func isLeft(_ number: Int, _ action: Action, _ settling: Bool) -> Bool {
        guard (action.group == .settling) == settling, !folder.state.undone.contains(number)
        else { return false }
        return settling || folder.state.isToBeTakenBack(number)
    }

    /// A directory that was to go gets back the time that taking its entries out has moved, come to
    /// its own removal or not.
    private func restoreTimes(_ actions: [Action]) throws {
        let hand = folder.hand(sites)
        for action in actions where action.kind == .removeDirectory {
            try hand.changer(action.side).restoreTime(action)
        }
    }

    /// Whether a directory has attributes from before and from the source's, as settling it, or
    /// taking that back, leaves them where it is cut off.
    private func isHalfSettled(
        _ action: Action, _ before: [Attribute]?, _ hand: Hand
    ) -> Bool {
        guard let before, let now = try? hand.changer(action.side).attributes(action) else {
            return false
        }
        return (try? hand.areKnown(now, of: action, before: before)) == true
    }

    /// What becomes of an action that is not even looked at; nil for all others.
    private func known(_ number: Int, _ action: Action) -> ActionResult? {
        if action.keepsOld, folder.state.isErased(number) { return .released }
        if later[number] != nil { return .blocked }
        guard folder.state.conflicts.contains(number), !folder.state.isDone(number) else {
            return nil
        }
        return end(ofConflict: number)
    }

    private func takeBack(
        _ first: Int, _ actions: [Action], _ chosen: [Int], _ counts: inout ApplyCounts
    ) throws {
        let open = folder.state.openUndo
        // What settles directories moves no times of others': those that are back stay back.
        let start = chosen.allSatisfy { actions[$0].group == .settling } ? chosen.min() ?? 0 : 0
        try folder.append(.undoIntent(first + start..<first + actions.count))
        let hand = folder.hand(sites)
        var results = actions.indices.map { at -> ActionResult in
            folder.state.undone.contains(first + at) ? .done : .blocked
        }
        for at in chosen {
            controls.pace.hold()
            if let known = known(first + at, actions[at]) {
                results[at] = known
                // A conflict of which nothing is left was not done, and is none that came back.
                guard !known.isDone else { continue }
                notUndone[first + at] = known
                counts.count(known)
                continue
            }
            let changer = hand.changer(actions[at].side)
            let attributes = folder.state.attributes[first + at]
            let isRetry = open?.contains(first + at) == true
            let result = try changer.undo(
                first + at, actions[at],
                isRetry: isRetry || isHalfSettled(actions[at], attributes, hand),
                attributes: attributes, folder.own(first + at))
            results[at] = result
            if result.isDone, changer.broughtBackLate.contains(first + at) {
                late.append((first + at, actions[at].path))
            }
            counts.count(result)
            if !result.isDone { notUndone[first + at] = result }
        }
        for side in Side.allCases where chosen.contains(where: { actions[$0].side == side }) {
            do throws(DiskError) {
                try hand.changer(side).sync()
            } catch {
                failure = StoreFailure(side, error)
                return
            }
        }
        try folder.append(.undone(first: first + start, Array(results[start...])))
    }
}
