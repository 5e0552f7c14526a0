import Glibc
import ResyncCore

// What a crash left, told from what stands at three places: the entry's name, its staged name, and
// its number in the quarantine.
extension LocalChanger {
    /// What an object is to an action.
    private enum Object: Equatable {
        case none, old, new, other
    }

    func recover(
        _ number: Int, _ action: Action, _ own: OwnObjects
    ) throws -> ActionResult? {
        do throws(DiskError) {
            switch action.kind {
            case .metadata: return try recoverMetadata(action)
            // Begun again, it finds each part as it was or as it is to be; an undo puts every
            // directory back.
            case .settleDirectory, .patch: return nil
            case .remove, .removeDirectory: return try recoverRemoval(number, action, own)
            case .makeDirectory, .write, .link, .symlink, .special:
                return try recoverPlacing(number, action, own)
            }
        } catch {
            // Without its directory nothing of it can have been done.
            guard error.isAbsence else { throw error }
            return nil
        }
    }

    /// What was changed in part is changed back: an undo passes over what is not done.
    private func recoverMetadata(_ action: Action) throws(DiskError) -> ActionResult? {
        let isDone = try withOpen(action.path) { (_, _, now) throws(DiskError) -> Bool in
            action.isCarriedOut(now, in: order.aspects)
        }
        if isDone { return .done }
        _ = try restore(action, nil, isRetry: true)
        return nil
    }

    private func recoverRemoval(
        _ number: Int, _ action: Action, _ own: OwnObjects
    ) throws(DiskError) -> ActionResult? {
        let shelf = try shelf()
        let shelved = try object(shelfName(number), in: shelf, action, own)
        guard shelved != .none else { return nil }
        if shelved == .old, action.before?.isDirectory != true { return .done }
        // Not what was to be removed, or a directory: back with it, if its place is free. What was
        // in a directory may have come to the disk after its own move, and go where it goes.
        let parent: Descriptor
        do throws(DiskError) {
            parent = try chain.open(action.path.parent)
        } catch {
            // An error, and no crash, ended its own removal, and the one of its parent came after.
            guard error.isAbsence, shelved == .old, try isEmpty(shelfName(number), in: shelf) else {
                throw error
            }
            return .done
        }
        do throws(DiskError) {
            try give(shelfName(number), in: shelf, its: action.path.lastName.bytes, in: parent)
        } catch {
            guard error.number == ErrorNumber.exists else { throw error }
            return .conflict
        }
        chain.forget()
        return shelved == .old ? nil : .conflict
    }

    private func isEmpty(
        _ name: [UInt8], in directory: Descriptor
    ) throws(DiskError) -> Bool {
        try withCString(name) { (name) throws(DiskError) in try isEmpty(name, in: directory) }
    }

    private func recoverPlacing(
        _ number: Int, _ action: Action, _ own: OwnObjects
    ) throws(DiskError) -> ActionResult? {
        guard own.placed != nil else { return try recoverStaging(number, action) }
        let (shelf, staged) = (try shelf(), stagedName(number))
        let parent = try chain.open(action.path.parent)
        let inQuarantine = try displaced(number, action, own)
        let atStaged = try object(staged, in: parent, action, own)
        let atName = try object(action.path.lastName.bytes, in: parent, action, own)
        switch (atName, atStaged, inQuarantine) {
        case (_, .none, .none):
            guard atName == .new else { return nil }
            // Where something stood before, that is nowhere now: never our doing.
            return action.before == nil ? .done : .conflict
        case (.new, .none, .old): return .done
        case (.new, .old, .none):
            try store(staged, in: parent, as: shelfName(number))
            return .done
        case (.new, .new, .none) where action.before == nil:
            // One inode under two names.
            return try dropStaged(staged, in: parent, .done)
        case (.old, .new, .none), (.none, .new, .none):
            // What stood there still stands.
            if atName == .none, action.before != nil { break }
            return try dropStaged(staged, in: parent, nil)
        case (.old, _, .old):
            // In steps: it has a second name, and the first still leads to it.
            try erase(number, suffix: [])
            return try dropOrPutAside(staged, in: parent, number, atStaged)
        case (.none, .new, .old):
            // In steps, in the moment of absence.
            try give(staged, in: parent, its: action.path.lastName.bytes, in: parent)
            return .done
        case (.none, _, .old):
            try give(shelfName(number), in: shelf, its: action.path.lastName.bytes, in: parent)
            return try dropOrPutAside(staged, in: parent, number, atStaged)
        case (.new, .new, .old):
            // In steps, where a new name was linked to what was staged.
            return try dropStaged(staged, in: parent, .done)
        case (.old, .none, .new):
            // The move was kept without the exchange before it: only a copy of ours.
            try erase(number, suffix: [])
            return nil
        case (.new, .other, .none) where action.before != nil:
            // What was displaced is not what was to be replaced: back with it.
            return try withCString(staged) { (staged) throws(DiskError) in
                try withCString(action.path.lastName.bytes) { (name) throws(DiskError) in
                    let mine = try look(name, in: parent)?.identity
                    return try exchangeBack(
                        staged, with: name, in: parent, number, action, mine)
                }
            }
        default: break
        }
        // Somebody else was here. What is staged may be theirs, or the only copy of what an
        // exchange has taken from the name: it is kept.
        if atStaged != .none { try putAside(staged, in: parent, number) }
        return .conflict
    }

