import ResyncCore

// What a crash left, told from what stands at three places: the entry's name, its staged name, and
// its number in the quarantine.
extension LocalChanger {
    /// What an object is to an action.
    enum Object: Equatable {
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

    func isEmpty(
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
        let atStaged = try stagedObject(number, in: parent, action, own)
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
        case (.old, .new, .none), (.none, .new, .none), (.other, .new, .none):
            // What stood there still stands, or somebody else was first.
            if atName == .none, action.before != nil { break }
            return try dropOrPutAside(staged, in: parent, number, atStaged)
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
                try isUnsettled(name, in: parent) ? .done : nil
            }
        }
        let staged = stagedName(number)
        let found = try withCString(staged) { (name) throws(DiskError) in
            try look(name, in: parent)
        }
        guard let found else { return nil }
        if let before = action.before, found.type == before.type, found.inode == before.stat.inode {
            return try recoverDisplaced(number, action)
        }
        let isOurs = try mayBeOurs(staged, in: parent, action)
        return try dropOrPutAside(staged, in: parent, number, isOurs ? .new : .other)
    }

    /// Whether there is a directory as a run makes it, with no more in it than a run puts there
    /// before it says that it made it: directories like it, each of which is an action of its own.
    func isUnsettled(
        _ name: UnsafePointer<CChar>, in parent: Descriptor
    ) throws(DiskError) -> Bool {
        guard let now = try look(name, in: parent), now.type == .directory,
            Action.isUnsettled(now.mode)
        else { return false }
        let directory = try disk.openDirectory(name, in: parent)
        defer { disk.close(directory) }
        for inner in try names(of: directory) {
            let found = try withCString(inner.bytes) { (name) throws(DiskError) in
                try look(name, in: directory)
            }
            if let found, found.type != .directory || !Action.isUnsettled(found.mode) {
                return false
            }
        }
        return true
    }

    /// What was to be replaced lies under the staged name, and nothing says who has put it there:
    /// an earlier attempt that could not be settled, since the way to it was not there then.
    private func recoverDisplaced(
        _ number: Int, _ action: Action
    ) throws(DiskError) -> ActionResult? {
        let staged = stagedName(number)
        let name = action.path.lastName.bytes
        let parent = try chain.open(action.path.parent)
        let isNew = try withCString(name) { (name) throws(DiskError) -> Bool? in
            guard let now = try look(name, in: parent) else { return nil }
            guard let after = action.after else { return false }
            return try isLike(after, now, name, in: parent, action.kind)
        }
        switch isNew {
        case nil:
            try give(staged, in: parent, its: name, in: parent)
            return nil
        case true?:
            try store(staged, in: parent, as: shelfName(number))
            return .done
        case false?:
            try putAside(staged, in: parent, number)
            return .conflict
        }
    }

    /// What lies under the staged name. A further name of a file is ours whatever the file has
    /// become since.
    private func stagedObject(
        _ number: Int, in parent: Descriptor, _ action: Action, _ own: OwnObjects
    ) throws(DiskError) -> Object {
        let found = try object(stagedName(number), in: parent, action, own)
        guard found == .other, action.kind == .link, let mine = own.placed else { return found }
        return try withCString(stagedName(number)) { (name) throws(DiskError) in
            guard let now = try look(name, in: parent), mine.marks(now), now.links > 1 else {
                return .other
            }
            return .new
        }
    }

    /// What is staged goes where it is ours, and is kept where somebody else has put it there:
    /// nothing of the action was done.
    private func dropOrPutAside(
        _ staged: [UInt8], in parent: Descriptor, _ number: Int, _ atStaged: Object
    ) throws(DiskError) -> ActionResult? {
        switch atStaged {
        case .none: break
        case .new:
            do throws(DiskError) {
                return try dropStaged(staged, in: parent, nil)
            } catch {
                // It stood in its place for a moment, and somebody has put something into it.
                guard error.number == ErrorNumber.notEmpty else { throw error }
                try putAside(staged, in: parent, number)
                return .conflict
            }
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
            let isKept = [ErrorNumber.notPermitted, ErrorNumber.accessDenied].contains(error.number)
            guard result == nil, isKept else { throw error }
        }
        return result
    }

    /// Told by inode where the plan saw the object, by its mark and all else where it was made
    /// since.
    func object(
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
}

extension Action {
    /// What a directory of ours is made with, and has until it is settled: closed to others, and
    /// told by the sticky bit from what anybody else makes for himself.
    static let unsettledMode: UInt16 = 0o1700

    /// What an owner needs to take something out of a directory, or to move it.
    static let writable: UInt16 = 0o200

    /// Whether a mode is that of a directory which is not settled yet: it may have inherited the
    /// group bit from its own directory, or have fewer bits by a default list there.
    static func isUnsettled(_ mode: UInt16) -> Bool { mode & 0o5077 == 0o1000 }
}
