import ResyncCore
import ResyncStorage

/// What is open for writing on this machine, looked at anew every few seconds.
struct OpenSnapshot {
    typealias Objects = [ObjectIdentity: OpenFiles.Holder]

    private var found: (at: Double, objects: Objects, inodes: Set<UInt64>)?

    private static let interval = 5.0

    mutating func now(
        _ look: () -> Objects
    ) -> (objects: Objects, inodes: Set<UInt64>) {
        if let found, monotonicSeconds() - found.at < Self.interval {
            return (found.objects, found.inodes)
        }
        let objects = look()
        let inodes = Set(objects.keys.map(\.inode))
        found = (monotonicSeconds(), objects, inodes)
        return (objects, inodes)
    }
}
