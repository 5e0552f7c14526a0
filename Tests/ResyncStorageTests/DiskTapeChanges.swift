import ResyncCore
import ResyncStorage
import TestSupport

/// The calls that change something, and those about attributes.
extension DiskTape {
    private func noteDone(_ what: String, _ body: () throws(DiskError) -> Void) {
        note(what) { () throws(DiskError) in
            try body()
            return "ok"
        }
    }

    func write(_ key: String, at offset: Int, _ bytes: [UInt8]) {
        note("write \(key) \(offset)+\(bytes.count)") { () throws(DiskError) in
            let copy = UnsafeMutableRawBufferPointer.allocate(
                byteCount: max(bytes.count, 1), alignment: 16)
            defer { copy.deallocate() }
            copy.copyBytes(from: bytes)
            let part = UnsafeRawBufferPointer(rebasing: copy[..<bytes.count])
            return "\(try disk.write(descriptor(key), part, at: offset))"
        }
    }

    func truncate(_ key: String, to size: Int) {
        note("truncate \(key) \(size)") { () throws(DiskError) in
            try disk.truncate(descriptor(key), to: size)
            return "ok"
        }
    }

    func sync(_ key: String) {
        note("sync \(key)") { () throws(DiskError) in
            try disk.sync(descriptor(key))
            return "ok"
        }
    }

    func makeDirectory(_ name: String, in directory: String = "") {
        note("mkdir \(directory)|\(name)") { () throws(DiskError) in
            try disk.makeDirectory(name, in: descriptor(directory), mode: 0o700)
            return "ok"
        }
    }

    func remove(_ name: String, in directory: String = "", isDirectory: Bool = false) {
        note("remove \(directory)|\(name) \(isDirectory)") { () throws(DiskError) in
            try disk.remove(name, in: descriptor(directory), isDirectory: isDirectory)
            return "ok"
        }
    }

    func rename(
        _ name: String, in directory: String = "", to new: String, in target: String = "",
        _ rule: RenameRule = .replace
    ) {
        note("rename \(directory)|\(name) \(target)|\(new) \(rule)") {
            () throws(DiskError) in
            try disk.rename(
                name, in: descriptor(directory), to: new, in: descriptor(target), rule)
            return "ok"
        }
    }

    func syncData(_ key: String) {
        noteDone("sync data \(key)") { () throws(DiskError) in
            try disk.syncData(descriptor(key))
        }
    }

    func syncFileSystem(_ key: String) {
        noteDone("sync all \(key)") { () throws(DiskError) in
            try disk.syncFileSystem(descriptor(key))
        }
    }

    func allocate(_ key: String, from offset: Int, count: Int) {
        noteDone("allocate \(key) \(offset)+\(count)") { () throws(DiskError) in
            try disk.allocate(descriptor(key), from: offset, count: count)
        }
    }

    func punchHole(_ key: String, from offset: Int, count: Int) {
        noteDone("punch \(key) \(offset)+\(count)") { () throws(DiskError) in
            try disk.punchHole(descriptor(key), from: offset, count: count)
        }
    }

    func link(
        _ name: String, in directory: String = "", to new: String, in target: String = ""
    ) {
        noteDone("link \(directory)|\(name) \(target)|\(new)") { () throws(DiskError) in
            try disk.link(name, in: descriptor(directory), to: new, in: descriptor(target))
        }
    }

    func makeSymlink(_ target: [UInt8], _ name: String, in directory: String = "") {
        noteDone("symlink \(directory)|\(name) \(target.count)") { () throws(DiskError) in
            try disk.makeSymlink(target, name, in: descriptor(directory))
        }
    }

    func makeSpecial(
        _ name: String, in directory: String = "", _ type: EntryType, mode: UInt16 = 0o644,
        _ device: DeviceNumber = DeviceNumber(major: 1, minor: 3)
    ) {
        noteDone("special \(directory)|\(name) \(type) \(mode)") { () throws(DiskError) in
            try disk.makeSpecial(
                name, in: descriptor(directory), type, mode: mode, device: device)
        }
    }

    // MARK: - What an inode says

    /// Calls `body` with the name as a C string, or with nil.
    private func named(
        _ name: String?, _ body: (UnsafePointer<CChar>?) throws(DiskError) -> Void
    ) throws(DiskError) {
        guard let name else { return try body(nil) }
        let text = name.utf8CString
        try text.withUnsafeBufferPointer { (buffer) throws(DiskError) in
            try body(buffer.baseAddress)
        }
    }

    func setMode(_ mode: UInt16, of name: String?, in key: String = "") {
        noteDone("mode \(key)|\(name ?? "") \(mode)") { () throws(DiskError) in
            try named(name) { (name) throws(DiskError) in
                try disk.setMode(mode, of: name, descriptor(key))
            }
        }
    }

    func setOwner(_ uid: UInt32, _ gid: UInt32, of name: String?, in key: String = "") {
        noteDone("owner \(key)|\(name ?? "") \(uid) \(gid)") { () throws(DiskError) in
            try named(name) { (name) throws(DiskError) in
                try disk.setOwner(uid: uid, gid: gid, of: name, descriptor(key))
            }
        }
    }

    /// And what the time is then, where it can be told.
    func setTimes(
        _ seconds: Int64, _ nanoseconds: UInt32, of name: String?, in key: String = ""
    ) {
        note("times \(key)|\(name ?? "") \(seconds).\(nanoseconds)") {
            () throws(DiskError) in
            let time = Timestamp(seconds: seconds, nanoseconds: nanoseconds)
            var mtime: Timestamp?
            try named(name) { (name) throws(DiskError) in
                try disk.setTimes(modified: time, of: name, descriptor(key))
                if let name {
                    mtime = try disk.stat(name, in: descriptor(key)).mtime
                } else {
                    mtime = try disk.stat(descriptor(key)).mtime
                }
            }
            return "\(mtime?.seconds ?? 0).\(mtime?.nanoseconds ?? 0)"
        }
    }

    func setAttribute(
        _ attribute: String, to value: [UInt8], of name: String?, in key: String = ""
    ) {
        noteDone("set \(attribute) \(value.count) \(key)|\(name ?? "")") {
            () throws(DiskError) in
            try named(name) { (name) throws(DiskError) in
                try disk.setAttribute(
                    Array(attribute.utf8), to: value, of: name, descriptor(key))
            }
        }
    }

    func removeAttribute(_ attribute: String, of name: String?, in key: String = "") {
        noteDone("unset \(attribute) \(key)|\(name ?? "")") { () throws(DiskError) in
            try named(name) { (name) throws(DiskError) in
                try disk.removeAttribute(Array(attribute.utf8), of: name, descriptor(key))
            }
        }
    }

    func attributes(_ name: String?, in directory: String) {
        note("attributes \(directory)|\(name ?? "")") { () throws(DiskError) in
            let names =
                if let name {
                    try disk.attributeNames(name, descriptor(directory))
                } else {
                    try disk.attributeNames(nil, descriptor(directory))
                }
            return names.map { escaped($0) }.sorted().joined(separator: " ")
        }
    }

    func attribute(_ attribute: String, of name: String?, in directory: String) {
        note("attribute \(attribute) \(directory)|\(name ?? "")") { () throws(DiskError) in
            let bytes = Array(attribute.utf8)
            let value =
                if let name {
                    try disk.attribute(bytes, of: name, descriptor(directory))
                } else {
                    try disk.attribute(bytes, of: nil, descriptor(directory))
                }
            return escaped(value)
        }
    }
}
