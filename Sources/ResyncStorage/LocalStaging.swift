import ResyncCore

extension LocalChanger {
    func stage(
        _ number: Int, _ action: Action, isRetry: Bool, _ own: OwnObjects,
        from source: any StoreSource, _ worker: Worker
    ) throws -> Staging {
        do throws(DiskError) {
            switch action.kind {
            case .remove, .removeDirectory:
                return try stageRemoval(action, isRetry: isRetry, source)
            case .settleDirectory, .metadata: return try change(action, own, from: source)
            case .patch: return .ended(.failed(DiskFailure(call: [], number: 0)))
            case .makeDirectory, .write, .link, .symlink, .special: break
            }
            if action.kind == .makeDirectory, action.before == nil {
                return try makeDirectory(action, isRetry: isRetry)
            }
            guard try isAsBefore(action, isRetry: isRetry) else { return .ended(.changed) }
        } catch {
            return .ended(blockedOrFailed(error))
        }
        var made: Stat?
        let result = try make(number, action, from: source, worker, &made)
        if case .success(.staged) = result { return .staged(made) }
        discard(number, action, made)
        switch result {
        case .success(let staging): return staging
        case .failure(let error): return .ended(blockedOrFailed(error))
        }
    }

    /// At once under its own name: empty and closed to others it harms nobody, and what is staged
    /// in it cannot survive without it.
    private func makeDirectory(
        _ action: Action, isRetry: Bool
    ) throws(DiskError) -> Staging {
        try withPlace(action.path) { (parent, name) throws(DiskError) in
            do throws(DiskError) {
                try disk.makeDirectory(name, in: parent, mode: Action.unsettledMode)
            } catch {
                guard error.number == ErrorNumber.exists else { throw error }
                // An earlier attempt may have made it, and come no further.
                guard isRetry, try isUnsettled(name, in: parent) else { return .ended(.changed) }
            }
            do throws(DiskError) {
                let made = try disk.stat(name, in: parent)
                // A default list of its parent, or a file system without modes, says otherwise.
                if made.mode & Action.unsettledMode != Action.unsettledMode {
                    try disk.setMode(Action.unsettledMode, of: name, parent)
                }
                return .staged(made)
            } catch {
                try? disk.remove(name, in: parent, isDirectory: true)
                throw error
            }
        }
    }

    /// Where the way to an entry is not there, what it needs was not done.
    private func blockedOrFailed(_ error: DiskError) -> ActionResult {
        error.isAbsence ? .blocked : ActionResult(error)
    }

    /// Whether the target has what the plan saw.
    func isAsBefore(_ action: Action, isRetry: Bool) throws(DiskError) -> Bool {
        try withPlace(action.path) { (parent, name) throws(DiskError) in
            guard let now = try look(name, in: parent) else { return action.before == nil }
            guard let before = action.before else { return false }
            return try isUntouched(name, in: parent, before, now, isRetry: isRetry)
        }
    }

    /// Whether an object is what the plan saw, to the last ctime; where only that one has moved, as
    /// it does when a crash came between an exchange and its end, or where it was too young then to
    /// prove anything, the content decides.
    func isUntouched(
        _ name: UnsafePointer<CChar>, in parent: Descriptor, _ before: ObservedEntry, _ now: Stat,
        isRetry: Bool
    ) throws(DiskError) -> Bool {
        guard before.isStill(now) else { return false }
        let isSameTime = now.ctime == before.stat.ctime
        if isSameTime, !before.stat.isRacy(at: order.planned) { return true }
        if before.entry.xattrs != nil || before.entry.acl != nil {
            guard before.entry.hasAttributes(try disk.allAttributes(of: name, parent)) else {
                return false
            }
        }
        switch now.type {
        case .file:
            // Without a digest: moved by our own first attempt, or by what we did to another name.
            guard let content = before.content else {
                return isSameTime || isRetry || before.stat.links > 1
            }
            return try digest(name, in: parent) == content
        case .symlink: return try disk.readLink(name, in: parent) == before.entry.target
        default: return true
        }
    }

