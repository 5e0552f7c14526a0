package import ResyncCore
import Synchronization

/// A manifest's portions, each read once for all workers that need it at about the same time.
package final class ManifestPortions: Sendable {
    package typealias Numbered = (number: Int, portion: ManifestPortion)

    package let header: ManifestHeader
    private let state: Mutex<State>

    private struct State {
        var lookup: ManifestLookup<EVPHash>
        /// Used last comes last. Workers go through a store together, so few are in use.
        var kept: [Numbered] = []
    }

    private static let limit = 16

    /// - Throws: `FormatError` where it is damaged, cut, or not a manifest.
    package init(_ file: InputFile) throws {
        let lookup = try ManifestLookup(.openSSL, size: file.size) {
            try file.read(at: $0, count: $1)
        }
        header = lookup.header
        state = Mutex(State(lookup: lookup))
    }

    /// The portion that would hold an entry; nil where the entry lies before the first.
    package func portion(holding path: RelativePath) throws -> Numbered? {
        try state.withLock { state in
            guard let number = state.lookup.portion(holding: path) else { return nil }
            if let known = state.kept.firstIndex(where: { $0.number == number }) {
                state.kept.append(state.kept.remove(at: known))
            } else {
                let read = try state.lookup.read(portion: number)
                if state.kept.count >= Self.limit { state.kept.removeFirst() }
                state.kept.append((number, read))
            }
            return state.kept.last
        }
    }
}
