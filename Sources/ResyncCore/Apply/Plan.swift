/// Who is right where two stores differ.
package enum Authority: String, Sendable, CaseIterable {
    /// Everything is made as it is on one side.
    case a, b
    /// What the baseline shows to be right, in both directions.
    case baseline
    /// What is missing is copied both ways; nothing is overwritten or deleted.
    case union

    /// Whether one store is right throughout.
    package var isOneSided: Bool { self == .a || self == .b }
}

/// A store as a plan was made for it.
package struct StoreReference: Sendable, Hashable {
    /// As the operator gave it, made absolute.
    package var path: [UInt8]
    package var kind: ManifestHeader.Kind
    package var identity: StoreIdentity
    /// Of an image or device.
    package var size: Int
    /// What its marker says; nil where it has none.
    package var marker: StoreMarker?

    package init(
        path: [UInt8], kind: ManifestHeader.Kind, identity: StoreIdentity, size: Int = 0,
        marker: StoreMarker? = nil
    ) {
        self.path = path
        self.kind = kind
        self.identity = identity
        self.size = size
        self.marker = marker
    }
}

/// What stands in `.resync-store` at the root of a store.
package struct StoreMarker: Sendable, Hashable {
    /// Made once, at random.
    package var store: Digest
    /// Of the last confirmed agreement; nil before the first.
    package var baseline: Digest?
    /// Those before it, latest first, at most 16.
    package var history: [Digest]
    /// The run that has begun to change the store and was not confirmed since.
    package var inconsistent: String?
    /// The store that the last confirmed plan with one authority between the two made this one
    /// like; nil where there was none, and in a plan, which does not keep it.
    package var followed: Digest?
    /// The file system that the store lies on, so that a marker that was copied along with the data
    /// is known.
    package var identity: StoreIdentity

    package init(store: Digest, identity: StoreIdentity) {
        self.store = store
        self.identity = identity
        history = []
    }

    /// The agreements that it remembers, those included that it has from its partners.
    var past: Set<Digest> { Set([baseline].compactMap { $0 } + history) }

    /// Says that both stores were found to agree. What the other one had left behind is left behind
    /// here as well, so that a copy of either from then is known to be older than both.
    package mutating func agree(on new: Digest, with other: StoreMarker?) {
        let past =
            [baseline, other?.baseline].compactMap { $0 } + history + (other?.history ?? [])
        var seen: Set<Digest> = [new]
        history = Array(past.filter { seen.insert($0).inserted }.prefix(Self.historyLimit))
        baseline = new
    }

    package enum Part: Sendable {
        case source, target
    }

    /// Says what this store was in a plan with one authority that is confirmed.
    package mutating func take(part: Part, with other: Digest) {
        switch part {
        case .target: followed = other
        case .source: if followed == other { followed = nil }
        }
    }

    /// Whether no other run than this one has begun to change the store and was not confirmed.
    package func isLeft(by run: String) -> Bool { inconsistent == nil || inconsistent == run }
}

/// What a plan says before its first action.
package struct PlanHeader: Sendable, Hashable {
    package var stores: Sides<StoreReference>
    package var authority: Authority
    /// The run whose differences it settles; nil where it was made for the purpose.
    package var run: String?
    package var created: Timestamp
    package var tool: [UInt8]
    /// Bytes of a block in the digests of files; these are SHA-256.
    package var blockSize: Int
    /// What was compared.
    package var aspects: AspectSet
    /// SHA-256 over the canonical bytes of the exclusions.
    package var exclusions: Digest
    /// Entries that the comparison counted.
    package var entries: Int
    /// Of these, those that are directories; 0 in plans from before they were counted.
    package var directories = 0
    package var hasBaseline: Bool
    /// The decisions about the run that it follows, counted: those that came later are not in it.
    package var decisions = 0

    package init(
        stores: Sides<StoreReference>, authority: Authority, created: Timestamp, blockSize: Int,
        aspects: AspectSet, exclusions: Digest
    ) {
        self.stores = stores
        self.authority = authority
        self.created = created
        self.blockSize = blockSize
        self.aspects = aspects
        self.exclusions = exclusions
        tool = []
        entries = 0
        hasBaseline = false
    }
}

/// What a plan does to one side, counted.
package struct PlanTotals: Sendable, Hashable {
    package var creates = 0
    package var overwrites = 0
    package var metadata = 0
    package var deletes = 0
    package var bytesWritten = 0
    /// Kept in quarantine or in an undo file.
    package var bytesDisplaced = 0
    /// Files with data that turn to nothing but zeros, or to nothing; of an image, pieces of at
    /// most 8 MiB.
    package var zeroed = 0
    /// Of the root and the directories in it, those that become empty.
    package var emptied = 0

    package init() {}

    package var actions: Int { creates + overwrites + metadata + deletes }

    package mutating func count(_ action: Action) {
        switch action.kind {
        case .makeDirectory, .write, .link, .symlink, .special:
            if action.before == nil { creates += 1 } else { overwrites += 1 }
        case .patch: overwrites += 1
        case .metadata: metadata += 1
        // Settling belongs to what was done inside.
        case .settleDirectory: if action.changesMetadata { metadata += 1 }
        case .remove, .removeDirectory: deletes += 1
        }
        bytesWritten = cappedSum(bytesWritten, action.bytesWritten)
        bytesDisplaced = cappedSum(bytesDisplaced, action.bytesDisplaced)
        if action.kind == .write, let old = action.before, old.type == .file, old.stat.size > 0,
            action.after?.stat.size == 0
        {
            zeroed += 1
        }
    }
}

/// Differences that a plan leaves as they are, by what stands in the way.
package struct PlanLeftOut: Sendable, Hashable {
    package var conflicts = 0
    package var undetermined = 0
    /// A deletion that nobody accepted.
    package var lost = 0
    /// Nobody could read it, or it moved.
    package var unreadable = 0
    /// A deletion where the source's directory was not listed whole, or of a directory in which
    /// something stays.
    package var deletions = 0
    /// A fifo, socket or device without `--specials`, what `union` does not overwrite, or what is
    /// of an external module.
    package var others = 0

    package init() {}

    package var count: Int { conflicts + undetermined + lost + unreadable + deletions + others }
}
