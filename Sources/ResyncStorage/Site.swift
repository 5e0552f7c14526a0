package import ResyncCore

/// One store, wherever it lives: the second seam. Implemented here for this machine, and by an
/// agent for a far one; engines never know which. Verbs come in batches, so that distance costs
/// one round trip for many entries.
package protocol Site: AnyObject, Sendable {
    var facts: StoreFacts { get }
    /// - Precondition: the store is a directory.
    func root() throws(DiskError) -> any SiteDirectory
    /// The image or device itself as the only entry, open; blocks are digested as if it ended after
    /// `size` bytes.
    ///
    /// - Precondition: the store is no directory.
    func image(upTo size: Int) throws(DiskError) -> any Examination
    /// A hand on the store, for one thread.
    ///
    /// - Precondition: the store is a directory.
    func changer(_ order: ChangeOrder) -> any StoreChanger
    /// A way of copying from the store, for one thread.
    ///
    /// - Precondition: the store is a directory.
    func source() -> any StoreSource
}

/// What is known of a store once it is open.
package struct StoreFacts: Sendable {
    package enum Kind: String, Sendable {
        case directory, file, device
    }

    package let kind: Kind
    /// As given by the operator.
    package let path: [UInt8]
    package let stat: Stat
    package let fileSystem: FileSystem
    /// Bytes of a file or device; 0 for a directory.
    package let size: Int
    /// Of a device: whether somebody else was using it when it was opened. Then its bytes may
    /// change at any time, and no stat tells.
    package let isInUse: Bool

    package init(
        kind: Kind, path: [UInt8], stat: Stat, fileSystem: FileSystem, size: Int, isInUse: Bool
    ) {
        self.kind = kind
        self.path = path
        self.stat = stat
        self.fileSystem = fileSystem
        self.size = size
        self.isInUse = isInUse
    }
}

/// Why an entry could not be looked at.
package enum EntryFailure: Sendable, Hashable {
    case disk(DiskError)
    /// Another file system is mounted there.
    case mount
    /// One ought to be.
    case unmounted
}

/// A directory of a store, held open while in use.
package protocol SiteDirectory: AnyObject, Sendable {
    var entry: Entry { get }
    /// Below the store's root.
    var path: RelativePath { get }
    /// Whether it is the store's root.
    var isRoot: Bool { get }
    func list(_ worker: Worker) -> any Listing
    /// What it is by now; fails with ENOENT or ESTALE where it is no longer to be found.
    func stat() throws(DiskError) -> Stat
    /// Opens a subdirectory; never a symlink, never (unless asked) another mount.
    func open(_ names: NameList, _ index: Int, _ worker: Worker) -> OpenedDirectory
    /// Looks at many names; `wishes` has one element per name.
    func examine(_ names: NameList, _ wishes: [Wish], _ worker: Worker) -> any Examination
}

package struct OpenedDirectory: Sendable {
    /// Nil where it vanished or could not even be described.
    package var entry: Entry?
    package var directory: (any SiteDirectory)?
    package var failure: EntryFailure?

    package init(entry: Entry? = nil, directory: (any SiteDirectory)? = nil) {
        self.entry = entry
        self.directory = directory
    }
}

/// What is wanted of a name.
package enum Wish: UInt8, Sendable {
    /// It is not on this side.
    case absent
    case describe
    /// Describe it, and if it is a regular file hold it open for reading.
    case open
}

/// The names of one directory in byte order, in portions.
package protocol Listing: AnyObject, Sendable {
    /// The next names, at most `limit`; empty at the end.
    func next(_ limit: Int) throws(DiskError) -> NameList
    var completeness: Completeness { get }
    /// The directory all the while it was read, where the listing is complete.
    var stat: Stat? { get }
}

