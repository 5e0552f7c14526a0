package import ResyncCore
package import ResyncStorage

/// How a plan is carried out.
package struct ApplyOptions: Sendable {
    package var workers = 2
    /// Bytes of a block in the plan's digests.
    package var blockSize: Int
    /// Whether entries that a process has open for writing are changed all the same.
    package var acceptsOpen = false
    /// Nil where nothing was decided since the plan was made.
    package var decided: LaterDecisions?
    /// Which processes have which objects open for writing.
    package var openForWriting: @Sendable () -> [ObjectIdentity: OpenFiles.Holder] = { [:] }
    /// Of an image; a tree's is its site's.
    package var writeLimit: Throttle?
    /// Bytes that may be kept for an undo, on each side, before a slice of the plan is read back
    /// and released; nil for as many as there is room for.
    package var maxUndo: Int?
    /// Where the undo file of an image is made; nil: with the run.
    package var undoFolder: [UInt8]?

    package init(blockSize: Int) { self.blockSize = blockSize }
}

package struct ApplyResult: Sendable {
    package var counts: ApplyCounts
    package var ending: Ending
    /// What ended the work on a store before its end.
    package var failure: StoreFailure?
    /// Why the rest of the plan waits.
    package var shortage: Shortage?
    /// Who had open what was withheld, by number; not of more than some.
    package var holders: [Int: OpenFiles.Holder] = [:]
    /// Sides on which names were changed in more than one step: see
    /// `StoreChanger.isWithoutExchange`.
    package var withoutExchange: Set<Side> = []
    /// See `StoreChanger.takeNotTaken`.
    package var notTaken: Sides<[Aspect: Int]> = Sides(a: [:], b: [:])
    /// Of an undo: why actions were not taken back, by number.
    package var notUndone: [Int: ActionResult] = [:]
    /// Of an undo of an image: extents that it left as they are, by number; not of more than some.
    package var leftExtents: [Int: LeftExtents] = [:]
    /// Of an undo of an image: why its undo file does not have what stood there before.
    package var undoLack: UndoDamage?
    /// Of an undo: entries that came back with what somebody wrote to them since.
    package var late: [(number: Int, path: RelativePath)] = []
    /// Of an undo: later runs that have to be taken back first, by number.
    package var later: [Int: String] = [:]
    /// What reading the last slice back showed; nil where none was read back.
    package var slice: ConfirmResult?

    package init(
        counts: ApplyCounts, ending: Ending, failure: StoreFailure? = nil
    ) {
        self.counts = counts
        self.ending = ending
        self.failure = failure
    }
}

/// Extents of one action that are left as they are.
package struct LeftExtents: Sendable, Hashable {
    /// The first ones.
    package private(set) var extents: [Extent]
    /// Of all of them.
    package let count: Int

    /// How many are named.
    package static let limit = 100

    init(_ all: [Extent]) {
        extents = Array(all.prefix(Self.limit))
        count = all.count
    }
}

/// Why the rest of a plan waits: there is no room for it.
package enum Shortage: Error, Sendable, Hashable {
    /// For what is written, on the target's file system; in bytes.
    case space(Side, needed: Int, available: Int)
    /// For what is kept for an undo; in bytes.
    case undo(needed: Int, available: Int)
}
