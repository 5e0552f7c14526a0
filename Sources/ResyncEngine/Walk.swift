package import ResyncCore
package import ResyncStorage

/// Which entries a walk visits.
package struct WalkScope: Sendable {
    package var filter = Filter.none
    /// Only these, and nothing below them; nil for everything.
    package var selection: Selection?
    /// Only these, each with all that lies below it, and the directories above them; nil for
    /// everything.
    package var within: Selection?
    /// Everything up to and including this entry was visited before.
    package var resumeAfter: RelativePath?
    /// The directories on the way to it, as an earlier attempt had listed them, and it, where it is
    /// one that was come into.
    package var listed: [EnteredDirectory] = []
    /// Names looked at together; bounds the files a worker holds open.
    package var batchSize = 64

    package init() {}
}

/// The stores a walk goes through side by side; without B it goes through A alone.
package struct WalkedSites: Sendable {
    package let a: any Site
    package let b: (any Site)?

    package init(a: any Site, b: (any Site)?) {
        self.a = a
        self.b = b
    }

    package var presence: Presence { b == nil ? .a : .both }
}

/// A directory as it is on each side: nil where it is absent, or not a directory.
package final class PairedDirectory: Sendable {
    package let sides: Sides<(any SiteDirectory)?>
    private let listing = ListingKnowledge()

    init(_ sides: Sides<(any SiteDirectory)?>) { self.sides = sides }

    /// By what is known until now, an earlier attempt at the run included.
    package var completeness: Sides<Completeness> { listing.completeness }

    func note(_ completeness: Completeness, on side: Side) { listing.note(completeness, on: side) }

    package var presence: Presence {
        var presence: Presence = []
        if sides.a != nil { presence.insert(.a) }
        if sides.b != nil { presence.insert(.b) }
        return presence
    }

    package var path: RelativePath { (sides.a ?? sides.b)?.path ?? .root }
}

/// A directory that was come into, for as long as a walk may be stopped in it: its names are what
/// they were while it stays like that.
package final class EnteredDirectory: Sendable {
    /// How many names lead to it from the root.
    let depth: Int
    /// Just before it was listed.
    let stats: Sides<StatWitness?>
    /// Nil where it is not listed yet, or was in an earlier attempt.
    private let directory: PairedDirectory?
    private let earlier: Sides<Completeness>

    init(
        depth: Int, _ stats: Sides<StatWitness?>,
        _ completeness: Sides<Completeness> = Sides(a: .complete, b: .complete)
    ) {
        self.depth = depth
        self.stats = stats
        directory = nil
        earlier = completeness
    }

    init(depth: Int, listed directory: PairedDirectory) {
        self.depth = depth
        self.directory = directory
        stats = directory.stats
        earlier = Sides(a: .complete, b: .complete)
    }

    /// By now.
    var completeness: Sides<Completeness> { directory?.completeness ?? earlier }
}

extension PairedDirectory {
    fileprivate var stats: Sides<StatWitness?> {
        sides.map { $0.map { StatWitness($0.entry.stat) } }
    }

    /// Adds what an earlier attempt, which passed some of its names, knew of it. A name that came
    /// since, before the place of the stop, is visited by nobody.
    func note(_ earlier: EnteredDirectory?) {
        let stats = stats
        for side in Side.allCases {
            guard let earlier else {
                if sides[side] != nil { note(.changing, on: side) }
                continue
            }
            note(earlier.completeness[side], on: side)
            if earlier.stats[side] != stats[side] { note(.changing, on: side) }
        }
    }
}

