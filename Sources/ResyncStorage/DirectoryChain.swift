import ResyncCore

/// The way to one directory of a store after another, opened one component at a time from the
/// root, never through a symlink. What two neighbours have in common stays open. For one thread.
final class DirectoryChain {
    private let disk: any Disk
    private let root: Descriptor
    /// The only mount that it leads through; nil for all.
    private let mount: UInt64?
    /// Of the way taken last; the descriptors of its last names.
    private var names: [Name] = []
    private var held: [Descriptor] = []

    /// Deeper ways are opened anew from the root.
    private static let limit = 64

    /// - Parameters:
    ///   - root: stays the caller's.
    ///   - mount: where it meets another one, `open` fails with EXDEV.
    init(_ disk: any Disk, root: Descriptor, stayingOn mount: UInt64? = nil) {
        self.disk = disk
        self.root = root
        self.mount = mount
    }

    deinit { forget() }

    /// Closes all: after a directory was moved or removed, a way may lead elsewhere.
    func forget() {
        for descriptor in held { disk.close(descriptor) }
        held = []
        names = []
    }

    /// An open directory of the store, valid until the next call.
    func open(_ path: RelativePath) throws(DiskError) -> Descriptor {
        let wanted = path.components
        var shared = 0
        while shared < min(wanted.count, names.count), wanted[shared] == names[shared] {
            shared += 1
        }
        // Of what is shared, only the last names' descriptors are there.
        if held.count < names.count - shared { forget() } else { cut(to: shared) }
        if names.count > 0, held.isEmpty { forget() }
        for name in wanted[names.count...] {
            let above = held.last ?? root
            let opened = try withCString(name.bytes) { (name) throws(DiskError) in
                try disk.open(
                    name, in: above, [.readOnly, .directory, .noFollow, .nonBlocking], mode: 0)
            }
            do throws(DiskError) {
                if let mount, try disk.stat(opened).mount != mount {
                    throw DiskError(.openat, ErrorNumber.crossDevice)
                }
            } catch {
                disk.close(opened)
                throw error
            }
            names.append(name)
            held.append(opened)
            if held.count > Self.limit { disk.close(held.removeFirst()) }
        }
        return held.last ?? root
    }

    private func cut(to count: Int) {
        while names.count > count {
            names.removeLast()
            disk.close(held.removeLast())
        }
    }
}
