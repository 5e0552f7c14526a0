package import ResyncCore
import ResyncStorage
import Synchronization

/// Bytes that a test may write as text: paths, targets, contents.
package protocol ByteString: Sendable {
    var byteString: [UInt8] { get }
}

extension String: ByteString {
    package var byteString: [UInt8] { Array(utf8) }
}

extension [UInt8]: ByteString {
    package var byteString: [UInt8] { self }
}

/// Who owns an entry and what its inode says, for those that care.
package struct Ownership: Sendable {
    package var mode: UInt16?
    package var uid: UInt32?
    package var gid: UInt32?
    package var mtime: Timestamp?
    package var ctime: Timestamp?
    package var inode: UInt64?

    package init(
        mode: UInt16? = nil, uid: UInt32? = nil, gid: UInt32? = nil, mtime: Timestamp? = nil,
        ctime: Timestamp? = nil, inode: UInt64? = nil
    ) {
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.mtime = mtime
        self.ctime = ctime
        self.inode = inode
    }
}

/// How a test makes and changes what lies on the disk, as somebody else would: no fault meets it,
/// nothing of it is counted, all of it is durable at once, and read-only mounts do not stop it.
/// Paths start at the root, with a slash or without; no symlink in the last component is followed.
/// Misuse is a failed precondition.
extension SimulatedDisk {
    /// Makes missing parents, too.
    package func addFile(
        _ path: some ByteString, _ content: some ByteString = "", _ given: Ownership = .init()
    ) {
        add(path, .file, 0o644, given) { $0.replaceContent { $0.write(content.byteString, at: 0) } }
    }

    /// A file of `generatedBytes(seed:_:)`, which costs no memory.
    package func addGenerated(
        _ path: some ByteString, size: Int, seed: UInt64, _ given: Ownership = .init()
    ) {
        add(path, .file, 0o644, given) { $0.replaceContent { $0.generate(0..<size, seed: seed) } }
    }

    /// A file that is one hole; fill parts with `write`.
    package func addSparse(
        _ path: some ByteString, size: Int, _ given: Ownership = .init()
    ) {
        add(path, .file, 0o644, given) { $0.replaceContent { $0.resize(to: size) } }
    }

    package func addDirectory(_ path: some ByteString, _ given: Ownership = .init()) {
        add(path, .directory, 0o755, given) { _ in }
    }

    package func addSymlink(
        _ path: some ByteString, to target: some ByteString, _ given: Ownership = .init()
    ) {
        add(path, .symlink, 0o777, given) { $0.target = target.byteString }
    }

    package func addFifo(_ path: some ByteString, _ given: Ownership = .init()) {
        add(path, .fifo, 0o644, given) { _ in }
    }

    package func addSocket(_ path: some ByteString, _ given: Ownership = .init()) {
        add(path, .socket, 0o755, given) { _ in }
    }

    /// A block device that was given a size can be opened; `seed` fills it.
    package func addDevice(
        _ path: some ByteString, _ type: EntryType, number: DeviceNumber, size: Int? = nil,
        seed: UInt64? = nil, _ given: Ownership = .init()
    ) {
        precondition(type.isDevice)
        add(path, type, 0o600, given) { object in
            object.special = number
            guard type == .blockDevice, let size else { return }
            object.file = FileData()
            object.replaceContent { content in
                content.resize(to: size)
                if let seed { content.generate(0..<size, seed: seed) }
            }
        }
    }

    /// One more name for what `path` leads to.
    package func link(_ path: some ByteString, as new: some ByteString) {
        state.withLock { state in
            let id = state.known(path)
            precondition(state.object(id).type != .directory)
            let slot = state.freeSlot(new)
            precondition(state.object(slot.directory).mount == state.object(id).mount)
            state.applyDurably(.add(slot, id))
            state.changeObject(id) { _ in }
        }
    }

    /// Takes a name away, and everything below it.
    package func remove(_ path: some ByteString) {
        state.withLock { state in
            let slot = state.slot(path)
            for below in state.slotsBelow(slot).reversed() { state.applyDurably(.remove(below)) }
        }
    }

    /// Replaces what `new` leads to, if anything.
    package func rename(_ path: some ByteString, to new: some ByteString) {
        state.withLock { state in
            _ = state.known(path)
            state.applyDurably(.move(state.slot(path), to: state.slot(new)))
        }
    }

    package func write(
        _ path: some ByteString, at offset: Int, _ bytes: some ByteString
    ) {
        edit(path) { $0.write(bytes.byteString, at: offset) }
    }

    package func truncate(_ path: some ByteString, to size: Int) {
        edit(path) { $0.resize(to: size) }
    }

    /// Nil removes it.
    package func setAttribute(
        _ path: some ByteString, _ name: some ByteString, _ value: (any ByteString)?
    ) {
        state.withLock { state in
            state.changeObject(state.known(path)) {
                $0.attributes.extended[name.byteString] = value?.byteString
            }
        }
    }

