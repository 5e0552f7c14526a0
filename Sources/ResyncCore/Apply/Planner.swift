/// An entry in which two stores differ, as both sides were seen when the plan was made.
package struct SurveyedEntry: Sendable, Hashable {
    package var path: RelativePath
    package var sides: Sides<ObservedEntry?>
    /// In what they disagree; `existence` where one side has nothing.
    package var aspects: AspectSet
    package var verdict = Verdict.unknown
    /// Whether a side's file was found to hold nothing but zeros.
    package var isZero = Sides(a: false, b: false)
    /// The side that holds zeros in each place where the two files differ.
    package var zeroedSide: Side?

    package init(path: RelativePath, sides: Sides<ObservedEntry?>, aspects: AspectSet) {
        self.path = path
        self.sides = sides
        self.aspects = aspects
    }
}

/// Keeps actions until their turn comes.
package protocol ActionSpool: AnyObject {
    func append(_ action: Action) throws
    /// In the order in which they came.
    func forEach(_ body: (Action) throws -> Void) throws
}

/// The spools of one plan.
package struct PlanSpools {
    /// Deletions, children before their parents.
    let deletes: any ActionSpool
    /// What takes the place of a directory, once that is gone.
    let late: any ActionSpool
    /// Directories that get their metadata when all is done inside, children before parents.
    let settles: any ActionSpool

    package init(make: () throws -> any ActionSpool) rethrows {
        deletes = try make()
        late = try make()
        settles = try make()
    }
}

/// What the planner must be able to ask.
package struct PlannerQuestions {
    /// Whether a directory's listing on that side held all it has.
    package var isListedWhole: (Side, RelativePath) -> Bool = { _, _ in true }
    /// Whether a directory on that side holds what was left out of the comparison: it stays.
    package var holdsLeftOut: (Side, RelativePath) throws -> Bool = { _, _ in false }
    /// Another name of the object on that side, which both sides have and agree about.
    package var existingName: (Side, ObjectIdentity) throws -> RelativePath? = { _, _ in nil }
    /// Whether it was compared which names are names of one object.
    package var comparesLinks = false

    package init() {}
}

