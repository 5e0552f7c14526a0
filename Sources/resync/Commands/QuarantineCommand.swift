import ArgumentParser
import ResyncCore
import ResyncEngine
import ResyncStorage

struct QuarantineCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quarantine",
        abstract: "What runs displaced and keep, and freeing it.",
        subcommands: [List.self, Copy.self, Purge.self, Erase.self])

    struct List: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "List what is kept, and of which run.",
            discussion: """
                Of a STORE also what lies there of runs that nothing is known of, as when the \
                state was lost: it is left alone, and can be copied.
                """)

        @Argument(
            help: ArgumentHelp("A store to be looked into.", valueName: "STORE"),
            completion: .directory)
        var stores: [String] = []

        @OptionGroup var state: StateOptions

        mutating func execute() throws -> ExitStatus {
            let state = try state.open()
            var account = Account()
            let runs = try AppliedRuns(state)
            for folder in runs.folders { try list(folder, &account) }
            let known = Set(try RunFolder.list(in: state.runs).map { Array($0.utf8) })
            for store in stores { try list(unknownIn: store, besides: known, &account) }
            var words = "\(countText(account.entries)) kept, \(sizeText(account.bytes))"
            let isAll = account.isWhole && runs.unread == 0
            if !isAll { words = "at least " + words }
            if account.gone > 0 { words += "; \(countText(account.gone)) gone" }
            if account.unknown > 0 { words += "; \(countText(account.unknown)) of unknown runs" }
            if runs.unread > 0 {
                words +=
                    "; \(countText(runs.unread)) run"
                    + "\(runs.unread == 1 ? "" : "s") cannot be read"
            }
            try StandardOutput.shared.write(words + "\n")
            if !account.isWhole {
                Main.complain("what lies in stores that are not there was not looked at")
            }
            return isAll && account.gone + account.unknown == 0 ? .ok : .trouble
        }

        /// What was found.
        private struct Account {
            var entries = 0
            var bytes = 0
            /// Kept as far as the journal knows, and not there.
            var gone = 0
            /// Of runs that nothing is known of.
            var unknown = 0
            var isWhole = true

            mutating func add(_ size: Int) {
                entries += 1
                bytes = cappedSum(bytes, size)
            }
        }

        private func list(
            unknownIn store: String, besides known: Set<[UInt8]>, _ account: inout Account
        ) throws {
            let site = try LocalSite(
                path: RawArguments.bytes(store), disk: LinuxDisk(), options: LocalSiteOptions())
            guard site.facts.kind == .directory else {
                throw CommandError("only a directory has a quarantine", .usage)
            }
            for (run, name, stat) in try site.quarantined() where !known.contains(run) {
                account.unknown += 1
                try StandardOutput.shared.write(
                    "\(escaped(run))  .resync-quarantine/\(escaped(run + [slash] + name))  "
                        + "\(sizeText(stat.type == .file ? stat.size : 0))  of an unknown run\n")
            }
        }

        private func list(_ folder: ApplyFolder, _ account: inout Account) throws {
            let quarantine = Quarantine(folder)
            func write(_ action: Action, _ size: Int, _ note: String) throws {
                try StandardOutput.shared.write(
                    "\(folder.run.id)  \(action.side.letter)  \(shown(action.path))  "
                        + "\(sizeText(size))\(note)\n")
            }
            let sites = try folder.mayHaveStrays ? reachable(folder) : nil
            if folder.mayHaveStrays, sites == nil { account.isWhole = false }
            let missing = try sites.map { try quarantine.missing($0) } ?? []
            try quarantine.forEach { number, action in
                guard !missing.contains(number) else {
                    account.gone += 1
                    return try write(action, action.bytesDisplaced, "  gone")
                }
                account.add(action.bytesDisplaced)
                try write(action, action.bytesDisplaced, "")
            }
            for piece in folder.putAside {
                account.add(piece.extent.length)
                try StandardOutput.shared.write(
                    "\(folder.run.id)  \(piece.text)  put aside\n")
            }
            guard let sites else { return }
            for (stray, action) in try quarantine.strays(sites) {
                account.add(stray.stat.size)
                guard !quarantine.isCopy(stray) else {
                    try write(action, stray.stat.size, "  made, and taken back")
                    continue
                }
                let name = escaped(Array("\(stray.number)".utf8) + stray.suffix)
                try write(
                    action, stray.stat.size,
                    "  put aside: .resync-quarantine/\(folder.run.id)/\(name)")
            }
        }
    }

    struct Purge: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "Free what confirmed runs keep; they can then no longer be taken back.",
            discussion: """
                Only runs that were confirmed longer ago than --older-than, and of those that are \
                named only these.
                """)

        @Argument(help: ArgumentHelp("The runs; all where none is named.", valueName: "RUN"))
        var runs: [String] = []

        @Option(
            name: .long,
            help: ArgumentHelp("How long ago a run was confirmed.", valueName: "DURATION"))
        var olderThan = "14d"

        @OptionGroup var state: StateOptions

        mutating func execute() throws -> ExitStatus {
            let state = try state.open()
            let age = try duration(olderThan)
            var status = ExitStatus.ok
            let named = try runs.map { try state.runID($0, kind: "apply") }
            let runs = try AppliedRuns(state) { named.isEmpty || named.contains($0) }
            if runs.unread > 0 { status.merge(.trouble) }
            for folder in runs.folders {
                do {
                    status.merge(try purge(folder, state, age, isNamed: !named.isEmpty))
                } catch {
                    // One run whose store is not there keeps no other one's.
                    guard let known = Main.explain(error) else { throw error }
                    Main.complain("run \(folder.run.id): \(known.message)")
                    status.merge(known.status)
                }
            }
            return status
        }

        private func purge(
            _ folder: ApplyFolder, _ state: StateFolder, _ age: Double, isNamed: Bool
        ) throws -> ExitStatus {
            guard folder.state.released == nil else {
                do {
                    try folder.run.lock()
                } catch RunError.busy {
                    return .ok
                }
                if try Quarantine(folder).removeReleased() {
                    Main.complain("run \(folder.run.id) was released: removed its undo file")
                }
                return .ok
            }
            if let kept = kept(folder, age, isNamed: isNamed) { return kept }
            let session = try ApplySession(run: folder.run.id, state, needsSource: false)
            // Somebody else may have been at it until now.
            if let kept = kept(session.folder, age, isNamed: isNamed) { return kept }
            try tellGoing(session.folder, json: false)
            let freed = try Quarantine(session.folder).release(session.sites)
            var status = ExitStatus.ok
            for path in freed.late {
                try StandardOutput.shared.write(
                    "! \(shown(path))  was written to in quarantine, or may be open for writing "
                        + "still: kept\n")
                status.merge(.partial)
            }
            try StandardOutput.shared.write(
                "run \(folder.run.id): freed \(countText(freed.entries)) entries, "
                    + "\(sizeText(freed.bytes)); they can no longer be taken back\n")
            return status
        }

        /// Says why what a run keeps stays; nil where it goes.
        private func kept(_ folder: ApplyFolder, _ age: Double, isNamed: Bool) -> ExitStatus? {
            let id = folder.run.id
            guard folder.state.released == nil else { return .ok }
            // What was taken back is where it was: only copies are left.
            let isTakenBack = folder.state.isTakenBack
            let isOver = folder.state.isOver
            guard isTakenBack || !isOver || isNamed else {
                Main.complain(
                    "run \(id) was taken back but for what changed since: what it keeps stays "
                        + "unless the run is named")
                return .ok
            }
            let isEnded = isTakenBack || isOver
            let ended = isEnded ? try? folder.run.header().started : folder.state.confirmed
            guard let ended, !folder.state.isCutOff else {
                Main.complain("run \(id) was never confirmed: what it keeps stays")
                return .ok
            }
            guard ended <= Timestamp.now.adding(seconds: -Int64(age)) else {
                Main.complain(
                    "run \(id) was \(isEnded ? "begun" : "confirmed") \(ended.utcText): "
                        + "not long enough ago")
                return .ok
            }
            guard isNamed || folder.putAside.isEmpty else {
                Main.complain(
                    "run \(id) put something aside, and nobody knows whose it was: kept unless the "
                        + "run is named; see 'resync quarantine copy \(id) DIR'")
                return .partial
            }
            return nil
        }
    }

    struct Copy: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "Copy what a run put aside of an image into a directory.",
            discussion: """
                What stood where a run was cut off, and was overwritten when it was taken back: \
                each piece becomes a file that is named by its offset.
                """)

        @Argument(help: ArgumentHelp("The run.", valueName: "RUN"))
        var run: String

        @Argument(
            help: ArgumentHelp("The directory; made where it is missing.", valueName: "DIR"),
            completion: .directory)
        var directory: String

        @OptionGroup var state: StateOptions

        mutating func execute() throws -> ExitStatus {
            let state = try state.open()
            let run = try RunFolder.open(try state.runID(run, kind: "apply"), in: state.runs)
            try run.lock()
            let folder = try ApplyFolder(reading: run)
            guard !folder.putAside.isEmpty else {
                throw CommandError("run \(run.id) keeps nothing that it put aside")
            }
            let path = absolutePath(RawArguments.bytes(directory))
            let target = try Folder.make(path: path, disk: LinuxDisk())
            try folder.copyAside(to: target) { name, extent in
                try StandardOutput.shared.write(
                    "\(escaped(name))  \(sizeText(extent.length)) from byte \(extent.offset)\n")
            }
            return .ok
        }
    }

    struct Erase: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "Free what is kept of one path, in every run, and record it.",
            discussion: """
                For data that must not be kept, as a person's who asks for its erasure. Where runs \
                of several pairs of stores keep the path, --run says which run is meant.
                """)

        @Argument(help: ArgumentHelp("A path in a store.", valueName: "PATH"))
        var path: String

        @Option(
            name: .customLong("run"),
            help: ArgumentHelp("Only what this run keeps.", valueName: "RUN"))
        var only: String?

        @OptionGroup var state: StateOptions

        mutating func execute() throws -> ExitStatus {
            let state = try state.open()
            let path = try storePath(path)
            var count = 0
            var status = ExitStatus.ok
            let id = try only.map { try state.runID($0, kind: "apply") }
            let runs = try AppliedRuns(state) { id == nil || id == $0 }
            if runs.unread > 0 { status.merge(.trouble) }
            let folders = try runs.folders.filter { try keeps(path, $0) }
            try refuseOthers(folders)
            for folder in folders {
                do {
                    count += try erase(path, of: folder, state)
                } catch {
                    // Another run's copies may still be erased.
                    guard let known = Main.explain(error) else { throw error }
                    Main.complain("run \(folder.run.id): \(known.message)")
                    status.merge(known.status)
                }
            }
            guard count > 0 || status != .ok else {
                throw CommandError("nothing is kept of '\(shown(path))'")
            }
            return status
        }

        /// A path means something in one pair of stores.
        private func refuseOthers(_ folders: [ApplyFolder]) throws {
            let pairs = Set(folders.map { $0.plan.header.stores.map(\.path) })
            guard pairs.count > 1 else { return }
            let runs = folders.map { folder in
                let stores = folder.plan.header.stores
                return "\(folder.run.id) (\(escaped(stores.a.path)), \(escaped(stores.b.path)))"
            }
            throw CommandError(
                "runs of several pairs of stores keep it, so --run must say which is meant: "
                    + listed(runs, count: 10), .refused)
        }

        private func erase(
            _ path: RelativePath, of folder: ApplyFolder, _ state: StateFolder
        ) throws -> Int {
            let session = try ApplySession(run: folder.run.id, state, needsSource: false)
            let erased = try Quarantine(session.folder).erase(path, session.sites)
            for path in erased {
                try StandardOutput.shared.write(
                    "run \(folder.run.id): erased what was kept of \(shown(path))\n")
            }
            return erased.count
        }

        private func keeps(_ path: RelativePath, _ folder: ApplyFolder) throws -> Bool {
            var isKept = false
            try Quarantine(folder).forEach { _, action in
                if action.path.isWithin(path) { isKept = true }
            }
            guard !isKept, let sites = try reachable(folder) else { return isKept }
            return try Quarantine(folder).strays(sites).contains { $0.action.path.isWithin(path) }
        }
    }
}

