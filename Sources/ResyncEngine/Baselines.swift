package import ResyncCore
package import ResyncStorage

/// A kept baseline that is not what was written.
package struct DamagedBaseline: Error, Sendable {
    /// Of its file, in `baselines` of the state folder.
    package let name: [UInt8]
    package let error: FormatError

    /// - Throws: what `body` throws, a `FormatError` as this.
    fileprivate static func named<R>(_ name: [UInt8], _ body: () throws -> R) throws -> R {
        do {
            return try body()
        } catch let error as FormatError {
            throw DamagedBaseline(name: name, error: error)
        }
    }
}

/// The baselines of pairs: one each, found by the identities of both stores, in either order.
package struct Baselines: Sendable {
    private let folder: Folder

    package init(_ folder: Folder) { self.folder = folder }

    var scratch: Scratch { folder.scratch }

    /// What was proven of a pair; nil where nothing was.
    package func find(_ identities: Sides<StoreIdentity>) throws -> KeptBaseline? {
        let isSwapped = Self.isSwapped(identities)
        do {
            let name = Self.name(identities)
            let file = try folder.read(name)
            let baseline = try KeptBaseline(file, name, isSwapped: isSwapped)
            guard baseline.header.identities.map({ $0.fileName }) == identities.map({ $0.fileName })
            else {
                throw DamagedBaseline(
                    name: name, error: FormatError("is the baseline of other stores"))
            }
            return baseline
        } catch let error as DiskError where error.number == ErrorNumber.noEntry {
            return nil
        }
    }

    /// Forgets what was proven of a store and any other one; durable when this returns.
    package func removeAll(of store: StoreIdentity) throws {
        try folder.exclusively {
            for name in try folder.names() where Self.place(of: store, in: name.bytes) != nil {
                try folder.remove(name.bytes)
            }
            try folder.sync()
        }
    }

    /// The baselines of a store and other ones, each seen with the store as one side.
    package func all(of store: StoreIdentity, as side: Side) throws -> [KeptBaseline] {
        var found: [KeptBaseline] = []
        for name in try folder.names().map(\.bytes) {
            guard let place = Self.place(of: store, in: name), let file = try? folder.read(name)
            else { continue }
            let baseline = try KeptBaseline(file, name, isSwapped: place != side)
            if baseline.header.identities[side].fileName == store.fileName {
                found.append(baseline)
            }
        }
        return found
    }

    /// Whether there is any of a store, by its name alone.
    package func hasAny(of store: StoreIdentity) throws -> Bool {
        try folder.names().contains { Self.place(of: store, in: $0.bytes) != nil }
    }

    /// As which side the name of a baseline has a store; nil where it does not.
    private static func place(of store: StoreIdentity, in name: [UInt8]) -> Side? {
        let own = store.fileName
        if name.starts(with: own + separator) { return .a }
        return name.reversed().starts(with: (separator + own).reversed()) ? .b : nil
    }

    /// Between the names of two stores.
    private static let separator = Array("--".utf8)

    /// Replaces the records of what two manifests of one run prove.
    ///
    /// - Parameters:
    ///   - parts: how much of them is written, of a run that was ended early; nil where they are
    ///     whole.
    ///   - isWhole: whether what they do not list is not there.
    ///   - filter: of the run: of what it leaves out nothing is said.
    ///   - policies: what may keep what was known before.
    /// - Returns: the new baseline's id.
    @discardableResult
    package func prove(
        _ manifests: Sides<InputFile>, parts: Sides<ManifestPart>? = nil, modifyWindow: UInt64,
        isWhole: Bool = true, filter: Filter = .none, policies: PolicyGuard? = nil
    ) throws -> Digest {
        let readers = try Side.both { side in
            let file = manifests[side]
            let read: ReadBytes = { try file.read(at: $0, count: $1) }
            guard let parts else { return try ManifestReader(.openSSL, read: read) }
            return try ManifestReader(.openSSL, parts[side], read: read)
        }
        let of = readers.map { $0.header }
        var header = BaselineHeader(
            identities: of.map { $0.identity }, blockSize: of.a.blockSize,
            exclusions: of.a.exclusions, written: .now)
        header.tool = of.a.tool
        return try folder.exclusively {
            let old = try find(header.identities)
            var proof = try BaselineProof(
                readers.a, readers.b, modifyWindow: modifyWindow,
                listsEverything: isWhole && parts == nil)
            return try write(header, old) { old, emit in
                try proof.merge(
                    old, keeps: { policies?.keeps($0, $1, $2) ?? false },
                    isLeftOut: { filter.excludes($0) }, into: emit)
            }
        }
    }

    /// Replaces the records of some entries; everything else stays as it is.
    ///
    /// - Parameters:
    ///   - header: its `previous` is set here.
    ///   - updates: in walk order.
    package func update(
        _ header: BaselineHeader, _ updates: () throws -> BaselineUpdate?
    ) throws -> Digest {
        try folder.exclusively {
            try write(header, try find(header.identities)) { old, emit in
                try mergeBaseline(old, updates, into: emit)
            }
        }
    }

    /// Renews the records of some entries, unless they are others by now: what was proven since, or
    /// withdrawn, stays so.
    ///
    /// - Parameter renewals: in walk order.
    package func renew(
        _ header: BaselineHeader, _ renewals: [BaselineComparison.Renewal]
    ) throws {
        var left = renewals[...]
        _ = try folder.exclusively {
            try write(header, try find(header.identities)) { old, emit in
                while let record = try old() {
                    while let next = left.first, next.known.path < record.path {
                        left.removeFirst()
                    }
                    let next = left.first
                    try emit(next?.known == record ? next?.now ?? record : record)
                }
            }
        }
    }

    private typealias Merge = (
        _ old: () throws -> BaselineRecord?, _ emit: (BaselineRecord) throws -> Void
    ) throws -> Void

    private func write(
        _ header: BaselineHeader, _ old: KeptBaseline?, merge: Merge
    ) throws -> Digest {
        let isSwapped = Self.isSwapped(header.identities)
        var header = header
        header.previous = try old?.id()
        if isSwapped { header.identities = header.identities.swapped }
        let name = Self.name(header.identities)
        let temporary = name + Array(".new".utf8)
        try? folder.remove(temporary)
        let file = try folder.create(temporary)
        var writer = try BaselineWriter(header, hash: frameHash(), chain: frameHash()) {
            try file.write($0)
        }
        // Digests over blocks of another size say nothing about these.
        let usable = old?.header.blockSize == header.blockSize ? old : nil
        var records = try usable?.records()
        try merge({ try records?.next() }, { try writer.append(isSwapped ? $0.swapped : $0) })
        let id = try writer.finish()
        try file.sync()
        try folder.rename(temporary, to: name)
        return id
    }

    private static func isSwapped(_ identities: Sides<StoreIdentity>) -> Bool {
        identities.b.fileName.lexicographicallyPrecedes(identities.a.fileName)
    }

    private static func name(_ identities: Sides<StoreIdentity>) -> [UInt8] {
        let ordered = isSwapped(identities) ? identities.swapped : identities
        return ordered.a.fileName + separator + ordered.b.fileName
    }
}

