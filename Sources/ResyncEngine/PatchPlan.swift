import ResyncCore
import ResyncStorage

/// The patches that make one image or device as another is.
struct PatchPlan {
    private let task: PlanTask
    private let scheme: DigestScheme
    private let verdict: ImageVerdict

    /// Of one action: what is done whole or not at all, and the least that needs room for an undo.
    private static let bytesLimit = 8 << 20
    private static let extentLimit = 1024
    /// Measured at a time: no more pages than a comparison tells apart.
    private static let window = 8 << 20

    init(_ task: PlanTask, _ scheme: DigestScheme, _ verdict: ImageVerdict) {
        self.task = task
        self.scheme = scheme
        self.verdict = verdict
    }

    struct Made {
        var actions: [Action] = []
        /// Why what differs is left; at most one.
        var left: LeaveReason?
        /// Pieces whose data turns to zeros.
        var zeroed = 0
    }

    /// A piece that differs, as both sides have it.
    private struct Piece {
        let extent: Extent
        let digests: Sides<Digest>
    }

    func make(_ difference: Difference?) throws -> Made {
        var made = Made()
        guard let difference else { return made }
        let stores = task.header.stores
        guard stores.a.size == stores.b.size else {
            throw PlanRefusal(
                "A has \(stores.a.size) bytes and B \(stores.b.size): patching changes no size")
        }
        guard difference.outcome == .differs else {
            made.left = .unreadable
            return made
        }
        let pieces = try pieces(difference)
        let zeros = try zeros(pieces)
        let isZero = zeros.map { $0 == pieces.count }
        let zeroSide: Side? = isZero.a == isZero.b ? nil : isZero.a ? .a : .b
        guard let entry = try verdict(difference, zeroSide: zeroSide) else {
            made.left = .unreadable
            return made
        }
        guard !entry.aspects.isEmpty else { return made }
        switch task.policy.choose(entry, decided: task.decisions.winner(.root)) {
        case .leave(let reason): made.left = reason
        case .take(let source):
            made.actions = actions(pieces, from: source, why: entry.verdict)
            made.zeroed = zeros[source]
        }
        return made
    }

    /// How many pieces are nothing but zeros on each side.
    private func zeros(_ pieces: [Piece]) throws -> Sides<Int> {
        var known: [Int: Digest] = [:]
        var count = Sides(a: 0, b: 0)
        for piece in pieces {
            let length = piece.extent.length
            let digest = try known[length] ?? Self.digestOfZeros(length)
            known[length] = digest
            for side in Side.allCases where piece.digests[side] == digest { count[side] += 1 }
        }
        return count
    }

    private static func digestOfZeros(_ length: Int) throws -> Digest {
        var hash = try EVPHash(.sha256)
        let piece = [UInt8](repeating: 0, count: min(length, 1 << 16))
        var left = length
        while left > 0 {
            hash.update(Array(piece.prefix(left)))
            left -= piece.count
        }
        return hash.finalize()
    }

    private func actions(_ pieces: [Piece], from source: Side, why: Verdict) -> [Action] {
        var actions: [Action] = []
        var current = Action(.patch, on: source.other, .root, why: why)
        for piece in pieces {
            if current.patches.count >= Self.extentLimit
                || current.bytesWritten + piece.extent.length > Self.bytesLimit
            {
                actions.append(current)
                current.patches = []
            }
            current.patches.append(
                Action.Patch(
                    extent: piece.extent, before: piece.digests[source.other],
                    after: piece.digests[source]))
        }
        if !current.patches.isEmpty { actions.append(current) }
        return actions
    }

    private func pieces(_ difference: Difference) throws -> [Piece] {
        let digests = difference.digests
        let count = difference.extents.count
        let isMeasured = digests.a.count == count && digests.b.count == count
        var pieces: [Piece] = []
        for (index, extent) in difference.extents.enumerated() {
            // The last one of as many as are kept may span pages that agree.
            let isJoined = count >= Difference.extentLimit && index == count - 1
            if isMeasured, !isJoined, extent.length <= Self.window {
                pieces.append(Piece(extent: extent, digests: digests.map { $0[index] }))
            } else {
                pieces += try measure(extent)
            }
        }
        return pieces
    }

    /// What differs in an extent now, read from both sides.
    private func measure(_ extent: Extent) throws -> [Piece] {
        let worker = try Worker(scheme: scheme, pulse: Pulse(), stop: Stop())
        var pieces: [Piece] = []
        let images = try task.sites.map { try $0.image(upTo: .max) }
        for image in [images.a, images.b] { _ = image.bypassCache(0) }
        var at = extent.offset - extent.offset % Self.window
        while at < extent.end {
            let end = min(at + Self.window, task.header.stores.a.size)
            let from = max(at, extent.offset)
            var comparer = try ExtentComparer(
                OpenContent(images.a, 0), OpenContent(images.b, 0), scheme, worker)
            let found = try comparer.compare([
                Extent(offset: from, length: min(end, extent.end) - from)
            ])
            guard found.errors.isEmpty, !found.wasCut else {
                throw PlanRefusal("what differs cannot be read any more")
            }
            for (index, extent) in found.extents.enumerated() {
                pieces.append(Piece(extent: extent, digests: found.digests.map { $0[index] }))
            }
            at = end
        }
        return pieces
    }
}
