import ResyncCore

/// One thread's hand on a store of this machine that is changed.
///
/// Every name is one component below a directory that was opened component by component from the
/// root; metadata is set through a descriptor, or on a symlink's own name. What is staged is called
/// by 128 bits of a digest over the run's secret and the action's number, made anew (`exclusive`)
/// and closed to others until it is in place.
final class LocalChanger: StoreChanger {
    let site: LocalSite
    let order: ChangeOrder
    /// Changes stay on the root's mount: what was mounted inside since is another store.
    let chain: DirectoryChain
    /// To what is only looked at.
    let lookingChain: DirectoryChain
    let root: Descriptor
    var disk: any Disk { site.disk }
    /// The run's own directory in the quarantine, once it is needed.
    var quarantine: Descriptor?
    var isWithoutExchange = false
    var notTaken: [Aspect: Int] = [:]
    var broughtBackLate: Set<Int> = []
    /// The file that was linked to last, as it was: its other names are most often the next.
    var linked: Stat?

    init(_ site: LocalSite, root: Descriptor, _ order: ChangeOrder) {
        self.site = site
        self.root = root
        self.order = order
        chain = DirectoryChain(site.disk, root: root, stayingOn: site.facts.stat.mount)
        lookingChain = DirectoryChain(site.disk, root: root)
    }

    deinit { if let quarantine { disk.close(quarantine) } }

    // MARK: Names

    func stagedName(_ number: Int) -> [UInt8] {
        guard var hash = try? EVPHash(.sha256) else {
            preconditionFailure("OpenSSL has no SHA-256")
        }
        order.secret.withBytes { hash.update($0) }
        withUnsafeBytes(of: UInt64(number).littleEndian) { hash.update($0) }
        return stagedPrefix + hash.finalize().hex.utf8.prefix(32)
    }

    func shelfName(_ number: Int) -> [UInt8] { Array(String(number).utf8) }

    /// Calls `body` with the directory that an action's entry lies in, and its name there. The
    /// root lies in itself, as an empty name.
    func withPlace<R>(
        _ path: RelativePath, _ body: (Descriptor, UnsafePointer<CChar>) throws(DiskError) -> R
    ) throws(DiskError) -> R {
        let parent = try chain.open(path.parent)
        return try withCString(path.lastName.bytes) { (name) throws(DiskError) in
            try body(parent, name)
        }
    }

    /// What stands at a name; nil where nothing does.
    func look(
        _ name: UnsafePointer<CChar>, in directory: Descriptor
    ) throws(DiskError) -> Stat? {
        do throws(DiskError) {
            return try disk.stat(name, in: directory)
        } catch {
            guard error.number == ErrorNumber.noEntry else { throw error }
            return nil
        }
    }

    private func isThere(_ name: [UInt8], in directory: Descriptor) throws(DiskError) -> Bool {
        try withCString(name) { (name) throws(DiskError) in try look(name, in: directory) != nil }
    }

    func begin() throws(DiskError) { _ = try shelf() }

    func space() throws(DiskError) -> Int? { try disk.fileSystem(root).available }

    // MARK: Placing

    func place(_ number: Int, _ action: Action, _ staged: Stat?) -> Staging {
        do throws(DiskError) {
            switch action.kind {
            case .metadata, .settleDirectory: return .staged()
            case .remove, .removeDirectory: return .staged()
            case .patch: return .ended(.failed(DiskFailure(call: [], number: 0)))
            case .makeDirectory where action.before == nil: return .staged()
            case .makeDirectory, .write, .link, .symlink, .special: break
            }
            return try withPlace(action.path) { (parent, name) throws(DiskError) in
                guard let staged, try isStaged(number, in: parent, staged) else {
                    return .ended(.conflict)
                }
                let end = try put(number, action, name, in: parent, staged)
                guard case .staged = end else { return end }
                // Looked at again: it could have been replaced since. By now the directory may have
                // been opened anew.
                let place = try chain.open(action.path.parent)
                if try look(name, in: place)?.identity == staged.identity { return end }
                // Whose it is that stands there nobody knows: both are where they can be found.
                return .ended(.conflict)
            }
        } catch {
            return .ended(ActionResult(error))
        }
    }

