package import ResyncCore
import Synchronization

/// What one worker thread keeps for its whole life: buffers, digest contexts, and a pulse that
/// others can feel. Used by one thread at a time.
package final class Worker {
    /// Fits the second-level cache, so that digesting finds in it what reading put there.
    package static let pieceSize = 256 << 10
    package static let widePieceSize = 1 << 20
    /// What direct reads may ask for at most.
    fileprivate static let alignment = 4096

    package let pulse: Pulse
    package let digester: BlockDigester
    /// For comparing two sides byte by byte.
    private(set) lazy var other = OtherSide(scheme: scheme)
    private let scheme: DigestScheme
    package let stop: Stop
    /// The order in which it turns to the sides: every second worker begins with B, so that both
    /// stores are busy at any time, also when reading is held to a rate.
    package let sides: [Side]
    let piece: UnsafeMutableRawBufferPointer
    /// For what comes from the device: there a longer read is worth more than the cache's nearness.
    var widePiece: UnsafeMutableRawBufferPointer {
        if let wide { return wide }
        let made = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Self.widePieceSize, alignment: Self.alignment)
        wide = made
        return made
    }
    private var wide: UnsafeMutableRawBufferPointer?
    private let pace: Pace?

    /// - Parameter pace: by which the run can be held up; nil where it has none.
    package init(
        scheme: DigestScheme, pulse: Pulse, stop: Stop, index: Int = 0, pace: Pace? = nil
    ) throws {
        self.pace = pace
        sides = index % 2 == 0 ? [.a, .b] : [.b, .a]
        self.pulse = pulse
        self.stop = stop
        self.scheme = scheme
        digester = try BlockDigester(scheme)
        piece = .allocate(byteCount: Self.pieceSize, alignment: Self.alignment)
    }

    deinit {
        piece.deallocate()
        wide?.deallocate()
    }

    /// Returns at once; where the run is paused, when it goes on or has to end.
    package func hold() { pace?.hold(self) }

    /// What the second of two sides needs.
    final class OtherSide {
        let piece = UnsafeMutableRawBufferPointer.allocate(
            byteCount: Worker.pieceSize, alignment: Worker.alignment)
        let digester: BlockDigester?

        init(scheme: DigestScheme) { digester = try? BlockDigester(scheme) }
        deinit { piece.deallocate() }
    }
}

/// Shows from outside that a worker moves, and where it is. Counting costs nothing next to a
/// system call; clocks are read by whoever watches.
package final class Pulse: Sendable {
    private let steps = Atomic<UInt64>(0)
    private let busy = Atomic<Bool>(false)
    private let index = Atomic<Int>(0)
    private let place = Mutex<Place?>(nil)

    /// Where a worker is: some names of one directory, on one side.
    package struct Place: Sendable {
        package fileprivate(set) var side: Side
        /// Nil for an image.
        package let directory: (any SiteDirectory)?
        package let names: NameList?

        package init(side: Side, directory: (any SiteDirectory)?, names: NameList?) {
            self.side = side
            self.directory = directory
            self.names = names
        }
    }

    package init() {}

    package func enter(_ place: Place) {
        self.place.withLock { $0 = place }
        index.store(0, ordering: .relaxed)
        busy.store(true, ordering: .relaxed)
        step()
    }

    package func leave() { busy.store(false, ordering: .relaxed) }

    /// One call answered.
    @inline(__always)
    package func step() { steps.add(1, ordering: .relaxed) }

    /// One call answered, and the next one is asked of this side.
    func step(on side: Side) {
        place.withLock { $0?.side = side }
        step()
    }

    /// On to the next name.
    package func step(to index: Int) {
        self.index.store(index, ordering: .relaxed)
        step()
    }

    /// The count of steps; nil while the worker has nothing to do.
    package var reading: UInt64? {
        busy.load(ordering: .relaxed) ? steps.load(ordering: .relaxed) : nil
    }

    package var location: (side: Side, path: RelativePath)? {
        guard let place = place.withLock({ $0 }) else { return nil }
        let at = index.load(ordering: .relaxed)
        guard let names = place.names, at < names.count else {
            return (place.side, place.directory?.path ?? .root)
        }
        let parent = place.directory?.path ?? .root
        return (place.side, parent.appending(names.name(at)))
    }
}

/// The pulses of all workers, for finding the one that stands still.
package final class PulseBoard: Sendable {
    private let beats = Mutex<[Beat]>([])

    private struct Beat: Sendable {
        let pulse: Pulse
        var reading: UInt64?
        var since: Double
    }

    package init() {}

    package func addPulse() -> Pulse {
        let pulse = Pulse()
        beats.withLock {
            $0.append(Beat(pulse: pulse, reading: nil, since: monotonicSeconds()))
        }
        return pulse
    }

    /// Where workers wait for an answer for at least so many seconds.
    package func stalled(for seconds: Double) -> [(side: Side, path: RelativePath)] {
        let now = monotonicSeconds()
        let pulses: [Pulse] = beats.withLock { beats in
            var stalled: [Pulse] = []
            for index in beats.indices {
                let reading = beats[index].pulse.reading
                if reading == nil || reading != beats[index].reading {
                    beats[index].reading = reading
                    beats[index].since = now
                } else if now - beats[index].since >= seconds {
                    stalled.append(beats[index].pulse)
                }
            }
            return stalled
        }
        return pulses.compactMap { $0.location }
    }
}

/// Asks every part of a run to end soon.
package final class Stop: Sendable {
    private let flag = Atomic<Bool>(false)

    package init() {}

    package func request() { flag.store(true, ordering: .relaxed) }
    package var isRequested: Bool { flag.load(ordering: .relaxed) }
}
