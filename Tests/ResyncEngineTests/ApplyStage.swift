import ResyncCore
import ResyncStorage
import Synchronization
import TestSupport

@testable import ResyncEngine

/// Two stores and resync's state on one simulated disk, so that all of it loses its power at once,
/// with a plan that makes `/b` what `/a` is.
struct ApplyStage: Sendable {
    let disk: SimulatedDisk
    /// Compared and copied beyond the standard aspects.
    let details: AspectSet
    /// Of the standard aspects, what is not compared.
    let left: AspectSet
    /// Whether the plan knows the digests of what it displaces.
    let readsTarget: Bool
    static let blockSize = 64 << 10
    static let calm = Timestamp(seconds: 1_600_000_000, nanoseconds: 1)

    init(
        _ disk: SimulatedDisk = SimulatedDisk(), details: AspectSet = [], left: AspectSet = [],
        readsTarget: Bool = true
    ) {
        self.readsTarget = readsTarget
        self.disk = disk
        self.details = details
        self.left = left
    }

    /// Builds both stores; B begins as it was planted.
    static func planted(
        a: (SimulatedDisk) -> Void, b: (SimulatedDisk) -> Void, details: AspectSet = [],
        left: AspectSet = [], readsTarget: Bool = true
    ) throws -> ApplyStage {
        let stage = ApplyStage(details: details, left: left, readsTarget: readsTarget)
        stage.disk.addFile("/around/file", "nobody's business", Ownership(mtime: calm))
        stage.disk.addDirectory("/a")
        stage.disk.addDirectory("/b")
        a(stage.disk)
        b(stage.disk)
        stage.disk.advance(seconds: 1000)
        try stage.plan()
        return stage
    }

    private func site(_ path: String) throws -> LocalSite {
        var options = LocalSiteOptions()
        options.details = details
        return try LocalSite(path: Array(path.utf8), disk: disk, options: options)
    }

    func sites() throws -> Sides<LocalSite> { Sides(a: try site("/a"), b: try site("/b")) }

    private func job() throws -> ApplyJob { ApplyJob(try folder(), try sites(), .none, settle: 0) }

    func state() throws -> StateFolder { try StateFolder(path: Array("/state".utf8), disk: disk) }

    private func planFile() throws -> InputFile {
        try state().folder.read(Array("plan".utf8))
    }

    /// Writes the plan; durable when this returns.
    func plan() throws {
        let folder = try state().folder
        let header = PlanHeader(
            stores: Sides(
                a: StoreReference(path: Array("/a".utf8), kind: .directory, identity: .init()),
                b: StoreReference(path: Array("/b".utf8), kind: .directory, identity: .init())),
            authority: .a, created: disk.time, blockSize: Self.blockSize,
            aspects: .standard.union(details).subtracting(left), exclusions: .zero)
        let file = try folder.create(Array("plan".utf8))
        var writer = try PlanWriter(header, hash: frameHash(), chain: frameHash()) {
            try file.write($0)
        }
        for action in try NaivePlanner(self).actions() { try writer.append(action) }
        _ = try writer.finish(PlanLeftOut())
        try file.sync()
        try folder.sync()
    }

    /// The run's folder, begun or gone on with, whatever a crash left of it.
    func folder() throws -> ApplyFolder {
        let runs = try state().runs
        let id = "run"
        if let run = try? RunFolder.open(id, in: runs) {
            do {
                return try ApplyFolder(resume: run)
            } catch {
                // A crash in the beginning: nothing was done by it.
                guard try isUnbegun() else { throw error }
                try run.delete(from: runs)
            }
        }
        let header = RunHeader(
            id: id, kind: "apply", started: Self.calm, a: [], b: [], arguments: [],
            workingDirectory: [], version: "test")
        let file = try planFile()
        let plan = try PlanReader(hash: try EVPHash(.sha256), chain: try EVPHash(.sha256)) {
            try file.read(at: $0, count: $1)
        }
        return try ApplyFolder(
            begin: try RunFolder.create(in: runs, header), plan: file, id: plan.id)
    }

    /// Whether no action of the run can have left a trace.
    private func isUnbegun() throws -> Bool {
        let marker = try MarkerFile.read(try site("/b"))
        return marker?.inconsistent == nil
    }

    /// - Parameters:
    ///   - maxUndo: bytes kept for an undo on each side.
    ///   - freed: called with what a slice frees; nil where nothing may be freed.
    @discardableResult
    func apply(
        workers: Int = 1, maxUndo: Int? = nil, freed: ((Quarantine.Freed) -> Void)? = nil
    ) throws -> ApplyResult {
        var options = ApplyOptions(blockSize: Self.blockSize)
        options.workers = workers
        options.maxUndo = maxUndo
        return try job().apply(options, ComparisonRules(), try state().baselines, freed: freed)
    }

    @discardableResult
    func undo() throws -> ApplyResult { try job().undo(try state().baselines) }

    /// Frees what the run keeps of what it displaced.
    @discardableResult
    func purge() throws -> Quarantine.Freed { try Quarantine(try folder()).release(try sites()) }

    func confirm() throws -> (result: ConfirmResult, different: [String]) {
        var different: [String] = []
        var rules = ComparisonRules()
        rules.aspects = rules.aspects.subtracting(left)
        let result = try job().confirm(rules, try state().baselines) { path, aspects in
            different.append("\(escaped(path.bytes)) \(aspects.aspects.map(\.word))")
        }
        return (result, different)
    }

