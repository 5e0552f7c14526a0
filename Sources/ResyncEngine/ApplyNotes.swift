import ResyncCore
import ResyncStorage

// What a run says in its journal of its own objects and of others', beside what it is about to do
// and has done.
extension ApplyRun {
    /// Said before anything is put in its place: from then on what stands there is known to be the
    /// run's, and what an exchange has taken from there is known not to be.
    func note(staged: [Int: Stat], _ first: Int) throws {
        guard !staged.isEmpty else { return }
        let objects = staged.sorted { $0.key < $1.key }.map { at, stat in
            MadeObject(number: first + at, mark: ObjectMark(stat))
        }
        try folder.append(.staged(objects))
    }

    /// Said of directories of which that was not said when they were made: an error or a crash came
    /// in between. False where it cannot be said: then the intent stays open, for the next start.
    func noteMade(
        _ first: Int, _ actions: [Action], _ results: [ActionResult?], _ hand: Hand
    ) throws -> Bool {
        var made: [MadeObject] = []
        for (at, action) in actions.enumerated()
        where results[at] == .done && action.kind == .makeDirectory
            && !isSettled(first + at) && folder.state.mark(first + at) == nil
        {
            do throws(DiskError) {
                // Its mode tells as well, but only until it is settled.
                guard let stat = try hand.changer(action.side).stat(action) else { continue }
                made.append(MadeObject(number: first + at, mark: ObjectMark(stat)))
            } catch {
                failure = StoreFailure(action.side, error, at: action.path)
                return false
            }
        }
        if !made.isEmpty { try folder.append(.madeDirectories(made)) }
        return true
    }

    /// Said before the results: what is done afterwards to what was displaced is somebody's. False
    /// as of `noteMade`.
    func noteUnread(
        _ first: Int, _ actions: [Action], _ results: [ActionResult?], _ hand: Hand
    ) throws -> Bool {
        var times: [ShelvedTime] = []
        for (at, action) in actions.enumerated()
        where results[at] == .done && folder.state.shelvedTime(first + at) == nil {
            do throws(DiskError) {
                let changer = hand.changer(action.side)
                guard let shelved = try changer.shelved(first + at, action) else { continue }
                times.append(ShelvedTime(number: first + at, ctime: shelved.ctime))
            } catch {
                failure = StoreFailure(action.side, error, at: action.path)
                return false
            }
        }
        if !times.isEmpty { try folder.append(.shelved(times)) }
        return true
    }

    /// What an undo will need, kept before anything is touched.
    func keepAttributes(
        _ first: Int, _ actions: [Action], _ results: inout [ActionResult?], _ hand: Hand
    ) throws {
        for (at, action) in actions.enumerated()
        where results[at] == nil && action.kind == .settleDirectory && action.takesAttributes {
            guard let before = action.before else { continue }
            let found: [Attribute]
            let kept = folder.state.attributes[first + at]
            do throws(DiskError) {
                found = try hand.changer(action.side).attributes(action)
                // None that somebody gave it since are taken away: nobody would have them.
                let isOurs =
                    try kept.map { (kept) throws(DiskError) in
                        try hand.areKnown(found, of: action, before: kept)
                    } ?? before.entry.hasAttributes(found)
                guard isOurs else {
                    results[at] = .changed
                    continue
                }
            } catch {
                results[at] = ActionResult(error)
                continue
            }
            guard kept == nil else { continue }
            guard found.reduce(0, { $0 + $1.name.count + $1.value.count }) <= Self.attributesLimit
            else {
                results[at] = ActionResult(DiskError(.getxattr, ErrorNumber.tooLarge))
                continue
            }
            try folder.append(.attributes(number: first + at, found))
        }
    }

    /// Bytes of one directory's attributes that an undo can give back: far more than ext4 has room
    /// for, and less than a record of the journal takes.
    private static let attributesLimit = 1 << 19
}