    /// Of an action that nothing was said of yet: but for a directory under its own name, nothing
    /// of it stands anywhere but under its staged one.
    private func recoverStaging(
        _ number: Int, _ action: Action
    ) throws(DiskError) -> ActionResult? {
        let parent = try chain.open(action.path.parent)
        if action.kind == .makeDirectory, action.before == nil {
            return try withCString(action.path.lastName.bytes) { (name) throws(DiskError) in
                guard let now = try look(name, in: parent), now.type == .directory,
                    Action.isUnsettled(now.mode), now.uid == geteuid(),
                    try isEmpty(name, in: parent)
                else { return nil }
                return .done
            }
        }
        let staged = stagedName(number)
        let isThere = try withCString(staged) { (name) throws(DiskError) in
            try look(name, in: parent) != nil
        }
        guard isThere else { return nil }
        let isOurs = try mayBeOurs(staged, in: parent, action)
        return try dropOrPutAside(staged, in: parent, number, isOurs ? .new : .other)
    }

    /// What is staged goes where it is ours, and is kept where somebody else has put it there:
    /// nothing of the action was done.
    private func dropOrPutAside(
        _ staged: [UInt8], in parent: Descriptor, _ number: Int, _ atStaged: Object
    ) throws(DiskError) -> ActionResult? {
        switch atStaged {
        case .none: break
        case .new: return try dropStaged(staged, in: parent, nil)
        case .old, .other: try putAside(staged, in: parent, number)
        }
        return nil
    }

    /// What lies in the quarantine: the old object also where somebody who had it open went on
    /// writing to it.
    private func displaced(
        _ number: Int, _ action: Action, _ own: OwnObjects
    ) throws(DiskError) -> Object {
        let (shelf, name) = (try shelf(), shelfName(number))
        let found = try object(name, in: shelf, action, own)
        guard found == .other, try isWrittenLate(name, in: shelf, action) else { return found }
        return .old
    }

    private func dropStaged(
        _ staged: [UInt8], in parent: Descriptor, _ result: ActionResult?
    ) throws(DiskError) -> ActionResult? {
        do throws(DiskError) {
            try withCString(staged) { (staged) throws(DiskError) in try drop(staged, in: parent) }
        } catch {
            // In a directory that gives nothing away any more it stays: a copy of ours, no more.
            guard error.number == ErrorNumber.notPermitted else { throw error }
        }
        return result
    }

    /// Told by inode where the plan saw the object, by its mark and all else where it was made
    /// since.
    private func object(
        _ name: [UInt8], in directory: Descriptor, _ action: Action, _ own: OwnObjects
    ) throws(DiskError) -> Object {
        try withCString(name) { (name) throws(DiskError) -> Object in
            guard let now = try look(name, in: directory) else { return .none }
            if let before = action.before, before.isStill(now) { return .old }
            guard let after = action.after, own.placed?.marks(now) ?? true else { return .other }
            return try isLike(after, now, name, in: directory, action.kind) ? .new : .other
        }
    }

