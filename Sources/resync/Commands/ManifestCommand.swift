import ArgumentParser
import Glibc
import ResyncCore
import ResyncEngine
import ResyncStorage

struct ManifestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "manifest", abstract: "Look into manifests, and exchange them.",
        subcommands: [Show.self, Check.self, Export.self, Import.self])

    struct Show: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print what a manifest says, after checking all of it.")

        @Argument(help: ArgumentHelp("The manifest.", valueName: "MANIFEST"), completion: .file())
        var manifest: String

        @Flag(name: .long, help: "Print every entry as JSON Lines.")
        var json = false

        var printsJSON: Bool { json }

        @OptionGroup var patience: PatienceOptions

        mutating func execute() throws -> ExitStatus {
            let command = self
            return try answering(patience, manifest) { try command.show($0) }
        }

        private func show(_ disk: any Disk) throws -> ExitStatus {
            var reader = try ManifestInput(manifest, on: disk).reader()
            if json {
                try ManifestCommand.export(&reader, .json) { try StandardOutput.shared.write($0) }
            } else {
                try StandardOutput.shared.write(ManifestText.header(reader.header))
                while try reader.next() != nil {}
                if let trailer = reader.trailer {
                    try StandardOutput.shared.write(ManifestText.summary(trailer))
                }
            }
            return .ok
        }
    }

    struct Check: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check that a manifest is whole and unaltered.",
            discussion: """
                Status 0: every byte was checked and every entry is known. Status 2: it is damaged \
                or cut, or it says itself that something could not be read.
                """)

        @Argument(help: ArgumentHelp("The manifest.", valueName: "MANIFEST"), completion: .file())
        var manifest: String

        @OptionGroup var patience: PatienceOptions

        mutating func execute() throws -> ExitStatus {
            let command = self
            return try answering(patience, manifest) { try command.check($0) }
        }

        private func check(_ disk: any Disk) throws -> ExitStatus {
            let input = try ManifestInput(manifest, on: disk)
            var reader = try input.reader()
            try input.named { while try reader.next() != nil {} }
            guard let trailer = reader.trailer else { return .trouble }
            try StandardOutput.shared.write(ManifestText.summary(trailer))
            return trailer.isWhole ? .ok : .trouble
        }
    }

    struct Export: ResyncCommand {
        static let formats = ManifestExport.Format.allCases.map { $0.rawValue }
            .joined(separator: "|")

        static let configuration = CommandConfiguration(
            abstract: "Say it in the words of sha256sum, mtree or JSON Lines.",
            discussion: "sha256sum and mtree need a manifest made with scan --whole-file.")

        @Argument(help: ArgumentHelp("The manifest.", valueName: "MANIFEST"), completion: .file())
        var manifest: String

        @Option(name: .long, help: ArgumentHelp("The words.", valueName: formats))
        var format: String

        @Option(
            name: .shortAndLong,
            help: ArgumentHelp("Where to; standard output by default.", valueName: "FILE"),
            completion: .file())
        var output = "-"

        @Flag(name: .long, help: "Replace a file that exists.")
        var force = false

        @OptionGroup var patience: PatienceOptions

        mutating func execute() throws -> ExitStatus {
            guard let words = ManifestExport.Format(rawValue: format) else {
                throw CommandError("--format takes \(Self.formats)", .usage)
            }
            let command = self
            return try answering(patience, manifest) { try command.export(as: words, $0) }
        }

        private func export(
            as words: ManifestExport.Format, _ disk: any Disk
        ) throws -> ExitStatus {
            var reader = try ManifestInput(manifest, on: disk).reader()
            let file = try ReportFile(output, replacing: force)
            try file.begin(outside: [], crossing: false)
            let skipped = try ManifestCommand.export(&reader, words) { try file.write($0) }
            try file.finish()
            if skipped > 0 {
                Main.complain("\(skipped) entries have no words in this format, or are in doubt")
                return .trouble
            }
            return .ok
        }
    }

    struct Import: ResyncCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a manifest of a list that sha256sum -z wrote.",
            discussion: "It knows files and their content only, and is compared as such.")

        @Argument(
            help: ArgumentHelp("The list; - for standard input.", valueName: "LIST"),
            completion: .file())
        var list: String

        @Option(
            name: .shortAndLong,
            help: ArgumentHelp("Where the manifest goes.", valueName: "MANIFEST"),
            completion: .file())
        var output: String

        @Option(
            name: .long,
            help: ArgumentHelp(
                "Where the store lay when the list was made; taken off each path.",
                valueName: "DIR"), completion: .directory)
        var prefix = ""

        @Flag(name: .long, help: "Replace a manifest that exists.")
        var force = false

        mutating func execute() throws -> ExitStatus {
            let output = try ManifestOutput(output, replacing: force)
            var list = ManifestImport(prefix: RawArguments.bytes(prefix))
            do {
                try readBytes(self.list) { try list.take($0) }
                let writer = try output.begin(
                    ManifestImport.header(
                        exclusions: Filter.none.digest, store: RawArguments.bytes(prefix),
                        tool: Array("\(programName) \(programVersion)".utf8), started: .now))
                try list.finish { try writer.append($0) }
                try StandardOutput.shared.write(ManifestText.summary(try writer.commit()))
            } catch let refusal as ManifestRefusal {
                throw CommandError("'\(escaped(self.list.utf8))' is refused: \(refusal.reason)")
            }
            return .ok
        }
    }

    /// Writes a whole manifest in other words; the entries that have none there.
    @discardableResult
    fileprivate static func export(
        _ reader: inout ManifestReader<EVPHash>, _ format: ManifestExport.Format,
        write: ([UInt8]) throws -> Void
    ) throws -> Int {
        do {
            var export = try ManifestExport(format, reader.header)
            try write(export.head)
            while let record = try reader.next() {
                try write(export.lines(record, at: reader.path(of: record)))
            }
            if let trailer = reader.trailer { try write(export.tail(trailer)) }
            return export.skipped
        } catch let refusal as ManifestRefusal {
            throw CommandError("the manifest cannot be exported: \(refusal.reason)")
        }
    }
}

