package import ResyncCore
import Synchronization

/// A manifest's portions, each read once for all workers that need it at about the same time.
package final class ManifestPortions: Sendable {
    package typealias Numbered = (number: Int, portion: ManifestPortion)

    package var header: ManifestHeader { lookup.header }
    private let lookup: ManifestLookup<EVPHash>
    /// Used last comes last. Workers go through a store together, so few are in use.
    private let kept = Mutex<[(number: Int, slot: Slot)]>([])

    private static let limit = 16

    /// Whoever comes first reads; who wants another portion does not wait for that.
    private final class Slot: Sendable {
        private let portion = Mutex<ManifestPortion?>(nil)

        func portion(_ read: () throws -> ManifestPortion) throws -> ManifestPortion {
            try portion.withLock { portion in
                if let portion { return portion }
                let made = try read()
                portion = made
                return made
            }
        }
    }

    /// - Throws: `FormatError` where it is damaged, cut, or not a manifest.
    package init(_ file: InputFile) throws {
        lookup = try ManifestLookup(.openSSL, size: file.size) {
            try file.read(at: $0, count: $1)
        }
    }

    /// The portion that would hold an entry; nil where the entry lies before the first.
    package func portion(holding path: RelativePath) throws -> Numbered? {
        guard let number = lookup.portion(holding: path) else { return nil }
        let slot = kept.withLock { kept in
            let known = kept.firstIndex { $0.number == number }
            let slot = known.map { kept.remove(at: $0).slot } ?? Slot()
            if kept.count >= Self.limit { kept.removeFirst() }
            kept.append((number, slot))
            return slot
        }
        return (number, try slot.portion { try lookup.read(portion: number) })
    }

    /// The entry at a path, its digests' tree not computed; nil where the manifest has none.
    package func entry(_ path: RelativePath) throws -> ManifestEntry? {
        var names = try portion(holding: path)?.portion.directory(path.parent)
        return path.lastName.bytes.withUnsafeBufferPointer { name in
            names?.withEntry(name) { (entry) -> ManifestEntry? in copy entry }
        }
    }
}
