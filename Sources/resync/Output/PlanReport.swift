import ResyncCore
import ResyncEngine
import ResyncStorage

/// What a plan would do, for people and as JSON Lines.
enum PlanReport {
    // MARK: Text

    static func text(_ plan: inout PlanReader<EVPHash>) throws {
        let output = StandardOutput.shared
        var putBack = 0
        try plan.forEach { _, action in
            guard let line = line(action) else {
                putBack += 1
                return
            }
            try output.write(line + "\n")
        }
        if putBack > 0 {
            let what = putBack == 1 ? "1 directory gets" : "\(countText(putBack)) directories get"
            try output.write("\(what) back the times that this moves\n")
        }
        try output.write(text(plan.id, plan.header, plan.trailer, []))
    }

    /// As `* B a/b  write: 4096 bytes; edited on A`; nil for a directory whose own metadata is put
    /// back, or that was made before.
    private static func line(_ action: Action) -> String? {
        if action.kind == .settleDirectory, !action.changesMetadata { return nil }
        var details = [what(action)]
        if action.bytesWritten > 0 { details[0] += ": \(sizeText(action.bytesWritten))" }
        details.append(action.why.word)
        return "\(sign(action)) \(action.side.letter) \(shown(action.path))  "
            + details.joined(separator: "; ")
    }

    private static func sign(_ action: Action) -> Character {
        switch action.kind {
        case .makeDirectory, .write, .link, .symlink, .special:
            action.before == nil ? "+" : "*"
        case .patch: "*"
        case .metadata, .settleDirectory: "."
        case .remove, .removeDirectory: "-"
        }
    }

    private static func what(_ action: Action) -> String {
        switch action.kind {
        case .makeDirectory: "directory"
        case .write: "file"
        case .link: "link to \(action.linkTo.map { shown($0) } ?? "")"
        case .symlink: "symlink"
        case .special: action.after?.type.word ?? "special file"
        case .metadata: "metadata"
        case .settleDirectory: "metadata of a directory"
        case .remove: action.before?.type.word ?? "file"
        case .removeDirectory: "directory"
        case .patch:
            action.patches.count == 1 ? "1 extent" : "\(countText(action.patches.count)) extents"
        }
    }

    static func summaryText(
        _ id: Digest, _ header: PlanHeader, _ trailer: PlanTrailer, _ standing: [Refusal],
        sliced: [Side]
    ) throws {
        try StandardOutput.shared.write(text(id, header, trailer, standing, sliced))
    }

    static func left(external: Int, expected: Int) throws {
        if external > 0 {
            try StandardOutput.shared.write(
                "\(countText(external)) left alone: of external modules, whose equal bytes prove "
                    + "nothing\n")
        }
        if expected > 0 {
            try StandardOutput.shared.write(
                "\(countText(expected)) left alone: expected to differ\n")
        }
    }

    private static func text(
        _ id: Digest, _ header: PlanHeader, _ trailer: PlanTrailer, _ standing: [Refusal],
        _ sliced: [Side] = []
    ) -> String {
        var text = ""
        for side in Side.allCases where trailer.totals[side].actions > 0 {
            text += totals(trailer.totals[side], header.stores[side], side)
        }
        if trailer.totals.a.actions + trailer.totals.b.actions == 0 {
            text +=
                trailer.leftOut.count == 0
                ? "nothing to do: no difference that could be planned for\n" : "nothing to do\n"
        }
        text += trailer.leftOut.line
        if !header.hasBaseline, header.stores.a.kind == .directory {
            text += "without a baseline this is two-way: nobody knows what either side had before\n"
        }
        for side in sliced {
            text +=
                "\(side.letter) has no room for all of it at once: 'resync apply' goes in slices, "
                + "and to its end only with --release-undo\n"
        }
        for refusal in standing { text += "would be refused: \(refusal.sentence)\n" }
        return text + "plan \(id.hex)\n"
    }

