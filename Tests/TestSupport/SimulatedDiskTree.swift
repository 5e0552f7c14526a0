import Glibc
package import ResyncCore
import Synchronization

/// All there is to see of the entries below a path, by their paths from there; the entry at the
/// path itself has the empty one. Inode numbers, ctimes and how much space is allocated are not
/// part of it.
package struct TreeImage: Sendable, Equatable {
    package struct Entry: Sendable, Equatable {
        package var type: EntryType
        package var mode: UInt16
        package var uid: UInt32
        package var gid: UInt32
        package var mtime: Timestamp
        package var special: DeviceNumber
        package var attributes: [[UInt8]: [UInt8]]
        package var target: [UInt8]
        package var content: Content
        /// The first of the paths that lead to this inode; nil when there is one only.
        package var linkGroup: [UInt8]?
    }

    package var entries: [[UInt8]: Entry]

    /// One line for each path whose entries differ.
    package func differences(from other: TreeImage) -> [String] {
        let paths = Set(entries.keys).union(other.entries.keys).filter {
            entries[$0] != other.entries[$0]
        }
        return paths.map(RelativePath.init).sorted().map { path in
            let (new, old) = (entries[path.bytes], other.entries[path.bytes])
            return "\(escaped(path.bytes)): \(describe(new)); before: \(describe(old))"
        }
    }

    private func describe(_ entry: Entry?) -> String {
        guard let entry else { return "absent" }
        let attributes = entry.attributes.map { "\(escaped($0))=\(escaped($1))" }.sorted()
        var text = "\(entry.type.word) \(String(entry.mode, radix: 8)) \(entry.uid):\(entry.gid)"
        text += " \(entry.mtime.seconds).\(entry.mtime.nanoseconds) \(entry.content)"
        if entry.type == .symlink { text += " -> \(escaped(entry.target))" }
        if let group = entry.linkGroup { text += " links \(escaped(group))" }
        return ([text] + attributes).joined(separator: " ")
    }
}

extension TreeImage {
    /// A file's bytes: themselves as long as they are few, else a number they make.
    package struct Content: Sendable, Equatable, CustomStringConvertible {
        package let size: Int
        private let bytes: [UInt8]
        private let number: UInt64

        private static let limit = 64 << 10

        init(_ file: FileData?) {
            size = file?.size ?? 0
            bytes = file.map { $0.size <= Self.limit ? $0.cache.bytes(0..<$0.size) : [] } ?? []
            number = file.map { $0.size <= Self.limit ? 0 : $0.cache.fingerprint } ?? 0
        }

        package static func == (left: Content, right: Content) -> Bool {
            // Many times as fast as arrays compare without optimization.
            left.size == right.size && left.number == right.number
                && left.bytes.withUnsafeBytes { one in
                    right.bytes.withUnsafeBytes { other in
                        guard let first = one.baseAddress, let second = other.baseAddress else {
                            return one.count == other.count
                        }
                        return memcmp(first, second, one.count) == 0
                    }
                }
        }

        package var description: String {
            let start = bytes.prefix(24)
            return "\(size) bytes" + (start.isEmpty ? "" : " '\(escaped(Array(start)))'")
        }
    }
}

extension SimulatedDisk {
    /// As reads through the page cache see it. A path that leads nowhere has no entries.
    package func tree(_ path: some ByteString = "/") -> TreeImage {
        state.withLock { state in
            var entries: [[UInt8]: TreeImage.Entry] = [:]
            var linked: [ObjectID: [[UInt8]]] = [:]
            var rest: [(path: [UInt8], id: ObjectID)] = []
            if let top = state.lookUp(path) { rest = [([], top)] }
            while let (path, id) = rest.popLast() {
                guard let object = state.objects[id] else { continue }
                entries[path] = TreeImage.Entry(object)
                if object.names > 1 { linked[id, default: []].append(path) }
                for (name, child) in object.directory?.all ?? [] {
                    rest.append((path.isEmpty ? name.bytes : path + [slash] + name.bytes, child))
                }
            }
            for paths in linked.values where paths.count > 1 {
                let first = paths.min { $0.lexicographicallyPrecedes($1) }
                for path in paths { entries[path]?.linkGroup = first }
            }
            return TreeImage(entries: entries)
        }
    }
}

extension TreeImage.Entry {
    fileprivate init(_ object: Object) {
        type = object.type
        mode = object.attributes.mode
        uid = object.attributes.uid
        gid = object.attributes.gid
        mtime = object.attributes.mtime
        special = object.special
        attributes = object.attributes.extended
        target = object.target
        content = TreeImage.Content(object.file)
    }
}

extension SparseContent {
    /// A number made of all bytes, equal for a hole and for zeros.
    var fingerprint: UInt64 {
        var sum = mixed(UInt64(size))
        let unit = Self.blockSize
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: unit, alignment: 16)
        defer { buffer.deallocate() }
        var offset = 0
        while let start = nextData(from: offset, cached: RangeSet()) {
            buffer.initializeMemory(as: UInt8.self, repeating: 0)
            _ = read(into: buffer, at: start)
            var block = UInt64(0)
            for (index, word) in buffer.bindMemory(to: UInt64.self).enumerated() where word != 0 {
                block ^= mixed(word &+ UInt64(start + index))
            }
            if block != 0 { sum = mixed(sum ^ block) }
            offset = (start / unit + 1) * unit
        }
        return sum
    }
}
