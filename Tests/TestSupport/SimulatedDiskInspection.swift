package import ResyncCore
package import ResyncStorage
import Synchronization

/// What a test lays, and what it sees: none of it is a call of the disk.
extension SimulatedDisk {
    package func inject(_ fault: Fault) { state.withLock { $0.plan.add(fault) } }
    package func clearFaults() { state.withLock { $0.plan.clear() } }
    /// How many calls a fault met so far: a loop over all N ends when none was.
    package var firedFaults: Int { state.withLock { $0.plan.fired } }

    /// Called before each call, with no lock held, so that it can change what lies on the disk.
    package func onCall(_ hook: (@Sendable (Call) -> Void)?) {
        state.withLock { $0.hook = hook }
    }

    package var callCount: Int { state.withLock { $0.ledger.total } }
    package func count(_ kind: SystemCall) -> Int { state.withLock { $0.ledger.count(kind) } }
    /// Calls about exactly this path, by the names under which things were opened.
    package func count(_ kind: SystemCall, _ path: some ByteString) -> Int {
        state.withLock { $0.ledger.count(kind, absolutePath(path.byteString)) }
    }

    package var bytesRead: Int { state.withLock { $0.ledger.bytesRead } }
    package func bytesRead(_ path: some ByteString) -> Int {
        state.withLock { $0.ledger.bytesRead(absolutePath(path.byteString)) }
    }

    /// Starts the log of calls.
    package func keepLog() { state.withLock { $0.ledger.keepsLog = true } }
    package var log: [Call] { state.withLock { $0.ledger.log } }

    /// Descriptors that nobody closed.
    package var openDescriptors: Int { state.withLock { $0.descriptors.count } }
    /// The paths they were opened by.
    package var openPaths: [[UInt8]] {
        state.withLock { state in
            state.descriptors.sorted { $0.key < $1.key }.map(\.value.path)
        }
    }
    /// How often something was closed that was not open.
    package var badCloses: Int { state.withLock { $0.ledger.badCloses } }

    package var now: Timestamp { state.withLock { $0.now } }

    /// What its clock shows.
    package var time: Timestamp { state.withLock { $0.now } }

    package func exists(_ path: some ByteString) -> Bool {
        state.withLock { $0.lookUp(path) != nil }
    }

    /// As `Disk.stat`, not counted and never failing.
    package func peek(_ path: some ByteString) -> Stat {
        state.withLock { $0.stat($0.object($0.known(path))) }
    }

    /// What reads through the page cache would return.
    package func content(_ path: some ByteString) -> [UInt8] {
        file(path) { $0.cache.bytes(0..<$0.size) }
    }

    /// What the device holds.
    package func mediumContent(_ path: some ByteString) -> [UInt8] {
        file(path) { $0.medium.bytes(0..<$0.medium.size) }
    }

    /// What a power loss would leave in any case.
    package func durableContent(_ path: some ByteString) -> [UInt8] {
        file(path) { $0.durable.bytes(0..<$0.durable.size) }
    }

    package func target(_ path: some ByteString) -> [UInt8] {
        state.withLock { $0.object($0.known(path)).target }
    }

    package func attributes(_ path: some ByteString) -> [[UInt8]: [UInt8]] {
        state.withLock { $0.object($0.known(path)).attributes.extended }
    }

    /// Every path on the disk but the root, parents first.
    package var paths: [[UInt8]] {
        state.withLock { state in
            var found: [RelativePath] = []
            var rest: [(path: [UInt8], id: ObjectID)] = [([], State.root)]
            while let (path, id) = rest.popLast() {
                for entry in state.objects[id]?.directory?.all ?? [] {
                    let below = path + [slash] + entry.name.bytes
                    found.append(RelativePath(below))
                    rest.append((below, entry.object))
                }
            }
            return found.sorted().map(\.bytes)
        }
    }

    private func file(_ path: some ByteString, _ body: (FileData) -> [UInt8]) -> [UInt8] {
        state.withLock { state in
            guard let file = state.object(state.known(path)).file else {
                preconditionFailure("no content: \(escaped(path.byteString))")
            }
            return body(file)
        }
    }
}
