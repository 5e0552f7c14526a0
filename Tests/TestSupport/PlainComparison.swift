package import ResyncCore

/// An entry with all its bytes: those of a file, or the target of a symlink.
package struct PlainEntry: Sendable {
    package let stat: Stat
    package let bytes: [UInt8]

    package init(_ stat: Stat, _ bytes: [UInt8]) {
        self.stat = stat
        self.bytes = bytes
    }
}

/// A store by path, read in the plainest way; the root has an empty path.
package typealias PlainStore = [[UInt8]: PlainEntry]

/// The status of a comparison with these lines; two stores without an entry prove nothing, whatever
/// their roots look like.
package func plainStatus(_ lines: [String]) -> ExitStatus {
    // The root has a line where it differs: no path, and words. A path may begin with a space.
    let words = Set(Aspect.allCases.map(\.word))
    let isOfEntry = { (line: String) in
        line.first == "="
            || !line.dropFirst(2).split(separator: " ").allSatisfy {
                words.contains(String($0))
            }
    }
    guard lines.contains(where: isOfEntry) else { return .trouble }
    return lines.allSatisfy { $0.hasPrefix("=") } ? .ok : .differences
}

/// What comparing two stores has to say: everything is held in memory and compared in full. One
/// line a path, in the order of the paths' components: the sign, the path, the aspects.
package func plainlyCompared(_ a: PlainStore, _ b: PlainStore) -> [String] {
    let paths = Set(a.keys).union(b.keys).filter { !$0.starts(with: ".resync".utf8) }
    let sorted = paths.sorted { left, right in
        let (l, r) = (left.split(separator: slash), right.split(separator: slash))
        for (one, other) in zip(l, r) where !one.elementsEqual(other) {
            return one.lexicographicallyPrecedes(other)
        }
        return l.count < r.count
    }
    // The first name of an object among those alike on both sides stands for all its names.
    var first: (a: [ObjectIdentity: [UInt8]], b: [ObjectIdentity: [UInt8]]) = ([:], [:])
    return sorted.compactMap { path in
        let shown = escaped(path)
        guard let left = a[path] else { return "- \(shown) existence" }
        guard let right = b[path] else { return "+ \(shown) existence" }
        var words: [String] = []
        let (one, other) = (left.stat, right.stat)
        if one.type != other.type {
            words = ["type"]
        } else {
            let heads = (first.a[one.identity] ?? path, first.b[other.identity] ?? path)
            first.a[one.identity] = heads.0
            first.b[other.identity] = heads.1
            if one.type == .file, one.size != other.size { words.append("size") }
            // Of files of different size the beginning that both have.
            let shared = min(left.bytes.count, right.bytes.count)
            if one.type == .file, left.bytes.prefix(shared) != right.bytes.prefix(shared) {
                words.append("content")
            }
            if one.type == .symlink, left.bytes != right.bytes { words.append("target") }
            if one.type != .symlink, one.mode != other.mode { words.append("mode") }
            if one.uid != other.uid || one.gid != other.gid { words.append("owner") }
            if one.mtime != other.mtime, !path.isEmpty { words.append("mtime") }
            if heads.0 != heads.1, one.type != .directory { words.append("links") }
            if one.type.isDevice, one.special != other.special { words.append("device") }
        }
        // Nothing is said of a root that agrees.
        if words.isEmpty { return path.isEmpty ? nil : "= \(shown)" }
        return (["*", shown] + words).joined(separator: " ")
    }
}

extension SimulatedDisk {
    /// Everything below a directory.
    package func plainStore(_ root: [UInt8]) -> PlainStore {
        var store: PlainStore = [:]
        for path in paths where RelativePath(path).isWithin(RelativePath(root)) {
            let stat = peek(path)
            let bytes: [UInt8] =
                switch stat.type {
                case .file: content(path)
                case .symlink: target(path)
                default: []
                }
            store[Array(path.dropFirst(root.count + 1))] = PlainEntry(stat, bytes)
        }
        return store
    }
}
