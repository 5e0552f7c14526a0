package import ResyncCore

// The verbs of a site that is changed, and of one that is copied from. One object serves one
// thread; verbs take an action with its number in the plan, so that an agent can carry them out
// for a far store.

/// What changing a store needs to know of the run that does it.
package struct ChangeOrder: Sendable {
    /// The run's id: what is displaced goes to `.resync-quarantine/ID/NUMBER`.
    package let run: String
    /// What names of staged entries are made from, so that nobody can foresee them.
    package let secret: Digest
    /// Bytes of a block in the plan's digests.
    package let blockSize: Int
    /// What was compared. The rest of an entry's metadata is copied as far as the target takes it.
    package let aspects: AspectSet
    /// The wall clock before the plan looked at the stores: what was changed shortly before that,
    /// or since, may have been changed once more without another ctime.
    package let planned: Timestamp

    package init(
        run: String, secret: Digest, blockSize: Int, aspects: AspectSet = .all, planned: Timestamp
    ) {
        self.run = run
        self.secret = secret
        self.blockSize = blockSize
        self.aspects = aspects
        self.planned = planned
    }
}

/// What a run knows of the objects that it has made itself: by look alone somebody else's could be
/// taken for one of them.
package struct OwnObjects: Sendable {
    /// What the action has put in its place, or was about to; nil where nothing of it can be in
    /// place. Of an action that is done, nil means that it was not kept: then looks decide.
    package let placed: ObjectMark?
    /// The directories that the run has made.
    package let directories: Set<ObjectMark>

    package init(placed: ObjectMark?, directories: Set<ObjectMark>) {
        self.placed = placed
        self.directories = directories
    }
}

/// How the staging of an action ended.
package enum Staging: Sendable, Hashable {
    /// Ready to be put in place once it is durable; with what lies under the staged name, where
    /// something does.
    case staged(Stat? = nil)
    /// Nothing was left behind.
    case ended(ActionResult)
}

/// Something that a run's quarantine holds beside what actions displaced.
package struct Stray: Sendable, Hashable {
    /// The action for which it was put there.
    package let number: Int
    /// Behind the number in its name.
    package let suffix: [UInt8]
    package let stat: Stat

    /// Whether somebody else has put it into the way of an action, or written to it there.
    package var isUnplaced: Bool { suffix.starts(with: unplacedSuffix) }
}

