import ArgumentParser
import Glibc
import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

struct ConfigurationOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The configuration instead of /etc/resync/resync.yaml.", valueName: "FILE"),
        completion: .file())
    var config: String?

    var path: [UInt8] { config.map(RawArguments.bytes) ?? ConfigurationFile.usualPath }

    /// Nil where nothing is configured in the usual place.
    func loadIfThere() throws -> Configuration? {
        if config == nil, (try? LinuxDisk().stat(path: path)) == nil { return nil }
        return try ConfigurationFile.load(path)
    }
}

struct WatchCommand: ResyncCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Notice when a store is no longer safely writable, and when it is again.",
        discussion: """
            Runs until it is ended. Reads what the kernel says of the configured stores each \
            second, and has each store written to and read back by a process of its own, which \
            may hang without the watcher hanging. What happens is printed, kept in the ledger of \
            the state folder, and told to the command that the configuration names. After an \
            episode the pair's modules are verified, one after the other, by processes of their \
            own.

            An episode is opened at once, and closed only when probes were verified over the whole \
            hold-down: never because something was mounted again, or said so. See 'resync status' \
            and 'resync episode'.
            """)

    @OptionGroup var file: ConfigurationOptions
    @OptionGroup var state: StateOptions

    @Option(
        name: .long,
        help: ArgumentHelp("Write what the signals say to this new file.", valueName: "FILE"),
        completion: .file())
    var record: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Watch nothing: print what the configured times make of a file of --record.",
            valueName: "FILE"), completion: .file())
    var replay: String?

    @Flag(name: .long, help: "Verify no modules after an episode: a person does.")
    var noVerify = false

    @Option(name: .customLong("trust-facility"), help: .private)
    var trusted: [UInt64] = []

    mutating func execute() throws -> ExitStatus {
        let configuration = try ConfigurationFile.load(file.path)
        if let replay {
            try Replay(RawArguments.bytes(replay), configuration.detector).run()
            return .ok
        }
        // From here on this thread waits for nobody who reads what it says.
        StandardError.neverWait(true)
        defer { StandardError.neverWait(false) }
        let state = try state.open()
        try refuseInside(state, configuration)
        let own = try state.folder.folder(Array("watch".utf8), create: true)
        guard try own.lock(exclusive: true) else {
            throw CommandError("another watcher works with this state folder", .locked)
        }
        defer { withExtendedLifetime(own) {} }
        let ledger = try LedgerFile.openOrMake(in: state)
        let (stores, open) = try remembered(configuration, ledger)
        var setup = WatchSetup(
            program: Array("/proc/self/exe".utf8), settings: configuration.detector)
        setup.trusted.formUnion(trusted)
        let week = Timestamp.now.adding(seconds: -7 * 86400)
        setup.chronicle = try ledger.chronicle(since: week)
        let notifier = configuration.notification.map { Notifier($0) }
        let verifications =
            noVerify && configuration.modules.isEmpty
            ? nil
            : Verifications(
                configuration, at: file.path, state, ledger, notifier, verifies: !noVerify)
        let checks = PairChecks(configuration, ledger)
        let recorder = WatchRecorder(
            ledger, in: state.folder, configuration.notification, notifier, verifications,
            open: open, recording: try recording().map { WatchLines(recording: $0) })
        let isLocked = lockMemory()
        let watcher = Watcher(
            stores, setup, socket: try ControlSocket(in: state.folder), sink: recorder)
        greet(configuration, open, isLocked)
        let interruption = Interruption.shared
        notifyService("READY=1")
        watcher.run { interruption.signalNumber != nil }
        notifyService("STOPPING=1")
        checks.end(within: 2)
        recorder.end(within: 5)
        return .ok
    }

    private func greet(
        _ configuration: Configuration, _ open: [EpisodeRecord], _ isLocked: Bool
    ) {
        let output = WatchLines.shared
        let count = configuration.stores.count
        output.add(
            "\(Timestamp.now.localText)  watching \(count) store\(count == 1 ? "" : "s")\n")
        for record in open { output.add("still open: \(EpisodeReport.line(record))\n") }
        if !isLocked {
            Main.complain("its memory may be paged out: it may not lock it (RLIMIT_MEMLOCK)")
        }
    }

    private func recording() throws -> OutputFile? {
        guard let record else { return nil }
        let path = RawArguments.bytes(record)
        do throws(DiskError) {
            let file = try OutputFile.create(path: path, replacing: false, disk: LinuxDisk())
            try file.write(Array(Recording.header.utf8))
            return file
        } catch {
            throw CommandError("cannot create '\(escaped(path))': \(error.sentence)")
        }
    }

    /// What must be remembered of a store must not be lost with it.
    private func refuseInside(_ state: StateFolder, _ configuration: Configuration) throws {
        guard let own = realPath(state.path) else { return }
        let table = MachineSignals().mountTable()
        let device = table?.mount(holding: own)?.device
        // One that hangs is taken for where it says that it is.
        let real = RealPaths().find(Set(configuration.stores.map { $1.path }), within: 2)
        for (name, store) in configuration.stores {
            let place = real[store.path] ?? store.path
            if isWithin(own, place) || isWithin(own, store.path) {
                throw CommandError(
                    "the state folder '\(escaped(state.path))' lies in the store \(name), which "
                        + "may fail: use --state DIR", .refused)
            }
            if let device, table?.mount(holding: place)?.device == device {
                Main.complain(
                    "the state folder is on the same file system as \(name): what happens to "
                        + "that cannot be kept there")
            }
        }
    }

    /// What an earlier watcher knew of the stores, and the episodes that it left open.
    private func remembered(
        _ configuration: Configuration, _ ledger: Ledger
    ) throws -> ([WatchedStore], [EpisodeRecord]) {
        let kept = try ledger.stores()
        let known = Dictionary(kept.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
        let bootID = bootIdentity()
        var open = try ledger.openEpisodes()
        var stores: [WatchedStore] = []
        var records: [StoreRecord] = []
        for (name, configured) in configuration.stores {
            var record =
                try known[name].flatMap { $0.path == configured.path ? $0 : nil }
                ?? StoreRecord(
                    name: name, path: configured.path, probeID: hexText(try randomBytes(16)),
                    penalty: FlapPenalty(at: .now))
            // Under another name it is the same store.
            if record.sight == nil, let same = kept.first(where: { $0.path == configured.path }) {
                (record.sight, record.errors) = (same.sight, same.errors)
            }
            if let good = record.lastGood, record.bootID != bootID {
                // Of the boots before this one only the wall clock is left.
                record.lastGood = Moment(boot: 0, wall: good.wall)
            }
            if let seen = record.sight, seen.bootID != bootID {
                record.sight?.at = Moment(boot: 0, wall: seen.at.wall)
            }
            var store = WatchedStore(
                name: name, configured, probeID: record.probeID, penalty: record.penalty)
            store.sequence = record.sequence
            store.fileSystem = record.fileSystem
            store.lastGood = record.lastGood
            (store.sight, store.errors) = (record.sight, record.errors)
            store.maintenanceEnd = record.maintenanceEnd
            let ongoing = Self.ongoing(open, name, configured.path, configuration)
            store.episode = ongoing?.episode
            store.behind =
                ongoing.map { max(0, $0.margin - writeBackMargin(of: configured.path)) } ?? 0
            stores.append(store)
            records.append(record)
        }
        // The file that a probe makes must be known for ours before it is there.
        try ledger.save(records)
        let taken = Set(stores.compactMap { $0.episode?.id })
        for record in open where !taken.contains(record.episode.id) {
            Main.complain(
                "episode \(record.episode.id) of \(record.episode.store) stays open: nobody "
                    + "watches '\(escaped(record.path))' any more; 'resync episode close' ends it")
        }
        open.removeAll { !taken.contains($0.episode.id) }
        return (stores, open)
    }

    /// The open episode of a store. What is found at another path says nothing about it; under
    /// another name it is the same store.
    private static func ongoing(
        _ open: [EpisodeRecord], _ name: String, _ path: [UInt8], _ configuration: Configuration
    ) -> EpisodeRecord? {
        let here = open.filter { isSamePlace($0.path, path) }
        return here.first { $0.episode.store == name }
            ?? here.first { record in
                !configuration.stores.contains { other, store in
                    other == record.episode.store && isSamePlace(store.path, record.path)
                }
            }
    }
}
