import ResyncCore
import ResyncStorage

/// Looks at both sides of what differs once more, and digests what a plan has to know of it.
struct Survey: Pass {
    enum Output: Sendable {
        /// A directory on the way, before anything in it.
        case directory(RelativePath, Sides<ObservedEntry?>)
        case entry(Look)
    }

    /// What was found under one path.
    struct Look: Sendable {
        let path: RelativePath
        var sides: Sides<ObservedEntry?> = Sides(a: nil, b: nil)
        var isZero = Sides(a: false, b: false)
        /// Whether it could be looked at, and stood still.
        var isSettled = true
        /// A file beside a directory: to be digested in a walk of its own.
        var needsContent = false
    }

    /// Which contents are needed.
    struct Wants: Sendable {
        /// Both sides', to be held against the baseline.
        var judges = false
        /// The side that is copied from, if it is always the same.
        var source: Side?
    }

    /// Nothing is split off.
    typealias Work = Never

    private let wanted: [RelativePath: Difference]
    private let wants: Wants
    private let scheme: DigestScheme

    /// - Precondition: the scheme's digests can be kept.
    init(_ wanted: [Difference], _ wants: Wants, _ scheme: DigestScheme) {
        var table: [RelativePath: Difference] = [:]
        for difference in wanted { table[difference.path] = difference }
        self.wanted = table
        self.wants = wants
        self.scheme = scheme
    }

    func run(_ work: Never, _ worker: Worker) throws -> Pieces {}

    func passing(_ directory: PairedDirectory) -> [Output] {
        let sides = directory.sides.map { held in held.map { ObservedEntry(entry: $0.entry) } }
        return [.directory(directory.path, sides)]
    }

    func enter(
        _ opened: Sides<OpenedDirectory>, presence: Presence, path: () -> RelativePath
    ) -> [Output] {
        let path = path()
        guard wanted[path] != nil else { return [] }
        var look = Look(path: path)
        look.sides = opened.map { opened in opened.entry.map { ObservedEntry(entry: $0) } }
        look.isSettled = opened.a.failure == nil && opened.b.failure == nil
        look.needsContent = Side.allCases.contains { look.sides[$0]?.type == .file }
        return [.entry(look)]
    }

    func leave(
        _ directory: PairedDirectory, completeness: Sides<Completeness>, excluded: Int
    ) -> [Output] { [] }

    func unreached(
        _ paths: ArraySlice<RelativePath>, because opened: Sides<OpenedDirectory>
    ) -> [Output] {
        paths.filter { wanted[$0] != nil }.map { path in
            var look = Look(path: path)
            look.isSettled = false
            return .entry(look)
        }
    }

    func visit(
        _ names: PairedNames, in directory: PairedDirectory, _ worker: Worker
    ) throws -> Pieces {
        var examined: Sides<(any Examination)?> = Sides(a: nil, b: nil)
        for side in Side.allCases {
            guard let held = directory.sides[side] else { continue }
            worker.pulse.enter(Pulse.Place(side: side, directory: held, names: names.names))
            let wishes = [Wish](repeating: .open, count: names.count)
            examined[side] = held.examine(names.names, wishes, worker)
        }
        defer {
            examined.a?.close()
            examined.b?.close()
        }
        var pieces: Pieces = []
        for index in 0..<names.count {
            let path = directory.path.appending(names.names.name(index))
            guard let difference = wanted[path] else { continue }
            pieces.append(.output(.entry(try look(difference, examined, index, worker))))
        }
        return pieces
    }

    private func look(
        _ difference: Difference, _ examined: Sides<(any Examination)?>, _ index: Int,
        _ worker: Worker
    ) throws -> Look {
        var look = Look(path: difference.path)
        let found = examined.map { $0?[index] ?? Examined() }
        look.sides = found.map { found in found.entry.map { ObservedEntry(entry: $0) } }
        look.isSettled = found.a.failure == nil && found.b.failure == nil
        guard look.isSettled else { return look }
        for side in Side.allCases where needsContent(look.sides, difference, side) {
            guard let open = examined[side], let stat = look.sides[side]?.stat else { continue }
            let reading = try digest(open, index, stat, difference, worker)
            look.sides[side]?.content = reading?.digest
            look.isZero[side] = reading?.isZero ?? false
            if reading == nil { look.isSettled = false }
        }
        return look
    }

    private func needsContent(
        _ sides: Sides<ObservedEntry?>, _ difference: Difference, _ side: Side
    ) -> Bool {
        guard let own = sides[side], own.type == .file else { return false }
        guard let other = sides[side.other], other.type == .file else {
            // Of what is only there to be replaced or removed the bytes mean nothing.
            return wants.judges || wants.source.map { $0 == side } ?? true
        }
        let isUnmoved = Side.allCases.allSatisfy { side in
            sides[side].map { StatWitness($0.stat) } == difference.stats[side]
        }
        if !isUnmoved { return true }
        let isInPlace =
            difference.aspects.canBeChangedInPlace(of: own.stat)
            && difference.aspects.canBeChangedInPlace(of: other.stat)
        // What is replaced is known again by its bytes, should a crash move its ctime.
        return !isInPlace
    }

    /// Nil where it moved meanwhile, or not all of it can be read.
    private func digest(
        _ open: any Examination, _ index: Int, _ stat: Stat, _ difference: Difference,
        _ worker: Worker
    ) throws -> (digest: Digest, isZero: Bool)? {
        let blockSize = scheme.blockSize
        // What was seen on the medium is not asked of the page cache again.
        let sources: [ReadSource] =
            difference.confirmedFrom == .media ? [.media, .cache] : [.cache]
        for source in sources {
            let request = ContentRequest(
                index: index, blocks: 0..<blockCount(stat.size, blockSize), source: source)
            guard let answer = try open.digest([request], worker).first else { return nil }
            if answer.state == .noMedium { continue }
            guard answer.isWhole else { return nil }
            var tree = BlockTree(ManifestHashes.openSSL.make(scheme.algorithm))
            let digest = tree.fileDigest(answer.blocks, size: stat.size, blockSize: blockSize)
            return (digest, try isZero(answer.blocks, stat.size, worker))
        }
        return nil
    }

    private func isZero(_ blocks: BlockList, _ size: Int, _ worker: Worker) throws -> Bool {
        let runs = blocks.runs
        guard size > 0, runs.count <= 2 else { return false }
        let blockSize = scheme.blockSize
        let rest = size % blockSize
        var expected = BlockList()
        if size >= blockSize {
            expected.append(try worker.digester.zeros(blockSize), count: size / blockSize)
        }
        if rest > 0 { expected.append(try worker.digester.zeros(rest)) }
        return expected == blocks
    }
}
