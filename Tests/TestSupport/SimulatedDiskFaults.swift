import ResyncCore
package import ResyncStorage

extension SimulatedDisk {
    /// One call, as the hook, the faults and the log see it.
    package struct Call: Sendable {
        /// From 1, over all calls of the disk.
        package let number: Int
        package let kind: SystemCall
        /// Absolute, by the names under which things were opened.
        package let path: [UInt8]
        /// The bytes a read or write asks for.
        package let range: Range<Int>?
        /// Which copy of the bytes a read asks for; nil for other calls.
        package let view: View?
    }

    package enum View: Sendable {
        case cached, passing, direct
    }

    /// What the bytes of a file become.
    package enum Corruption: Sendable {
        case flipBit(at: Int)
        case zero(Range<Int>)
        /// Stale or foreign bytes.
        case replace(at: Int, [UInt8])

        /// Changes the part of `bytes` that it is about; `offset` is where they lie in the file.
        func apply(to bytes: UnsafeMutableRawBufferPointer, at offset: Int) {
            let held = offset..<offset + bytes.count
            switch self {
            case .flipBit(let at):
                if held.contains(at) { bytes[at - offset] ^= 1 }
            case .zero(let range):
                for at in range.clamped(to: held) { bytes[at - offset] = 0 }
            case .replace(let start, let new):
                for at in (start..<start + new.count).clamped(to: held) {
                    bytes[at - offset] = new[at - start]
                }
            }
        }
    }
}

/// What goes wrong with the call a fault meets.
package enum FaultEffect: Sendable {
    /// The call does nothing and fails. A sync that fails loses what it should have kept.
    case fail(Int32)
    /// The call does its work and fails all the same.
    case failAfterwards(Int32)
    /// A read or write handles at most so many bytes.
    case short(Int)
    /// The call waits until the gate is opened, then goes on.
    case block(Gate)
    /// A read returns corrupted bytes; a write corrupts what reaches the medium, not the cache.
    case corrupt(SimulatedDisk.Corruption)
    /// A write reaches the cache, and never the medium.
    case lose
    /// A write reaches the medium so many bytes away.
    case misdirect(by: Int)
    /// A listing gives its first name once more.
    case listTwice
    /// A listing starts anew where it should end.
    case listForever
    /// What a search for data or a hole answers; nil: nothing but a hole is left.
    case seek(Int?)
}

/// A fault, and the calls it meets.
package struct Fault: Sendable {
    let effect: FaultEffect
    let kind: SystemCall?
    let path: [UInt8]?
    let range: Range<Int>?
    let nth: Int
    let isPersistent: Bool
    let condition: (@Sendable (SimulatedDisk.Call) -> Bool)?

    /// Meets the `nth` call, from 1, of those that are of `kind`, about `path` or below it,
    /// overlap `range` and fulfil `condition`; when persistent, each such call after it as well.
    /// `condition` must not use the disk.
    package init(
        _ effect: FaultEffect, on kind: SystemCall? = nil, under path: (any ByteString)? = nil,
        range: Range<Int>? = nil, nth: Int = 1, persistent: Bool = false,
        when condition: (@Sendable (SimulatedDisk.Call) -> Bool)? = nil
    ) {
        self.effect = effect
        self.kind = kind
        self.path = path.map { absolutePath($0.byteString) }
        self.range = range
        self.nth = nth
        isPersistent = persistent
        self.condition = condition
    }

    func matches(_ call: SimulatedDisk.Call) -> Bool {
        if let kind, kind != call.kind { return false }
        if let path {
            guard RelativePath(call.path).isWithin(RelativePath(path)) else { return false }
        }
        if let range {
            guard let asked = call.range, asked.overlaps(range) else { return false }
        }
        return condition?(call) ?? true
    }
}

/// What all the faults that met one call add up to.
struct Verdict: Sendable {
    var failure: Int32?
    var lateFailure: Int32?
    var limit = Int.max
    var gates: [Gate] = []
    var corruptions: [SimulatedDisk.Corruption] = []
    var isLost = false
    var shift = 0
    var listsTwice = false
    var listsForever = false
    var seek: Int??

    mutating func add(_ effect: FaultEffect) {
        switch effect {
        case .fail(let number): failure = number
        case .failAfterwards(let number): lateFailure = number
        case .short(let count): limit = max(1, count)
        case .block(let gate): gates.append(gate)
        case .corrupt(let corruption): corruptions.append(corruption)
        case .lose: isLost = true
        case .misdirect(let distance): shift = distance
        case .listTwice: listsTwice = true
        case .listForever: listsForever = true
        case .seek(let answer): seek = .some(answer)
        }
    }
}

/// The faults laid, and how often each was met.
struct FaultPlan: Sendable {
    private var faults: [(fault: Fault, met: Int)] = []
    private(set) var fired = 0

    mutating func add(_ fault: Fault) { faults.append((fault, 0)) }
    mutating func clear() { faults = [] }

    mutating func verdict(on call: SimulatedDisk.Call) -> Verdict {
        var verdict = Verdict()
        for index in faults.indices where faults[index].fault.matches(call) {
            faults[index].met += 1
            let (fault, met) = faults[index]
            guard met == fault.nth || (fault.isPersistent && met > fault.nth) else { continue }
            fired += 1
            verdict.add(fault.effect)
        }
        return verdict
    }
}