    func marker(_ side: Side) throws -> StoreMarker? {
        try MarkerFile.read(try sites()[side])
    }

    /// A store as its user sees it: without what is resync's.
    func store(_ root: String) -> TreeImage {
        var image = disk.tree(root)
        image.entries = image.entries.filter { path, _ in
            !path.split(separator: slash).contains { $0.starts(with: reservedPrefix) }
        }
        return image
    }

    /// What differs between two images, the root's own times left aside.
    static func differences(_ new: TreeImage, _ old: TreeImage) -> [String] {
        var (new, old) = (new, old)
        let time = Timestamp(seconds: 0, nanoseconds: 0)
        new.entries[[]]?.mtime = time
        old.entries[[]]?.mtime = time
        return new.differences(from: old)
    }

    /// Every content of a file that is anywhere on the disk.
    func contents() -> Set<UInt64> { disk.contentNumbers() }
}

extension RunControls {
    static let none = RunControls(interruption: { nil }, report: { _, _ in })
}

/// Compares the two stores of a stage without any cleverness, and writes down what makes B the
/// same as A, in the order that plans have.
struct NaivePlanner {
    private let a: any StoreChanger
    private let b: any StoreChanger
    private let worker: Worker
    private let readsTarget: Bool
    private let paths: [RelativePath]
    private var forward: [Action] = []
    private var removals: [Action] = []
    private var late: [Action] = []
    private var links: [Action] = []
    private var settling: [Action] = []
    private var touched: Set<RelativePath> = []
    private var firstNames: [UInt64: RelativePath] = [:]

    init(_ stage: ApplyStage) throws {
        let order = ChangeOrder(
            run: "plan", secret: .zero, blockSize: ApplyStage.blockSize, planned: stage.disk.time)
        let sites = try stage.sites()
        readsTarget = stage.readsTarget
        a = sites.a.changer(order)
        b = sites.b.changer(order)
        worker = try Worker(
            scheme: try DigestScheme(.sha256, blockSize: ApplyStage.blockSize), pulse: Pulse(),
            stop: Stop())
        var found: Set<RelativePath> = [.root]
        for path in stage.disk.paths where path.starts(with: [slash, 0x61, slash]) {
            found.insert(RelativePath(Array(path[3...])))
        }
        for path in stage.disk.paths where path.starts(with: [slash, 0x62, slash]) {
            found.insert(RelativePath(Array(path[3...])))
        }
        paths = found.sorted()
    }

    func actions() throws -> [Action] {
        var planner = self
        for path in paths { try planner.look(path) }
        try planner.settle()
        return planner.forward + planner.removals.reversed() + planner.late + planner.links
            + planner.settling.reversed()
    }

    private mutating func look(_ path: RelativePath) throws {
        let old = try b.observe(path, readsContent: readsTarget, worker).observed
        let new = try a.observe(path, readsContent: true, worker).observed
        guard let new else {
            guard let old else { return }
            return add(old.isDirectory ? .removeDirectory : .remove, path, old, nil)
        }
        if new.isDirectory {
            if old?.isDirectory != true { add(.makeDirectory, path, old, new) }
            return
        }
        if let old, old.isDirectory {
            add(.removeDirectory, path, old, nil)
            return add(kind(new.type), path, nil, new, isLate: true)
        }
        if new.stat.links > 1 {
            if let first = firstNames[new.stat.inode] {
                var link = Action(.link, on: .b, path, why: .unknown)
                (link.before, link.after, link.linkTo) = (old, new, first)
                links.append(link)
                touched.insert(path.parent)
                return
            }
            firstNames[new.stat.inode] = path
        }
        guard let old, old.type == new.type else { return add(kind(new.type), path, old, new) }
        let isSameData =
            old.content == new.content && old.entry.target == new.entry.target
            && old.stat.special == new.stat.special && old.entry.xattrs == new.entry.xattrs
        let metadata = ComparisonRules().metadataDifferences(old.entry, new.entry)
        let isLinked = old.stat.links > 1 || new.stat.links > 1
        if isSameData, metadata.isEmpty, !isLinked { return }
        add(isSameData && !isLinked ? .metadata : kind(new.type), path, old, new)
    }

    private func kind(_ type: EntryType) -> Action.Kind {
        switch type {
        case .file: .write
        case .symlink: .symlink
        case .directory: .makeDirectory
        case .fifo, .socket, .characterDevice, .blockDevice: .special
        }
    }

    private mutating func add(
        _ kind: Action.Kind, _ path: RelativePath, _ before: ObservedEntry?,
        _ after: ObservedEntry?, isLate: Bool = false
    ) {
        var action = Action(kind, on: .b, path, why: .unknown)
        (action.before, action.after) = (before, after)
        switch kind {
        case .remove, .removeDirectory: removals.append(action)
        default: if isLate { late.append(action) } else { forward.append(action) }
        }
        if kind != .metadata { touched.insert(path.parent) }
    }

    private mutating func settle() throws {
        for path in paths {
            guard let new = try a.observe(path, readsContent: false, worker).observed,
                new.isDirectory
            else { continue }
            let old = try b.observe(path, readsContent: false, worker).observed
            let isNew = old?.isDirectory != true
            let differs =
                old.map {
                    !ComparisonRules().metadataDifferences($0.entry, new.entry).isEmpty
                } ?? true
            guard isNew || differs || touched.contains(path) else { continue }
            var action = Action(.settleDirectory, on: .b, path, why: .unknown)
            (action.before, action.after) = (isNew ? nil : old, new)
            settling.append(action)
        }
    }
}
