import Glibc
package import ResyncCore
package import ResyncStorage
import Synchronization

/// A disk in memory that behaves as Linux does, until a test tells it to fail, to lie or to forget.
///
/// It is deterministic: the same calls in the same order, with the same seed for a crash, give the
/// same results, times and inode numbers. One conformance test runs it beside the kernel.
///
/// What it models:
/// - Paths, symlinks, permission bits, open flags and the errors of each call of `Disk`. Objects
///   stay while they are open, whatever happens to their names. Inode numbers repeat across mounts.
///   The working directory is `/`.
/// - Sparse files; data and holes are told apart by blocks of 4 KiB; space that is reserved, and
///   holes that are punched. Locks that die with their descriptor.
/// - Renaming by each rule, and the trap of two names of one inode. Links, symlinks, special files.
/// - Extended attributes by namespace; access control lists as far as they change modes and are
///   inherited (they decide nothing). Owners; the bits and capabilities that writes and new owners
///   clear; sticky and set-group-id directories.
/// - Limited space (`limitSpace`), immutable objects, held block devices, and mounts that become
///   read-only while they are used.
/// - Time: a clock that advances by one millisecond a call, and by `advance(seconds:)`.
/// - The page cache: every file has a cached copy and one on the medium. Reads by `cached` and
///   `passing` see the first, direct reads and reads after `dropCache` the second. They differ
///   where a write-back failed or a test changed the medium.
/// - Failed syncs as Linux has them: pages are marked clean, their new content is in the cache
///   only, every descriptor open at that moment hears of it once, and the next sync succeeds.
/// - Power loss (`crash`): what was written since the last sync of the file, and the names changed
///   since the last sync of the directory, may each be kept or lost; a write may be torn between
///   512-byte sectors. Changes of names are atomic, an exchange of two included, and impossible
///   ones do not happen: a kept move or exchange is about what the names lead to when the earlier
///   changes that were lost never were, and does not happen when one of them leads nowhere. Syncing
///   a directory also keeps what put its entries where they were taken from; syncing a file does
///   not keep its name. A mode, an owner, a time or an attribute that was set is kept or lost by
///   itself until its object is synced (not by `syncData`); the times that moved by themselves go
///   together. Symlinks and special files cannot be synced: what was set on them before their name
///   was made or changed is kept with that name, later settings only by `syncFileSystem`.
/// - Faults (`inject`), a hook before each call (`onCall`), counters and a log.
///
/// What it does not model: space taken by names and attributes, permission by access control list,
/// access times, reuse of inode numbers, data transfer through fifos and sockets, character
/// devices, memory maps, leases, write-back that happens by itself (a cached write stays volatile
/// until it is synced), write-back order within a file, garbage in torn sectors, and the second
/// system call of `LinuxDisk` where one call of `Disk` makes two (only `dropCache` counts as
/// `fdatasync` and `fadvise`).
package final class SimulatedDisk: Disk {
    /// Who the process is.
    package struct Identity: Sendable {
        package var isRoot = true
        package var uid: UInt32 = 0
        package var gid: UInt32 = 0
        package var umask: UInt16 = 0o022
        package var descriptorLimit = 1024
        /// `fs.protected_regular` and `fs.protected_fifos` of its machine.
        package var protectedFiles = 0
        package var protectedFIFOs = 0

        package init() {}

        /// Somebody whom permission bits stop.
        package static let user: Identity = {
            var identity = Identity()
            identity.isRoot = false
            identity.uid = 1000
            identity.gid = 1000
            return identity
        }()
    }

    let state: Mutex<State>

    package init(as identity: Identity = Identity()) { state = Mutex(State(identity: identity)) }

    init(_ state: State) { self.state = Mutex(state) }

    /// Carries one call out: counts it, lets the hook and the gates have their way with no lock
    /// held, then fails or runs `body`.
    func perform<R: Sendable>(
        _ kind: SystemCall, _ subject: Subject, range: Range<Int>? = nil,
        view: View? = nil, _ body: (inout State, Verdict) throws(Refusal) -> R
    ) throws(DiskError) -> R {
        let (call, verdict, hook) = state.withLock { state in
            let begun = state.begin(kind, subject.path(state), range, view)
            return (begun.call, begun.verdict, state.hook)
        }
        hook?(call)
        for gate in verdict.gates { gate.pass() }
        if let number = verdict.failure {
            let isSync = kind == .fsync || kind == .fdatasync || kind == .syncfs
            if isSync, let descriptor = subject.descriptor {
                state.withLock { $0.failSync(kind, descriptor, number) }
            }
            throw DiskError(kind, number)
        }
        do throws(Refusal) {
            let result = try state.withLock { (state) throws(Refusal) in
                try body(&state, verdict)
            }
            if let number = verdict.lateFailure { throw Refusal(number) }
            return result
        } catch {
            throw DiskError(kind, error.number)
        }
    }

    package func open(
        path: [UInt8], _ flags: OpenFlags, mode: UInt16
    ) throws(DiskError) -> Descriptor {
        guard !path.contains(0) else { throw DiskError(.openat, EINVAL) }
        return try open(path, .path(path), flags, mode) { _ in State.root }
    }

    package func open(
        _ name: UnsafePointer<CChar>, in directory: Descriptor, _ flags: OpenFlags, mode: UInt16
    ) throws(DiskError) -> Descriptor {
        let name = bytes(name)
        return try open(name, .entry(name, directory), flags, mode) {
            (state) throws(Refusal) in
            try state.start(directory, name)
        }
    }

    private func open(
        _ name: [UInt8], _ subject: Subject, _ flags: OpenFlags, _ mode: UInt16,
        from start: (State) throws(Refusal) -> ObjectID
    ) throws(DiskError) -> Descriptor {
        try perform(.openat, subject) { (state, verdict) throws(Refusal) in
            let opened = try state.open(
                name, from: try start(state), flags, mode: mode, path: subject.path(state))
            // Nobody gets to know the number of a descriptor whose opening fails.
            if verdict.lateFailure != nil { state.close(opened) }
            return opened
        }
    }

    package func close(_ descriptor: Descriptor) { state.withLock { $0.close(descriptor) } }

    package func stat(_ descriptor: Descriptor) throws(DiskError) -> Stat {
        try perform(.statx, .descriptor(descriptor)) { (state, _) throws(Refusal) in
            state.stat(state.object(try state.openFile(descriptor).object))
        }
    }

    package func stat(
        _ name: UnsafePointer<CChar>, in directory: Descriptor
    ) throws(DiskError) -> Stat {
        let name = bytes(name)
        if name.isEmpty { return try stat(directory) }
        return try perform(.statx, .entry(name, directory)) { (state, _) throws(Refusal) in
            state.stat(try state.find(name, from: try state.start(directory, name), .stop))
        }
    }

    package func stat(path: [UInt8]) throws(DiskError) -> Stat {
        guard !path.contains(0) else { throw DiskError(.openat, EINVAL) }
        return try perform(.statx, .path(path)) { (state, _) throws(Refusal) in
            state.stat(try state.find(path, from: State.root, .follow))
        }
    }
}

