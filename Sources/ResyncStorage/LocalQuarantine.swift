import Glibc
package import ResyncCore

// What a run displaced lies in `.resync-quarantine/RUN`, under its action's number; what it found
// there of somebody else's, under the number and a suffix.
extension LocalChanger {
    /// The run's quarantine, made durably where it is missing; never through a symlink.
    func shelf() throws(DiskError) -> Descriptor {
        if let found = try shelfIfThere() { return found }
        let all = try disk.keepingTime(of: root) { () throws(DiskError) in
            try makeFolder(quarantineName, in: root)
        }
        defer { disk.close(all) }
        try checkOurs(all)
        let own = try makeFolder(Array(order.run.utf8), in: all)
        quarantine = own
        return own
    }

    /// Nil where the run has none.
    private func shelfIfThere() throws(DiskError) -> Descriptor? {
        if let quarantine { return quarantine }
        guard let all = try folder(quarantineName, in: root) else { return nil }
        defer { disk.close(all) }
        try checkOurs(all)
        quarantine = try folder(Array(order.run.utf8), in: all)
        return quarantine
    }

    /// Said before anything is in its new place: nothing could be moved there, or others could take
    /// it away again.
    private func checkOurs(_ folder: Descriptor) throws(DiskError) {
        switch site.quarantineFlaw(try disk.stat(folder)) {
        case nil: return
        case .mount?: throw DiskError(.renameat2, ErrorNumber.crossDevice)
        case .type?, .mode?, .owner?: throw DiskError(.openat, ErrorNumber.notPermitted)
        }
    }

    private func folder(
        _ name: [UInt8], in parent: Descriptor
    ) throws(DiskError) -> Descriptor? {
        do throws(DiskError) {
            return try withCString(name) { (name) throws(DiskError) in
                try disk.open(name, in: parent, [.readOnly, .directory, .noFollow], mode: 0)
            }
        } catch {
            guard error.number == ErrorNumber.noEntry else { throw error }
            return nil
        }
    }

    private func makeFolder(
        _ name: [UInt8], in parent: Descriptor
    ) throws(DiskError) -> Descriptor {
        if let found = try folder(name, in: parent) { return found }
        return try withCString(name) { (name) throws(DiskError) in
            do throws(DiskError) {
                try disk.makeDirectory(name, in: parent, mode: 0o700)
            } catch {
                guard error.number == ErrorNumber.exists else { throw error }
            }
            try disk.sync(parent)
            return try disk.open(name, in: parent, [.readOnly, .directory, .noFollow], mode: 0)
        }
    }

    private static let asideLimit = 1000

    /// Into the quarantine beside what an action displaces, under a name that is free.
    func putAside(_ staged: [UInt8], in parent: Descriptor, _ number: Int) throws(DiskError) {
        for attempt in 1...Self.asideLimit {
            let suffix = unplacedSuffix + (attempt == 1 ? [] : Array("-\(attempt)".utf8))
            do throws(DiskError) {
                let name = shelfName(number) + suffix
                return try store(staged, in: parent, as: name)
            } catch {
                guard error.number == ErrorNumber.exists else { throw error }
            }
        }
        throw DiskError(.renameat2, ErrorNumber.exists)
    }

    /// Whether what is staged may be what we had begun to make, whatever a power loss has kept of
    /// it: closed to others, or with the metadata that it was to have.
    func mayBeOurs(
        _ staged: [UInt8], in parent: Descriptor, _ action: Action
    ) throws(DiskError) -> Bool {
        guard let after = action.after else { return false }
        return try withCString(staged) { (staged) throws(DiskError) -> Bool in
            guard let now = try look(staged, in: parent), now.type == after.type else {
                return false
            }
            let isOwned = now.uid == geteuid() || now.uid == after.stat.uid
            switch now.type {
            // What has other names is not lost with this one.
            case .file where action.kind == .link: return now.links > 1
            case .file:
                return isOwned && now.links == 1 && now.size <= after.stat.size
                    && [0o600, after.stat.mode, after.stat.mode & 0o1777].contains(now.mode)
            case .symlink: return try disk.readLink(staged, in: parent) == after.entry.target
            case .directory: return try isEmpty(staged, in: parent)
            case .fifo, .socket, .characterDevice, .blockDevice:
                return isOwned && now.special == after.stat.special
            }
        }
    }