    /// Whether an object is a whole copy of what the source has.
    func isLike(
        _ after: ObservedEntry, _ now: Stat, _ name: UnsafePointer<CChar>,
        in directory: Descriptor, _ kind: Action.Kind
    ) throws(DiskError) -> Bool {
        guard now.type == after.type else { return false }
        // Made for others only when it is settled.
        if kind == .makeDirectory { return true }
        // What is linked to may have been there before, and was given nothing.
        let isFree = { (aspect: Aspect) in kind == .link && !self.order.aspects.contains(aspect) }
        guard now.isOwned(as: after.stat, in: order.aspects),
            now.mtime.isKept(of: after.stat.mtime) || isFree(.mtime),
            now.type == .symlink || now.mode == after.stat.mode || isFree(.mode)
        else { return false }
        switch now.type {
        case .file:
            if now.size != after.stat.size { return false }
            return try digest(name, in: directory) == after.content
        case .symlink: return try disk.readLink(name, in: directory) == after.entry.target
        default: return now.special == after.stat.special
        }
    }

    // MARK: Undo

    func undo(
        _ number: Int, _ action: Action, isRetry: Bool, attributes: [Attribute]?,
        _ own: OwnObjects
    ) throws -> ActionResult {
        do throws(DiskError) {
            switch action.kind {
            case .metadata, .settleDirectory:
                return try restore(action, attributes, isRetry: isRetry)
            case .remove, .removeDirectory: return try bringBack(number, action, own)
            case .patch: return .failed(DiskFailure(call: [], number: 0))
            case .makeDirectory, .write, .link, .symlink, .special:
                return try action.before == nil
                    ? unmake(number, action, own) : swapBack(number, action, own)
            }
        } catch {
            // Where even its directory is gone somebody was at work there.
            return error.number == ErrorNumber.noEntry ? .changed : ActionResult(error)
        }
    }

    /// - Parameter isRetry: it may have been begun before; else what it has is all the run's.
    private func restore(
        _ action: Action, _ attributes: [Attribute]?, isRetry: Bool
    ) throws(DiskError) -> ActionResult {
        // What this plan made goes as a whole.
        guard let before = action.before else { return .done }
        return try withOpen(action.path) { (name, descriptor, now) throws(DiskError) in
            guard action.accepts(now) else { return .changed }
            if let attributes {
                let all = try disk.allAttributes(of: nil, descriptor)
                guard isRetry || action.after?.entry.hasAttributes(all) ?? true || all == attributes
                else { return .changed }
                try removeAttributes(descriptor, but: attributes)
                for attribute in attributes {
                    try disk.setAttribute(
                        attribute.name, to: attribute.value, of: nil, descriptor)
                }
            }
            if now.uid != before.stat.uid || now.gid != before.stat.gid {
                guard try !hasCapabilities(now, name, descriptor) else { return .changed }
                try disk.setOwner(
                    uid: before.stat.uid, gid: before.stat.gid, of: name, descriptor)
            }
            if before.type != .symlink { try disk.setMode(before.stat.mode, of: name, descriptor) }
            try disk.setTimes(modified: before.stat.mtime, of: name, descriptor)
            return .done
        }
    }

    func restoreTime(_ action: Action) throws(DiskError) {
        guard let before = action.before else { return }
        do throws(DiskError) {
            try withOpen(action.path) { (name, descriptor, now) throws(DiskError) in
                guard before.isStill(now) else { return }
                try disk.setTimes(modified: before.stat.mtime, of: name, descriptor)
            }
        } catch {
            guard error.isAbsence else { throw error }
        }
    }

    /// Whether this is the object that an action displaced, and no more what it was: somebody who
    /// had it open went on writing to it in the quarantine.
    private func isWrittenLate(
        _ name: [UInt8], in directory: Descriptor, _ action: Action
    ) throws(DiskError) -> Bool {
        guard let before = action.before else { return false }
        return try withCString(name) { (name) throws(DiskError) -> Bool in
            guard let now = try look(name, in: directory) else { return false }
            return now.type == before.type && now.inode == before.stat.inode
                && !before.isStill(now)
        }
    }