/// What a call is about.
enum Subject: Sendable {
    case descriptor(Descriptor)
    case entry([UInt8], Descriptor)
    case path([UInt8])

    var descriptor: Descriptor? {
        if case .descriptor(let descriptor) = self { descriptor } else { nil }
    }

    func path(_ state: State) -> [UInt8] {
        switch self {
        case .descriptor(let descriptor): state.path(of: descriptor)
        case .entry(let name, let directory):
            if name.first == slash {
                absolutePath(name)
            } else {
                RelativePath(state.path(of: directory)).bytes + [slash] + name
            }
        case .path(let path): absolutePath(path)
        }
    }
}

extension State {
    /// The directory a name is looked up in; no matter which for an absolute path.
    func start(_ directory: Descriptor, _ name: [UInt8]) throws(Refusal) -> ObjectID {
        if name.first == slash { return State.root }
        return try openFile(directory).object
    }
}

func bytes(_ name: UnsafePointer<CChar>) -> [UInt8] {
    UnsafeRawBufferPointer(start: name, count: strlen(name)).map { $0 }
}

/// As calls and counters name things: from the root, without a trailing slash; empty for the root.
func absolutePath(_ path: [UInt8]) -> [UInt8] {
    path.split(separator: slash).flatMap { [slash] + $0 }
}