    /// - Parameter made: what lies under the staged name when this returns, if it is ours.
    private func make(
        _ number: Int, _ action: Action, from source: any StoreSource, _ worker: Worker,
        _ made: inout Stat?
    ) throws -> Result<Staging, DiskError> {
        guard let after = action.after else { return .success(.ended(.sourceChanged)) }
        var entry: (any SourceEntry)?
        // A link copies nothing.
        if action.kind != .link {
            do throws(DiskError) {
                entry = try source.open(action.path, as: after)
            } catch {
                return .success(.ended(ActionResult(error, isSource: true)))
            }
            guard entry != nil else { return .success(.ended(.sourceChanged)) }
        }
        let staged = stagedName(number)
        var descriptor: Descriptor?
        defer { if let descriptor { disk.close(descriptor) } }
        do throws(DiskError) {
            let parent = try chain.open(action.path.parent)
            try withCString(staged) { (staged) throws(DiskError) in
                descriptor = try makeEmpty(staged, in: parent, number, action, after)
                made = try stat(descriptor, or: staged, in: parent)
            }
        } catch {
            // Somebody takes the name each time: what is theirs stays.
            let isTaken = made == nil && error.number == ErrorNumber.exists
            return isTaken ? .success(.ended(.changed)) : .failure(error)
        }
        if action.kind == .write, let descriptor, let entry {
            switch try copy(entry, to: descriptor, after, worker) {
            case .ended(let result)?: return .success(.ended(result))
            case .staged?, nil: break
            }
        }
        return Result { () throws(DiskError) in
            let parent = try chain.open(action.path.parent)
            try withCString(staged) { (staged) throws(DiskError) in
                if action.kind != .makeDirectory, let entry {
                    // A directory is closed to others until it is settled.
                    try dress(
                        descriptor == nil ? staged : nil, descriptor ?? parent, after.stat,
                        try entry.attributes())
                    made = try stat(descriptor, or: staged, in: parent)
                }
            }
            if let entry, !entry.isUnchanged { return .ended(.sourceChanged) }
            return .staged()
        }
    }

    /// The new object under its staged name; open where it is a file that was made. What somebody
    /// else has put there is put aside.
    private func makeEmpty(
        _ staged: UnsafePointer<CChar>, in parent: Descriptor, _ number: Int, _ action: Action,
        _ after: ObservedEntry
    ) throws(DiskError) -> Descriptor? {
        do throws(DiskError) {
            return try makeEmpty(staged, in: parent, action, after)
        } catch {
            guard error.number == ErrorNumber.exists else { throw error }
            try putAside(stagedName(number), in: parent, number)
            return try makeEmpty(staged, in: parent, action, after)
        }
    }

    private func makeEmpty(
        _ staged: UnsafePointer<CChar>, in parent: Descriptor, _ action: Action,
        _ after: ObservedEntry
    ) throws(DiskError) -> Descriptor? {
        switch action.kind {
        case .write:
            return try disk.open(
                staged, in: parent, [.readWrite, .create, .exclusive, .noFollow], mode: 0o600)
        case .makeDirectory:
            try disk.makeDirectory(staged, in: parent, mode: Action.unsettledMode)
        case .symlink: try disk.makeSymlink(after.entry.target ?? [], staged, in: parent)
        case .special:
            try disk.makeSpecial(
                staged, in: parent, after.type, mode: 0o600, device: after.stat.special)
        case .link: try link(action, as: staged, in: parent)
        case .metadata, .remove, .removeDirectory, .settleDirectory, .patch: break
        }
        return nil
    }

    private func stat(
        _ file: Descriptor?, or name: UnsafePointer<CChar>, in parent: Descriptor
    ) throws(DiskError) -> Stat {
        if let file { return try disk.stat(file) }
        return try disk.stat(name, in: parent)
    }

