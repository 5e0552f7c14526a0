package import ResyncCore
import Synchronization

/// Whether the names of one directory that are visited are all there are on each side, and were
/// there at one moment: by what is known until now. It only becomes worse.
package final class ListingKnowledge: Sendable {
    private let known = Mutex(Sides<Completeness>(a: .complete, b: .complete))

    package init() {}

    package var completeness: Sides<Completeness> { known.withLock { $0 } }

    package func note(_ completeness: Completeness, on side: Side) {
        guard completeness != .complete else { return }
        known.withLock { $0[side] = $0[side].and(completeness) }
    }
}
