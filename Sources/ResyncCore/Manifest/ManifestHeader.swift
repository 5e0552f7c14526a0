/// What a manifest says about itself before its first entry. The upper part decides what it can be
/// compared with; the lower only informs.
package struct ManifestHeader: Sendable, Hashable {
    package static let format = 1

    /// What stands for a file's content.
    package enum Content: String, Sendable, CaseIterable {
        /// Digests of its blocks.
        case blocks
        /// Only SHA-256 of the whole file: a list that other tools made.
        case whole
    }

    package enum MountRule: String, Sendable, CaseIterable {
        case one, cross
    }

    package enum Kind: String, Sendable, CaseIterable {
        case directory, file, device
    }

    package var content = Content.blocks
    package var digest = DigestAlgorithm.sha256
    /// Bytes, 64 KiB to 16 MiB; 0 where content is `whole`.
    package var blockSize: Int
    package var aspects: AspectSet
    /// Whether files carry plain SHA-256 of all their bytes too.
    package var hasWholeFile = false
    /// SHA-256 over the canonical bytes of the exclusions.
    package var exclusions: Digest
    package var mounts = MountRule.one
    package var owners = OwnerRule.number
    package var kind = Kind.directory

    package var source = ReadSource.cache
    package var host: [UInt8] = []
    /// As the operator gave it.
    package var store: [UInt8] = []
    package var identity = StoreIdentity()
    package var tool: [UInt8] = []
    /// No digest in it was taken before.
    package var started = Timestamp(seconds: 0, nanoseconds: 0)

    package static let blockSizes = 64 << 10...16 << 20

    package init(blockSize: Int, aspects: AspectSet, exclusions: Digest) {
        self.blockSize = blockSize
        self.aspects = aspects
        self.exclusions = exclusions
    }

    package var isImage: Bool { kind != .directory }
}

/// By what a store can be known again.
package struct StoreIdentity: Sendable, Hashable {
    /// As statfs(2) gives it.
    package var fileSystem: UInt64
    package var inode: UInt64
    package var device: DeviceNumber

    package init(
        fileSystem: UInt64 = 0, inode: UInt64 = 0,
        device: DeviceNumber = DeviceNumber(major: 0, minor: 0)
    ) {
        self.fileSystem = fileSystem
        self.inode = inode
        self.device = device
    }
}

/// Why manifests cannot be compared, exported or imported as asked.
package struct ManifestRefusal: Error, Sendable, Hashable {
    package let reason: String

    package init(_ reason: String) { self.reason = reason }
}

extension ManifestHeader {
    /// Why two manifests cannot be compared; nil when they can.
    package func refusal(with other: ManifestHeader) -> String? {
        if isImage != other.isImage {
            return "one is of a directory tree, the other of an image or device"
        }
        if content == .whole || other.content == .whole { return listRefusal(with: other) }
        let mismatches: [(String, String, String)] = [
            ("digest", digest.rawValue, other.digest.rawValue),
            ("block size", String(blockSize), String(other.blockSize)),
            ("aspects", aspects.words, other.aspects.words),
            ("exclusions", exclusions.hex, other.exclusions.hex),
            ("mount rule", mounts.rawValue, other.mounts.rawValue),
            ("owner rule", owners.rawValue, other.owners.rawValue),
        ]
        for (what, left, right) in mismatches where left != right {
            return "they differ in \(what): \(left) and \(right)"
        }
        return nil
    }

    /// A list of whole-file digests knows nothing but files and their content.
    private func listRefusal(with other: ManifestHeader) -> String? {
        guard hasWholeFile, other.hasWholeFile else {
            return "one has no SHA-256 of whole files, the other nothing else"
        }
        guard aspects.contains(.content), other.aspects.contains(.content) else {
            return "one has no content digests"
        }
        if exclusions != other.exclusions {
            return "they differ in exclusions: \(exclusions.hex) and \(other.exclusions.hex)"
        }
        return nil
    }

    /// What can be compared with another manifest.
    ///
    /// - Precondition: `refusal` gave nil.
    package func rules(with other: ManifestHeader, modifyWindow: UInt64 = 0) -> ComparisonRules {
        let isList = content == .whole || other.content == .whole
        return ComparisonRules(
            aspects: isList ? .listed : aspects, modifyWindow: modifyWindow, owners: owners)
    }
}

extension AspectSet {
    /// What a list of whole-file digests tells.
    package static let listed = AspectSet([.existence, .type, .content])
    /// What an image or device is compared by.
    package static let image = AspectSet([.existence, .type, .size, .content])

    /// As in a header: words in the order of the declaration, joined by commas.
    package var words: String { aspects.map { $0.word }.joined(separator: ",") }
}

extension ManifestHeader {
    /// Lines `key=value` in a fixed order, the same for the same header.
    package var bytes: [UInt8] {
        fields.flatMap { Array("\($0)=\($1)\n".utf8) }
    }

    private var fields: [(String, String)] {
        [
            ("format", String(Self.format)), ("content", content.rawValue),
            ("digest", digest.rawValue), ("block-size", String(blockSize)),
            ("aspects", aspects.words), ("whole-file", hasWholeFile ? "yes" : "no"),
            ("exclusions", exclusions.hex), ("mounts", mounts.rawValue),
            ("owners", owners.rawValue), ("kind", kind.rawValue),
            ("source", source == .media ? "media" : "cache"), ("host", escaped(host)),
            ("store", escaped(store)),
            ("file-system", String(identity.fileSystem, radix: 16)),
            ("root-inode", String(identity.inode)),
            ("root-device", "\(identity.device.major):\(identity.device.minor)"),
            ("tool", escaped(tool)), ("started", started.decimal),
        ]
    }