    /// Back from the quarantine, if its place is free.
    private func bringBack(
        _ number: Int, _ action: Action, _ own: OwnObjects
    ) throws(DiskError) -> ActionResult {
        let shelf = try shelf()
        let shelved = try object(shelfName(number), in: shelf, action, own)
        if shelved == .none { return try endBringBack(number, action, own) }
        let parent = try chain.open(action.path.parent)
        do throws(DiskError) {
            try give(shelfName(number), in: shelf, its: action.path.lastName.bytes, in: parent)
        } catch {
            guard error.number == ErrorNumber.exists else { throw error }
            return .changed
        }
        if shelved != .old { broughtBackLate.insert(number) }
        return .done
    }

    /// Where the quarantine has it no more: it stands in its place, or nowhere.
    private func endBringBack(
        _ number: Int, _ action: Action, _ own: OwnObjects
    ) throws(DiskError) -> ActionResult {
        let parent: Descriptor
        do throws(DiskError) {
            parent = try chain.open(action.path.parent)
        } catch {
            guard error.isAbsence else { throw error }
            return .missing
        }
        let name = action.path.lastName.bytes
        if try object(name, in: parent, action, own) == .old { return .done }
        guard try isWrittenLate(name, in: parent, action) else { return .missing }
        broughtBackLate.insert(number)
        return .done
    }

    /// What was made goes into the quarantine: the source may have lost its own by now.
    private func unmake(
        _ number: Int, _ action: Action, _ own: OwnObjects
    ) throws(DiskError) -> ActionResult {
        let shelf = try shelf()
        let name = action.path.lastName.bytes
        switch try object(shelfName(number), in: shelf, action, own) {
        case .none: break
        // Taken back before a crash: by now its place may be another's, or not even be there.
        case .new: return .done
        // A crash came before it could be looked at.
        case .old, .other:
            return try giveBack(number, its: name, in: chain.open(action.path.parent))
        }
        let parent = try chain.open(action.path.parent)
        guard try object(name, in: parent, action, own) == .new else { return .changed }
        if let held = try heldBack(name, in: parent, action) { return held }
        let place = try chain.open(action.path.parent)
        try store(name, in: place, as: shelfName(number))
        if try isUntouched(shelfName(number), in: shelf, action, own) { return .done }
        return try giveBack(number, its: name, in: place)
    }

    /// Why an undo leaves alone what a run has made; nil when it does not.
    private func heldBack(
        _ name: [UInt8], in parent: Descriptor, _ action: Action
    ) throws(DiskError) -> ActionResult? {
        try withCString(name) { (name) throws(DiskError) in
            if try hasOtherAttributes(name, in: parent, action) { return .changed }
            switch action.kind {
            case .makeDirectory:
                guard try isAsSettled(name, in: parent, action), try isEmpty(name, in: parent)
                else { return .changed }
                chain.forget()
                return nil
            case .write, .link:
                guard try look(name, in: parent)?.type == .file else { return nil }
                // Where the kernel does not tell, as on file systems without leases, an undo goes
                // on, or there would be none there. It loses nothing: what is taken out lies in the
                // quarantine with all that is written to it, and `isAsTakenBack` takes the same
                // silence for a writer, so that no purge frees it.
                return try isOpenForWriting(name, in: parent) == true ? .withheld : nil
            default: return nil
            }
        }
    }

    /// Whether a directory that a run has made has the owner, mode and attributes that it was
    /// given, or was not given any yet.
    private func isAsSettled(
        _ name: UnsafePointer<CChar>, in parent: Descriptor, _ action: Action
    ) throws(DiskError) -> Bool {
        guard let now = try look(name, in: parent), let after = action.after else { return false }
        if Action.isUnsettled(now.mode) { return now.uid == geteuid() }
        guard action.isMode(now.mode, after.stat.mode),
            now.isOwned(as: after.stat, in: order.aspects)
        else { return false }
        guard after.entry.xattrs != nil || after.entry.acl != nil else { return true }
        return try after.entry.hasAttributes(disk.allAttributes(of: name, parent))
    }