/// A hand on a store that is changed.
///
/// An action goes through `stage`, `examine`, `place` and `shelve`, with all that was staged made
/// durable before anything is examined, and all names durable before anything is shelved. `recover`
/// finds out what a crash left of it, `undo` takes it back.
package protocol StoreChanger: AnyObject {
    /// Makes the run's quarantine; durable when this returns.
    func begin() throws(DiskError)

    /// Checks that the target is as the action expects it, and prepares what is to be put there
    /// under a name that nobody knows.
    ///
    /// - Parameter isRetry: it was tried before, which may have moved the target's ctime.
    func stage(
        _ number: Int, _ action: Action, isRetry: Bool, _ own: OwnObjects,
        from source: any StoreSource, _ worker: Worker
    ) throws -> Staging
    /// Reads back what is staged, past the page cache where there is a medium, once it is durable:
    /// nil where it is what was written.
    ///
    /// - Parameter staged: as `stage` left it.
    func examine(
        _ number: Int, _ action: Action, _ staged: Stat?, _ worker: Worker
    ) throws -> ActionResult?
    /// Exchanges what is staged with what stands there; what was displaced is looked at, and put
    /// back if it is not what the action expects. `staged`: nothing is left but to shelve.
    ///
    /// - Parameter staged: as `stage` left it: nothing else is put in place.
    func place(_ number: Int, _ action: Action, _ staged: Stat?) -> Staging
    /// Moves what was displaced into the quarantine.
    func shelve(_ number: Int, _ action: Action) -> ActionResult
    /// Removes what is staged, and nothing that somebody else has put under its name.
    func discard(_ number: Int, _ action: Action, _ staged: Stat?)

    /// All that was written and named since `begin` is durable when this returns.
    func sync() throws(DiskError)
    /// Bytes that can still be written into the store; nil where that is not known.
    func space() throws(DiskError) -> Int?
    /// Whether its file system was found not to exchange two names in one step: then what somebody
    /// else puts under a name in the moment of its change is lost from there.
    var isWithoutExchange: Bool { get }
    /// Of what was not compared: of how many entries the target did not take it, since this was
    /// asked last.
    func takeNotTaken() -> [Aspect: Int]

    /// Brings what a crash left of an action to one of its ends. Nil: nothing of it was done.
    func recover(_ number: Int, _ action: Action, _ own: OwnObjects) throws -> ActionResult?
    /// Takes back a done action; again, if a crash came in between. `changed` where it is not as
    /// the action left it.
    /// What was written to the displaced entry in the quarantine comes back with it.
    ///
    /// - Parameters:
    ///   - isRetry: it may have been begun before.
    ///   - attributes: that a directory had before it was settled.
    func undo(
        _ number: Int, _ action: Action, isRetry: Bool, attributes: [Attribute]?,
        _ own: OwnObjects
    ) throws -> ActionResult
    /// Actions whose undo has brought back what somebody wrote to after it was displaced.
    var broughtBackLate: Set<Int> { get }

    /// What an action's entry is now; nil where none is there.
    func stat(_ action: Action) throws(DiskError) -> Stat?

    /// A file that an action displaced, where only its ctime can tell whether somebody writes to it
    /// from now on, since nobody has read it; nil where it is none, or not there.
    func shelved(_ number: Int, _ action: Action) throws(DiskError) -> Stat?
    /// Whether somebody wrote to what an action displaced after it was, or may yet.
    ///
    /// - Parameter shelved: its ctime of then, where that tells; no other name of it can move that.
    func isWrittenLate(
        _ number: Int, _ action: Action, shelved: Timestamp?
    ) throws(DiskError) -> Bool
    /// What the run's quarantine holds beside what actions displaced and is kept.
    func strays(beside isKept: (_ number: Int) -> Bool) throws(DiskError) -> [Stray]
    /// Whether a copy that an undo took out of its place is what it was then, and nobody can write
    /// to it any more.
    func isAsTakenBack(_ stray: Stray, _ action: Action, _ own: OwnObjects) throws(DiskError)
        -> Bool
    /// Frees what an action displaced, or what was put aside for it: for good.
    ///
    /// - Parameter suffix: that of a stray.
    func erase(_ number: Int, suffix: [UInt8]) throws(DiskError)
    /// Gives a directory that was to go the time it had before its entries were taken out and
    /// brought back; nothing where another one stands there, or none.
    func restoreTime(_ action: Action) throws(DiskError)

    /// The attributes of a directory that is to be settled, as they are now.
    func attributes(_ action: Action) throws(DiskError) -> [Attribute]
    /// What stands at a path now, with its content read past the page cache where there is a
    /// medium.
    func observe(
        _ path: RelativePath, readsContent: Bool, _ worker: Worker
    ) throws -> (observed: ObservedEntry?, source: ReadSource)
}

/// A store that is copied from.
package protocol StoreSource: AnyObject {
    /// Opens an entry that is still what was seen; nil where it is not.
    func open(
        _ path: RelativePath, as seen: ObservedEntry
    ) throws(DiskError) -> (any SourceEntry)?
    /// What stands at a path now; nil where nothing does.
    func type(at path: RelativePath) throws(DiskError) -> EntryType?
}

/// An entry of a source, open until it is released.
package protocol SourceEntry: AnyObject {
    func attributes() throws(DiskError) -> [Attribute]
    /// Fills the buffer; fewer bytes only at the end of the file.
    func read(
        at offset: Int, into buffer: UnsafeMutableRawBufferPointer, _ worker: Worker
    ) throws(DiskError) -> Int
    /// The next data at or after an offset; empty, at the end of the file, where only a hole is
    /// left. Where holes cannot be trusted, all is data.
    func nextData(from offset: Int) -> Range<Int>
    /// Whether its stat still is what it was when it was opened.
    var isUnchanged: Bool { get }
}

extension ActionResult {
    package init(_ error: DiskError, isSource: Bool = false) {
        self = .failed(
            DiskFailure(
                call: Array(error.call.rawValue.utf8), number: error.number, isSource: isSource))
    }
}