    private func put(
        _ number: Int, _ action: Action, _ name: UnsafePointer<CChar>, in parent: Descriptor,
        _ mine: Stat
    ) throws(DiskError) -> Staging {
        guard let before = action.before else { return try create(number, action, in: parent) }
        let exchanged = try withCString(stagedName(number)) { (staged) throws(DiskError) in
            try exchange(staged, with: name, in: parent, number, action, before, mine)
        }
        if let exchanged { return exchanged }
        return try replaceInSteps(number, action, in: parent, before)
    }

    /// Whether what was staged still lies there, as it was. What somebody else has put in its place
    /// is put aside.
    func isStaged(
        _ number: Int, in parent: Descriptor, _ staged: Stat?
    ) throws(DiskError) -> Bool {
        let found = try withCString(stagedName(number)) { (name) throws(DiskError) in
            try look(name, in: parent)
        }
        guard let found else { return false }
        if let staged, found.isStaged(staged) { return true }
        try putAside(stagedName(number), in: parent, number)
        return false
    }

    private func create(
        _ number: Int, _ action: Action, in parent: Descriptor
    ) throws(DiskError) -> Staging {
        let staged = stagedName(number)
        do throws(DiskError) {
            try give(
                staged, in: parent, its: action.path.lastName.bytes, in: parent, isCopy: true)
        } catch {
            try withCString(staged) { (staged) throws(DiskError) in
                try drop(staged, in: parent)
            }
            // Somebody made one meanwhile: theirs stays.
            if error.number == ErrorNumber.exists { return .ended(.changed) }
            throw error
        }
        return .staged()
    }

    /// What really was displaced decides: looked at before, it could have been exchanged since.
    /// Nil where the file system cannot exchange, and nothing has happened.
    private func exchange(
        _ staged: UnsafePointer<CChar>, with name: UnsafePointer<CChar>, in parent: Descriptor,
        _ number: Int, _ action: Action, _ before: ObservedEntry, _ mine: Stat
    ) throws(DiskError) -> Staging? {
        do throws(DiskError) {
            guard try rename(staged, in: parent, to: name, in: parent, by: .exchange) else {
                return nil
            }
        } catch {
            // Where only the answer was lost, what stood there lies under that name.
            guard try look(staged, in: parent)?.identity == mine.identity else { throw error }
            try drop(staged, in: parent)
            if error.number == ErrorNumber.noEntry { return .ended(.changed) }
            throw error
        }
        let displaced = try look(staged, in: parent)
        let placed = try look(name, in: parent)
        guard placed?.identity == mine.identity else {
            // Somebody took what was placed away at once: both are where they can be found.
            return .ended(.conflict)
        }
        if let displaced, before.isStill(displaced),
            try isSameContent(staged, in: parent, before, displaced)
        {
            return .staged()
        }
        return .ended(
            try exchangeBack(staged, with: name, in: parent, number, action, mine.identity))
    }

    /// Puts back what an exchange has displaced. What stood in its place for a moment is taken away
    /// again, or brought into safety where somebody has been at it.
    func exchangeBack(
        _ staged: UnsafePointer<CChar>, with name: UnsafePointer<CChar>, in parent: Descriptor,
        _ number: Int, _ action: Action, _ mine: ObjectIdentity?
    ) throws(DiskError) -> ActionResult {
        try disk.rename(staged, in: parent, to: name, in: parent, .exchange)
        guard let back = try look(staged, in: parent), back.identity == mine else {
            return .conflict
        }
        if try isStillOurs(staged, in: parent, action, back) {
            try drop(staged, in: parent)
            return .changed
        }
        try putAside(stagedName(number), in: parent, number)
        return .conflict
    }

    /// Whether what stood in its place for a moment got nothing from anybody meanwhile, and nobody
    /// who opened it there can write to it yet.
    private func isStillOurs(
        _ staged: UnsafePointer<CChar>, in parent: Descriptor, _ action: Action, _ now: Stat
    ) throws(DiskError) -> Bool {
        switch now.type {
        case .directory:
            if try isEmpty(staged, in: parent) { return true }
            return try isUnsettled(staged, in: parent)
        // What has other names is not lost with this one.
        case .file where action.kind == .write:
            guard let after = action.after,
                try isLike(after, now, staged, in: parent, action.kind)
            else { return false }
            // Where the kernel does not tell, somebody may have.
            return try isOpenForWriting(staged, in: parent) == false
        default: return true
        }
    }