/// Every run that changed stores, oldest first; one that is damaged is said, and left out.
private struct AppliedRuns {
    private(set) var folders: [ApplyFolder] = []
    /// Runs that cannot be read; each is said.
    private(set) var unread = 0

    init(_ state: StateFolder, where isAsked: (_ id: String) -> Bool = { _ in true }) throws {
        for id in try RunFolder.list(in: state.runs) where isAsked(id) {
            let run = try RunFolder.open(id, in: state.runs)
            guard try run.isOfApply() else { continue }
            let reason: String
            do {
                folders.append(try ApplyFolder(reading: run))
                continue
            } catch let error as FormatError {
                reason = "it \(error.reason)"
            } catch let error as DiskError {
                reason = error.sentence
            }
            unread += 1
            Main.complain("run \(id) cannot be read: \(reason): what it keeps is not known")
        }
    }
}

/// Says, before it goes, what is released beside what was displaced.
func tellGoing(_ folder: ApplyFolder, json: Bool) throws {
    for piece in folder.putAside {
        guard !json else {
            try StandardOutput.shared.write(piece.json(isReleased: true).bytes)
            continue
        }
        try StandardOutput.shared.write("! \(piece.text)  was put aside, and goes with the rest\n")
    }
    try StandardOutput.shared.flush()
}

/// The stores that a run changed, where they can be looked at; what cannot is said. Where that is
/// one, it stands in the other one's place.
func reachable(_ folder: ApplyFolder) throws -> Sides<LocalSite>? {
    do {
        let kept = folder.plan.trailer.sidesKept
        let sites = try kept.map { side in
            try LocalSite(
                path: folder.plan.header.stores[side].path, disk: LinuxDisk(),
                options: LocalSiteOptions())
        }
        guard let first = sites.first, let last = sites.last else { return nil }
        let both = Sides(a: first, b: last)
        if let other = try folder.plan.header.otherStore(in: both, kept) {
            Main.complain("'\(escaped(other))' is not the store of run \(folder.run.id) now")
            return nil
        }
        return both
    } catch let error as StoreError {
        Main.complain("'\(escaped(error.path))' \(error.reason)")
        return nil
    }
}