/// A baseline that was kept, seen with the sides as the operator named them.
package final class KeptBaseline: Sendable {
    package let header: BaselineHeader
    private let file: InputFile
    private let name: [UInt8]
    private let isSwapped: Bool

    init(_ file: InputFile, _ name: [UInt8], isSwapped: Bool) throws {
        self.file = file
        self.name = name
        self.isSwapped = isSwapped
        var header = try DamagedBaseline.named(name) { try Self.reader(file) }.header
        if isSwapped { header.identities = header.identities.swapped }
        self.header = header
    }

    private static func reader(_ file: InputFile) throws -> BaselineReader<EVPHash> {
        try BaselineReader(hash: frameHash(), chain: frameHash()) {
            try file.read(at: $0, count: $1)
        }
    }

    /// Its records from the first on.
    package func records() throws -> BaselineRecords {
        BaselineRecords(
            reader: try DamagedBaseline.named(name) { try Self.reader(file) }, name,
            isSwapped: isSwapped)
    }

    /// Known only after all of it was read.
    package func id() throws -> Digest? {
        try DamagedBaseline.named(name) {
            var reader = try Self.reader(file)
            while try reader.next() != nil {}
            return reader.id
        }
    }
}

package struct BaselineRecords {
    private var reader: BaselineReader<EVPHash>
    private let name: [UInt8]
    private let isSwapped: Bool
    private let now = Timestamp.now
    private var front: BaselineRecord?
    private var isAtEnd = false

    fileprivate init(reader: BaselineReader<EVPHash>, _ name: [UInt8], isSwapped: Bool) {
        self.reader = reader
        self.name = name
        self.isSwapped = isSwapped
    }

    /// What was proven at a time that is still to come was so by a clock that was wrong: nobody can
    /// tell what came before it and what after.
    package mutating func next() throws -> BaselineRecord? {
        while let record = try DamagedBaseline.named(name, { try reader.next() }) {
            guard record.time <= now else { continue }
            return isSwapped ? record.swapped : record
        }
        return nil
    }

    /// The record of an entry; asked for in walk order.
    package mutating func record(of path: RelativePath) throws -> BaselineRecord? {
        while !isAtEnd, front.map({ $0.path < path }) ?? true {
            front = try next()
            isAtEnd = front == nil
        }
        return front?.path == path ? front : nil
    }
}
