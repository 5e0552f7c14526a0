package import ResyncCore
package import ResyncStorage

/// Under what a comparison of two stores was begun: what must hold still where it is gone on with,
/// and where something is planned from it.
package struct RunTerms: Sendable, Hashable {
    package struct Store: Sendable, Hashable {
        package var kind: StoreFacts.Kind
        package var identity: StoreIdentity
        /// Bytes of an image or device; 0 for a directory.
        package var size: Int

        package init(kind: StoreFacts.Kind, identity: StoreIdentity, size: Int) {
            self.kind = kind
            self.identity = identity
            self.size = size
        }
    }

    package var stores: Sides<Store>
    package var assurance: Assurance
    package var aspects: AspectSet
    /// Of the exclusions' canonical bytes.
    package var exclusions: Digest
    /// Of the paths that were picked out; nil where none were.
    package var selection: Digest?

    package init(
        stores: Sides<Store>, assurance: Assurance, aspects: AspectSet, exclusions: Digest,
        selection: Digest?
    ) {
        self.stores = stores
        self.assurance = assurance
        self.aspects = aspects
        self.exclusions = exclusions
        self.selection = selection
    }

    /// The first side that is another store now than it was for the run; a device number alone does
    /// not make it one, since that changes with every mount.
    package func otherStore(than now: Sides<StoreIdentity>) -> Side? {
        Side.allCases.first { !stores[$0].identity.isSameStore(as: now[$0]) }
    }

    /// Why a run begun under these terms cannot be gone on with under others, as the end of a
    /// sentence; nil where it can. Half a comparison is joined to another half, so a store must not
    /// even have been mounted from another device: a snapshot has its origin's identity.
    func refusal(of now: RunTerms) -> String? {
        for side in Side.allCases {
            let (then, now) = (stores[side], now.stores[side])
            if then.identity != now.identity || then.kind != now.kind {
                return "\(side.letter) is not the store that it was"
            }
            if then.size != now.size {
                return "\(side.letter) has \(now.size) bytes now, and had \(then.size)"
            }
        }
        if assurance != now.assurance {
            return "it was begun at \(assurance.rawValue), and would go on at "
                + now.assurance.rawValue
        }
        if aspects != now.aspects {
            return "it was begun for other aspects: \(aspects.words)"
        }
        if exclusions != now.exclusions { return "the exclusions are not those that they were" }
        if selection != now.selection {
            return "the list of paths is not the one that it was"
        }
        return nil
    }
}

extension Selection {
    /// SHA-256 over the paths in walk order, each ended by a byte that no path has, or by two.
    ///
    /// - Parameter isWithin: whether a walk keeps within them, instead of looking at them alone.
    package func digest(isWithin: Bool) -> Digest {
        var hash = ManifestHashes.openSSL.make(.sha256)
        if isWithin { hash.update([0]) }
        for path in paths { hash.update(path.bytes + (isShallow(path) ? [0, 0] : [0])) }
        return hash.finalize()
    }
}

/// Version 1.
private let version: UInt8 = 1

extension ByteWriter {
    mutating func terms(_ terms: RunTerms) {
        byte(version)
        for side in Side.allCases {
            let store = terms.stores[side]
            string(Array(store.kind.rawValue.utf8))
            identity(store.identity)
            number(store.size)
        }
        string(Array(terms.assurance.rawValue.utf8))
        number(UInt64(terms.aspects.rawValue))
        digest(terms.exclusions)
        byte(terms.selection == nil ? 0 : 1)
        if let selection = terms.selection { digest(selection) }
    }
}

extension ByteReader {
    mutating func terms() throws(FormatError) -> RunTerms {
        guard try byte() == version else { throw FormatError("has another version", at: at) }
        let stores = Sides(a: try store(), b: try store())
        return RunTerms(
            stores: stores, assurance: try word(),
            aspects: AspectSet(rawValue: UInt16(try int(limit: Int(UInt16.max)))),
            exclusions: try digest(), selection: try byte() == 1 ? try digest() : nil)
    }

    private mutating func store() throws(FormatError) -> RunTerms.Store {
        RunTerms.Store(kind: try word(), identity: try identity(), size: try int())
    }

    private mutating func word<Value: RawRepresentable<String>>() throws(FormatError) -> Value {
        guard let text = validText(try string(limit: 64)), let value = Value(rawValue: text) else {
            throw FormatError("has an unknown word", at: at)
        }
        return value
    }
}
