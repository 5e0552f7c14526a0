/// How far a plan was carried out, from its journal.
package struct JournalState: Sendable {
    package let plan: Digest
    package let secret: Digest
    /// What became of each action; nil where it was not come to.
    package private(set) var results: [ActionResult?]
    package private(set) var undone: Set<Int> = []
    /// Actions that may have left traces, and have no result yet: they are settled, or taken back,
    /// as a whole.
    package private(set) var open: Range<Int>?
    /// As `open`, of an undo.
    package private(set) var openUndo: Range<Int>?
    /// Actions that met somebody else at work, whatever end they came to since: something may lie
    /// in the quarantine for them that has no place.
    package private(set) var conflicts: Set<Int> = []
    package private(set) var attributes: [Int: [Attribute]] = [:]
    /// Actions that an undo has left as they are: what was there is somebody's by now, or released.
    private var leftByUndo: Set<Int> = []
    /// Whether an undo ever met what somebody had changed: of an image's action it may have taken
    /// back the rest.
    private var hasMetChange = false
    package private(set) var confirmed: Timestamp?
    package private(set) var released: Timestamp?
    /// Whether it ever was confirmed.
    package private(set) var wasConfirmed = false
    /// Actions whose displaced entry was erased for good.
    package private(set) var erased: Set<Int> = []
    /// What was erased for good of what lay in the quarantine beside what was displaced.
    package private(set) var erasedStrays: Set<StrayName> = []
    /// How many slices were freed.
    package private(set) var slices = 0
    /// Where the undo file of the slice lies; nil: with the run.
    package private(set) var undoFolder: [UInt8]?
    /// What the slice's undo file keeps of what patches put aside, by number: see `UndoReader`.
    package private(set) var asides: [Int: [Extent]] = [:]

    /// By action, as far as there are any: a plan may delete millions. `Timestamp.epoch`: none.
    private var shelvedTimes: [Timestamp] = []

    /// By action, as `shelvedTimes`: what it has put in its place, or was about to. Inode 0: none.
    private var marks: [(inode: UInt64, birth: Timestamp)] = []
    /// The directories that the run has made.
    package private(set) var directories: Set<ObjectMark> = []

    /// Whether `undone` has any that settles a directory: asking it takes as long as it is large.
    private var hasUndoneSettling = false
    /// The first action that settles a directory; all behind it do, too.
    private let settling: Int

    /// - Parameters:
    ///   - count: the actions of the plan.
    ///   - settling: the first of them that settles a directory.
    package init(
        _ first: JournalRecord, count: Int, settling: Int
    ) throws(FormatError) {
        guard case .begin(let plan, let secret) = first else {
            throw FormatError("a journal without a beginning")
        }
        self.plan = plan
        self.secret = secret
        self.settling = settling
        results = Array(repeating: nil, count: count)
    }

    package mutating func take(_ record: JournalRecord) throws(FormatError) {
        switch record {
        case .begin: throw FormatError("a journal that begins twice")
        case .intent(let range): try begin(range)
        case .results(let first, let found):
            let range = try range(first, found)
            try checkCovers(range)
            for (number, result) in zip(range, found) {
                results[number] = result
                if result == .conflict { conflicts.insert(number) }
            }
            open = nil
        case .undoIntent(let range):
            try check(range)
            openUndo = range
            confirmed = nil
            // As with an intent: what is taken back moves the times of directories.
            if range.lowerBound < settling, hasUndoneSettling {
                undone = undone.filter { $0 < settling }
                hasUndoneSettling = false
            }
        case .undone(let first, let found):
            takeUndone(zip(try range(first, found), found))
        case .attributes(let number, let old):
            try check(number)
            attributes[number] = old
        case .confirmed(let time):
            confirmed = time
            wasConfirmed = true
        case .erased(let number, _):
            try check(number)
            erased.insert(number)
        case .freed(let range, _):
            try check(range)
            for number in range where isDone(number) { erased.insert(number) }
            slices += 1
            asides = [:]
        case .undoFolder(let path): undoFolder = path
        case .straysErased(let names, _):
            for name in names { try check(name.number) }
            erasedStrays.formUnion(names)
        case .shelved(let times):
            for time in times { try take(time) }
        case .staged(let objects):
            for object in objects { try take(object) }
        case .madeDirectories(let objects):
            for object in objects {
                try take(object)
                directories.insert(object.mark)
            }
        case .putAside(let number, let extents):
            try check(number)
            asides[number] = extents
        case .released(let time):
            released = time
            asides = [:]
        }
    }

    private mutating func begin(_ range: Range<Int>) throws(FormatError) {
        try check(range)
        try checkCovers(range)
        open = range
        confirmed = nil
        // Of what is tried again nothing is staged yet.
        if !marks.isEmpty {
            for number in range where !isDone(number) { marks[number].inode = 0 }
        }
        // What is done now moves the times of directories that were settled before.
        if range.lowerBound < settling {
            for number in settling..<max(settling, results.count) { results[number] = nil }
        }
    }

    private mutating func take(_ time: ShelvedTime) throws(FormatError) {
        try check(time.number)
        if shelvedTimes.isEmpty { shelvedTimes = Array(repeating: .epoch, count: results.count) }
        shelvedTimes[time.number] = time.ctime
    }

    private mutating func take(_ object: MadeObject) throws(FormatError) {
        try check(object.number)
        if marks.isEmpty { marks = Array(repeating: (0, .epoch), count: results.count) }
        marks[object.number] = (object.mark.inode, object.mark.birth ?? .epoch)
    }

    private mutating func takeUndone(_ found: Zip2Sequence<Range<Int>, [ActionResult]>) {
        for (number, result) in found {
            if result.isDone {
                undone.insert(number)
                if number >= settling { hasUndoneSettling = true }
                leftByUndo.remove(number)
                continue
            }
            let isSomebodys = result == .changed || result == .missing
            if isSomebodys || result == .released { leftByUndo.insert(number) }
            if isSomebodys { hasMetChange = true }
            if isSomebodys, open?.contains(number) == true {
                // What it displaced is kept, until a person lets it go.
                results[number] = .done
            }
        }
        openUndo = nil
        if let cut = open, cut.allSatisfy({ undone.contains($0) || isDone($0) }) { open = nil }
    }

    private func range(
        _ first: Int, _ found: [ActionResult]
    ) throws(FormatError) -> Range<Int> {
        let (end, overflow) = first.addingReportingOverflow(found.count)
        guard !overflow else { throw FormatError("actions that the plan does not have") }
        try check(first..<end)
        return first..<end
    }

    private func check(_ range: Range<Int>) throws(FormatError) {
        guard range.upperBound <= results.count else {
            throw FormatError("actions that the plan does not have")
        }
    }

    /// The rest of what is open would be forgotten.
    private func checkCovers(_ range: Range<Int>) throws(FormatError) {
        guard let open else { return }
        guard range.lowerBound <= open.lowerBound, open.upperBound <= range.upperBound else {
            throw FormatError("a batch that is narrower than the one before it")
        }
    }

    private func check(_ number: Int) throws(FormatError) {
        guard results.indices.contains(number) else {
            throw FormatError("actions that the plan does not have")
        }
    }

    package func isDone(_ number: Int) -> Bool {
        results[number]?.isDone == true && !undone.contains(number)
    }

    /// Whether what an action displaced is gone, by the operator's word.
    package func isErased(_ number: Int) -> Bool { released != nil || erased.contains(number) }

    /// Whether an action is done and what it displaced, if anything, is kept.
    package func isKept(_ number: Int) -> Bool { isDone(number) && !isErased(number) }

    /// The ctime of what an action displaced, when it had come into the quarantine; nil where that
    /// was not kept, as of all that was read before.
    package func shelvedTime(_ number: Int) -> Timestamp? {
        guard shelvedTimes.indices.contains(number), shelvedTimes[number] != .epoch else {
            return nil
        }
        return shelvedTimes[number]
    }

    /// What an action has put in its place, or was about to; nil where nothing of it can be in
    /// place, and in runs from before this was kept.
    package func mark(_ number: Int) -> ObjectMark? {
        guard marks.indices.contains(number), marks[number].inode != 0 else { return nil }
        let birth = marks[number].birth
        return ObjectMark(inode: marks[number].inode, birth: birth == .epoch ? nil : birth)
    }

    /// Whether anything is done and kept.
    package var keepsSomething: Bool { results.indices.contains { isKept($0) } }

    /// Whether every action is done.
    package var isComplete: Bool {
        results.allSatisfy { $0?.isDone == true } && !isBeingUndone
    }

    /// Whether an undo has begun: from then on nothing but that undo goes on.
    package var isBeingUndone: Bool { openUndo != nil || !undone.isEmpty || hasMetChange }

    /// Whether everything that was done is taken back, and nothing lies in the quarantine for what
    /// somebody else came between.
    package var isUndone: Bool {
        results.indices.allSatisfy { !isToBeTakenBack($0) }
    }

    /// Whether an undo has come to its end, though not everything is as it was before: what is not
    /// is no half of anything.
    package var isOver: Bool {
        !isCutOff && !(undone.isEmpty && leftByUndo.isEmpty)
            && results.indices.allSatisfy {
                !isToBeTakenBack($0) || isErased($0)
                    || (leftByUndo.contains($0) && !conflicts.contains($0))
            }
    }

    /// Whether an undo has something to do for an action, or to look for.
    package func isToBeTakenBack(_ number: Int) -> Bool {
        (results[number]?.isDone == true || conflicts.contains(number))
            && !undone.contains(number)
    }

    /// Whether an undo has left an action as it is, or met somebody else's work there.
    package func isLeftByUndo(_ number: Int) -> Bool {
        leftByUndo.contains(number) || conflicts.contains(number)
    }

    /// Whether something was begun that has not come to its end.
    package var isCutOff: Bool { open != nil || openUndo != nil }

    /// Whether an undo came to its end, and took everything back.
    package var isTakenBack: Bool { isBeingUndone && isUndone && !isCutOff }

    package var counts: ApplyCounts {
        var counts = ApplyCounts()
        for result in results { counts.count(result) }
        counts.undone = undone.count
        return counts
    }
}

/// What became of a plan's actions, counted.
package struct ApplyCounts: Sendable, Hashable {
    package var done = 0
    package var changed = 0
    package var withheld = 0
    package var decided = 0
    package var sourceChanged = 0
    package var failed = 0
    package var blocked = 0
    package var conflicts = 0
    package var left = 0
    package var undone = 0
    package var released = 0
    package var lost = 0

    package init() {}

    package mutating func count(_ result: ActionResult?) {
        switch result {
        case .done?: done += 1
        case .changed?: changed += 1
        case .withheld?: withheld += 1
        case .decided?: decided += 1
        case .sourceChanged?: sourceChanged += 1
        case .failed?: failed += 1
        case .blocked?: blocked += 1
        case .conflict?: conflicts += 1
        case .released?: released += 1
        case .lost?, .missing?: lost += 1
        case .stopped?, nil: left += 1
        }
    }

    package var notDone: Int {
        changed + withheld + decided + sourceChanged + failed + blocked + conflicts + released
            + lost
            + left
    }
}