/// Turns differences, in walk order, into actions in the order of their execution.
///
/// First everything that is made or replaced, in walk order; then deletions, children first; then
/// what takes a directory's place; then directories' metadata, children first. So every prefix
/// leaves stores that hold what they held and what was brought so far. Memory grows with the depth
/// of the trees and with the files of several names alone.
package struct Planner {
    package private(set) var leftOut = PlanLeftOut()
    /// Of the root and the directories in it, those that lose entries of their own, with how many
    /// they gain less.
    package private(set) var losses = Sides<[RelativePath: Int]>(a: [:], b: [:])
    private let output: (_ action: Action, _ zeroes: Bool) throws -> Void
    private let left: (RelativePath, LeaveReason) throws -> Void
    private let spools: PlanSpools
    private let questions: PlannerQuestions
    private var stack: [Frame] = []
    private var names = Sides<[ObjectIdentity: PlannedName]>(a: [:], b: [:])

    private struct PlannedName {
        let path: RelativePath
        let isLate: Bool
        /// Of an object that the plan makes, which is no other name's yet.
        let isNew: Bool
    }

    /// Why a directory will not be there on a side.
    private enum Gap {
        case deleted, leftOut
    }

    /// A directory that the walk is in.
    private struct Frame {
        let path: RelativePath
        let sides: Sides<ObservedEntry?>
        var touched = Sides(a: false, b: false)
        var settle = Sides<Action?>(a: nil, b: nil)
        var removal: Action?
        /// What comes in its place.
        var successor: Action?
        /// Something inside stays as it is.
        var stays = false
        var gap = Sides<Gap?>(a: nil, b: nil)
    }

    /// - Parameters:
    ///   - left: is told of each entry that is left as it is.
    ///   - output: takes the actions in order; `zeroes` when a file with data comes to hold nothing
    ///     but zeros.
    package init(
        spools: PlanSpools, questions: PlannerQuestions = PlannerQuestions(),
        left: @escaping (RelativePath, LeaveReason) throws -> Void = { _, _ in },
        output: @escaping (_ action: Action, _ zeroes: Bool) throws -> Void
    ) {
        self.spools = spools
        self.questions = questions
        self.left = left
        self.output = output
    }

    /// A directory on the way to what differs, before anything in it.
    package mutating func enter(_ path: RelativePath, _ sides: Sides<ObservedEntry?>) throws {
        // Announced once more, it is still open: what is in it goes on.
        if stack.contains(where: { $0.path == path }) { return }
        try leave(upTo: path)
        stack.append(Frame(path: path, sides: sides))
    }

    /// The next difference, after the directories above it.
    package mutating func add(_ entry: SurveyedEntry, _ choice: PlanChoice) throws {
        try leave(upTo: entry.path)
        switch choice {
        case .leave(let reason): try leave(entry, reason)
        case .take(let source): try take(entry, from: source)
        }
    }

    /// A difference that nobody could look at. It may come late: what is said of a directory as a
    /// whole comes after what is in it.
    package mutating func leaveOut(_ path: RelativePath, _ reason: LeaveReason) throws {
        leftOut.count(reason)
        try left(path, reason)
        stay(path)
    }

    /// What differs as it may: it is none of the plan's, and a directory that holds it stays.
    package mutating func stay(_ path: RelativePath) {
        for index in stack.indices where path.isWithin(stack[index].path) {
            stack[index].stays = true
        }
    }

    /// Hands on everything that had to wait.
    package mutating func finish() throws {
        while !stack.isEmpty { try pop() }
        for spool in [spools.deletes, spools.late, spools.settles] {
            try spool.forEach { try output($0, false) }
        }
    }

    // MARK: Leaving as it is

    private mutating func leave(_ entry: SurveyedEntry, _ reason: LeaveReason) throws {
        leftOut.count(reason)
        try left(entry.path, reason)
        for index in stack.indices { stack[index].stays = true }
        guard entry.hasDirectory else { return }
        var frame = Frame(path: entry.path, sides: entry.sides)
        for side in Side.allCases where entry.sides[side]?.isDirectory != true {
            frame.gap[side] = .leftOut
        }
        stack.append(frame)
    }

    // MARK: Taking one side

    private mutating func take(_ entry: SurveyedEntry, from source: Side) throws {
        let target = source.other
        guard let wanted = entry.sides[source] else {
            return try delete(entry, on: target)
        }
        if entry.sides[target] == nil, let gap = stack.last?.gap[target] {
            return try leave(entry, gap == .deleted ? .conflict : .other)
        }
        if wanted.isDirectory { return try takeDirectory(entry, from: source, wanted) }
        guard let old = entry.sides[target], old.isDirectory else {
            return try put(entry, from: source, wanted)
        }
        var removal = Action(.removeDirectory, on: target, entry.path, why: entry.verdict)
        removal.before = old
        var frame = Frame(path: entry.path, sides: entry.sides)
        frame.removal = removal
        frame.successor = try making(entry, from: source, wanted, isLate: true)
        frame.gap = Side.both { _ in .deleted }
        stack.append(frame)
        if try questions.holdsLeftOut(target, entry.path) { stay(entry.path) }
    }

    private mutating func delete(_ entry: SurveyedEntry, on target: Side) throws {
        guard let old = entry.sides[target] else { return }
        let nearest = stack.last { $0.sides[target.other]?.isDirectory == true }
        guard nearest.map({ questions.isListedWhole(target.other, $0.path) }) ?? true else {
            return try leave(entry, .deletion)
        }
        var action = Action(
            old.isDirectory ? .removeDirectory : .remove, on: target, entry.path,
            why: entry.verdict)
        action.before = old
        count(entry.path, on: target, -1)
        if old.isDirectory {
            var frame = Frame(path: entry.path, sides: entry.sides)
            frame.removal = action
            frame.gap[target] = .deleted
            frame.gap[target.other] = .deleted
            stack.append(frame)
            if try questions.holdsLeftOut(target, entry.path) { stay(entry.path) }
        } else {
            touch(target)
            try spools.deletes.append(action)
        }
    }

    private mutating func takeDirectory(
        _ entry: SurveyedEntry, from source: Side, _ wanted: ObservedEntry
    ) throws {
        let target = source.other
        let old = entry.sides[target]
        var settle = Action(.settleDirectory, on: target, entry.path, why: entry.verdict)
        settle.after = wanted
        if let old, old.isDirectory {
            settle.before = old
        } else {
            var make = Action(.makeDirectory, on: target, entry.path, why: entry.verdict)
            make.before = old
            make.after = wanted
            touch(target)
            if old == nil { count(entry.path, on: target, 1) }
            try output(make, false)
        }
        var frame = Frame(path: entry.path, sides: entry.sides)
        frame.settle[target] = settle
        stack.append(frame)
    }

    /// What is no directory, where none is either.
    private mutating func put(
        _ entry: SurveyedEntry, from source: Side, _ wanted: ObservedEntry
    ) throws {
        let target = source.other
        let old = entry.sides[target]
        // Changed where it is it would stay an object of its own.
        let isOfNew = questions.comparesLinks && plannedName(of: wanted, on: source)?.isNew == true
        if let old, !isOfNew, isMetadataOnly(entry, old, wanted) {
            var action = Action(.metadata, on: target, entry.path, why: entry.verdict)
            action.before = old
            action.after = wanted
            if wanted.hasMoreNames, plannedName(of: wanted, on: source) == nil {
                names[source][wanted.stat.identity] = PlannedName(
                    path: entry.path, isLate: false, isNew: false)
            }
            return try output(action, false)
        }
        // A link to what comes late comes late as well.
        let isLate = plannedName(of: wanted, on: source)?.isLate ?? false
        var action = try making(entry, from: source, wanted, isLate: isLate)
        action.before = old
        touch(target)
        if old == nil { count(entry.path, on: target, 1) }
        if isLate { return try spools.late.append(action) }
        let hadData = old.map { $0.type == .file && $0.stat.size > 0 } ?? false
        let isZero = entry.isZero[source] && !entry.isZero[target]
        try output(
            action,
            hadData && wanted.stat.size > 0 && (isZero || entry.zeroedSide == source))
    }

    private func isMetadataOnly(
        _ entry: SurveyedEntry, _ old: ObservedEntry, _ wanted: ObservedEntry
    ) -> Bool {
        old.type == wanted.type && entry.aspects.canBeChangedInPlace(of: old.stat)
    }

    private mutating func making(
        _ entry: SurveyedEntry, from source: Side, _ wanted: ObservedEntry, isLate: Bool
    ) throws -> Action {
        let kind: Action.Kind =
            switch wanted.type {
            case .file, .directory: .write
            case .symlink: .symlink
            case .fifo, .socket, .characterDevice, .blockDevice: .special
            }
        var action = Action(kind, on: source.other, entry.path, why: entry.verdict)
        action.after = wanted
        guard wanted.hasMoreNames else { return action }
        let identity = wanted.stat.identity
        if let first = plannedName(of: wanted, on: source) {
            action.linkTo = first.path
        } else if let existing = try questions.existingName(source, identity) {
            action.linkTo = existing
        } else {
            names[source][identity] = PlannedName(
                path: entry.path, isLate: isLate, isNew: true)
        }
        if action.linkTo != nil { action.kind = .link }
        return action
    }

    private func plannedName(of wanted: ObservedEntry, on source: Side) -> PlannedName? {
        guard wanted.hasMoreNames else { return nil }
        return names[source][wanted.stat.identity]
    }

    // MARK: Directories

    private mutating func touch(_ side: Side) {
        if !stack.isEmpty { stack[stack.count - 1].touched[side] = true }
    }

    private mutating func leave(upTo path: RelativePath) throws {
        while let top = stack.last, !path.isWithin(top.path) { try pop() }
    }

    private mutating func pop() throws {
        guard let frame = stack.popLast() else { return }
        if let removal = frame.removal {
            guard frame.stays else {
                try spools.deletes.append(removal)
                touch(removal.side)
                if let successor = frame.successor { try spools.late.append(successor) }
                return
            }
            count(frame.path, on: removal.side, 1)
            leftOut.count(.deletion)
            try left(frame.path, .deletion)
            // A link to what does not come would have nothing to be another name of.
            if let after = frame.successor?.after {
                names[removal.side.other][after.stat.identity] = nil
            }
        }
        for side in Side.allCases {
            if let settle = frame.settle[side] {
                try spools.settles.append(settle)
            } else if frame.touched[side], let own = frame.sides[side], own.isDirectory {
                var settle = Action(.settleDirectory, on: side, frame.path, why: .unknown)
                settle.before = own
                settle.after = own
                try spools.settles.append(settle)
            }
        }
    }

    /// Bounds what is remembered of directories that may become empty: more of them than this are
    /// a loss by any measure.
    private static let lossLimit = 10_000

    /// Counts what comes into, or goes from, the root or a directory in it.
    private mutating func count(_ path: RelativePath, on side: Side, _ change: Int) {
        let parent = path.parent
        // What goes as a whole does not become empty.
        guard path != .root, parent == .root || parent.parent == .root,
            stack.last?.removal == nil
        else { return }
        guard losses[side][parent] != nil || losses[side].count < Self.lossLimit else { return }
        losses[side][parent, default: 0] -= change
    }
}

extension SurveyedEntry {
    fileprivate var hasDirectory: Bool {
        sides.a?.isDirectory == true || sides.b?.isDirectory == true
    }

    package var isDirectoryOnBoth: Bool {
        sides.a?.isDirectory == true && sides.b?.isDirectory == true
    }
}

extension AspectSet {
    /// Whether an object can be given what it differs in where it is. Through one name all other
    /// names of it would change, too; and a change of its owner takes the capabilities of a program
    /// away, which nothing would bring back.
    package func canBeChangedInPlace(of old: Stat) -> Bool {
        guard isSubset(of: AspectSet([.mode, .owner, .mtime])), old.links == 1 else { return false }
        switch old.type {
        case .symlink: return true
        case .file: return !contains(.owner) || old.mode & 0o111 == 0
        case .directory, .fifo, .socket, .characterDevice, .blockDevice: return false
        }
    }
}