    func shelved(_ number: Int, _ action: Action) throws(DiskError) -> Stat? {
        guard let before = action.before, before.type == .file, before.content == nil,
            let shelf = try shelfIfThere()
        else { return nil }
        return try withCString(shelfName(number)) { (name) throws(DiskError) in
            try look(name, in: shelf)
        }
    }

    func isWrittenLate(
        _ number: Int, _ action: Action, shelved: Timestamp?
    ) throws(DiskError) -> Bool {
        guard let before = action.before, let shelf = try shelfIfThere() else { return false }
        return try withCString(shelfName(number)) { (name) throws(DiskError) in
            guard let now = try look(name, in: shelf) else { return false }
            // Whoever writes can put the times back.
            guard before.isStill(now), now.ctime == shelved ?? now.ctime,
                try isSameContent(name, in: shelf, before, now, ofAnySize: true)
            else { return true }
            switch now.type {
            case .file:
                if try isOpenForWriting(name, in: shelf) == true { return true }
                // What was written while it was read has moved its times, once it is closed.
                let end = try look(name, in: shelf)
                return end?.ctime != now.ctime || end?.mtime != now.mtime
            // It was when it was displaced; whoever was in it could make something there since.
            case .directory: return try !isEmpty(name, in: shelf)
            default: return false
            }
        }
    }

    func isAsTakenBack(
        _ stray: Stray, _ action: Action, _ own: OwnObjects
    ) throws(DiskError) -> Bool {
        guard let shelf = try shelfIfThere() else { return false }
        let name = shelfName(stray.number) + stray.suffix
        if stray.stat.type == .file {
            // Asked first: what somebody writes who closes it in between is seen below. Where the
            // kernel does not tell, somebody may: an undo went on there, trusting to this.
            let isOpen = try withCString(name) { (name) throws(DiskError) in
                try isOpenForWriting(name, in: shelf)
            }
            guard isOpen == false else { return false }
        }
        guard try isUntouched(name, in: shelf, action, own) else { return false }
        // Of attributes that were not compared nobody can say whose they are.
        let attributes = try withCString(name) { (name) throws(DiskError) in
            try disk.allAttributes(of: name, shelf)
        }
        let isOfUser = attributes.contains { !$0.name.starts(with: Array("security.".utf8)) }
        guard let after = action.after?.entry, after.hasAttributes(attributes) else { return false }
        return !isOfUser || (after.xattrs != nil && after.acl != nil)
    }

    /// Whether what a run has made has attributes that it did not give it, where they were
    /// compared.
    func hasOtherAttributes(
        _ name: UnsafePointer<CChar>, in parent: Descriptor, _ action: Action
    ) throws(DiskError) -> Bool {
        // A directory's are settled apart, and those of a further name are its first one's.
        guard [.write, .symlink, .special].contains(action.kind),
            let after = action.after?.entry, after.xattrs != nil || after.acl != nil
        else { return false }
        return try !after.hasAttributes(disk.allAttributes(of: name, parent))
    }

    func strays(
        beside isKept: (_ number: Int) -> Bool
    ) throws(DiskError) -> [Stray] {
        guard let shelf = try shelfIfThere() else { return [] }
        // Opened anew: the one that is kept would go on where a listing before has ended.
        let names = try disk.names([UInt8(ascii: ".")], in: shelf)
        var found: [Stray] = []
        for index in 0..<names.count {
            let name = names.name(index).bytes
            let digits = name.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            let suffix = Array(name.dropFirst(digits.count))
            guard let number = Int(String(decoding: digits, as: UTF8.self)),
                !suffix.isEmpty || !isKept(number)
            else { continue }
            let stat = try withCString(name) { (name) throws(DiskError) in
                try look(name, in: shelf)
            }
            guard let stat else { continue }
            found.append(Stray(number: number, suffix: suffix, stat: stat))
        }
        return found.sorted { ($0.number, $0.suffix.count) < ($1.number, $1.suffix.count) }
    }