    /// The other name must be the file that the plan means.
    private func link(
        _ action: Action, as staged: UnsafePointer<CChar>, in parent: Descriptor
    ) throws(DiskError) {
        guard let other = action.linkTo, let after = action.after else {
            throw DiskError(.linkat, ErrorNumber.invalidArgument)
        }
        // The chain leads to one place at a time.
        let way = DirectoryChain(disk, root: root, stayingOn: site.facts.stat.mount)
        let directory = try way.open(other.parent)
        try withCString(other.lastName.bytes) { (name) throws(DiskError) in
            let found = try disk.stat(name, in: directory)
            let isKnown =
                linked.map {
                    ObjectMark($0).marks(found) && $0.size == found.size && $0.mtime == found.mtime
                        && $0.mode == found.mode && $0.uid == found.uid && $0.gid == found.gid
                } ?? false
            if !isKnown {
                guard try isLike(after, found, name, in: directory, .link) else {
                    throw DiskError(.linkat, ErrorNumber.noEntry)
                }
                linked = found
            }
            try disk.link(name, in: directory, to: staged, in: parent)
        }
    }

    /// Gives a new object its owner, mode, attributes and times, in the order in which none undoes
    /// another: a change of owner takes special bits and capabilities away.
    func dress(
        _ name: UnsafePointer<CChar>?, _ descriptor: Descriptor, _ stat: Stat,
        _ attributes: [Attribute]
    ) throws(DiskError) {
        if stat.type != .symlink { try dropInherited(name, descriptor, but: attributes) }
        try setOwner(name, descriptor, as: stat)
        if stat.type != .symlink { try disk.setMode(stat.mode, of: name, descriptor) }
        try setAttributes(name, descriptor, attributes)
        try disk.setTimes(modified: stat.mtime, of: name, descriptor)
    }

    private func setOwner(
        _ name: UnsafePointer<CChar>?, _ descriptor: Descriptor, as stat: Stat
    ) throws(DiskError) {
        // Special bits would lend another owner's rights to whoever runs it, and what only a group
        // may do another group could.
        let isPlain = stat.mode & 0o6000 == 0 && stat.mode >> 3 & ~stat.mode & 7 == 0
        try ifTaken(.owner, isPlain ? [ErrorNumber.notPermitted] : []) { () throws(DiskError) in
            try disk.setOwner(uid: stat.uid, gid: stat.gid, of: name, descriptor)
        }
    }

    private func setAttributes(
        _ name: UnsafePointer<CChar>?, _ descriptor: Descriptor, _ attributes: [Attribute]
    ) throws(DiskError) {
        let before = notTaken[.xattrs]
        for attribute in attributes {
            // Without its list the mode would grant a group what the list denies it.
            let refusals =
                attribute.isAccessList ? [] : [ErrorNumber.notSupported, ErrorNumber.notPermitted]
            try ifTaken(.xattrs, refusals) { () throws(DiskError) in
                try disk.setAttribute(attribute.name, to: attribute.value, of: name, descriptor)
            }
        }
        if notTaken[.xattrs] != before { notTaken[.xattrs] = (before ?? 0) + 1 }
    }

    func takeNotTaken() -> [Aspect: Int] {
        defer { notTaken = [:] }
        return notTaken
    }

    /// What was not compared, and is refused with one of some errors, is left, counted and told.
    private func ifTaken(
        _ aspect: Aspect, _ refusals: [Int32], _ body: () throws(DiskError) -> Void
    ) throws(DiskError) {
        do throws(DiskError) {
            try body()
        } catch {
            guard !order.aspects.contains(aspect), refusals.contains(error.number) else {
                throw error
            }
            notTaken[aspect, default: 0] += 1
        }
    }

    /// A new object gets its directory's default list, which its source may not have.
    private func dropInherited(
        _ name: UnsafePointer<CChar>?, _ descriptor: Descriptor, but wanted: [Attribute]
    ) throws(DiskError) {
        let list = Array("system.posix_acl_access".utf8)
        guard !wanted.contains(where: { $0.name == list }) else { return }
        do throws(DiskError) {
            guard try disk.attributeNames(name, descriptor).contains(list) else { return }
        } catch {
            guard error.number == ErrorNumber.notSupported else { throw error }
            return
        }
        try disk.removeAttribute(list, of: name, descriptor)
    }

    // MARK: Content