    private static func totals(
        _ totals: PlanTotals, _ store: StoreReference, _ side: Side
    ) -> String {
        var parts: [String] = []
        func add(_ count: Int, _ text: String) {
            if count > 0 { parts.append("\(countText(count)) \(text)") }
        }
        add(totals.creates, "made")
        let patches = totals.overwrites == 1 ? "patch" : "patches"
        add(totals.overwrites, store.kind == .directory ? "replaced" : patches)
        add(totals.metadata, "with other metadata")
        add(totals.deletes, "deleted")
        var text = "\(side.letter) \(escaped(store.path)): " + parts.joined(separator: ", ") + "\n"
        if totals.bytesWritten > 0 || totals.bytesDisplaced > 0 {
            let kept = sizeText(totals.bytesDisplaced)
            text +=
                "  \(sizeText(totals.bytesWritten)) to write"
                + (store.kind == .directory
                    ? ", needs \(sizeText(totals.spaceNeeded)) on \(fileSystem(of: store)); "
                        + "\(kept) kept for an undo\n"
                    : " in place; an undo file keeps \(kept), with the state or in --undo-dir\n")
        }
        return text
    }

    /// Named by where it is mounted now, as long as that is what the plan was made for.
    private static func fileSystem(of store: StoreReference) -> String {
        guard let mount = mountPoint(of: store) else {
            let device = store.identity.device
            return "device \(device.major):\(device.minor), which is not mounted there now"
        }
        return "the file system at \(escaped(mount))"
    }

    private static func mountPoint(of store: StoreReference) -> [UInt8]? {
        guard let mount = mountTable()?.mount(holding: store.path) else { return nil }
        // btrfs shows another device than `stat` does.
        let isMeant = mount.device == store.identity.device || mount.isType("btrfs")
        return isMeant ? mount.mountPoint : nil
    }

    // MARK: JSON Lines

    static func json(_ plan: inout PlanReader<EVPHash>) throws {
        let header = plan.header
        var first = JSONLine(type: "plan")
        first.field("schema", 1)
        first.field("plan", plan.id.hex)
        first.field("authority", header.authority.rawValue)
        for side in Side.allCases {
            first.field(side == .a ? "a" : "b", escaped(header.stores[side].path))
        }
        if let run = header.run { first.field("run", run) }
        first.field("created", header.created.utcText)
        first.field("baseline", header.hasBaseline)
        try StandardOutput.shared.write(first.bytes)
        try plan.forEach { number, action in
            try StandardOutput.shared.write(json(number, action).bytes)
        }
        try summary(plan.id, header, plan.trailer, [])
    }

    private static func json(_ number: Int, _ action: Action) -> JSONLine {
        var line = JSONLine(type: "action")
        line.field("number", number)
        line.field("action", word(action.kind))
        line.field("side", action.side.word)
        line.path(action.path)
        line.field("why", action.why.word)
        line.field("bytes_written", action.bytesWritten)
        line.field("bytes_displaced", action.bytesDisplaced)
        if let first = action.linkTo { line.field("link_to", escaped(first.bytes)) }
        if !action.patches.isEmpty {
            line.field(
                "extents",
                action.patches.map { patch in
                    var object = JSONObject()
                    object.field("offset", patch.extent.offset)
                    object.field("length", patch.extent.length)
                    return object
                })
        }
        return line
    }

    private static func word(_ kind: Action.Kind) -> String {
        switch kind {
        case .makeDirectory: "make_directory"
        case .write: "write"
        case .link: "link"
        case .symlink: "symlink"
        case .special: "special"
        case .metadata: "metadata"
        case .remove: "remove"
        case .removeDirectory: "remove_directory"
        case .settleDirectory: "settle_directory"
        case .patch: "patch"
        }
    }

