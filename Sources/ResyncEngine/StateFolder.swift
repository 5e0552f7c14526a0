package import ResyncCore
package import ResyncStorage

/// Where resync keeps what it must remember.
package struct StateFolder: Sendable {
    /// As the operator or the environment gave it.
    package let path: [UInt8]
    package let folder: Folder
    package let runs: Folder
    package let manifests: KeptManifests
    package let baselines: Baselines

    /// Opens it, or makes it, mode 0700.
    package init(path: [UInt8], disk: any Disk) throws(DiskError) {
        self.path = path
        folder = try Folder.make(path: path, disk: disk)
        runs = try folder.folder(Array("runs".utf8), create: true)
        manifests = KeptManifests(try folder.folder(Array("manifests".utf8), create: true))
        baselines = Baselines(try folder.folder(Array("baselines".utf8), create: true))
    }

    /// What is left of deleted runs whose findings nobody else knows of; nil where there is none,
    /// and none is to be made.
    package func forgotten(create: Bool = false) throws -> Folder? {
        do throws(DiskError) {
            return try folder.folder(Array("forgotten".utf8), create: create)
        } catch {
            guard error.number == ErrorNumber.noEntry else { throw error }
            return nil
        }
    }

    /// Locks a store against runs that would change it, or, exclusively, against all others; nil
    /// when that cannot be had. Held until the folder is released.
    package func lock(_ facts: StoreFacts, exclusive: Bool) throws -> Folder? {
        let lock = try lockFolder(of: facts)
        return try lock.lock(exclusive: exclusive) ? lock : nil
    }

    /// The same, exclusively, for what a person waits for: whoever reads the store unasked is
    /// waited for, and leaves it.
    package func lockBeforeOthers(_ facts: StoreFacts) throws -> Folder? {
        if let lock = try lock(facts, exclusive: true) { return lock }
        guard try turn(at: facts.path) == nil else { return nil }
        let wish = try wishFolder(of: facts)
        guard try wish.lock(exclusive: true) else { return nil }
        defer { withExtendedLifetime(wish) {} }
        let end = monotonicSeconds() + Self.patience
        while monotonicSeconds() < end {
            if let lock = try lock(facts, exclusive: true) { return lock }
            pause(milliseconds: 50)
        }
        return nil
    }

    /// Whether somebody waits for it. A wish ends with the process that has it.
    package func isWanted(_ facts: StoreFacts) -> Bool {
        (try? wishFolder(of: facts).lock(exclusive: false)) == false
    }

    /// Seconds in which whoever reads unasked has left.
    private static let patience = 15.0

    private func lockFolder(of facts: StoreFacts) throws -> Folder {
        let device = facts.stat.device
        let number = facts.kind == .device ? facts.stat.special : device
        let name = "\(number.major)-\(number.minor)-\(facts.stat.inode)"
        let locks = try folder.folder(Array("locks".utf8), create: true)
        return try locks.folder(Array(name.utf8), create: true)
    }

    private func wishFolder(of facts: StoreFacts) throws -> Folder {
        try lockFolder(of: facts).folder(Array("wanted".utf8), create: true)
    }

    /// A turn to read a store of the configuration for whoever does so unasked, so that no two of
    /// them read it at once; nil while another one has it. Held until the folder is released. By
    /// its path, since a store that hangs cannot be asked who it is.
    package func turn(at store: [UInt8]) throws -> Folder? {
        let turns = try folder.folder(Array("turns".utf8), create: true)
        var hash = frameHash()
        // However many slashes it is written with.
        let place = store.split(separator: slash).flatMap { [slash] + $0 }
        place.withUnsafeBytes { hash.update($0) }
        let name = hash.finalize().hex.utf8.prefix(32)
        let turn = try turns.folder(Array(name), create: true)
        return try turn.lock(exclusive: true) ? turn : nil
    }

    /// A turn at both stores of a pair.
    package func turn(at stores: Sides<[UInt8]>) throws -> [Folder]? {
        guard let a = try turn(at: stores.a), let b = try turn(at: stores.b) else { return nil }
        return [a, b]
    }

    /// An id that sorts by time: `20261122T230405.678Z-1f3a`.
    package static func newRunID(at time: Timestamp) throws -> String {
        let seconds = time.utcText.filter { $0 != "-" && $0 != ":" && $0 != "Z" }
        let text =
            "\(seconds).\(decimals(Double(time.nanoseconds / 1_000_000) / 1000, 3).suffix(3))Z"
        return text + "-" + hexText(try randomBytes(2))
    }

    /// The id that `last` or a part of an id that only one run has stands for.
    ///
    /// - Parameter kind: only runs of this command; nil for all.
    package func runID(_ text: String, kind: String? = nil) throws -> String {
        var all = try RunFolder.list(in: runs)
        if let kind {
            all = all.filter { (try? RunFolder.open($0, in: runs).header().kind) == kind }
        }
        if text == "last" {
            guard let last = all.last else { throw RunError.unknown(text) }
            return last
        }
        if all.contains(text) { return text }
        let matching = all.filter { $0.hasPrefix(text) || $0.hasSuffix(text) }
        guard matching.count == 1 else { throw RunError.unknown(text) }
        return matching[0]
    }
}
