import ResyncCore
import ResyncEngine
import ResyncStorage

/// What became of a plan's actions, for a person or a program.
struct ApplyReport {
    private let folder: ApplyFolder
    private let json: Bool
    /// Who had open what was withheld.
    var holders: [Int: OpenFiles.Holder] = [:]

    init(_ folder: ApplyFolder, json: Bool) {
        self.folder = folder
        self.json = json
    }

    /// Lines printed before the rest is only counted.
    private static let lineLimit = 1000

    /// Every action that is not done, with why.
    func actions() throws {
        try lines(isUndo: false) { number in
            folder.state.results[number].flatMap { $0.isDone || $0 == .stopped ? nil : $0 }
        }
        try putAside()
    }

    /// Every action that an undo has not taken back, with why.
    func notUndone(_ result: ApplyResult) throws {
        try lines(isUndo: true, result.leftExtents, result.later) { result.notUndone[$0] }
        try putAside()
        guard !json else { return }
        for (_, path) in result.late {
            try StandardOutput.shared.write(
                "~ \(shown(path))  came back with what was written to it after it was displaced\n")
        }
    }

    /// What an undo, or an action that was not gone on with, overwrote, whosever it was.
    private func putAside() throws {
        let all = folder.putAside
        for piece in all.prefix(json ? all.count : Self.lineLimit) {
            guard !json else {
                try StandardOutput.shared.write(piece.json(isReleased: false).bytes)
                continue
            }
            try StandardOutput.shared.write(
                "~ \(piece.text)  stood where the run was cut off; overwritten with what was there "
                    + "before, and put aside\n")
        }
        guard !json, !all.isEmpty else { return }
        if all.count > Self.lineLimit {
            try StandardOutput.shared.write("… \(countText(all.count - Self.lineLimit)) more\n")
        }
        try StandardOutput.shared.write(
            "  'resync quarantine copy \(folder.run.id) DIR' copies what was put aside\n")
    }

    private func lines(
        isUndo: Bool, _ left: [Int: LeftExtents] = [:], _ later: [Int: String] = [:],
        _ result: (_ number: Int) -> ActionResult?
    ) throws {
        var plan = folder.plan
        var printed = 0
        var omitted = 0
        try plan.forEach { number, action in
            guard let result = result(number) else { return }
            let run = result == .blocked ? later[number] : nil
            if json { return try add(action, result, holders[number], left[number], run) }
            guard printed < Self.lineLimit else {
                omitted += 1
                return
            }
            printed += 1
            var reason = result.sentence(
                on: action.side, isUndo: isUndo, holder: holders[number])
            if isUndo { reason += place(action, number, result) }
            if let run { reason = "run \(run) has changed it since: take that back first" }
            if let left = left[number] { reason += ": \(left.text)" }
            try StandardOutput.shared.write("! \(shown(action.path))  \(reason)\n")
        }
        if omitted > 0 { try StandardOutput.shared.write("… \(countText(omitted)) more\n") }
    }

    /// Where what an action displaced is, if an undo has left it there for good.
    private func place(_ action: Action, _ number: Int, _ result: ActionResult) -> String {
        if result == .conflict {
            return "; see 'resync quarantine list': it may be the only one of its kind; once it "
                + "is taken away from there, undo comes to its end"
        }
        guard result == .changed, action.keepsOld, action.kind != .patch else { return "" }
        return "; see .resync-quarantine/\(folder.run.id)/\(number)"
    }

    private func add(
        _ action: Action, _ result: ActionResult, _ holder: OpenFiles.Holder?,
        _ left: LeftExtents?, _ later: String?
    ) throws {
        var line = JSONLine(type: "action")
        line.path(action.path)
        line.field("side", action.side.word)
        line.field("result", result.word)
        if let holder {
            line.field("process", holder.number)
            line.field("process_name", escaped(holder.name))
        }
        if let later { line.field("later_run", later) }
        if let left {
            line.field("extents_left", left.count)
            line.field("extents", left.extents.map { $0.object })
        }
        try StandardOutput.shared.write(line.bytes)
    }

