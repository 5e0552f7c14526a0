import ArgumentParser
import ResyncCore
import ResyncEngine
import ResyncStorage

struct StoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "store", abstract: "The marker by which a store is known again.",
        subcommands: [Show.self, Adopt.self])

    struct Show: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print what a store's marker says.")

        @Argument(help: ArgumentHelp("The store.", valueName: "STORE"), completion: .file())
        var store: String

        @OptionGroup var patience: PatienceOptions

        mutating func execute() throws -> ExitStatus {
            let command = self
            return try answering(patience, store) { try command.show($0) }
        }

        private func show(_ disk: any Disk) throws -> ExitStatus {
            let site = try openStore(store, disk)
            let output = StandardOutput.shared
            guard let marker = try MarkerFile.read(site) else {
                try output.write("\(escaped(site.facts.path)): no marker\n")
                return .ok
            }
            try output.write("store     \(marker.store.hex)\n")
            try output.write("baseline  \(marker.baseline?.hex ?? "none")\n")
            if !marker.history.isEmpty {
                try output.write("before    \(countText(marker.history.count)) baselines\n")
            }
            if let followed = marker.followed {
                try output.write("follows   \(followed.hex)\n")
            }
            if let run = marker.inconsistent {
                try output.write("state     changed in part by run \(escaped(run.utf8))\n")
            } else {
                try output.write("state     consistent\n")
            }
            guard marker.identity.isSameStore(as: site.identity) else {
                try output.write("FOREIGN   the marker was made on another file system\n")
                return .trouble
            }
            return .ok
        }
    }

    struct Adopt: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take a store that has no marker, or one that was made elsewhere.",
            discussion: """
                Writes a fresh marker: the store is then a new one, without a baseline in it. \
                Nothing else in the store is touched.
                """)

        @Argument(help: ArgumentHelp("The store.", valueName: "STORE"), completion: .file())
        var store: String

        @Flag(
            name: .long,
            help: "Take it although a run left it changed in part: that run is given up.")
        var force = false

        @OptionGroup var patience: PatienceOptions
        @OptionGroup var state: StateOptions

        mutating func execute() throws -> ExitStatus {
            let command = self
            return try answering(patience, store) { try command.adopt($0) }
        }

        private func adopt(_ disk: any Disk) throws -> ExitStatus {
            let site = try openStore(store, disk)
            guard site.facts.kind == .directory else {
                throw CommandError("only a directory has a marker", .usage)
            }
            try site.refuseSymlinksOfOthers()
            let state = try state.open()
            guard let lock = try state.lockBeforeOthers(site.facts),
                try site.lock(exclusive: true) != .busy
            else {
                throw CommandError(
                    "'\(escaped(site.facts.path))' is being worked on by another run", .locked)
            }
            defer { withExtendedLifetime(lock) {} }
            let (was, known) = try found(site)
            if let known, known.inconsistent == nil {
                try StandardOutput.shared.write("already ours: nothing was changed\n")
                return .ok
            }
            if let left = try leftover(site) {
                throw CommandError(
                    "'\(escaped(site.facts.path))' holds '\(escaped(left))', which a run that was "
                        + "cut off has left, perhaps the only copy of what stood somewhere: have "
                        + "that run settle it ('resync undo' or 'resync apply'), or move it away",
                    .refused)
            }
            // It stays the store that earlier runs keep something of.
            var marker = try known ?? StoreMarker(new: site.identity)
            marker.inconsistent = nil
            do throws(DiskError) {
                try MarkerFile.write(marker, to: site)
            } catch {
                throw CommandError(
                    "cannot mark '\(escaped(site.facts.path))': \(error.sentence)")
            }
            try StandardOutput.shared.write("\(was): marked as store \(marker.store.hex)\n")
            return .ok
        }

        /// A name at the root that was staged and never put in its place, or out of it.
        private func leftover(_ site: LocalSite) throws -> [UInt8]? {
            let scheme = try DigestScheme(.sha256, blockSize: 1 << 20)
            let worker = try Worker(scheme: scheme, pulse: Pulse(), stop: Stop())
            let listing = try site.root().list(worker)
            while true {
                let names = try listing.next(4096)
                guard names.count > 0 else { return nil }
                for index in 0..<names.count {
                    let name = names.name(index).bytes
                    if name.starts(with: stagedPrefix) { return name }
                }
            }
        }

        /// What there is now, with the marker where it is the store's own.
        private func found(_ site: LocalSite) throws -> (what: String, known: StoreMarker?) {
            let marker: StoreMarker?
            do {
                marker = try MarkerFile.read(site)
            } catch let error as StoreError {
                return ("\(error.reason)", nil)
            }
            guard let marker else { return ("had no marker", nil) }
            guard marker.identity.isSameStore(as: site.identity) else {
                return ("had the marker of store \(marker.store.hex), made elsewhere", nil)
            }
            guard let run = marker.inconsistent else { return ("", marker) }
            guard force else {
                throw CommandError(
                    "run \(escaped(run.utf8)) left it changed in part: confirm or undo that run, "
                        + "or give it up with --force", .refused)
            }
            return ("was left changed in part by run \(escaped(run.utf8))", marker)
        }
    }
}

private func openStore(_ path: String, _ disk: any Disk) throws -> LocalSite {
    try LocalSite(path: RawArguments.bytes(path), disk: disk, options: LocalSiteOptions())
}
