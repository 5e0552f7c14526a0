package import ResyncCore
import Synchronization

/// What became of the wish to lock a store.
package enum StoreLock: Sendable, Hashable {
    /// Until the site is released.
    case held
    case busy
    /// Its file system knows no such locks.
    case unknown
}

// A lock that lies with the store itself, on the inode of its root or image or on its device: runs
// exclude each other whatever state folders they have, on one machine. Nothing is written for it.
extension LocalSite {
    /// - Parameter exclusive: where the store is changed; else it is only kept from being changed.
    package func lock(exclusive: Bool) throws(DiskError) -> StoreLock {
        for _ in 0..<(facts.kind == .device ? Self.deviceAttempts : 1) {
            do throws(DiskError) {
                if try disk.lock(descriptor, exclusive: exclusive) {
                    isHeld.store(exclusive, ordering: .relaxed)
                    return .held
                }
            } catch {
                guard error.isOfUnknownLock else { throw error }
                return .unknown
            }
            // Who looks at new devices for the system holds each for a moment.
            if facts.kind == .device { pause(milliseconds: Self.deviceInterval) }
        }
        return .busy
    }

    /// Whether `lock` has this store for its caller alone.
    package var isLockedForUs: Bool { isHeld.load(ordering: .relaxed) }

    /// This image or device, opened to be patched.
    package func target(_ planned: StoreReference) throws -> ImageTarget {
        try ImageTarget(planned, disk: disk, files: options.kernel, isLocked: isLockedForUs)
    }

    private static let deviceAttempts = 20
    private static let deviceInterval = 100

    /// A process that holds such a lock on the store, as far as the kernel tells.
    package func lockHolder() -> OpenFiles.Holder? {
        let kernel = options.kernel
        guard
            let locks = try? kernel.read(Array("/proc/locks".utf8), limit: Self.locksLimit),
            let number = lockingProcess(locks, of: facts.stat.identity)
        else { return nil }
        return OpenFiles.Holder(number: number, kernel)
    }

    private static let locksLimit = 16 << 20
}

extension DiskError {
    /// Whether a lock was not refused, but cannot be had at all. On NFS one for a single holder
    /// needs a file that is open for writing.
    var isOfUnknownLock: Bool {
        [
            ErrorNumber.badDescriptor, ErrorNumber.invalidArgument, ErrorNumber.noLocks,
            ErrorNumber.notSupported, ErrorNumber.noSystemCall, ErrorNumber.isDirectory,
        ].contains(number)
    }
}

/// The number of a process that has an object locked as flock(2) does, from the text of
/// `/proc/locks` (proc_locks(5)), as `1: FLOCK  ADVISORY  WRITE 708 fe:00:1234 0 EOF`.
func lockingProcess(_ locks: [UInt8], of object: ObjectIdentity) -> Int? {
    for line in locks.split(separator: UInt8(ascii: "\n")) {
        let words = line.split(separator: UInt8(ascii: " ")).map {
            String(decoding: $0, as: UTF8.self)
        }
        // One that waits for a lock has an arrow behind its number.
        guard words.count >= 6, words[1] == "FLOCK" else { continue }
        let place = words[5].split(separator: ":")
        guard place.count == 3, UInt32(place[0], radix: 16) == object.device.major,
            UInt32(place[1], radix: 16) == object.device.minor, UInt64(place[2]) == object.inode
        else { continue }
        return Int(words[4])
    }
    return nil
}
