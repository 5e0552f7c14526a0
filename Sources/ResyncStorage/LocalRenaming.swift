import ResyncCore

// Renaming under the rules of renameat2(2), and what takes its place on file systems that know only
// the old call (NFS, and FUSE programs without it): the same ends in two steps, each of which
// leaves every object with a name. What somebody else puts under a name between the look at it and
// the step that replaces it is lost from there, which no such file system can prevent; see
// `isWithoutExchange`.
extension LocalChanger {
    /// False where the file system does not know the rule; then nothing has happened.
    func rename(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, to newName: UnsafePointer<CChar>,
        in newDirectory: Descriptor, by rule: RenameRule
    ) throws(DiskError) -> Bool {
        guard !isWithoutExchange else { return false }
        do throws(DiskError) {
            try disk.rename(name, in: directory, to: newName, in: newDirectory, rule)
            return true
        } catch {
            guard [ErrorNumber.invalidArgument, ErrorNumber.noSystemCall].contains(error.number)
            else { throw error }
            isWithoutExchange = true
            return false
        }
    }

    private func rename(
        _ name: [UInt8], in directory: Descriptor, to newName: [UInt8],
        in newDirectory: Descriptor, by rule: RenameRule
    ) throws(DiskError) -> Bool {
        try withCString(name) { (name) throws(DiskError) in
            try withCString(newName) { (newName) throws(DiskError) in
                try rename(name, in: directory, to: newName, in: newDirectory, by: rule)
            }
        }
    }

    private func look(_ name: [UInt8], in directory: Descriptor) throws(DiskError) -> Stat? {
        try withCString(name) { (name) throws(DiskError) in try look(name, in: directory) }
    }

    private func replace(
        _ newName: [UInt8], in newDirectory: Descriptor, by name: [UInt8],
        in directory: Descriptor
    ) throws(DiskError) {
        try withCString(name) { (name) throws(DiskError) in
            try withCString(newName) { (newName) throws(DiskError) in
                try disk.rename(name, in: directory, to: newName, in: newDirectory, .replace)
            }
        }
    }

    private func link(
        _ name: [UInt8], in directory: Descriptor, to newName: [UInt8],
        in newDirectory: Descriptor
    ) throws(DiskError) {
        try withCString(name) { (name) throws(DiskError) in
            try withCString(newName) { (newName) throws(DiskError) in
                try disk.link(name, in: directory, to: newName, in: newDirectory)
            }
        }
    }

    private func remove(_ name: [UInt8], in directory: Descriptor) throws(DiskError) {
        try withCString(name) { (name) throws(DiskError) in try drop(name, in: directory) }
    }

    // MARK: One name

    /// Moves something to a name in the quarantine, where nobody else makes any; EEXIST where it is
    /// taken.
    func store(
        _ name: [UInt8], in directory: Descriptor, as newName: [UInt8]
    ) throws(DiskError) {
        let shelf = try shelf()
        if try rename(name, in: directory, to: newName, in: shelf, by: .keep) { return }
        guard try look(newName, in: shelf) == nil else {
            throw DiskError(.renameat2, ErrorNumber.exists)
        }
        try replace(newName, in: shelf, by: name, in: directory)
    }

    /// Gives what has a name of ours its place in the store; EEXIST where that is taken.
    ///
    /// Cut off on the way, it may have both names: called again, it has only the new one.
    ///
    /// - Parameter isCopy: of what the source has; then a power loss may take both names.
    func give(
        _ name: [UInt8], in directory: Descriptor, its newName: [UInt8], in parent: Descriptor,
        isCopy: Bool = false
    ) throws(DiskError) {
        if try rename(name, in: directory, to: newName, in: parent, by: .keep) { return }
        let mine = try look(name, in: directory)
        if let there = try look(newName, in: parent) {
            guard there.identity == mine?.identity, there.type != .directory else {
                throw DiskError(.renameat2, ErrorNumber.exists)
            }
            if !isCopy { try disk.sync(parent) }
            return try remove(name, in: directory)
        }
        do throws(DiskError) {
            try link(name, in: directory, to: newName, in: parent)
        } catch {
            guard mine?.type == .directory || error.isNoLink else { throw error }
            // A directory takes the place of an empty one at most.
            return try replace(newName, in: parent, by: name, in: directory)
        }
        if !isCopy { try disk.sync(parent) }
        try remove(name, in: directory)
    }

    // MARK: Two names

    /// Trades places; false where the file system cannot, and nothing has happened.
    func exchange(
        _ name: [UInt8], in directory: Descriptor, with newName: [UInt8],
        in newDirectory: Descriptor
    ) throws(DiskError) -> Bool {
        try rename(name, in: directory, to: newName, in: newDirectory, by: .exchange)
    }

