import Dispatch
package import ResyncCore
import Synchronization

/// The digesting of one open file by as many workers as come to help: they claim ranges of blocks
/// until none is left. Whoever needs the result helps first, so waiting can never deadlock.
package final class SharedReading: Sendable {
    private let blocks: Range<Int>
    /// Blocks per claim: long enough to stream, short enough to share.
    private let stride: Int
    private let began = Timestamp.now
    private let progress: Progress?
    private let state: Mutex<State>

    /// Where a reading is; once all is read nothing stays but the answer, since a file with names
    /// in many places is long remembered.
    private enum State {
        case reading(Begun)
        case done(ContentAnswer)

        var begun: Begun? {
            guard case .reading(let begun) = self else { return nil }
            return begun
        }
    }

    /// A file that is being read.
    private final class Begun: @unchecked Sendable {
        // Unchecked because all that changes is only touched under the lock around the state.
        let examination: any Examination
        let index: Int
        let source: ReadSource
        let place: Pulse.Place
        let wantsWhole: Bool
        let isKept: Bool
        let inFlight = DispatchGroup()
        /// The first block that nobody has claimed.
        var next: Int
        var parts: [Int: ContentAnswer] = [:]
        var failure: (any Error)?

        init(
            _ examination: any Examination, _ index: Int, from first: Int, _ source: ReadSource,
            _ place: Pulse.Place, wantsWhole: Bool, isKept: Bool
        ) {
            next = first
            self.examination = examination
            self.index = index
            self.source = source
            self.place = place
            self.wantsWhole = wantsWhole
            self.isKept = isKept
        }
    }

    private static let claimBytes = 8 << 20
    /// Holes are passed over a claim at a time, and a file may be one hole of exbibytes.
    private static let claimLimit = 1 << 16

    /// - Parameters:
    ///   - first: the first block that is read; the answer is for what follows.
    ///   - progress: told of the bytes of each range as it is read; nil where whoever needs the
    ///     result tells of them.
    package init(
        _ examination: any Examination, _ index: Int, from first: Int = 0, size: Int,
        blockSize: Int, source: ReadSource, place: Pulse.Place, wantsWhole: Bool = false,
        isKept: Bool = false, progress: Progress? = nil
    ) {
        self.progress = progress
        let count = blockCount(size, blockSize)
        blocks = min(first, count)..<count
        state = Mutex(
            .reading(
                Begun(
                    examination, index, from: blocks.lowerBound, source, place,
                    wantsWhole: wantsWhole, isKept: isKept)))
        // The digest of the whole needs all bytes in order: one claim for everything.
        stride =
            wantsWhole
            ? max(1, count) : max(1, Self.claimBytes / blockSize, count / Self.claimLimit)
    }

    /// How many workers can be of use.
    package var claims: Int { (blocks.count + stride - 1) / stride }

    /// Digests ranges until all are claimed, or a stop is requested.
    package func help(_ worker: Worker) {
        while !worker.stop.isRequested, helpOnce(worker) {}
    }

    /// Digests one range; false when all are claimed.
    package func helpOnce(_ worker: Worker) -> Bool {
        let claim: (Begun, Range<Int>)? = state.withLock { state in
            guard let begun = state.begun, begun.next < blocks.upperBound, begun.failure == nil
            else { return nil }
            let start = begun.next
            begun.next = start + min(stride, blocks.upperBound - start)
            begun.inFlight.enter()
            return (begun, start..<begun.next)
        }
        guard let (begun, range) = claim else { return false }
        defer { begun.inFlight.leave() }
        worker.pulse.enter(begun.place)
        do {
            let request = ContentRequest(
                index: begun.index, blocks: range, source: begun.source,
                wantsWhole: begun.wantsWhole, isKept: begun.isKept)
            let answer = try begun.examination.digest([request], worker).first
            state.withLock { _ in begun.parts[range.lowerBound] = answer }
            progress?.add(entries: 0, bytes: answer?.bytesRead ?? 0, differences: 0)
        } catch {
            state.withLock { _ in begun.failure = error }
        }
        return true
    }

    /// The whole answer: helps, then waits for the ranges that others still read. What was read
    /// counts for whoever comes first; then the file is closed.
    package func answer(_ worker: Worker) throws -> ContentAnswer {
        help(worker)
        worker.pulse.leave()
        state.withLock { $0.begun?.inFlight }?.wait()
        let (answer, read) = try state.withLock { state -> (ContentAnswer, Begun?) in
            switch state {
            case .done(let whole): return (whole, nil)
            case .reading(let begun):
                if let failure = begun.failure { throw failure }
                let whole = try join(begun)
                guard whole.state != .stopped else { return (whole, nil) }
                var kept = whole
                kept.bytesRead = 0
                state = .done(kept)
                return (whole, begun)
            }
        }
        read?.examination.close()
        return answer
    }

    /// What was read of a file that is not read to its end.
    package var bytesSoFar: Int {
        state.withLock { $0.begun?.parts.values.reduce(0) { $0 + $1.bytesRead } ?? 0 }
    }

    /// The answer for the blocks from the first one on that were all read by now, while nothing
    /// moved.
    package var beginning: ContentAnswer {
        state.withLock { state in
            guard let begun = state.begun else {
                if case .done(let whole) = state { return whole }
                return ContentAnswer()
            }
            var beginning = ContentAnswer()
            var next = blocks.lowerBound
            while let part = begun.parts[next], part.state == .stable, part.blocks.blockCount > 0 {
                beginning.add(part)
                next += part.blocks.blockCount
            }
            return beginning
        }
    }

    private func join(_ begun: Begun) throws -> ContentAnswer {
        var whole = ContentAnswer()
        whole.began = began
        if begun.next < blocks.upperBound { whole.state = .stopped }
        if begun.wantsWhole, blocks.isEmpty {
            var nothing = try EVPHash(.sha256)
            whole.whole = nothing.finalize()
        }
        for start in begun.parts.keys.sorted() {
            guard let part = begun.parts[start] else { continue }
            if part.state != .stable, whole.state != .stopped { whole.state = part.state }
            whole.add(part)
            whole.whole = part.whole
        }
        return whole
    }
}