    func erase(_ number: Int, suffix: [UInt8]) throws(DiskError) {
        guard let shelf = try shelfIfThere() else { return }
        try withCString(shelfName(number) + suffix) { (name) throws(DiskError) in
            try drop(name, in: shelf)
        }
    }
}

extension Disk {
    fileprivate func names(
        _ directory: [UInt8], in parent: Descriptor
    ) throws(DiskError) -> NameList {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 32 << 10, alignment: 16)
        defer { buffer.deallocate() }
        let descriptor = try withCString(directory) { (name) throws(DiskError) in
            try openDirectory(name, in: parent)
        }
        defer { close(descriptor) }
        var names = NameList()
        while try list(descriptor, into: &names, buffer: buffer) {}
        return names
    }
}

/// Why nothing can be kept in a store's quarantine.
private enum QuarantineFlaw {
    case type, mount, mode, owner
}

extension LocalSite {
    fileprivate func quarantineFlaw(_ stat: Stat) -> QuarantineFlaw? {
        if stat.type != .directory { return .type }
        if stat.mount != facts.stat.mount { return .mount }
        if stat.mode & 0o022 != 0 { return .mode }
        return stat.uid == facts.stat.uid || stat.uid == geteuid() ? nil : .owner
    }

    /// What lies in the store's quarantine, by run, whoever has put it there; nothing is followed.
    package func quarantined() throws(DiskError) -> [(run: [UInt8], name: [UInt8], stat: Stat)] {
        var found: [(run: [UInt8], name: [UInt8], stat: Stat)] = []
        guard let all = try folderIfThere(quarantineName, in: descriptor) else { return found }
        defer { disk.close(all) }
        let runs = try disk.names([UInt8(ascii: ".")], in: all).sorted()
        for index in 0..<runs.count {
            let run = runs.name(index).bytes
            // Not there: it was freed since it was listed.
            guard let stat = try statIfThere(run, in: all), stat.type == .directory,
                let shelf = try folderIfThere(run, in: all)
            else { continue }
            defer { disk.close(shelf) }
            let names = try disk.names([UInt8(ascii: ".")], in: shelf).sorted()
            for index in 0..<names.count {
                let name = names.name(index).bytes
                if let stat = try statIfThere(name, in: shelf) { found.append((run, name, stat)) }
            }
        }
        return found
    }

    /// Refuses a store in whose quarantine nothing can be kept, before anything is written.
    package func refuseUnsafeQuarantine() throws {
        guard let stat = try statIfThere(quarantineName, in: descriptor),
            let flaw = quarantineFlaw(stat)
        else { return }
        let why =
            switch flaw {
            case .type: "is no directory"
            case .mount: "lies on another mount: nothing could be moved there"
            case .mode: "is open to others, who could take away what is kept there: chmod go-w"
            case .owner: "belongs to user \(stat.uid), who could take away what is kept there"
            }
        throw TargetRefusal(facts.path + [slash] + quarantineName, why)
    }

    private func statIfThere(
        _ name: [UInt8], in parent: Descriptor
    ) throws(DiskError) -> Stat? {
        try ifThere { () throws(DiskError) -> Stat in
            try withCString(name) { (name) throws(DiskError) in try disk.stat(name, in: parent) }
        }
    }

    private func folderIfThere(
        _ name: [UInt8], in parent: Descriptor
    ) throws(DiskError) -> Descriptor? {
        try ifThere { () throws(DiskError) -> Descriptor in
            try withCString(name) { (name) throws(DiskError) in
                try disk.open(name, in: parent, [.readOnly, .directory, .noFollow], mode: 0)
            }
        }
    }

    private func ifThere<Value>(
        _ body: () throws(DiskError) -> Value
    ) throws(DiskError) -> Value? {
        do throws(DiskError) {
            return try body()
        } catch {
            guard error.number == ErrorNumber.noEntry else { throw error }
            return nil
        }
    }
}

/// What an action put aside that is somebody else's.
let unplacedSuffix = Array("-unplaced".utf8)
