/// Makes a manifest from a list that `sha256sum -z` wrote: what other tools saw of a store's files,
/// to be compared with what is there. Of directories, links and metadata such a list says nothing.
///
/// A list comes in any order, so all of it is kept in memory until it is written.
package struct ManifestImport {
    private var rest: [UInt8] = []
    private var files: [(path: RelativePath, digest: Digest)] = []
    /// Taken off the front of each path.
    private let prefix: [UInt8]

    /// Lines of one list.
    package static let limit = 1 << 24
    /// Bytes of a name that sha256sum can open (PATH_MAX, less its NUL): each directory of a path
    /// is a record, so that longer ones would make far more of a list than it is.
    private static let nameLimit = 4095
    private static let lineLimit = nameLimit + 66

    /// - Parameter prefix: where the store lay when the list was made, such as `/srv/data`; empty
    ///   for a list of relative paths.
    package init(prefix: [UInt8] = []) {
        self.prefix = prefix
    }

    /// The header of an imported manifest. `exclusions` is that of a scan that leaves nothing out.
    package static func header(
        exclusions: Digest, store: [UInt8], tool: [UInt8], started: Timestamp
    ) -> ManifestHeader {
        var header = ManifestHeader(blockSize: 0, aspects: .listed, exclusions: exclusions)
        header.content = .whole
        header.hasWholeFile = true
        header.store = store
        header.tool = tool
        header.started = started
        return header
    }

    /// Takes the list's next bytes, cut anywhere.
    package mutating func take(_ bytes: [UInt8]) throws(ManifestRefusal) {
        rest += bytes
        var start = 0
        while let end = rest[start...].firstIndex(of: 0) {
            try line(Array(rest[start..<end]))
            start = end + 1
        }
        rest.removeFirst(start)
        guard rest.count <= Self.lineLimit else {
            throw ManifestRefusal("it is no list of sha256sum -z: a line without an end")
        }
    }

    private mutating func line(_ line: [UInt8]) throws(ManifestRefusal) {
        let number = files.count + 1
        guard number <= Self.limit else {
            throw ManifestRefusal("it has more than \(Self.limit) lines")
        }
        // 64 digits, a space, a space or an asterisk, and the name as it is.
        guard line.count > 66, line[64] == UInt8(ascii: " "),
            line[65] == UInt8(ascii: " ") || line[65] == UInt8(ascii: "*"),
            let digest = Digest(hex: String(decoding: line[..<64], as: UTF8.self))
        else { throw ManifestRefusal("line \(number) is none of sha256sum -z") }
        files.append((try path(Array(line[66...]), number), digest))
    }

    private func path(
        _ name: [UInt8], _ number: Int
    ) throws(ManifestRefusal) -> RelativePath {
        let length = name.count
        var name = name[...]
        if !prefix.isEmpty {
            let rest = name.dropFirst(prefix.count)
            guard name.starts(with: prefix), prefix.last == slash || rest.first == slash else {
                throw ManifestRefusal(
                    "line \(number): '\(escaped(name))' does not lie below '\(escaped(prefix))'")
            }
            name = rest.drop { $0 == slash }
        }
        while name.starts(with: Array("./".utf8)) { name = name.dropFirst(2) }
        let path = RelativePath(Array(name))
        let parts = name.split(separator: slash, omittingEmptySubsequences: false)
        guard parts.allSatisfy({ Name(Array($0)).isValid }), length <= Self.nameLimit else {
            throw ManifestRefusal(
                "line \(number): '\(escaped(name))' is no path below the store")
        }
        return path
    }

    /// The records of the list, in walk order.
    package mutating func finish(
        _ record: (ManifestRecord) throws -> Void
    ) throws {
        guard rest.isEmpty else {
            throw ManifestRefusal("it is no list of sha256sum -z, or cut: no NUL at its end")
        }
        guard !files.isEmpty else { throw ManifestRefusal("it is empty") }
        files.sort { $0.path < $1.path }
        var open: [Name] = []
        try record(.entry(Self.directory(Name([UInt8]()))))
        var last: (path: RelativePath, digest: Digest)?
        for file in files {
            if let last, file.path.isWithin(last.path) {
                if file.path == last.path, file.digest == last.digest { continue }
                throw ManifestRefusal("it contradicts itself about '\(escaped(file.path.bytes))'")
            }
            last = file
            let components = file.path.components
            let parents = components.dropLast()
            var shared = 0
            while shared < min(open.count, parents.count), open[shared] == parents[shared] {
                shared += 1
            }
            while open.count > shared {
                open.removeLast()
                try record(.end(DirectoryEnd(listing: .complete)))
            }
            for name in parents[shared...] {
                open.append(name)
                try record(.entry(Self.directory(name)))
            }
            try record(.entry(Self.file(components[parents.count], file.digest)))
        }
        for _ in 0...open.count { try record(.end(DirectoryEnd(listing: .complete))) }
    }

    private static func directory(_ name: Name) -> ManifestEntry {
        ManifestEntry(name: name, entry: Entry(stat: Stat(type: .directory, mode: 0)))
    }

    private static func file(_ name: Name, _ digest: Digest) -> ManifestEntry {
        var entry = ManifestEntry(name: name, entry: Entry(stat: Stat(type: .file, mode: 0)))
        entry.content = FileContent(blocks: BlockList(), digest: digest, whole: digest)
        return entry
    }
}