    /// Puts what is staged in place of what stands there, which is in the quarantine when this
    /// returns `staged`.
    func replaceInSteps(
        _ number: Int, _ action: Action, in parent: Descriptor, _ before: ObservedEntry
    ) throws(DiskError) -> Staging {
        let shelf = try shelf()
        let (staged, name) = (stagedName(number), action.path.lastName.bytes)
        let shelved = shelfName(number)
        guard try keepName(name, in: parent, as: shelved, action, before) else {
            return try replaceThroughAbsence(number, action, in: parent, before)
        }
        // Before the name leads elsewhere, the other one is durable.
        try disk.sync(shelf)
        let kept = try look(shelved, in: shelf)
        // Last, so that what somebody puts there meanwhile has least time to be missed.
        let isSame = try isStill(before, shelved, in: shelf)
        guard isSame, try look(name, in: parent)?.identity == kept?.identity else {
            try remove(shelved, in: shelf)
            try remove(staged, in: parent)
            return .ended(.changed)
        }
        try replace(name, in: parent, by: staged, in: parent)
        return .staged()
    }

    /// A second name in the quarantine for what stands there; false where it can have none.
    private func keepName(
        _ name: [UInt8], in parent: Descriptor, as shelved: [UInt8], _ action: Action,
        _ before: ObservedEntry
    ) throws(DiskError) -> Bool {
        guard !before.isDirectory, action.kind != .makeDirectory else { return false }
        do throws(DiskError) {
            try link(name, in: parent, to: shelved, in: try shelf())
            return true
        } catch {
            guard error.isNoLink else { throw error }
            return false
        }
    }

    /// For a moment nothing stands there.
    private func replaceThroughAbsence(
        _ number: Int, _ action: Action, in parent: Descriptor, _ before: ObservedEntry
    ) throws(DiskError) -> Staging {
        let shelf = try shelf()
        let (staged, name) = (stagedName(number), action.path.lastName.bytes)
        if before.isDirectory { chain.forget() }
        // What forgetting has closed is opened again.
        let parent = try chain.open(action.path.parent)
        try store(name, in: parent, as: shelfName(number))
        guard try isStill(before, shelfName(number), in: shelf) else {
            try give(shelfName(number), in: shelf, its: name, in: parent)
            try remove(staged, in: parent)
            return .ended(.changed)
        }
        try disk.sync(shelf)
        do throws(DiskError) {
            try give(staged, in: parent, its: name, in: parent)
        } catch {
            guard error.number == ErrorNumber.exists else { throw error }
            // Somebody made one meanwhile: theirs stays, and what stood there is kept.
            try remove(staged, in: parent)
            return .ended(.conflict)
        }
        return .staged()
    }

    private func isStill(
        _ before: ObservedEntry, _ name: [UInt8], in directory: Descriptor
    ) throws(DiskError) -> Bool {
        try withCString(name) { (name) throws(DiskError) -> Bool in
            guard let now = try look(name, in: directory), before.isStill(now),
                try isSameContent(name, in: directory, before, now)
            else { return false }
            if now.type != .directory { return true }
            return try isEmpty(name, in: directory)
        }
    }

    /// Of an undo: puts the old object back, and the new one into the quarantine under another
    /// name. Cut off at any moment, it can be called again.
    func swapBackInSteps(
        _ number: Int, _ action: Action, hasDirectory: Bool
    ) throws(DiskError) {
        let shelf = try shelf()
        let (shelved, other) = (shelfName(number), newShelfName(number))
        let name = action.path.lastName.bytes
        let parent = try chain.open(action.path.parent)
        if !hasDirectory {
            do throws(DiskError) {
                if try look(other, in: shelf) == nil {
                    try link(name, in: parent, to: other, in: shelf)
                }
                try disk.sync(shelf)
                return try replace(name, in: parent, by: shelved, in: shelf)
            } catch {
                guard error.isNoLink else { throw error }
            }
        }
        try store(name, in: parent, as: other)
        try disk.sync(shelf)
        try give(shelved, in: shelf, its: name, in: parent)
    }

    /// Where an undo puts what was made, if it cannot be where the old object was.
    func newShelfName(_ number: Int) -> [UInt8] { shelfName(number) + Array("-new".utf8) }
}

extension DiskError {
    /// Whether the file system, or what is to be linked, allows no further names.
    fileprivate var isNoLink: Bool {
        [
            ErrorNumber.notPermitted, ErrorNumber.notSupported, ErrorNumber.noSystemCall,
            ErrorNumber.tooManyNames,
        ].contains(number)
    }
}