    /// Copies and digests on the way; nil when the bytes were those of the plan.
    private func copy(
        _ entry: any SourceEntry, to descriptor: Descriptor, _ after: ObservedEntry,
        _ worker: Worker
    ) throws -> Staging? {
        var copying = Copying(
            disk: disk, target: descriptor, size: after.stat.size, worker: worker,
            limit: site.options.writeLimit)
        let found: Digest?
        do {
            found = try copying.run(entry)
        } catch let error as DiskError {
            return .ended(ActionResult(error, isSource: copying.isReading))
        }
        if worker.stop.isRequested { return .ended(.stopped) }
        guard let found else { return .ended(.sourceChanged) }
        return found == after.content ? nil : .ended(.sourceChanged)
    }

    func examine(
        _ number: Int, _ action: Action, _ staged: Stat?, _ worker: Worker
    ) throws -> ActionResult? {
        guard action.kind == .write, let after = action.after, after.stat.size > 0 else {
            return nil
        }
        do {
            let parent = try chain.open(action.path.parent)
            guard try isStaged(number, in: parent, staged) else { return .conflict }
            let file = try withCString(stagedName(number)) { (staged) throws(DiskError) in
                try disk.openQuietly(staged, in: parent, [.readOnly, .noFollow, .nonBlocking])
            }
            defer { disk.close(file) }
            let stat = try disk.stat(file)
            if stat.size == after.stat.size,
                try fileDigest(site, file, stat, source: .media, worker)?.digest == after.content
            {
                return nil
            }
            if worker.stop.isRequested { return .stopped }
            // Somebody was at it, or the medium has not what it took: either way it is not placed.
            throw DiskError(.pread, ErrorNumber.inputOutput)
        } catch let error as DiskError {
            return ActionResult(error)
        }
    }

    /// The digest of a file of this store, as a manifest has it, from the page cache; nil where it
    /// moved meanwhile.
    func digest(
        _ name: UnsafePointer<CChar>, in parent: Descriptor
    ) throws(DiskError) -> Digest? {
        guard let scheme = try? DigestScheme(.sha256, blockSize: order.blockSize),
            let worker = try? Worker(scheme: scheme, pulse: Pulse(), stop: Stop())
        else { preconditionFailure("OpenSSL has no SHA-256") }
        let descriptor = try disk.openQuietly(
            name, in: parent, [.readOnly, .noFollow, .nonBlocking])
        defer { disk.close(descriptor) }
        let stat = try disk.stat(descriptor)
        do {
            return try fileDigest(site, descriptor, stat, source: .cache, worker)?.digest
        } catch let error as DiskError {
            // What cannot be read is not called different.
            throw error
        } catch {
            preconditionFailure("OpenSSL cannot digest")
        }
    }

    // MARK: In place

    /// Changes metadata where it is. Interrupted, it is begun again: each part is old or new.
    private func change(
        _ action: Action, _ own: OwnObjects, from source: any StoreSource
    ) throws(DiskError) -> Staging {
        guard let after = action.after else { return .ended(.sourceChanged) }
        var attributes: [Attribute]?
        if action.kind == .settleDirectory, action.takesAttributes {
            guard let entry = try source.open(action.path, as: after) else {
                return .ended(.sourceChanged)
            }
            attributes = try entry.attributes()
        }
        return try withOpen(action.path) { (name, descriptor, now) throws(DiskError) in
            // What the plan did not see must be what the run has made: any other is somebody's who
            // came first. Where inodes change their numbers its mode still tells.
            let isOurs =
                action.before == nil
                ? own.directories.contains(ObjectMark(now)) || Action.isUnsettled(now.mode)
                : action.accepts(now)
            guard isOurs else { return .ended(.changed) }
            if let attributes {
                try removeAttributes(descriptor, but: attributes)
                try setAttributes(nil, descriptor, attributes)
            }
            if now.uid != after.stat.uid || now.gid != after.stat.gid {
                guard try !hasCapabilities(now, name, descriptor) else {
                    throw DiskError(.fchownat, ErrorNumber.notSupported)
                }
                try setOwner(name, descriptor, as: after.stat)
            }
            if after.type != .symlink { try disk.setMode(after.stat.mode, of: name, descriptor) }
            try disk.setTimes(modified: after.stat.mtime, of: name, descriptor)
            return .staged()
        }
    }

    /// Whether a change of owner would take something away that nothing brings back.
    func hasCapabilities(
        _ now: Stat, _ name: UnsafePointer<CChar>?, _ descriptor: Descriptor
    ) throws(DiskError) -> Bool {
        guard now.type == .file else { return false }
        return try disk.allAttributes(of: name, descriptor).contains {
            $0.name == Array("security.capability".utf8)
        }
    }