/// What a pass makes of the entries that a walk leads it to. Called from many workers at once; the
/// outputs come out in the order of the entries.
package protocol Pass: Sendable {
    associatedtype Output: Sendable
    /// Work that a pass splits off, to be shared by several workers.
    associatedtype Work: Sendable
    /// Whether a directory that moved between its listing and the end of all that is below it
    /// counts as one that was changed while it was listed.
    static var looksAgain: Bool { get }
    typealias Pieces = [Piece<WalkUnit<Self>, Output>]

    /// A directory's own entry, with what opening it gave on each side it was listed on. `path` is
    /// computed only when asked for.
    func enter(
        _ opened: Sides<OpenedDirectory>, presence: Presence, path: () -> RelativePath
    ) -> [Output]
    /// A directory that an earlier attempt at the run had entered and was stopped in or below, with
    /// what opening it gave this time. Its names before that place are not visited again.
    func reenter(_ opened: Sides<OpenedDirectory>, path: () -> RelativePath) -> [Output]
    /// A directory whose names were listed, before any of them is visited. Not called where it was
    /// not entered.
    func listed(
        _ directory: PairedDirectory, completeness: Sides<Completeness>
    ) -> [Output]
    /// A directory above selected paths, before any of them is visited; its names are not listed.
    func passing(_ directory: PairedDirectory) -> [Output]
    /// So many selected paths are left out by the walk's rules.
    func leftOut(_ count: Int) -> [Output]
    /// Entries of a directory that are no directories.
    func visit(
        _ names: PairedNames, in directory: PairedDirectory, _ worker: Worker
    ) throws -> Pieces
    /// All entries below the directory come before this.
    func leave(
        _ directory: PairedDirectory, completeness: Sides<Completeness>, excluded: Int
    ) -> [Output]
    /// Selected paths that the walk could not come to, because a directory above them is missing,
    /// or cannot be opened on some side.
    func unreached(
        _ paths: ArraySlice<RelativePath>, because opened: Sides<OpenedDirectory>
    ) -> [Output]
    func run(_ work: Work, _ worker: Worker) throws -> Pieces
}

extension Pass {
    package static var looksAgain: Bool { false }

    package func reenter(
        _ opened: Sides<OpenedDirectory>, path: () -> RelativePath
    ) -> [Output] { [] }

    package func listed(
        _ directory: PairedDirectory, completeness: Sides<Completeness>
    ) -> [Output] { [] }

    package func passing(_ directory: PairedDirectory) -> [Output] { [] }
    package func leftOut(_ count: Int) -> [Output] { [] }
}

/// A unit of a walk's work.
package enum WalkUnit<P: Pass>: Sendable {
    case root
    /// Open and list a subdirectory.
    case directory(Step)
    /// Look at some names.
    case names(PairedNames, PairedDirectory)
    /// Go on with a directory's listing.
    case more(DirectoryTurn)
    /// Leave a directory of which all is done.
    case leave(DirectoryTurn)
    case work(P.Work)

    /// The way into a subdirectory: its name as the only element of a list.
    package struct Step: Sendable {
        let name: PairedNames
        let parent: PairedDirectory
        let scope: SubtreeScope
    }
}

/// What of a subtree is visited.
package struct SubtreeScope: Sendable {
    /// The rest of the path to resume after, from here down.
    var resume: ArraySlice<Name>?
    /// The selected paths in this subtree.
    var selected: Range<Int>?
    /// Whether the directory's own entry belongs to the result.
    var isReported = true
}

