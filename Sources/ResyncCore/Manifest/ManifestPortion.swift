/// The entries of one frame of a manifest, found by directory and name.
package final class ManifestPortion: Sendable {
    private let entries: [ManifestEntry]
    /// What there is of each directory here, in byte order of the names.
    private let directories: [RelativePath: [Int]]

    private init(_ entries: [ManifestEntry], _ directories: [RelativePath: [Int]]) {
        self.entries = entries
        self.directories = directories
    }

    /// Collects a portion from its records in walk order.
    struct Builder {
        private var entries: [ManifestEntry] = []
        private var directories: [RelativePath: [Int]] = [:]
        private var path = RelativePath.root
        private var open: [Int] = []

        /// The next entries are in this directory.
        mutating func enter(_ directory: [UInt8]) {
            put()
            path = RelativePath(directory)
            open = directories.removeValue(forKey: path) ?? []
        }

        mutating func add(_ entry: ManifestEntry) {
            open.append(entries.count)
            entries.append(entry)
        }

        private mutating func put() {
            if !open.isEmpty { directories[path] = open }
        }

        var built: ManifestPortion {
            var whole = self
            whole.put()
            return ManifestPortion(whole.entries, whole.directories)
        }
    }

    /// What there is of a directory here.
    package func directory(_ path: RelativePath) -> Names {
        Names(portion: self, indexes: directories[path] ?? [])
    }

    /// Some names of one directory, cheap to be asked for in byte order. The root is the entry with
    /// an empty name in the root.
    package struct Names {
        fileprivate let portion: ManifestPortion
        fileprivate let indexes: [Int]
        private var at = 0

        fileprivate init(portion: ManifestPortion, indexes: [Int]) {
            self.portion = portion
            self.indexes = indexes
        }

        /// Calls `body` with the entry of this name; nil where there is none here.
        ///
        /// - Precondition: names are asked for in rising order.
        package mutating func withEntry<R>(
            _ name: UnsafeBufferPointer<UInt8>, _ body: (borrowing ManifestEntry) -> R?
        ) -> R? {
            while at < indexes.count {
                let order = portion.entries[indexes[at]].name.bytes.withUnsafeBufferPointer {
                    bytesPrecede($0, name)
                }
                switch order {
                case true?: at += 1
                case false?: return nil
                case nil: return body(portion.entries[indexes[at]])
                }
            }
            return nil
        }

        /// Whether a name could be in a portion behind this one only.
        package var isAtEnd: Bool { at == indexes.count }
    }
}