extension ContentAnswer {
    /// What was read behind it.
    fileprivate mutating func add(_ part: ContentAnswer) {
        blocks.append(contentsOf: part.blocks)
        unreadable += part.unreadable
        bytesRead += part.bytesRead
    }
}

/// The readings of files with several names, so that each is read once.
package final class LinkTable: Sendable {
    private let readings = Mutex<[ObjectIdentity: Known]>([:])
    /// Remembered at a time: what has its other names elsewhere never leaves, and beyond this is
    /// read once for each name.
    private let limit: Int

    private struct Known: Sendable {
        let witness: StatWitness
        let reading: SharedReading
        /// Names that were not met yet.
        var left: UInt32
    }

    package init(limit: Int = 1 << 20) { self.limit = limit }

    /// The reading of an inode, begun by whoever comes first, and anew when it was changed since.
    package func reading(of stat: Stat, begin: () -> SharedReading) -> SharedReading {
        readings.withLock { known in
            let witness = StatWitness(stat)
            if var found = known[stat.identity], found.witness == witness {
                found.left -= 1
                // With its last name an inode leaves the table.
                known[stat.identity] = found.left > 0 ? found : nil
                return found.reading
            }
            let reading = begin()
            guard known.count < limit || known[stat.identity] != nil else { return reading }
            known[stat.identity] = Known(
                witness: witness, reading: reading, left: stat.links - 1)
            return reading
        }
    }
}

/// Tells the last of several that it is the last.
package final class Countdown: Sendable {
    private let left: Atomic<Int>

    package init(_ count: Int) { left = Atomic(count) }

    package func arrive() -> Bool {
        left.subtract(1, ordering: .acquiringAndReleasing).newValue == 0
    }
}