    /// Whether anybody may write to a file by a descriptor; nil where the kernel does not tell.
    func isOpenForWriting(
        _ name: UnsafePointer<CChar>, in parent: Descriptor
    ) throws(DiskError) -> Bool? {
        let file = try disk.open(
            name, in: parent, [.readOnly, .noFollow, .nonBlocking], mode: 0)
        defer { disk.close(file) }
        do throws(DiskError) {
            return try disk.isOpenForWriting(file)
        } catch {
            // Any other error is no answer.
            guard
                [
                    ErrorNumber.invalidArgument, ErrorNumber.notSupported, ErrorNumber.noLocks,
                    ErrorNumber.noSystemCall, ErrorNumber.accessDenied, ErrorNumber.notPermitted,
                ].contains(error.number)
            else { throw error }
            return nil
        }
    }

    /// Small files are read again: a writer through a memory map may move no time.
    private static let rereadLimit = 1 << 20

    /// - Parameter ofAnySize: large files are read as well; else only those that may have been
    ///   written to since without another time.
    func isSameContent(
        _ name: UnsafePointer<CChar>, in parent: Descriptor, _ before: ObservedEntry, _ now: Stat,
        ofAnySize: Bool = false
    ) throws(DiskError) -> Bool {
        guard now.type == .file, let content = before.content,
            ofAnySize || now.size <= Self.rereadLimit || before.stat.isRacy(at: order.planned)
        else { return true }
        return try digest(name, in: parent) == content
    }

    /// Takes back what was staged: our own copy of what the source still has.
    func drop(_ staged: UnsafePointer<CChar>, in parent: Descriptor) throws(DiskError) {
        guard let stat = try look(staged, in: parent) else { return }
        let isDirectory = stat.type == .directory
        do throws(DiskError) {
            try disk.remove(staged, in: parent, isDirectory: isDirectory)
        } catch {
            guard isDirectory, error.number == ErrorNumber.notEmpty else { throw error }
            try dropInside(staged, in: parent)
            try disk.remove(staged, in: parent, isDirectory: true)
        }
    }

    /// Takes back the directories that were made in one, where nobody has put anything into them.
    private func dropInside(
        _ name: UnsafePointer<CChar>, in parent: Descriptor
    ) throws(DiskError) {
        let directory = try disk.openDirectory(name, in: parent)
        defer { disk.close(directory) }
        for inner in try names(of: directory) {
            try withCString(inner.bytes) { (inner) throws(DiskError) in
                guard try isUnsettled(inner, in: directory) else { return }
                try dropInside(inner, in: directory)
                try disk.remove(inner, in: directory, isDirectory: true)
            }
        }
    }

