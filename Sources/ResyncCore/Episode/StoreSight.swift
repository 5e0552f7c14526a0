/// Where a store lies in a running machine.
package struct MountSight: Sendable, Hashable {
    /// As the mount table of process 1 numbers it; used again once it is free.
    package var mount: UInt64?
    package var device: DeviceNumber
    package var isReadOnly: Bool
    /// Another one each time the file system is mounted; nil where the kernel tells none.
    package var instance: UInt64?

    package init(mount: UInt64?, device: DeviceNumber, isReadOnly: Bool, instance: UInt64?) {
        self.mount = mount
        self.device = device
        self.isReadOnly = isReadOnly
        self.instance = instance
    }
}

/// How a store was seen last: held against how it is found again, it tells whether anything
/// happened to it while nobody watched. What is nil, or empty, is not known, and no change.
package struct StoreSight: Sendable, Hashable {
    package var at: Moment
    package var bootID: String
    package var mount: MountSight?
    /// As statfs(2) identifies it.
    package var fileSystem: UInt64?
    package var errorCount: UInt64?
    /// Seconds by which the clock that sets its files' times was ahead of ours.
    package var clock: Int64 = 0

    package init(at: Moment, bootID: String) {
        self.at = at
        self.bootID = bootID
    }

    /// What is not as it was in an earlier one.
    package func changes(since earlier: StoreSight) -> [Change] {
        func differ<Value: Equatable>(_ value: KeyPath<StoreSight, Value?>) -> Bool {
            guard let now = self[keyPath: value], let then = earlier[keyPath: value] else {
                return false
            }
            return now != then
        }
        var changes: [Change] = []
        let isSameBoot = bootID.isEmpty || earlier.bootID.isEmpty || bootID == earlier.bootID
        if !isSameBoot { changes.append(.boot) }
        if let mount, let before = earlier.mount {
            // All of it is numbered anew with each boot, but what it was made read-only for.
            if isSameBoot, mount.device != before.device {
                changes.append(.device)
            } else if isSameBoot,
                differ(\.mount?.mount) || differ(\.mount?.instance)
            {
                changes.append(.mount)
            }
            if mount.isReadOnly != before.isReadOnly { changes.append(.readOnly) }
        }
        if differ(\.fileSystem) { changes.append(.fileSystem) }
        if let count = errorCount, let before = earlier.errorCount, count != before {
            changes.append(.errors(from: before, to: count))
        }
        return changes
    }

    package enum Change: Sendable, Hashable {
        case boot, device, mount, readOnly, fileSystem
        case errors(from: UInt64, to: UInt64)

        /// Short and stable, as evidence is named.
        package var what: String {
            switch self {
            case .boot: "unwatched.boot"
            case .device: "unwatched.device"
            case .mount: "unwatched.mount"
            case .readOnly: "unwatched.read-only"
            case .fileSystem: "unwatched.file-system"
            case .errors: "unwatched.errors"
            }
        }

        package var sentence: String {
            switch self {
            case .boot: "the machine was booted anew"
            case .device: "it lies on another device"
            case .mount: "it was mounted anew"
            case .readOnly: "it was made read-only, or writable"
            case .fileSystem: "its file system is identified by another number"
            case .errors(let before, let count):
                "its file system's count of errors went from \(before) to \(count)"
            }
        }
    }
}

/// A file system's own count of its errors, which only a check of it sets back, beside what a
/// person has accepted of it.
package struct ErrorCount: Sendable, Hashable {
    /// At the last look; nil where it keeps none.
    package var count: UInt64?
    /// When this count was first seen.
    package var since: Timestamp?
    package var accepted: UInt64

    package init(count: UInt64? = nil, since: Timestamp? = nil, accepted: UInt64 = 0) {
        self.count = count
        self.since = since
        self.accepted = accepted
    }

    /// How many of its errors nobody has accepted.
    package var excess: UInt64 { count.map { $0 > accepted ? $0 - accepted : 0 } ?? 0 }

    /// While the file system is not mounted there is no count: the last one is remembered.
    package mutating func observe(_ new: UInt64?, at time: Timestamp) {
        guard let new, new != count else { return }
        (count, since) = (new, time)
        // What was accepted once is not accepted when it comes again after a check.
        accepted = min(accepted, new)
    }

    /// A person accepts all that it counts now.
    package mutating func accept() { accepted = count ?? 0 }

    /// That a person has accepted them, for the ledger.
    package func acceptance(_ note: String, at now: Moment) -> Evidence {
        Evidence(
            .person, .context, what: "person.accepted",
            text: Array("accepted \(accepted) errors: \(note)".utf8), at: now)
    }

    /// Why a store is not known to be whole; nil where nothing is counted that was not accepted.
    ///
    /// - Parameter since: `since`, as people read it.
    package func doubt(of store: String, since: String?) -> String? {
        guard let count, excess > 0 else { return nil }
        let seen = since.map { ", seen since \($0)" } ?? ""
        return "lies on a file system that counts \(count) error\(count == 1 ? "" : "s") "
            + "(ext4's errors_count\(seen); \(accepted) accepted): unmount and check it (fsck), "
            + "or accept them with 'resync episode accept \(store) --note TEXT'"
    }
}