    static func summary(
        _ id: Digest, _ header: PlanHeader, _ trailer: PlanTrailer, _ standing: [Refusal],
        external: Int = 0, expected: Int = 0
    ) throws {
        var line = JSONLine(type: "summary")
        line.field("plan", id.hex)
        line.field("actions", trailer.actions)
        for side in Side.allCases {
            let totals = trailer.totals[side]
            var object = JSONObject()
            object.field("creates", totals.creates)
            object.field("overwrites", totals.overwrites)
            object.field("metadata", totals.metadata)
            object.field("deletes", totals.deletes)
            object.field("bytes_written", totals.bytesWritten)
            object.field("bytes_displaced", totals.bytesDisplaced)
            // An image is written in place.
            let isTree = header.stores[side].kind == .directory
            object.field("space_needed", isTree ? totals.spaceNeeded : 0)
            if isTree, totals.actions > 0, let mount = mountPoint(of: header.stores[side]) {
                object.field("file_system", escaped(mount))
            }
            if side == .a { line.field("on_a", object) } else { line.field("on_b", object) }
        }
        line.field("left_out", trailer.leftOut.object)
        if external > 0 { line.field("external", external) }
        if expected > 0 { line.field("expected", expected) }
        line.field("baseline", header.hasBaseline)
        if !standing.isEmpty { line.field("would_be_refused", standing.map { $0.sentence }) }
        try StandardOutput.shared.write(line.bytes)
    }
}

/// Tells of what a plan leaves as it is: in text the first of it, in JSON all.
final class LeftEntries {
    private let json: Bool
    private var count = 0
    private static let limit = 20

    init(json: Bool) { self.json = json }

    func add(_ path: RelativePath, _ reason: LeaveReason) throws {
        count += 1
        if json {
            var line = JSONLine(type: "left_out")
            line.path(path)
            line.field("reason", reason.word)
            try StandardOutput.shared.write(line.bytes)
        } else if count <= Self.limit {
            try StandardOutput.shared.write("x \(shown(path))  \(reason.word), left as it is\n")
        }
    }

    func finish(_ run: String, _ leftOut: PlanLeftOut) throws {
        guard !json, count > 0 else { return }
        if count > Self.limit {
            try StandardOutput.shared.write(
                "  and \(countText(count - Self.limit)) more: --json names all\n")
        }
        if leftOut.needsDecision {
            Main.complain(
                "who is right about a conflict, or what is undetermined, a person says: 'resync "
                    + "decide \(run) PATH --accept a|b --reason TEXT', and then plans again")
        }
    }
}

extension LeaveReason {
    fileprivate var word: String {
        switch self {
        case .conflict: "conflict"
        case .stale: "decided about before it changed"
        case .undetermined: "undetermined"
        case .lost: "lost in an episode"
        case .unreadable: "unreadable or unstable"
        case .deletion: "not deleted"
        case .external: "of an external module"
        case .excluded: "left out on one side"
        case .special: "special, without --specials"
        case .onBoth: "on both sides"
        case .other: "without its directory"
        }
    }
}

extension PlanLeftOut {
    /// A line, with its end, about what stays different when a plan was carried out; nothing where
    /// nothing does.
    var line: String {
        guard count > 0 else { return "" }
        let parts = parts.filter { $0.count > 0 }.map { "\(countText($0.count)) \($0.text)" }
        return "left as they are: " + parts.joined(separator: ", ") + "\n"
    }

    private var parts: [(count: Int, text: String)] {
        [
            (conflicts, conflicts == 1 ? "conflict" : "conflicts"),
            (undetermined, "undetermined"), (lost, "lost"),
            (unreadable, "unreadable or unstable"), (deletions, "deletions"),
            (others, others == 1 ? "other" : "others"),
        ]
    }

    var object: JSONObject {
        var object = JSONObject()
        object.field("conflicts", conflicts)
        object.field("undetermined", undetermined)
        object.field("lost", lost)
        object.field("unreadable", unreadable)
        object.field("deletions", deletions)
        object.field("others", others)
        return object
    }

    /// Whether a person has to decide about some of it.
    var needsDecision: Bool { conflicts + undetermined > 0 }
}