    /// All of a directory that is ours, and so has few.
    func names(of directory: Descriptor) throws(DiskError) -> [Name] {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 32 << 10, alignment: 16)
        defer { buffer.deallocate() }
        var names = NameList()
        while try disk.list(directory, into: &names, buffer: buffer) {}
        return (0..<names.count).map { names.name($0) }
    }

    func discard(_ number: Int, _ action: Action, _ staged: Stat?) {
        guard let staged else { return }
        _ = try? withPlace(action.path) { (parent, _) throws(DiskError) in
            try withCString(stagedName(number)) { (name) throws(DiskError) in
                let found = try look(name, in: parent)
                guard found?.identity == staged.identity, found?.birth == staged.birth else {
                    return
                }
                try drop(name, in: parent)
            }
        }
    }

    // MARK: Shelving

    func shelve(_ number: Int, _ action: Action) -> ActionResult {
        do throws(DiskError) {
            switch action.kind {
            case .remove, .removeDirectory: return try takeAway(number, action)
            case .metadata, .settleDirectory, .patch: return .done
            case .makeDirectory, .write, .link, .symlink, .special:
                guard action.before != nil else { return .done }
                try withPlace(action.path) { (parent, _) throws(DiskError) in
                    // In steps it is there already; one of the same batch may have been exchanged.
                    if isWithoutExchange, try !isThere(stagedName(number), in: parent) { return }
                    try store(stagedName(number), in: parent, as: shelfName(number))
                }
                return .done
            }
        } catch {
            return ActionResult(error)
        }
    }

    /// Moves an entry into the quarantine, and back if it is not what was to be removed.
    private func takeAway(_ number: Int, _ action: Action) throws(DiskError) -> ActionResult {
        guard let before = action.before else { return .changed }
        let shelf = try shelf()
        return try withPlace(action.path) { (parent, name) throws(DiskError) in
            guard let now = try look(name, in: parent), before.isStill(now) else {
                return .changed
            }
            if now.type == .directory {
                // What was left out, or is held back, stays where it is.
                guard try isEmpty(name, in: parent) else { return .blocked }
                chain.forget()
            }
            let parent = try chain.open(action.path.parent)
            try store(action.path.lastName.bytes, in: parent, as: shelfName(number))
            let isRight = try withCString(shelfName(number)) {
                (shelved) throws(DiskError) -> Bool in
                let taken = try disk.stat(shelved, in: shelf)
                guard before.isStill(taken), try isSameContent(shelved, in: shelf, before, taken)
                else { return false }
                if taken.type != .directory { return true }
                return try isEmpty(shelved, in: shelf)
            }
            if isRight { return .done }
            do throws(DiskError) {
                try give(shelfName(number), in: shelf, its: action.path.lastName.bytes, in: parent)
            } catch {
                // Something new stands there: what was taken stays in the quarantine.
                guard error.number == ErrorNumber.exists else { throw error }
                return .conflict
            }
            return .changed
        }
    }

    func isEmpty(
        _ name: UnsafePointer<CChar>, in parent: Descriptor
    ) throws(DiskError) -> Bool {
        let directory = try disk.openDirectory(name, in: parent)
        defer { disk.close(directory) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 32 << 10, alignment: 16)
        defer { buffer.deallocate() }
        var names = NameList()
        while try disk.list(directory, into: &names, buffer: buffer) {
            if !names.isEmpty { return false }
        }
        return names.isEmpty
    }

    func sync() throws(DiskError) { try disk.syncFileSystem(root) }

    func stat(_ action: Action) throws(DiskError) -> Stat? {
        do throws(DiskError) {
            return try withPlace(action.path) { (parent, name) throws(DiskError) in
                try look(name, in: parent)
            }
        } catch {
            guard error.isAbsence else { throw error }
            return nil
        }
    }

    // MARK: Looking

    func observe(
        _ path: RelativePath, readsContent: Bool, _ worker: Worker
    ) throws -> (observed: ObservedEntry?, source: ReadSource) {
        var observed: ObservedEntry?
        var source = ReadSource.media
        do {
            let found = try lookAt(path, readsContent: readsContent, worker)
            observed = found.observed
            source = found.source
        } catch let error as DiskError where error.isAbsence {
            return (nil, .media)
        }
        return (observed, source)
    }

    private func lookAt(
        _ path: RelativePath, readsContent: Bool, _ worker: Worker
    ) throws -> (observed: ObservedEntry?, source: ReadSource) {
        var failure: (any Error)?
        let found: (ObservedEntry?, ReadSource) = try withOpen(path, isChange: false) {
            (name, descriptor, stat) throws(DiskError) -> (ObservedEntry?, ReadSource) in
            let details = EntryDetails(site)
            guard name == nil else {
                let entry = try withCString(path.lastName.bytes) {
                    (name) throws(DiskError) -> Entry in
                    try details.entry(stat, name, in: descriptor)
                }
                return (ObservedEntry(entry: entry), .media)
            }
            var observed = ObservedEntry(entry: try details.entry(stat, descriptor))
            guard stat.type == .file, readsContent else { return (observed, .media) }
            do {
                let digest = try fileDigest(site, descriptor, stat, source: .media, worker)
                observed.content = digest?.digest
                let after = try disk.stat(descriptor)
                guard digest != nil, after.isUnchanged(since: stat) else {
                    throw DiskError(.pread, ErrorNumber.inputOutput)
                }
                return (observed, digest?.source ?? .cache)
            } catch let error as DiskError {
                throw error
            } catch {
                failure = error
                return (nil, .cache)
            }
        }
        if let failure { throw failure }
        return (observed: found.0, source: found.1)
    }
}

/// What is staged is called so; the walk leaves it out at the root only.
package let stagedPrefix = reservedPrefix + Array("-staged-".utf8)
package let quarantineName = reservedPrefix + Array("-quarantine".utf8)

extension Stat {
    /// Whether this is what was staged, as it was then. Its ctime moves with its name, and with
    /// other names of a file.
    fileprivate func isStaged(_ then: Stat) -> Bool {
        guard identity == then.identity, birth == then.birth, type == then.type else {
            return false
        }
        return type == .directory || size == then.size && mtime.isKept(of: then.mtime)
    }
}
