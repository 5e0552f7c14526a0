import ResyncCore
import ResyncStorage

/// The patches that make one image or device as another is.
struct PatchPlan {
    private let task: PlanTask
    private let scheme: DigestScheme

    /// Of one action: what is done whole or not at all, and the least that needs room for an undo.
    private static let bytesLimit = 8 << 20
    private static let extentLimit = 1024
    /// Measured at a time: no more pages than a comparison tells apart.
    private static let window = 8 << 20

    init(_ task: PlanTask, _ scheme: DigestScheme) {
        self.task = task
        self.scheme = scheme
    }

    struct Made {
        var actions: [Action] = []
        var leftOut = PlanLeftOut()
        /// Pieces whose data turns to zeros.
        var zeroed = 0
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
            made.leftOut.count(.unreadable)
            return made
        }
        let stat = Stat(type: .file, size: stores.a.size)
        let observed = ObservedEntry(entry: Entry(stat: stat))
        let entry = SurveyedEntry(
            path: .root, sides: Sides(a: observed, b: observed), aspects: difference.aspects)
        switch task.policy.choose(entry, decided: task.decisions.winner(.root)) {
        case .leave(let reason): made.leftOut.count(reason)
        case .take(let source): made.actions = try actions(difference, from: source)
        }
        var zeros: [Int: Digest] = [:]
        for patch in made.actions.lazy.flatMap(\.patches) {
            let length = patch.extent.length
            let digest = try zeros[length] ?? Self.digestOfZeros(length)
            zeros[length] = digest
            if patch.after == digest { made.zeroed += 1 }
        }
        return made
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

    private func actions(_ difference: Difference, from source: Side) throws -> [Action] {
        var actions: [Action] = []
        var current = Action(.patch, on: source.other, .root, why: .unknown)
        for patch in try patches(difference, from: source) {
            if current.patches.count >= Self.extentLimit
                || current.bytesWritten + patch.extent.length > Self.bytesLimit
            {
                actions.append(current)
                current.patches = []
            }
            current.patches.append(patch)
        }
        if !current.patches.isEmpty { actions.append(current) }
        return actions
    }

    private func patches(_ difference: Difference, from source: Side) throws -> [Action.Patch] {
        let digests = difference.digests
        let count = difference.extents.count
        let isMeasured = digests.a.count == count && digests.b.count == count
        var patches: [Action.Patch] = []
        for (index, extent) in difference.extents.enumerated() {
            // The last one of as many as are kept may span pages that agree.
            let isJoined = count >= Difference.extentLimit && index == count - 1
            if isMeasured, !isJoined, extent.length <= Self.window {
                patches.append(
                    Action.Patch(
                        extent: extent, before: digests[source.other][index],
                        after: digests[source][index]))
            } else {
                patches += try measure(extent, from: source)
            }
        }
        return patches
    }

    /// What differs in an extent now, read from both sides.
    private func measure(_ extent: Extent, from source: Side) throws -> [Action.Patch] {
        let worker = try Worker(scheme: scheme, pulse: Pulse(), stop: Stop())
        var patches: [Action.Patch] = []
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
                patches.append(
                    Action.Patch(
                        extent: extent, before: found.digests[source.other][index],
                        after: found.digests[source][index]))
            }
            at = end
        }
        return patches
    }
}
