package import ResyncCore
package import ResyncStorage

/// What patching ended with.
package struct PatchOutcome: Sendable {
    /// One for each action. Nil: not finished, each of its extents is as it was, as it is to be, or
    /// kept in the undo file; the same call, by a patcher that was opened anew, goes on.
    package var results: [ActionResult?]
    /// Why nothing more is to be done; this patcher does nothing more.
    package var stop: PatchStop?
    /// Extents that an undo left as they are, because they were changed since, or because nothing
    /// is kept of them.
    package var refused: [Extent] = []
}

/// Why patching cannot go on.
package enum PatchStop: Error, Sendable, Hashable {
    case target(DiskError)
    case undoFile(DiskError)
    /// The medium does not have what was written and synced.
    case readBack(Extent)
}

/// Patches an image or device in place, so that a crash at any moment leaves each extent as it was,
/// as it is to be, or kept in the undo file, and the same call then goes on.
///
/// An action is carried out whole or, seen from its end, not at all: where its target or source
/// changed, what an interrupted run had written of it is put back. For a batch of actions:
/// 1. read the target past the page cache; what is neither as it was nor as it is to be was changed
///    by somebody, unless the undo file says that a write was under way there;
/// 2. read the source, and compare its digest with the plan's;
/// 3. make what will be overwritten durable in the undo file (barrier A);
/// 4. write, make it durable (barrier B), and read it back.
///
/// A failed sync is never asked again. Used by one thread at a time.
package final class ImagePatcher {
    private let target: ImageTarget
    private let log: UndoLog
    private let worker: Worker
    private let writeLimit: Throttle?
    private var hash = frameHash()
    private let old = PageBuffer()
    private var stop: PatchStop?

    private let batchBytes: Int

    /// - Parameter batchBytes: what is written between two barriers, unless one action alone is
    ///   more.
    package init(
        _ target: ImageTarget, _ log: UndoLog, _ worker: Worker, writeLimit: Throttle? = nil,
        batchBytes: Int = 64 << 20
    ) {
        self.batchBytes = batchBytes
        self.target = target
        self.log = log
        self.worker = worker
        self.writeLimit = writeLimit
    }

    /// Carries actions out. `changed`, `sourceChanged` and `failed` leave the target as it was.
    ///
    /// - Precondition: all of them patch.
    /// - Throws: `UndoDamage` where the undo file turns out to be damaged.
    package func apply(_ actions: [Action], from source: OpenContent) throws -> PatchOutcome {
        try run(actions) { try self.prepare(actions[$0], from: source, &$1) }
    }

    /// Puts back what the undo file keeps; may be repeated, whatever came of it before. Extents
    /// that nobody wrote are left, and so are those that were changed since: then the result is
    /// `changed`; where nothing is kept of what the run has written, `lost`. Call it for all
    /// actions of a run, whatever the results of applying them.
    ///
    /// - Parameter isDone: whether the action at this index is known to be carried out: what
    ///   stands there without anything that is kept of it is not taken back, either.
    package func undo(
        _ actions: [Action], isDone: (Int) -> Bool = { _ in false }
    ) throws -> PatchOutcome {
        try run(actions) { at, batch in
            let action = actions[at]
            switch try self.look(at: action) {
            case .ended(let result): return result
            case .unreadable(let error): return ActionResult(error)
            case .seen(let looks):
                let isDone = isDone(at)
                let refused = looks.filter { $0.isRefused(isDone: isDone) }
                batch.refused += refused.map(\.patch.extent)
                let isChanged = refused.contains { $0.found == .changed }
                return try self.putBack(
                    action, looks, &batch,
                    result: refused.isEmpty ? .done : isChanged ? .changed : .lost)
            }
        }
    }

    // MARK: Batches

    private struct Batch {
        struct Write {
            let extent: Extent
            let bytes: UnsafeRawBufferPointer
            let digest: Digest
        }

        /// Actions that end with the batch, by index.
        var ends: [(at: Int, result: ActionResult)] = []
        var writes: [Write] = []
        /// Holds the bytes of the writes.
        var buffers: [PageBuffer] = []
        var bytes = 0
        /// What is whole once the batch is through.
        var settled: [Range<Int>] = []
        var refused: [Extent] = []
    }

    /// - Parameter prepare: adds what is to be written for the action at this index to the batch;
    ///   gives the action's result once that is durable.
    private func run(
        _ actions: [Action], _ prepare: (Int, inout Batch) throws -> ActionResult
    ) throws -> PatchOutcome {
        var outcome = PatchOutcome(results: actions.map { _ in nil }, stop: stop)
        var at = 0
        do {
            while stop == nil, at < actions.count, !worker.stop.isRequested {
                var batch = Batch()
                repeat {
                    precondition(actions[at].kind == .patch)
                    batch.ends.append((at, try prepare(at, &batch)))
                    at += 1
                } while at < actions.count
                    && batch.bytes + actions[at].bytesWritten <= batchBytes
                try carryOut(batch)
                for end in batch.ends { outcome.results[end.at] = end.result }
                outcome.refused += batch.refused
            }
        } catch let error as PatchStop {
            stop = error
        }
        outcome.stop = stop
        return try settled(outcome)
    }

    /// Nothing has an end before it is durable that no write is under way any more: until then a
    /// later change by others passes for what a crash left.
    private func settled(_ outcome: PatchOutcome) throws -> PatchOutcome {
        do {
            // Behind a write to it that failed nothing is written.
            if case .undoFile(let error)? = stop { throw PatchStop.undoFile(error) }
            try logged { try log.seal() }
            return outcome
        } catch let error as PatchStop {
            stop = stop ?? error
            return PatchOutcome(results: outcome.results.map { _ in nil }, stop: stop)
        }
    }

    private func carryOut(_ batch: Batch) throws {
        if !batch.writes.isEmpty { try logged { try log.seal() } }
        do throws(DiskError) {
            for write in batch.writes {
                writeLimit?.wait(for: write.bytes.count, worker: worker)
                try target.write(write.bytes, at: write.extent.offset)
                worker.pulse.step()
            }
            // Also for what is as it is to be already: it may be so in the page cache only.
            try target.sync()
            if !batch.writes.isEmpty { try target.refresh() }
        } catch {
            throw PatchStop.target(error)
        }
        for write in batch.writes { try readBack(write) }
        for range in batch.settled { try logged { try log.mark(.settled, range) } }
    }

    private func readBack(_ write: Batch.Write) throws {
        let place = old.place(ImageTarget.window(write.extent))
        let found: UnsafeRawBufferPointer?
        do throws(DiskError) {
            found = try target.read(write.extent, into: place)
        } catch {
            throw PatchStop.target(error)
        }
        worker.pulse.step()
        guard let found, digest(found) == write.digest else {
            throw PatchStop.readBack(write.extent)
        }
    }

    private func digest(_ bytes: UnsafeRawBufferPointer) -> Digest {
        hash.update(bytes)
        return hash.finalize()
    }

    /// Errors of the undo file are told from those of the target.
    private func logged<R>(_ body: () throws -> R) throws -> R {
        do {
            return try body()
        } catch let error as DiskError {
            throw PatchStop.undoFile(error)
        } catch let error as FormatError {
            throw UndoDamage(run: log.header.run, reason: error.reason, offset: error.offset)
        }
    }

    // MARK: Looking

    private enum Found {
        case before, after
        /// Neither, where a write was under way.
        case torn
        case changed
    }

    private struct Look {
        let patch: Action.Patch
        let bytes: UnsafeRawBufferPointer
        var found: Found
        let record: UndoRecord?

        /// Whether this run has written there.
        var isTouched: Bool { record != nil && (found == .after || found == .torn) }

        /// Whether an undo leaves what stands there, though it is not what was there before.
        func isRefused(isDone: Bool) -> Bool {
            switch found {
            case .before, .torn: false
            case .after: record == nil && isDone
            case .changed: record != nil || isDone
            }
        }
    }

    private enum Looked {
        case seen([Look])
        case ended(ActionResult)
        case unreadable(DiskError)
    }

    /// Reads all extents of an action as they are; valid until the next look.
    private func look(at action: Action) throws -> Looked {
        guard let range = action.range, range.upperBound <= target.size else {
            return .ended(.changed)
        }
        guard action.bytesWritten <= UndoFile.recordLimit else {
            return .ended(ActionResult(DiskError(.pwrite, ErrorNumber.tooLarge)))
        }
        let records = try logged { try log.records(of: action) }
        let mayBeTorn = log.mayBeTorn(range)
        old.reset(action.patches.reduce(0) { $0 + ImageTarget.window($1.extent) })
        var looks: [Look] = []
        for patch in action.patches {
            let place = old.next(ImageTarget.window(patch.extent))
            let bytes: UnsafeRawBufferPointer?
            do throws(DiskError) {
                bytes = try target.read(patch.extent, into: place)
            } catch {
                return .unreadable(error)
            }
            worker.pulse.step()
            guard let bytes else { return .ended(.changed) }
            let found: Found
            switch digest(bytes) {
            case patch.before: found = .before
            case patch.after: found = .after
            default: found = mayBeTorn && records[patch.extent] != nil ? .torn : .changed
            }
            looks.append(
                Look(patch: patch, bytes: bytes, found: found, record: records[patch.extent]))
        }
        return .seen(looks)
    }

    // MARK: Preparing

    private func prepare(
        _ action: Action, from source: OpenContent, _ batch: inout Batch
    ) throws -> ActionResult {
        switch try look(at: action) {
        case .ended(let result): return result
        case .unreadable(let error):
            // What a crash left of it can be neither gone on with nor put back: it has no end yet.
            if let range = action.range, log.mayBeTorn(range) { throw PatchStop.target(error) }
            return ActionResult(error)
        case .seen(let looks):
            if looks.contains(where: { $0.found == .changed }) {
                return try putBack(action, looks, &batch, result: .changed)
            }
            let todo = looks.filter { $0.found != .after }
            let new = PageBuffer()
            new.reset(todo.reduce(0) { $0 + ImageTarget.window($1.patch.extent) })
            var writes: [Batch.Write] = []
            var foreign: Set<Extent> = []
            for look in todo {
                switch read(look.patch, from: source, new) {
                case .success(let bytes):
                    if try !mayBeTorn(look, bytes) { foreign.insert(look.patch.extent) }
                    writes.append(
                        Batch.Write(
                            extent: look.patch.extent, bytes: bytes, digest: look.patch.after))
                case .failure(let end):
                    return try putBack(action, looks, &batch, result: end.result)
                }
            }
            guard foreign.isEmpty else {
                // Somebody wrote there since the crash: what this run has done beside it goes back.
                var known = looks
                for at in known.indices where foreign.contains(known[at].patch.extent) {
                    known[at].found = .changed
                }
                return try putBack(action, known, &batch, result: .changed)
            }
            try keep(action, todo, writes, new, &batch)
            return .done
        }
    }

    /// Whether what stands where a crash may have cut a write is made of the old and the new bytes.
    private func mayBeTorn(_ look: Look, _ new: UnsafeRawBufferPointer) throws -> Bool {
        guard look.found == .torn, let record = look.record else { return true }
        let old = try logged { try log.bytes(of: record) }
        guard old.count == look.bytes.count, new.count == look.bytes.count else { return false }
        return look.bytes.indices.allSatisfy { at in
            look.bytes[at] == old[at] || look.bytes[at] == new[at]
        }
    }

    private struct SourceEnd: Error {
        let result: ActionResult
    }

    /// Valid as long as the buffer.
    private func read(
        _ patch: Action.Patch, from source: OpenContent, _ buffer: PageBuffer
    ) -> Result<UnsafeRawBufferPointer, SourceEnd> {
        let window = buffer.next(ImageTarget.window(patch.extent))
        let start = patch.extent.offset / ImageTarget.page * ImageTarget.page
        let skipped = patch.extent.offset - start
        do throws(DiskError) {
            let count = try source.examination.read(
                source.index, at: start, into: window, worker)
            guard count >= skipped + patch.extent.length else {
                return .failure(SourceEnd(result: .sourceChanged))
            }
        } catch {
            return .failure(SourceEnd(result: ActionResult(error, isSource: true)))
        }
        let bytes = UnsafeRawBufferPointer(
            rebasing: window[skipped..<(skipped + patch.extent.length)])
        guard digest(bytes) == patch.after else {
            return .failure(SourceEnd(result: .sourceChanged))
        }
        return .success(bytes)
    }

    /// Has what this run wrote of an action overwritten with what was there before.
    private func putBack(
        _ action: Action, _ looks: [Look], _ batch: inout Batch, result: ActionResult
    ) throws -> ActionResult {
        let todo = looks.filter { $0.isTouched }
        let bytes = PageBuffer()
        bytes.reset(todo.reduce(0) { $0 + ImageTarget.window($1.patch.extent) })
        var writes: [Batch.Write] = []
        for look in todo {
            guard let record = look.record else { continue }
            let place = bytes.next(look.patch.extent.length)
            place.copyBytes(from: try logged { try log.bytes(of: record) })
            writes.append(
                Batch.Write(
                    extent: look.patch.extent, bytes: UnsafeRawBufferPointer(place),
                    digest: look.patch.before))
        }
        try keep(action, todo, writes, bytes, &batch)
        return result
    }

    /// Appends to the undo file what the writes of an action will overwrite.
    private func keep(
        _ action: Action, _ looks: [Look], _ writes: [Batch.Write], _ buffer: PageBuffer,
        _ batch: inout Batch
    ) throws {
        guard let range = action.range else { return }
        if writes.isEmpty {
            // A crash came between the last write and the word that it went well.
            if log.mayBeTorn(range) { batch.settled.append(range) }
            return
        }
        try logged {
            for (look, write) in zip(looks, writes) {
                let extent = look.patch.extent
                if look.record == nil {
                    let record = UndoRecord(
                        .displaced, extent, before: look.patch.before, after: look.patch.after)
                    try log.append(record, look.bytes)
                } else if look.found == .torn {
                    // Should it be somebody's after all, it is not lost.
                    let record = UndoRecord(
                        .aside, extent, before: digest(look.bytes), after: write.digest)
                    try log.append(record, look.bytes)
                }
            }
            try log.mark(.writing, range)
        }
        batch.settled.append(range)
        batch.writes += writes
        batch.buffers.append(buffer)
        batch.bytes += writes.reduce(0) { $0 + $1.bytes.count }
    }
}