    /// Whether what was taken out of its place is what the run had put there: looked at before, it
    /// could have been changed since.
    func isUntouched(
        _ name: [UInt8], in directory: Descriptor, _ action: Action, _ own: OwnObjects
    ) throws(DiskError) -> Bool {
        guard try object(name, in: directory, action, own) == .new else { return false }
        guard action.kind == .makeDirectory else { return true }
        return try isEmpty(name, in: directory)
    }

    /// What an undo has taken, and is somebody's, goes back to its place.
    private func giveBack(
        _ number: Int, its name: [UInt8], in parent: Descriptor
    ) throws(DiskError) -> ActionResult {
        let shelf = try shelf()
        do throws(DiskError) {
            try give(shelfName(number), in: shelf, its: name, in: parent)
        } catch {
            // Something new stands there: what was taken stays in the quarantine, as theirs.
            guard error.number == ErrorNumber.exists else { throw error }
            try putAside(shelfName(number), in: shelf, number)
            return .conflict
        }
        return .changed
    }

    /// The old object and the new one change places, in one step.
    private func swapBack(
        _ number: Int, _ action: Action, _ own: OwnObjects
    ) throws(DiskError) -> ActionResult {
        let shelf = try shelf()
        let parent = try chain.open(action.path.parent)
        let name = action.path.lastName.bytes
        let shelved = shelfName(number)
        let atName = try object(name, in: parent, action, own)
        var kept = try object(shelved, in: shelf, action, own)
        let isLate = try isWrittenLate(shelved, in: shelf, action)
        if isLate { kept = .old }
        if try isWrittenLate(name, in: parent, action) {
            return try endSwapBack(number, action, own, in: parent, kept)
        }
        if isLate { broughtBackLate.insert(number) }
        if atName == .old {
            // In steps, where it had both names.
            if kept == .old { try give(shelved, in: shelf, its: name, in: parent) }
            guard kept == .other else { return .done }
            // A crash came before what was taken from the name could be looked at, and it is
            // somebody's: back with it.
            guard try exchange(name, in: parent, with: shelved, in: shelf) else { return .conflict }
            return .changed
        }
        if atName == .none, kept == .old,
            try object(newShelfName(number), in: shelf, action, own) == .new
        {
            // In steps, in the moment of absence.
            try give(shelved, in: shelf, its: name, in: parent)
            return .done
        }
        guard kept != .none else { return .missing }
        guard atName == .new, kept == .old else { return .changed }
        if let held = try heldBack(name, in: parent, action) { return held }
        let place = try chain.open(action.path.parent)
        guard try exchange(name, in: place, with: shelved, in: shelf) else {
            try swapBackInSteps(
                number, action,
                hasDirectory: action.kind == .makeDirectory || action.before?.isDirectory == true)
            return .done
        }
        if try isUntouched(shelved, in: shelf, action, own) { return .done }
        // What stands there now is the old object, unless somebody was quicker once more.
        let stands = try object(name, in: place, action, own)
        let isLateThere = try isWrittenLate(name, in: place, action)
        guard stands == .old || isLateThere else { return .conflict }
        _ = try exchange(name, in: place, with: shelved, in: shelf)
        return .changed
    }

    /// Where the old object stands in its place again, with what was written to it: a crash came
    /// before that could be said, unless the new object is not where an undo puts it.
    private func endSwapBack(
        _ number: Int, _ action: Action, _ own: OwnObjects, in parent: Descriptor, _ kept: Object
    ) throws(DiskError) -> ActionResult {
        let shelf = try shelf()
        let isInSteps = try object(newShelfName(number), in: shelf, action, own) == .new
        guard kept == .new || isInSteps else { return .changed }
        if kept == .old {
            try give(
                shelfName(number), in: shelf, its: action.path.lastName.bytes, in: parent)
        }
        broughtBackLate.insert(number)
        return .done
    }
}