/// Whether a listing holds every name the directory had at one moment.
package enum Completeness: Sendable, Hashable {
    case complete
    /// The directory was changed while it was read, each time it was tried.
    case changing
    case failed(DiskError)
    /// A name came twice, or there seems to be no end: the file system does not keep its promises.
    case broken(String)

    /// What two looks at one listing say together: the worse of both.
    package func and(_ other: Completeness) -> Completeness {
        switch (self, other) {
        case (.complete, _), (.changing, .failed), (.changing, .broken): other
        default: self
        }
    }
}

/// What looking at one name gave. Both nil: it is not there (any more, if it was listed).
package struct Examined: Sendable {
    package var entry: Entry?
    /// With an entry: its content cannot be opened.
    package var failure: EntryFailure?

    package init(entry: Entry? = nil, failure: EntryFailure? = nil) {
        self.entry = entry
        self.failure = failure
    }
}

/// Names of one directory that were looked at together, with the files held open among them.
package protocol Examination: AnyObject, Sendable {
    subscript(index: Int) -> Examined { get }
    /// Digests blocks of open files. Throws only when digesting itself is broken.
    func digest(_ requests: [ContentRequest], _ worker: Worker) throws -> [ContentAnswer]
    /// Whether an open file is still as it was when it was looked at.
    func isUnchanged(_ index: Int) -> Bool
    /// Whether others may be changing an open file without its stat telling: a device that is
    /// mounted, part of another one, or open for writing elsewhere.
    func isInUse(_ index: Int) -> Bool
    /// Has an open file read past the page cache from now on; false where that cannot be had.
    func bypassCache(_ index: Int) -> Bool
    /// Fills a buffer that is aligned to 4096 bytes from an open file, from an offset that is;
    /// fewer bytes only at its end.
    func read(
        _ index: Int, at offset: Int, into buffer: UnsafeMutableRawBufferPointer,
        _ worker: Worker
    ) throws(DiskError) -> Int
    /// The next data of an open file at or after an offset: all the rest where nothing tells where
    /// there is none, empty where only a hole is left.
    func nextData(_ index: Int, from offset: Int) -> Range<Int>
    /// Moves one open file into an examination of its own, as index 0.
    func detach(_ index: Int) -> any Examination
    /// Closes what is still open.
    func close()
}

package struct ContentRequest: Sendable {
    package let index: Int
    package let blocks: Range<Int>
    package let source: ReadSource
    /// Whether plain SHA-256 over these blocks' bytes is wanted too.
    package let wantsWhole: Bool
    /// Whether the digests are kept, to stand for the file while its times stand.
    package let isKept: Bool

    package init(
        index: Int, blocks: Range<Int>, source: ReadSource, wantsWhole: Bool = false,
        isKept: Bool = false
    ) {
        self.index = index
        self.blocks = blocks
        self.source = source
        self.wantsWhole = wantsWhole
        self.isKept = isKept
    }
}

package struct ContentAnswer: Sendable {
    package enum State: Sendable, Hashable {
        case stable
        /// Size, times or identity moved while it was read.
        case moved
        /// The medium cannot be read past the page cache here.
        case noMedium
        /// A stop was requested before all blocks were read.
        case stopped
    }

    package var state = State.stable
    /// One digest per block asked for, `Digest.zero` for the unreadable ones.
    package var blocks = BlockList()
    package var unreadable: [UnreadableBlock] = []
    /// Bytes really read, holes not counted.
    package var bytesRead = 0
    /// SHA-256 over all bytes; nil where not asked for, or where some could not be read.
    package var whole: Digest?
    /// No later than the first of it was read; nil where whoever asked knows.
    package var began: Timestamp?

    package init() {}

    /// As if every block had been read just now.
    package init(_ blocks: BlockList) { self.blocks = blocks }

    /// Whether every block that was asked for has its digest, of one moment.
    package var isWhole: Bool { state == .stable && unreadable.isEmpty }
}

package struct UnreadableBlock: Sendable, Hashable {
    package let block: Int
    package let error: DiskError

    package init(block: Int, error: DiskError) {
        self.block = block
        self.error = error
    }
}
