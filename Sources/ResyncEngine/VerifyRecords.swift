import ResyncCore
import ResyncStorage

// What a comparison adds to each side's manifest, when these are kept.
extension Verify {
    /// The records of an entry that is no directory. Content that was not read leaves it in doubt.
    func items(
        _ name: Name, _ found: Examined, _ content: ContentAnswer?, _ started: Timestamp
    ) -> [ScanOutput.Item] {
        guard let recorder, let type = found.entry?.stat.type else { return [] }
        var entry = ManifestEntry(name, found)
        guard type == .file, entry.doubt == nil, rules.comparison.aspects.contains(.content) else {
            return recorder.items(of: entry, found, wasDirectory: false)
        }
        guard let content else {
            entry.doubt = Doubt(.notVerified)
            return [.entry(entry)]
        }
        return [.entry(record(of: entry, content, started))]
    }

    /// The record of a file or image that was read.
    func record(
        of entry: ManifestEntry, _ content: ContentAnswer, _ started: Timestamp
    ) -> ManifestEntry {
        var entry = entry
        guard let whole = recorder?.content(content, of: entry, readFrom: started) else {
            entry.doubt = Doubt(.unstable, .changing)
            return entry
        }
        // Of two images no more is read than both have.
        let size = entry.entry?.stat.size ?? 0
        guard
            whole.doubt != nil
                || content.blocks.blockCount == blockCount(size, rules.scheme.blockSize)
        else {
            entry.doubt = Doubt(.notVerified)
            return entry
        }
        return whole
    }

    func recordEntering(
        _ opened: Sides<OpenedDirectory>, _ presence: Presence, _ path: RelativePath,
        _ output: inout VerifyOutput
    ) {
        guard let recorder else { return }
        // Where one side cannot be opened, neither is listed.
        let isBlocked = opened.a.failure != nil || opened.b.failure != nil
        for side in Side.allCases where presence.contains(side) {
            let own = opened[side]
            let found = Examined(entry: own.entry, failure: own.failure)
            var entry = ManifestEntry(path.lastName, found)
            if own.directory == nil {
                guard own.entry != nil || own.failure != nil else { continue }
                output.records[side].items = recorder.items(of: entry, found, wasDirectory: true)
            } else if isBlocked {
                entry.doubt = Doubt(.notVerified)
                output.records[side].items = recorder.items(of: entry, found, wasDirectory: false)
            } else {
                output.records[side].items = [.begin(entry)]
            }
        }
    }

    func recordListing(
        _ directory: PairedDirectory, _ completeness: Sides<Completeness>,
        _ output: inout VerifyOutput
    ) {
        guard recorder != nil else { return }
        for side in Side.allCases where directory.sides[side] != nil {
            output.records[side].items = [.listing(ListingState(completeness[side]), nil)]
        }
    }

    func recordLeaving(
        _ directory: PairedDirectory, _ completeness: Sides<Completeness>, _ excluded: Int,
        _ output: inout VerifyOutput
    ) {
        guard recorder != nil else { return }
        for side in Side.allCases where directory.sides[side] != nil {
            output.records[side].items = [
                .end(ListingState(completeness[side]), excluded: excluded)
            ]
        }
    }

    // MARK: Kept digests

    /// Judges names by what was kept of them, without opening any; nil when none of them can be.
    /// What was not kept, or has moved since, is read with the rest of its batch.
    func visitKept(
        _ names: PairedNames, in directory: PairedDirectory, _ worker: Worker
    ) throws -> Pieces? {
        let described = examine(names, in: directory, opening: false, worker)
        var known = try knownContents(names, in: directory, described)
        var isComplete = true
        for index in 0..<names.count where known[index] == nil {
            if let a = described.a?[index].entry?.stat, let b = described.b?[index].entry?.stat,
                rules.comparison.comparesContent(a, b)
            {
                isComplete = false
            } else if rules.keepsRecords,
                Side.allCases.contains(where: { described[$0]?[index].entry?.stat.type == .file })
            {
                // Read for one side's records, since there is no file on the other, or another one.
                isComplete = false
            }
        }
        guard known.contains(where: { $0 != nil }) else { return nil }
        let batch: VerifyBatch
        if isComplete {
            batch = VerifyBatch(self, names, directory, described, known: known)
            try batch.judgeAll(worker)
            return batch.pieces()
        }
        let examined = examine(names, in: directory, worker)
        defer {
            examined.a?.close()
            examined.b?.close()
        }
        // Opened a moment later: what moved in between is read like the rest.
        for index in known.indices {
            let isUnmoved = Side.allCases.allSatisfy { side in
                guard let before = described[side]?[index].entry?.stat,
                    let now = examined[side]?[index].entry?.stat
                else { return false }
                return now.isUnchanged(since: before)
            }
            if !isUnmoved { known[index] = nil }
        }
        batch = VerifyBatch(self, names, directory, examined, known: known)
        try batch.judgeAll(worker)
        return batch.pieces()
    }

    /// What was kept of both sides' content of each name whose content is to be compared.
    private func knownContents(
        _ names: PairedNames, in directory: PairedDirectory,
        _ described: Sides<(any Examination)?>
    ) throws -> [Sides<BlockList>?] {
        var known = [Sides<BlockList>?](repeating: nil, count: names.count)
        guard let a = described.a, let b = described.b, let keptA = rules.kept.a,
            let keptB = rules.kept.b
        else { return known }
        let path = directory.path
        let left = try keptA.contents(names.names, in: path, a)
        let right = try keptB.contents(names.names, in: path, b)
        for index in 0..<names.count {
            guard let left = left[index], let right = right[index],
                let statA = a[index].entry?.stat, let statB = b[index].entry?.stat,
                rules.comparison.comparesContent(statA, statB),
                rules.doubted.isEmpty
                    || !rules.doubted.contains(path.appending(names.names.name(index)))
            else { continue }
            known[index] = Sides(a: left, b: right)
        }
        return known
    }
}