    /// Sets what is given; the ctime moves unless it is given.
    package func change(_ path: some ByteString, _ given: Ownership) {
        state.withLock { state in state.changeObject(state.known(path)) { $0.take(given) } }
    }

    /// Makes a directory and everything below it a mount of its own, with inode numbers of its own.
    package func setMount(_ path: some ByteString, _ mount: SimulatedMount) {
        state.withLock { state in
            precondition(!state.mounts.contains { $0.id == mount.id || $0.device == mount.device })
            let root = state.known(path)
            precondition(state.object(root).type == .directory && root != State.root)
            state.mounts.append(mount)
            state.nextInode.append(2)
            state.mountFailures.append(WritebackFailure())
            state.move(root, toMount: state.mounts.count - 1)
        }
    }

    /// Changes how the mount behaves that `path` lies on: read-only, direct reads and so on.
    package func changeMount(
        of path: some ByteString, _ body: (inout SimulatedMount) -> Void
    ) {
        state.withLock { state in body(&state.mounts[state.object(state.known(path)).mount]) }
    }

    /// From now on the mount has room for so many blocks of 4 KiB; then writes and new objects fail
    /// with `error`.
    package func limitSpace(
        of path: some ByteString, blocks: Int, error: Int32 = ErrorNumber.noSpace
    ) {
        changeMount(of: path) { mount in
            mount.isSpaceLimited = true
            mount.blocksAvailable = blocks
            mount.spaceError = error
        }
    }

    /// As chattr(1) does with `i`: nobody may change the object or its names.
    package func setImmutable(_ path: some ByteString, _ isImmutable: Bool = true) {
        state.withLock { state in
            state.changeObject(state.known(path)) { $0.isImmutable = isImmutable }
        }
    }

    /// From now on an empty directory takes names that differ only in case for one.
    package func foldCase(in path: some ByteString) {
        state.withLock { state in
            state.changeObject(state.known(path)) { object in
                precondition(object.directory?.isEmpty == true, "not an empty directory")
                object.directory?.foldsCase = true
            }
        }
    }

    /// A block device that is mounted, or otherwise held: opening it with `exclusive` fails.
    package func setHeld(_ path: some ByteString, _ isHeld: Bool = true) {
        state.withLock { state in
            let id = state.known(path)
            precondition(state.object(id).type == .blockDevice)
            state.objects[id]?.isHeld = isHeld
        }
    }

    /// A block device that the kernel keeps from being written: opening it for writing fails.
    package func setReadOnlyDevice(_ path: some ByteString) {
        state.withLock { state in
            let id = state.known(path)
            precondition(state.object(id).type == .blockDevice)
            state.objects[id]?.refusesWrites = true
        }
    }

    package func advance(seconds: Int64) {
        state.withLock { $0.now = $0.now.adding(seconds: seconds) }
    }

    // MARK: - Behind the kernel's back

    /// Corrupts what the device holds; pages in the cache go on looking right.
    package func corruptMedium(_ path: some ByteString, _ corruption: Corruption) {
        state.withLock { state in
            guard let file = state.object(state.known(path)).file else {
                preconditionFailure("no content")
            }
            let range =
                switch corruption {
                case .flipBit(let at): at..<at + 1
                case .zero(let range): range
                case .replace(let at, let new): at..<at + new.count
                }
            precondition(range.upperBound <= file.medium.size)
            var bytes = file.medium.bytes(range)
            bytes.withUnsafeMutableBytes { corruption.apply(to: $0, at: range.lowerBound) }
            state.objects[state.known(path)]?.file?.changeMedium(bytes, at: range.lowerBound)
        }
    }

    /// Write-back in the background fails: what was not synced is lost, each open descriptor hears
    /// of it at its next sync.
    package func failWriteback(_ path: some ByteString, _ number: Int32) {
        state.withLock { $0.loseUnsynced($0.known(path), number) }
    }

    /// The kernel takes the file's pages for something else.
    package func evictCache(_ path: some ByteString) {
        state.withLock { state in state.objects[state.known(path)]?.file?.evict() }
    }

    // MARK: - Helpers

    private func add(
        _ path: some ByteString, _ type: EntryType, _ mode: UInt16, _ given: Ownership,
        _ fill: (inout Object) -> Void
    ) {
        state.withLock { state in
            state.tick()
            let slot = state.freeSlot(path)
            let id = state.makeObject(
                type, mount: state.object(slot.directory).mount, parent: slot.directory,
                mode: mode)
            state.applyDurably(.add(slot, id))
            state.changeObject(id) { object in
                fill(&object)
                object.take(given)
            }
        }
    }

    private func edit(_ path: some ByteString, _ body: (inout SparseContent) -> Void) {
        state.withLock { state in
            state.tick()
            let now = state.now
            state.changeObject(state.known(path)) { object in
                precondition(object.file != nil)
                object.attributes.mtime = now
                for copy in [\FileData.cache, \.medium, \.durable] {
                    if var file = object.file {
                        body(&file[keyPath: copy])
                        object.file = file
                    }
                }
            }
        }
    }
}
