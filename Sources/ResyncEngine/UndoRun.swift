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

    package init(_ folder: ApplyFolder, _ sites: Sides<any Site>, _ controls: RunControls) {
        self.folder = folder
        self.sites = sites
        self.controls = controls
    }

    /// - Precondition: no intent of the run is open: see `ApplyRun.settleOpen`.
    package func callAsFunction() throws -> ApplyResult {
        var counts = ApplyCounts()
        // What moves entries comes before what sets the times of their directories.
        var ending = try pass(settling: false, &counts)
        if ending == nil, failure == nil { ending = try pass(settling: true, &counts) }
        counts.undone = folder.state.undone.count
        return ApplyResult(
            counts: counts, ending: ending ?? .complete, failure: failure)
    }

    private var failure: (side: Side, error: DiskError)?

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
            if settling { try restoreTimes(first, actions) }
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
        let result = folder.state.results[number]
        return settling || result?.isDone == true || isHalfDone(result, action)
    }

    /// Whether an action that is not done may have changed its entry in part: metadata is changed
    /// where it is, one thing after the other.
    private func isHalfDone(_ result: ActionResult?, _ action: Action) -> Bool {
        guard action.kind == .metadata else { return false }
        switch result {
        case .blocked?, .failed?: return true
        default: return false
        }
    }

    /// What was taken out of a directory, and came back, has moved its time, whether it was taken
    /// away itself or not.
    private func restoreTimes(_ first: Int, _ actions: [Action]) throws {
        let hand = hand
        for (at, action) in actions.enumerated() where action.kind == .removeDirectory {
            switch folder.state.results[first + at] {
            // Somebody else has a say in it.
            case .changed?, .conflict?: continue
            default: try hand.changer(action.side).restoreTime(action)
            }
        }
    }

    private var hand: Hand {
        Hand(sites, ChangeOrder(run: folder.run.id, secret: folder.state.secret))
    }

    private func takeBack(
        _ first: Int, _ actions: [Action], _ chosen: [Int], _ counts: inout ApplyCounts
    ) throws {
        try folder.append(.undoIntent(first..<first + actions.count))
        let hand = hand
        var results = actions.indices.map { at -> ActionResult in
            folder.state.undone.contains(first + at) ? .done : .blocked
        }
        for at in chosen {
            let result = try hand.changer(actions[at].side).undo(
                first + at, actions[at], attributes: folder.state.attributes[first + at])
            // Where nothing was done nothing need be found.
            if !result.isDone, case .blocked? = folder.state.results[first + at],
                actions[at].kind == .metadata
            {
                continue
            }
            results[at] = result
            counts.count(result)
        }
        for side in Side.allCases where chosen.contains(where: { actions[$0].side == side }) {
            do throws(DiskError) {
                try hand.changer(side).sync()
            } catch {
                failure = (side, error)
                return
            }
        }
        try folder.append(.undone(first: first, results))
    }
}