    private func summarize(_ result: ApplyResult, _ status: ExitStatus) throws {
        let counts = result.counts
        var line = JSONLine(type: "summary")
        line.field("run", folder.run.id)
        line.field("plan", folder.plan.id.hex)
        line.field("actions", folder.plan.trailer.actions)
        line.field("done", counts.done)
        line.field("not_done", counts.notDone)
        line.field("undone", counts.undone)
        line.field("left_out", folder.plan.trailer.leftOut.object)
        line.field("written_late", result.late.map { escaped($0.path.bytes) })
        line.field("put_aside", folder.putAside.count)
        line.field("standing", folder.standing)
        if let lack = result.undoLack { line.field("undo_file", lack.sentence) }
        if let shortage = result.shortage { line.field("shortage", shortage.sentence) }
        line.field("exit_status", Int(status.code))
        try StandardOutput.shared.write(line.bytes)
    }

    /// - Parameter since: from when on a change is told.
    func summary(
        _ verb: String, _ result: ApplyResult, _ status: ExitStatus,
        since: String = "the plan was made"
    ) throws {
        guard !json else { return try summarize(result, status) }
        let counts = result.counts
        let all = countText(counts.done + counts.notDone)
        var parts = ["\(verb) \(countText(counts.done)) of \(all)"]
        func add(_ count: Int, _ text: String) {
            if count > 0 { parts.append("\(countText(count)) \(text)") }
        }
        add(counts.changed, "changed since \(since)")
        add(counts.withheld, "open for writing")
        add(counts.decided, "decided otherwise since")
        add(counts.sourceChanged, "with a source that changed")
        add(counts.failed, "failed")
        add(
            counts.blocked,
            result.later.isEmpty ? "not possible without those" : "changed by a later run")
        add(counts.conflicts, "met somebody else at work")
        add(counts.released, "that can no longer be taken back")
        add(counts.lost, "of which nothing is kept")
        add(counts.left, "not begun")
        add(folder.putAside.count, "put aside")
        try StandardOutput.shared.write(parts.joined(separator: ", ") + "\n")
        if counts.undone == 0 { try StandardOutput.shared.write(folder.plan.trailer.leftOut.line) }
        if let lack = result.undoLack { try StandardOutput.shared.write("\(lack.sentence)\n") }
        if let failure = result.failure {
            try StandardOutput.shared.write("work on \(failure.sentence)\n")
        }
        for side in Side.allCases where result.withoutExchange.contains(side) {
            try StandardOutput.shared.write(
                "the file system of \(side.letter) cannot exchange names: each was changed in two "
                    + "steps, and what others wrote between them is gone from its place\n")
        }
        for side in Side.allCases {
            for (aspect, count) in result.notTaken[side].sorted(by: { $0.key.word < $1.key.word }) {
                try StandardOutput.shared.write(
                    "\(side.letter) did not take the \(aspect.word) of \(countText(count)) "
                        + "entries (\(aspect.word): not compared)\n")
            }
        }
        if let shortage = result.shortage {
            try StandardOutput.shared.write("the rest waits: \(shortage.sentence)\n")
        }
        if let slice = result.slice { try StandardOutput.shared.write(slice.sliceText) }
    }
}

extension ActionResult {
    var word: String {
        switch self {
        case .done: "done"
        case .changed: "changed"
        case .withheld: "withheld"
        case .decided: "decided_otherwise"
        case .sourceChanged: "source_changed"
        case .failed: "failed"
        case .blocked: "blocked"
        case .conflict: "conflict"
        case .released: "released"
        case .lost: "lost"
        case .missing: "missing"
        case .stopped: "stopped"
        }
    }