/// Leads a pass through one or two stores.
package struct Walk<P: Pass>: Sendable {
    package let pass: P
    let sites: WalkedSites
    let scope: WalkScope

    package init(_ pass: P, _ sites: WalkedSites, _ scope: WalkScope) {
        self.pass = pass
        self.sites = sites
        var scope = scope
        if let resume = scope.resumeAfter, let selection = scope.selection {
            scope.selection = Selection(selection.paths.filter { resume < $0 })
        }
        self.scope = scope
    }

    package func run(_ unit: WalkUnit<P>, _ worker: Worker) throws -> P.Pieces {
        worker.hold()
        // A unit that a stop cut short goes back as it was: it was not done.
        if worker.stop.isRequested { return [.unit(unit)] }
        defer { worker.pulse.leave() }
        let pieces: P.Pieces
        switch unit {
        case .root: pieces = try enterRoot(worker)
        case .directory(let step): pieces = enter(step, worker)
        case .names(let names, let directory):
            pieces = try pass.visit(names, in: directory, worker)
        case .more(let turn): return go(on: turn)
        case .leave(let turn): pieces = leave(turn, worker)
        case .work(let work): return try pass.run(work, worker)
        }
        return worker.stop.isRequested ? [.unit(unit)] : pieces
    }

    private func enterRoot(_ worker: Worker) throws -> P.Pieces {
        worker.pulse.enter(Pulse.Place(side: .a, directory: nil, names: nil))
        let a = try sites.a.root()
        worker.pulse.enter(Pulse.Place(side: .b, directory: nil, names: nil))
        let b = try sites.b?.root()
        let opened = Sides(
            a: OpenedDirectory(entry: a.entry, directory: a),
            b: OpenedDirectory(entry: b?.entry, directory: b))
        var inner = SubtreeScope()
        inner.resume = scope.resumeAfter.map { $0.components[...] }
        inner.selected = scope.selection.map { 0..<$0.paths.count }
        let isSelected = scope.selection.map { $0.paths.first == .root } ?? true
        inner.isReported = isSelected && inner.resume == nil
        return descend(opened, sites.presence, inner, worker) { .root }
    }

    private func enter(_ step: WalkUnit<P>.Step, _ worker: Worker) -> P.Pieces {
        var opened = Sides(a: OpenedDirectory(), b: OpenedDirectory())
        for side in Side.allCases where step.name.presence[0].contains(side) {
            guard let parent = step.parent.sides[side] else { continue }
            worker.pulse.enter(
                Pulse.Place(side: side, directory: parent, names: step.name.names))
            opened[side] = parent.open(step.name.names, 0, worker)
        }
        return descend(opened, step.name.presence[0], step.scope, worker) {
            step.parent.path.appending(step.name.names.name(0))
        }
    }

    /// Reports a directory's own entry and begins its listing.
    private func descend(
        _ opened: Sides<OpenedDirectory>, _ presence: Presence, _ inner: SubtreeScope,
        _ worker: Worker, path: () -> RelativePath
    ) -> P.Pieces {
        var pieces: P.Pieces = []
        if inner.isReported {
            pieces += pass.enter(opened, presence: presence, path: path).map { .output($0) }
        } else if inner.selected == nil {
            pieces += pass.reenter(opened, path: path).map { .output($0) }
        }
        // Where one side cannot be opened, the other's entries have nothing to be compared with.
        let isBlocked = opened.a.failure != nil || opened.b.failure != nil
        let directory = PairedDirectory(opened.map { $0.directory })
        guard !isBlocked, !directory.presence.isEmpty else {
            if let selected = inner.selected, let selection = scope.selection {
                let unreached = pass.unreached(selection.paths[selected], because: opened)
                pieces += unreached.map { .output($0) }
            }
            return pieces
        }
        if let selected = inner.selected {
            pieces += pass.passing(directory).map { .output($0) }
            pieces += select(selected, in: directory, depth: path().depth, worker)
            return pieces
        }
        let turn = DirectoryTurn(directory, inner, scope, worker)
        if !inner.isReported {
            let depth = path().depth
            if depth < scope.listed.count {
                directory.note(scope.listed[depth])
            } else if inner.resume != nil {
                directory.note(nil)
            }
        }
        pieces += pass.listed(directory, completeness: directory.completeness).map { .output($0) }
        pieces += [.unit(.more(turn)), .last(.leave(turn))]
        return pieces
    }

    /// The next portion of a directory's names as units, and the rest as another turn.
    private func go(on turn: DirectoryTurn) -> P.Pieces {
        var pieces: P.Pieces = []
        for item in turn.nextItems() {
            switch item {
            case .names(let names): pieces.append(.unit(.names(names, turn.directory)))
            case .directory(let name, let inner):
                pieces.append(
                    .unit(.directory(.init(name: name, parent: turn.directory, scope: inner))))
            }
        }
        if !turn.isDone { pieces.append(.unit(.more(turn))) }
        return pieces
    }

    private func leave(_ turn: DirectoryTurn, _ worker: Worker) -> P.Pieces {
        if P.looksAgain { turn.lookAgain(worker) }
        return outputs(leaving: turn).map { .output($0) }
    }

    /// What the end of a directory that was listed gives.
    func outputs(leaving turn: DirectoryTurn) -> [P.Output] {
        pass.leave(
            turn.directory, completeness: turn.directory.completeness,
            excluded: turn.excludedCount)
    }

    /// Units for the selected entries in a directory, without listing it.
    private func select(
        _ range: Range<Int>, in directory: PairedDirectory, depth: Int, _ worker: Worker
    ) -> P.Pieces {
        guard let selection = scope.selection else { return [] }
        var pieces: P.Pieces = []
        var batch = PairedNames()
        func flush() {
            if !batch.isEmpty { pieces.append(.unit(.names(batch, directory))) }
            batch = PairedNames()
        }
        for group in selection.groups(in: range, depth: depth) {
            let presence = counting(group.name, in: directory, worker)
            // A side that is left out has a directory of that name then, and no other side.
            let leadsOn =
                presence == directory.presence
                || !scope.filter.excludes(group.name, in: directory, isDirectory: true)
            if presence.isEmpty || !leadsOn {
                let isVisited = group.isSelected && !presence.isEmpty
                if isVisited { batch.append(group.name, kind: nil, presence) }
                flush()
                let count = group.below.count + (group.isSelected && !isVisited ? 1 : 0)
                pieces += pass.leftOut(count).map { .output($0) }
            } else if group.below.isEmpty {
                batch.append(group.name, kind: nil, presence)
                if batch.count >= scope.batchSize { flush() }
            } else {
                flush()
                var name = PairedNames()
                name.append(group.name, kind: .directory, presence)
                let inner = SubtreeScope(
                    resume: nil, selected: group.below, isReported: group.isSelected)
                pieces.append(
                    .unit(.directory(.init(name: name, parent: directory, scope: inner))))
            }
        }
        flush()
        return pieces
    }

    /// The sides on which a selected name is to be looked at: it is left out as it would be where
    /// the directory is listed.
    private func counting(
        _ name: Name, in directory: PairedDirectory, _ worker: Worker
    ) -> Presence {
        if directory.path == .root, name.bytes.starts(with: reservedPrefix) { return [] }
        guard !scope.filter.isEmpty else { return directory.presence }
        let excluded = (
            directory: scope.filter.excludes(name, in: directory, isDirectory: true),
            other: scope.filter.excludes(name, in: directory, isDirectory: false)
        )
        if excluded.directory == excluded.other {
            return excluded.directory ? [] : directory.presence
        }
        var names = NameList()
        names.append(name, kind: nil)
        var (counting, isFound, isExcluded) = (directory.presence, false, false)
        for side in Side.allCases {
            guard let held = directory.sides[side] else { continue }
            worker.pulse.enter(Pulse.Place(side: side, directory: held, names: names))
            let examination = held.examine(names, [.describe], worker)
            defer { examination.close() }
            guard let type = examination[0].entry?.stat.type else {
                isFound = isFound || examination[0].failure != nil
                continue
            }
            if type == .directory ? excluded.directory : excluded.other {
                counting.remove(Presence.on(side))
                isExcluded = true
            } else {
                isFound = true
            }
        }
        return isExcluded && !isFound ? [] : counting
    }
}

extension Filter {
    fileprivate func excludes(
        _ name: Name, in directory: PairedDirectory, isDirectory: Bool
    ) -> Bool {
        guard !isEmpty else { return false }
        let parent = directory.path.bytes
        return name.bytes.withUnsafeBufferPointer {
            excludes($0, in: parent, isDirectory: isDirectory)
        }
    }
}