    func removeAttributes(
        _ descriptor: Descriptor, but attributes: [Attribute]
    ) throws(DiskError) {
        let wanted = Set(attributes.map { $0.name })
        for old in try disk.allAttributes(of: nil, descriptor) where !wanted.contains(old.name) {
            try disk.removeAttribute(old.name, of: nil, descriptor)
        }
    }

    /// Calls `body` with an open file or directory, or with the name of what is never opened.
    ///
    /// - Parameter isChange: then it must be on the root's mount (EXDEV).
    func withOpen<R>(
        _ path: RelativePath, isChange: Bool = true,
        _ body: (UnsafePointer<CChar>?, Descriptor, Stat) throws(DiskError) -> R
    ) throws(DiskError) -> R {
        func checked(_ stat: Stat) throws(DiskError) -> Stat {
            guard !isChange || stat.mount == site.facts.stat.mount else {
                throw DiskError(.openat, ErrorNumber.crossDevice)
            }
            return stat
        }
        if path.bytes.isEmpty { return try body(nil, root, try disk.stat(root)) }
        let parent = try (isChange ? chain : lookingChain).open(path.parent)
        return try withCString(path.lastName.bytes) { (name) throws(DiskError) in
            let stat = try checked(try disk.stat(name, in: parent))
            let flags: OpenFlags
            switch stat.type {
            case .file: flags = [.readOnly, .noFollow, .nonBlocking]
            case .directory: flags = [.readOnly, .directory, .noFollow, .nonBlocking]
            default: return try body(name, parent, stat)
            }
            let descriptor = try disk.openQuietly(name, in: parent, flags)
            defer { disk.close(descriptor) }
            return try body(nil, descriptor, try checked(try disk.stat(descriptor)))
        }
    }

    func attributes(_ action: Action) throws(DiskError) -> [Attribute] {
        try withOpen(action.path) { (name, descriptor, _) throws(DiskError) in
            try disk.allAttributes(of: name, descriptor)
        }
    }
}

extension Action {
    /// Whether a directory is given the source's attributes: it is new, or they were found to
    /// differ.
    package var takesAttributes: Bool {
        guard let before else { return true }
        return before.entry.xattrs != after?.entry.xattrs || before.entry.acl != after?.entry.acl
    }

    /// Whether metadata may be changed in place: the object is the one that was seen, and each part
    /// of its metadata is as it was or as it is to be.
    func accepts(_ now: Stat) -> Bool {
        guard let after, let before, now.type == after.type, now.inode == before.stat.inode,
            isOldOrNew(now, before.stat, after.stat)
        else { return false }
        guard kind == .metadata else { return true }
        return now.size == before.stat.size
            && (now.mtime == before.stat.mtime || now.mtime.isKept(of: after.stat.mtime))
    }

    /// Whether metadata that is changed in place is all as it is to be.
    func isCarriedOut(_ now: Stat, in aspects: AspectSet) -> Bool {
        guard let new = after?.stat, accepts(now) else { return false }
        return now.isOwned(as: new, in: aspects) && now.mtime.isKept(of: new.mtime)
            && (now.type == .symlink || now.mode == new.mode)
    }

    private func isOldOrNew(_ now: Stat, _ old: Stat, _ new: Stat) -> Bool {
        (now.uid == old.uid || now.uid == new.uid) && (now.gid == old.gid || now.gid == new.gid)
            && (now.type == .symlink || isMode(now.mode, old.mode) || isMode(now.mode, new.mode))
    }

    /// Whether a mode is the one meant, or what a change of owner has left of that.
    func isMode(_ now: UInt16, _ meant: UInt16) -> Bool {
        [0, 0o4000, 0o6000, 0o7000].contains { now == meant & ~$0 }
    }
}

extension Stat {
    /// Whether the owner is the one meant, where that was compared.
    func isOwned(as meant: Stat, in aspects: AspectSet) -> Bool {
        !aspects.contains(.owner) || uid == meant.uid && gid == meant.gid
    }
}
