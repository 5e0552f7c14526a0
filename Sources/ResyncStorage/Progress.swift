import Synchronization

/// How far a run is, for whoever watches: counters that workers add to without a lock.
package final class Progress: Sendable {
    private let entryCount = Atomic<Int>(0)
    private let byteCount = Atomic<Int>(0)
    private let differenceCount = Atomic<Int>(0)

    package init() {}

    package func add(entries: Int, bytes: Int, differences: Int) {
        entryCount.add(entries, ordering: .relaxed)
        byteCount.add(bytes, ordering: .relaxed)
        if differences > 0 { differenceCount.add(differences, ordering: .relaxed) }
    }

    package var entries: Int { entryCount.load(ordering: .relaxed) }
    /// Read from both sides together.
    package var bytes: Int { byteCount.load(ordering: .relaxed) }
    package var differences: Int { differenceCount.load(ordering: .relaxed) }
}
