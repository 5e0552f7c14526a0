import ResyncCore
import ResyncStorage

/// Lists the names of a store that stand for files of several names; reads no content.
struct LinkScan: Pass {
    struct Output: Sendable {
        let path: RelativePath
        let identity: ObjectIdentity
    }

    typealias Work = Never

    func run(_ work: Never, _ worker: Worker) throws -> Pieces {}

    func enter(
        _ opened: Sides<OpenedDirectory>, presence: Presence, path: () -> RelativePath
    ) -> [Output] { [] }

    func leave(
        _ directory: PairedDirectory, completeness: Sides<Completeness>, excluded: Int
    ) -> [Output] { [] }

    func unreached(
        _ paths: ArraySlice<RelativePath>, because opened: Sides<OpenedDirectory>
    ) -> [Output] { [] }

    func visit(
        _ names: PairedNames, in directory: PairedDirectory, _ worker: Worker
    ) throws -> Pieces {
        guard let held = directory.sides.a else { return [] }
        worker.pulse.enter(Pulse.Place(side: .a, directory: held, names: names.names))
        let wishes = [Wish](repeating: .describe, count: names.count)
        let examined = held.examine(names.names, wishes, worker)
        defer { examined.close() }
        var pieces: Pieces = []
        for index in 0..<names.count {
            guard let stat = examined[index].entry?.stat, stat.type != .directory, stat.links > 1
            else { continue }
            let path = directory.path.appending(names.names.name(index))
            pieces.append(.output(Output(path: path, identity: stat.identity)))
        }
        return pieces
    }
}

/// For files of several names, one name that both sides have and agree about.
struct AgreeingNames {
    private var first: [ObjectIdentity: RelativePath] = [:]

    /// - Parameters:
    ///   - names: of one side, in walk order.
    ///   - differences: of a comparison that came to its end, in walk order.
    init(_ names: [LinkScan.Output], without differences: inout ResultReader) throws {
        var record = try differences.next()
        for name in names {
            while let current = record, current.path < name.path {
                record = try differences.next()
            }
            if case .difference? = record, record?.path == name.path { continue }
            if first[name.identity] == nil { first[name.identity] = name.path }
        }
    }

    subscript(identity: ObjectIdentity) -> RelativePath? { first[identity] }
}
