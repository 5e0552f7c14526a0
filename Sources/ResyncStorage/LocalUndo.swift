import ResyncCore

// Taking back what an action has done, told by what stands at its name and in the quarantine.
extension LocalChanger {
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
    func restore(
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
    func isWrittenLate(
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
        if let held = try heldBack(name, in: parent, action, own) { return held }
        let place = try chain.open(action.path.parent)
        try opening(place, own) { () throws(DiskError) in
            try storeDirectory(name, in: place, as: shelfName(number), action)
        }
        if try isUntouched(shelfName(number), in: shelf, action, own) { return .done }
        return try giveBack(number, its: name, in: place)
    }

    /// Nothing is taken out of a directory that its owner may not write to, unless he is root: one
    /// that the run has made is opened for it, and closed again.
    private func opening(
        _ directory: Descriptor, _ own: OwnObjects, _ body: () throws(DiskError) -> Void
    ) throws(DiskError) {
        do throws(DiskError) {
            try body()
        } catch {
            guard error.number == ErrorNumber.accessDenied else { throw error }
            let now = try disk.stat(directory)
            guard own.directories.contains(ObjectMark(now)), now.mode & Action.writable == 0
            else { throw error }
            try disk.setMode(now.mode | Action.writable, of: nil, directory)
            defer { try? disk.setMode(now.mode, of: nil, directory) }
            try body()
        }
    }

    /// Nor is such a directory itself moved to another one.
    private func storeDirectory(
        _ name: [UInt8], in place: Descriptor, as shelved: [UInt8], _ action: Action
    ) throws(DiskError) {
        do throws(DiskError) {
            try store(name, in: place, as: shelved)
        } catch {
            guard error.number == ErrorNumber.accessDenied, action.kind == .makeDirectory
            else { throw error }
            try withCString(name) { (name) throws(DiskError) in
                let now = try disk.stat(name, in: place)
                guard now.mode & Action.writable == 0 else { throw error }
                try disk.setMode(now.mode | Action.writable, of: name, place)
            }
            try store(name, in: place, as: shelved)
        }
    }

    /// Why an undo leaves alone what a run has made; nil when it does not.
    private func heldBack(
        _ name: [UInt8], in parent: Descriptor, _ action: Action, _ own: OwnObjects
    ) throws(DiskError) -> ActionResult? {
        try withCString(name) { (name) throws(DiskError) in
            if try hasOtherAttributes(name, in: parent, action) { return .changed }
            switch action.kind {
            case .makeDirectory:
                // Of runs from before marks were kept any directory is taken back.
                if own.placed != nil, try !isAsSettled(name, in: parent, action) {
                    return .changed
                }
                guard try isEmpty(name, in: parent) else { return .changed }
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
        // Its mode comes last; a list that was set before may have given others a part of it.
        if now.mode & Action.unsettledMode == Action.unsettledMode { return true }
        // One that was closed to its owner may have been opened by an undo that was cut off.
        guard
            action.isMode(now.mode, after.stat.mode)
                || action.isMode(now.mode, after.stat.mode | Action.writable),
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
        if let held = try heldBack(name, in: parent, action, own) { return held }
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
