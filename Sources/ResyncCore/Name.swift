/// One component of a path: bytes, never text.
///
/// `String` compares by canonical equivalence and repairs invalid UTF-8, so two files could become
/// one; names turn into text only in `Escaping`.
package struct Name: Sendable, Hashable {
    package let bytes: [UInt8]

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    package init(_ text: StaticString) {
        self.bytes = text.withUTF8Buffer { Array($0) }
    }

    /// What a path can hold (PATH_MAX without its NUL). Most file systems stop at 255 bytes; FUSE
    /// and some others do not.
    package static let limit = 4095

    /// Whether a file system could hold it: one component, neither `.` nor `..`.
    package var isValid: Bool {
        bytes.withUnsafeBufferPointer { Self.isValid($0[...]) && !$0.contains(slash) }
    }

    /// The same of bytes without a slash.
    fileprivate static func isValid(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
        !bytes.isEmpty && bytes.count <= limit && !bytes.contains(0)
            && !(bytes.count <= 2 && bytes.allSatisfy { $0 == dot })
    }
}

/// A path below a store's root: components joined by `/`; empty for the root itself.
package struct RelativePath: Sendable, Hashable {
    package var bytes: [UInt8]

    package static let root = RelativePath([])

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// As a person writes it, with `.` and more slashes than are needed.
    package static func written(_ bytes: [UInt8]) -> RelativePath {
        let names = bytes.split(separator: slash).filter { !$0.elementsEqual([dot]) }
        return RelativePath(Array(names.joined(separator: [slash])))
    }

    package func appending(_ name: Name) -> RelativePath {
        bytes.isEmpty ? RelativePath(name.bytes) : RelativePath(bytes + [slash] + name.bytes)
    }

    /// The place that a path has which is told from here.
    package func appending(_ path: RelativePath) -> RelativePath {
        if path == .root { return self }
        return self == .root ? path : RelativePath(bytes + [slash] + path.bytes)
    }

    package var components: [Name] {
        bytes.split(separator: slash).map { Name(Array($0)) }
    }

    /// How many components it has.
    package var depth: Int { bytes.isEmpty ? 0 : bytes.reduce(1) { $0 + ($1 == slash ? 1 : 0) } }

    package var parent: RelativePath {
        guard let cut = bytes.lastIndex(of: slash) else { return .root }
        return RelativePath(Array(bytes[..<cut]))
    }

    package var lastName: Name {
        guard let cut = bytes.lastIndex(of: slash) else { return Name(bytes) }
        return Name(Array(bytes[(cut + 1)...]))
    }

    /// Whether it can lead nowhere but into a store, and is in its only form.
    package var isValid: Bool {
        bytes.withUnsafeBufferPointer { bytes in
            var start = 0
            for at in 0...bytes.count where at == bytes.count || bytes[at] == slash {
                guard Name.isValid(bytes[start..<at]) else { return bytes.isEmpty }
                start = at + 1
            }
            return true
        }
    }

    /// Whether it leads to what is resync's own.
    package var isReserved: Bool { bytes.starts(with: reservedPrefix) }

    /// Whether this is `other` or lies below it.
    package func isWithin(_ other: RelativePath) -> Bool {
        if other.bytes.isEmpty { return true }
        guard bytes.starts(with: other.bytes) else { return false }
        return bytes.count == other.bytes.count || bytes[other.bytes.count] == slash
    }
}

extension RelativePath: Comparable {
    /// Component by component, as if `/` were byte 0: the order in which a depth-first walk over
    /// sorted names meets the entries.
    package static func < (left: RelativePath, right: RelativePath) -> Bool {
        left.bytes.withUnsafeBufferPointer { l in
            right.bytes.withUnsafeBufferPointer { r in
                let shared = min(l.count, r.count)
                var at = 0
                while at < shared, l[at] == r[at] { at += 1 }
                if at == shared { return l.count < r.count }
                return (l[at] == slash ? 0 : l[at]) < (r[at] == slash ? 0 : r[at])
            }
        }
    }
}

/// Whether an absolute path is another one or lies below it.
package func isWithin(_ path: [UInt8], _ other: [UInt8]) -> Bool {
    RelativePath(path).isWithin(other == [slash] ? .root : RelativePath(other))
}

package let slash = UInt8(ascii: "/")
private let dot = UInt8(ascii: ".")

/// At the root of a store, names that begin so are resync's own.
package let reservedPrefix = Array(".resync".utf8)