/// A manifest file given by the operator.
struct ManifestInput {
    let file: InputFile
    private let path: [UInt8]

    init(_ path: String, on disk: any Disk = LinuxDisk()) throws {
        self.path = RawArguments.bytes(path)
        do throws(DiskError) {
            file = try InputFile.open(path: self.path, disk: disk)
        } catch {
            throw CommandError("cannot read '\(escaped(self.path))': \(error.sentence)")
        }
        guard file.stat.type != .directory else {
            throw CommandError(
                "'\(escaped(self.path))' is a directory and no manifest: 'resync verify' compares "
                    + "stores", .usage)
        }
    }

    /// Two manifests are two files: one agrees with itself whatever it holds.
    static func refuseSame(_ paths: Sides<String>, within seconds: Double) throws {
        let found = try paths.map { path in
            let path = RawArguments.bytes(path)
            return try answered(within: seconds, path) {
                try? LinuxDisk().stat(path: path).identity
            }
        }
        guard let a = found.a, a == found.b else { return }
        throw CommandError("A and B are the same manifest", .usage)
    }

    /// Whether a path names a manifest rather than a store.
    ///
    /// - Throws: where storage does not say so in so many seconds.
    static func isManifest(_ path: String, within seconds: Double) throws -> Bool {
        let path = RawArguments.bytes(path)
        return try answered(within: seconds, path) {
            guard let file = try? InputFile.open(path: path, disk: LinuxDisk()),
                file.stat.type == .file
            else { return false }
            return (try? file.read(at: 0, count: ManifestText.magic.count)) == ManifestText.magic
        }
    }

    func reader() throws -> ManifestReader<EVPHash> {
        let file = file
        return try named { try ManifestReader(.openSSL) { try file.read(at: $0, count: $1) } }
    }

    /// Says which file it is that is damaged.
    func named<Value>(_ body: () throws -> Value) throws -> Value {
        do {
            return try body()
        } catch let error as FormatError {
            throw explain(error)
        }
    }

    func explain(_ error: FormatError) -> CommandError {
        CommandError("manifest '\(escaped(path))' \(error.reason) (at byte \(error.offset))")
    }
}

/// Manifests in words.
enum ManifestText {
    static let magic = Array("resync-manifest\n".utf8)

    static func header(_ header: ManifestHeader) -> String {
        var text = "manifest of \(header.kind.rawValue) \(escaped(header.store))"
        if !header.host.isEmpty { text += " on \(escaped(header.host))" }
        text += ", begun \(header.started.utcText)\n"
        text += "\(header.digest.rawValue), blocks of \(sizeText(header.blockSize)), aspects "
        text += header.aspects.aspects.map { $0.word }.joined(separator: ", ")
        return text + (header.hasWholeFile ? ", whole files\n" : "\n")
    }

    static func summary(_ trailer: ManifestTrailer) -> String {
        let counts = trailer.counts
        var parts = EntryType.allCases.compactMap { type -> String? in
            guard let count = counts.types[type], count > 0 else { return nil }
            let plural = type == .directory ? "directories" : "\(type.word)s"
            return "\(countText(count)) \(count == 1 ? type.word : plural)"
        }
        parts.append(sizeText(counts.bytes))
        func add(_ count: Int, _ text: String) {
            if count > 0 { parts.append("\(countText(count)) \(text)") }
        }
        add(counts.undescribed, "not described")
        add(counts.incompleteDirectories, "directories incomplete")
        add(counts.unreadable, "unreadable")
        add(counts.unstable, "unstable")
        add(counts.notVerified, "not read")
        add(counts.excluded, "excluded")
        let root =
            trailer.root.map { "root digest \($0.hex)" } ?? "no root digest: not all was read"
        return parts.joined(separator: ", ") + "\n" + root + "\n"
    }
}