    fileprivate func sentence(
        on side: Side, isUndo: Bool, holder: OpenFiles.Holder?
    ) -> String {
        switch self {
        case .done: "done"
        case .changed:
            "changed on \(side.letter) since the \(isUndo ? "run" : "plan was made"); left as it is"
        case .withheld:
            "open for writing on \(side.letter)"
                + (holder.map { " by \(escaped($0.name)) (process \($0.number))" } ?? "")
                + "; " + (isUndo ? "left as it is" : "--accept-open changes it all the same")
        case .decided: "decided otherwise since the plan was made; left as it is"
        case .released: "cannot be taken back: what it displaced was released"
        case .lost: "what was there before is not in the undo file; left as it is"
        case .missing: "lost: what it displaced is no longer in the quarantine"
        case .sourceChanged: "changed on \(side.other.letter) since the plan was made"
        case .blocked: "needs what was not done"
        case .stopped: "not begun: the run was ended"
        case .conflict: "somebody else was at work there; what stood there is kept"
        case .failed(let failure):
            "\(ErrorNumber.sentence(failure.number)) on "
                + "\((failure.isSource ? side.other : side).letter) "
                + "(\(escaped(failure.call)))"
                + (failure.isOfOwner && !isUndo ? "; --without owner leaves owners alone" : "")
        }
    }
}

extension DiskFailure {
    /// Whether nobody but root may do it.
    fileprivate var isOfOwner: Bool {
        number == ErrorNumber.notPermitted && call == Array(SystemCall.fchownat.rawValue.utf8)
    }
}

extension ApplyResult {
    var status: ExitStatus {
        var status = ExitStatus.ok
        if counts.notDone > 0 || failure != nil { status.merge(.partial) }
        if let slice, !slice.isGood { status.merge(slice.different > 0 ? .differences : .trouble) }
        if case .interrupted(let signal) = ending { status.merge(.signal(signal)) }
        return status
    }
}

extension Shortage {
    var sentence: String {
        switch self {
        case .space(let side, let needed, let available):
            "\(side.letter) has \(sizeText(available)) free, and the next change needs "
                + sizeText(needed)
        case .undo(let needed, let available):
            "there is room for \(sizeText(available)) more to be kept for an undo, and the next "
                + "change needs \(sizeText(needed))"
        }
    }
}

extension ConfirmResult {
    /// What reading a slice of a plan back showed.
    fileprivate var sliceText: String {
        guard isGood else {
            return "of what was done \(countText(different + unreadable)) could not be confirmed: "
                + "nothing was released\n"
        }
        return "what was done was read back, and agrees; --release-undo frees what it displaced "
            + "and goes on\n"
    }
}

extension Extent {
    fileprivate var object: JSONObject {
        var object = JSONObject()
        object.field("offset", offset)
        object.field("length", length)
        return object
    }

    fileprivate var text: String { "\(length) at \(offset)" }
}

extension LeftExtents {
    private static let shown = 10

    fileprivate var text: String {
        var parts = extents.prefix(Self.shown).map(\.text)
        if count > parts.count { parts.append("… \(countText(count - parts.count)) more") }
        return parts.joined(separator: ", ")
    }
}

extension PutAside {
    var text: String { "\(side.letter) \(sizeText(extent.length)) at byte \(extent.offset)" }

    func json(isReleased: Bool) -> JSONLine {
        var line = JSONLine(type: "put_aside")
        line.field("side", side.word)
        line.field("offset", extent.offset)
        line.field("length", extent.length)
        line.field("released", isReleased)
        return line
    }
}

extension UndoDamage {
    var sentence: String {
        "the undo file of run \(run) \(reason)" + (offset.map { " (at byte \($0))" } ?? "")
    }
}

extension StoreFailure {
    var sentence: String {
        let place = path.map { ", at '\(shown($0))'" } ?? ""
        return "\(side.letter) ended: \(error.sentence)\(place)"
    }
}