    package init(_ bytes: [UInt8]) throws(FormatError) {
        guard let text = validText(bytes), text.utf8.last == UInt8(ascii: "\n") else {
            throw FormatError("header is no text")
        }
        var lines = HeaderLines(text)
        let format = try lines.value("format")
        guard format == String(Self.format) else {
            throw FormatError("format \(quoted(format)) is not known here")
        }
        content = try lines.word("content")
        digest = try lines.word("digest")
        blockSize = try lines.number("block-size")
        aspects = try lines.aspects("aspects")
        hasWholeFile = try lines.flag("whole-file", yes: "yes", no: "no")
        exclusions = try lines.parse("exclusions") { Digest(hex: $0) }
        mounts = try lines.word("mounts")
        owners = try lines.word("owners")
        kind = try lines.word("kind")
        source = try lines.flag("source", yes: "media", no: "cache") ? .media : .cache
        host = try lines.parse("host") { unescaped($0) }
        store = try lines.parse("store") { unescaped($0) }
        identity = StoreIdentity(
            fileSystem: try lines.parse("file-system") { UInt64($0, radix: 16) },
            inode: try lines.parse("root-inode") { UInt64($0) },
            device: try lines.parse("root-device") { DeviceNumber($0) })
        tool = try lines.parse("tool") { unescaped($0) }
        started = try lines.parse("started") { Timestamp(decimal: $0) }
        // One header, one form: or two manifests of one store could differ.
        guard lines.isAtEnd, self.bytes == bytes else { throw FormatError("header is not ours") }
        try validate()
    }

    private func validate() throws(FormatError) {
        guard AspectSet([.existence, .type]).isSubset(of: aspects) else {
            throw FormatError("entries without a type")
        }
        let isGrounded = aspects.aspects.allSatisfy { $0.restsOn.map(aspects.contains) ?? true }
        guard content == .whole || isGrounded else {
            throw FormatError("aspects without those that they rest on")
        }
        guard digest.canBeKept else { throw FormatError("digest \(digest.rawValue)") }
        guard content == .whole ? blockSize == 0 : Self.blockSizes.contains(blockSize) else {
            throw FormatError("block size \(blockSize) out of bounds")
        }
        let isListed = aspects == .listed && hasWholeFile && digest == .sha256 && !isImage
        guard content == .blocks || isListed else {
            throw FormatError("a list of whole files with other aspects")
        }
        guard !isImage || aspects == .image else {
            throw FormatError("an image with other aspects")
        }
    }
}

/// What a header says, fit to be shown: it may say anything, at any length.
private func quoted(_ text: Substring) -> String {
    let limit = 64
    let rest = text.utf8.count > limit ? "…" : ""
    return escaped(text.utf8.prefix(limit)) + rest
}

/// The lines of a header, taken in order.
private struct HeaderLines {
    private var lines: [Substring]

    init(_ text: String) {
        lines = text.dropLast().split(separator: "\n", omittingEmptySubsequences: false).reversed()
    }

    var isAtEnd: Bool { lines.isEmpty }

    mutating func value(_ key: String) throws(FormatError) -> Substring {
        guard let line = lines.popLast(), line.hasPrefix(key + "=") else {
            throw FormatError("header without \(key)")
        }
        return line.dropFirst(key.count + 1)
    }

    mutating func parse<Value>(
        _ key: String, _ make: (Substring) -> Value?
    ) throws(FormatError) -> Value {
        let text = try value(key)
        guard let made = make(text) else { throw FormatError("header with \(key)=\(quoted(text))") }
        return made
    }

    mutating func word<Value: RawRepresentable<String>>(
        _ key: String
    ) throws(FormatError) -> Value {
        try parse(key) { Value(rawValue: String($0)) }
    }

    mutating func number(_ key: String) throws(FormatError) -> Int {
        try parse(key) { text in Int(text).flatMap { $0 >= 0 ? $0 : nil } }
    }

    mutating func flag(
        _ key: String, yes: String, no: String
    ) throws(FormatError) -> Bool {
        try parse(key) { $0 == yes ? true : $0 == no ? false : nil }
    }

    mutating func aspects(_ key: String) throws(FormatError) -> AspectSet {
        try parse(key) { text in
            var set: AspectSet = []
            for word in text.split(separator: ",") {
                guard let aspect = Aspect.allCases.first(where: { $0.word == word }) else {
                    return nil
                }
                set.insert(aspect)
            }
            return set
        }
    }
}

extension DeviceNumber {
    /// From `major:minor`.
    fileprivate init?(_ text: Substring) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let major = UInt32(parts[0]), let minor = UInt32(parts[1]) else {
            return nil
        }
        self.init(major: major, minor: minor)
    }
}

extension Timestamp {
    /// Seconds, a point and nine digits: `1700000000.000000005`.
    package var decimal: String {
        let digits = String(nanoseconds)
        return "\(seconds).\(String(repeating: "0", count: 9 - digits.count))\(digits)"
    }

    fileprivate init?(decimal text: Substring) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[1].utf8.count == 9, let seconds = Int64(parts[0]),
            let nanoseconds = UInt32(parts[1])
        else { return nil }
        self.init(seconds: seconds, nanoseconds: nanoseconds)
    }
}
