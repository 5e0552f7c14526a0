/// Says a manifest in the words of other tools, line by line.
package struct ManifestExport {
    package enum Format: String, Sendable, CaseIterable {
        /// For `sha256sum -c`.
        case sha256sum
        /// As `sha256sum -z` writes it: names as they are, each line ended by NUL.
        case sha256sumZero = "sha256sum-z"
        /// For `mtree`, with full paths.
        case mtree
        case json
    }

    private let format: Format
    private let header: ManifestHeader
    /// Entries left out because they are in doubt, or because the format has no words for them:
    /// the export says less than the manifest.
    package private(set) var skipped = 0

    /// Refuses a manifest that lacks what the format needs.
    package init(_ format: Format, _ header: ManifestHeader) throws(ManifestRefusal) {
        self.format = format
        self.header = header
        guard format != .json else { return }
        guard !header.isImage else {
            throw ManifestRefusal("it is of an image or device: it has no entries to list")
        }
        guard header.hasWholeFile, header.aspects.contains(.content) else {
            throw ManifestRefusal("it has no SHA-256 of whole files: scan with --whole-file")
        }
        guard format != .mtree || header.content == .blocks else {
            throw ManifestRefusal("it was made from a list: it knows nothing but digests")
        }
    }

    /// What comes before the first entry.
    package var head: [UInt8] {
        switch format {
        case .sha256sum, .sha256sumZero: []
        case .mtree: Array("#mtree\n".utf8)
        case .json: header.jsonLine.bytes
        }
    }

    /// The lines of one record; none for most ends.
    package mutating func lines(_ record: ManifestRecord, at path: RelativePath) -> [UInt8] {
        switch record {
        case .end(let end): return format == .json ? end.jsonLine(path).bytes : []
        case .entry(let entry):
            switch format {
            case .json: return entry.jsonLine(path, header).bytes
            case .mtree: return mtree(entry, path)
            case .sha256sum, .sha256sumZero: return sha256sum(entry, path)
            }
        }
    }

    /// What comes behind the last entry.
    package func tail(_ trailer: ManifestTrailer) -> [UInt8] {
        format == .json ? trailer.jsonLine.bytes : []
    }

    private mutating func sha256sum(_ entry: ManifestEntry, _ path: RelativePath) -> [UInt8] {
        guard entry.type == .file || entry.doubt != nil else { return [] }
        guard let whole = entry.content?.whole, entry.doubt == nil else {
            skipped += 1
            return []
        }
        // `./` because a name of `-` would mean standard input.
        let plain = Array("./".utf8) + path.bytes
        if format == .sha256sumZero { return Array("\(whole.hex)  ".utf8) + plain + [0] }
        let (name, isEscaped) = plain.escapedForLines
        return Array("\(isEscaped ? "\\" : "")\(whole.hex)  ".utf8) + name + [newline]
    }

    private mutating func mtree(_ entry: ManifestEntry, _ path: RelativePath) -> [UInt8] {
        guard let known = entry.entry, entry.doubt == nil else {
            skipped += 1
            return []
        }
        let name = path == .root ? [UInt8(ascii: ".")] : Array("./".utf8) + path.bytes
        let stat = known.stat
        var line = name.vis
        func word(_ text: String) { line += Array(" \(text)".utf8) }
        word("type=\(stat.type.mtreeWord)")
        let aspects = header.aspects
        if aspects.contains(.mode), stat.type != .symlink {
            word("mode=0\(String(stat.mode, radix: 8))")
        }
        if aspects.contains(.owner) { word("uid=\(stat.uid) gid=\(stat.gid)") }
        // Our own marker moves the root's time.
        if aspects.contains(.mtime), path != .root { word("time=\(stat.mtime.decimal)") }
        if aspects.contains(.size), stat.type == .file { word("size=\(stat.size)") }
        if let whole = entry.content?.whole { word("sha256digest=\(whole.hex)") }
        if let target = known.target { line += Array(" link=".utf8) + target.vis }
        if stat.type.isDevice {
            word("device=native,\(stat.special.major),\(stat.special.minor)")
        }
        return line + [newline]
    }
}

private let newline = UInt8(ascii: "\n")

extension EntryType {
    /// As mtree(5) calls it.
    fileprivate var mtreeWord: String {
        switch self {
        case .file: "file"
        case .directory: "dir"
        case .symlink: "link"
        case .fifo: "fifo"
        case .socket: "socket"
        case .characterDevice: "char"
        case .blockDevice: "block"
        }
    }
}

extension [UInt8] {
    /// As sha256sum(1) writes names: newline, carriage return and backslash behind a backslash, and
    /// the line marked by one at its beginning.
    fileprivate var escapedForLines: (name: [UInt8], isEscaped: Bool) {
        var name: [UInt8] = []
        for byte in self {
            switch byte {
            case UInt8(ascii: "\n"): name += Array("\\n".utf8)
            case UInt8(ascii: "\r"): name += Array("\\r".utf8)
            case UInt8(ascii: "\\"): name += Array("\\\\".utf8)
            default: name.append(byte)
            }
        }
        return (name, name.count != count)
    }

    /// As vis(3) with VIS_OCTAL: every byte that is not plain, or that mtree takes for a pattern or
    /// a comment, as a backslash and three octal digits.
    fileprivate var vis: [UInt8] {
        let special = Array("\\#*?[= ".utf8)
        var text: [UInt8] = []
        for byte in self {
            if byte > 0x20, byte < 0x7f, !special.contains(byte) {
                text.append(byte)
            } else {
                text.append(UInt8(ascii: "\\"))
                for shift in [6, 3, 0] as [UInt8] {
                    text.append(UInt8(ascii: "0") + (byte >> shift & 7))
                }
            }
        }
        return text
    }
}
