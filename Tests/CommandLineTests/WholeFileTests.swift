import Foundation
import Glibc
import TestSupport
import Testing

/// A file of the operator's that is read as a whole.
@Suite struct WholeFileTests {
    /// Who reads one, with the bytes that it may have and the status where it cannot be had.
    enum Reader: CaseIterable, Sendable {
        case configuration, recording, kernelLog

        var limit: (bytes: Int, text: String) {
            switch self {
            case .configuration: (1 << 20, "1.00 MiB")
            case .recording: (1 << 30, "1.00 GiB")
            case .kernelLog: (256 << 20, "256.0 MiB")
            }
        }
        var status: Int32 { self == .kernelLog ? 2 : 64 }
        var prefix: String { self == .configuration ? "the configuration " : "" }

        func read(_ path: String, _ scene: EpisodeStage) throws -> Finished {
            var command =
                switch self {
                case .configuration: Command(Command.resync, ["config", "check", "--config", path])
                case .recording:
                    scene.stage.resync(["watch", "--config", scene.config, "--replay", path])
                case .kernelLog:
                    scene.stage.resync([
                        "episode", "import", "--journal", path, "--store", "mail/a", "--device",
                        "sdf", "--config", scene.config,
                    ])
                }
            command.timeout = 30
            return try command.run()
        }
    }

    @Test(arguments: Reader.allCases) func whatCannotBeHadIsSaid(_ reader: Reader) throws {
        let scene = try EpisodeStage()
        let folder = scene.stage.folder
        func refused(_ path: String, _ words: String) throws {
            let found = try reader.read(path, scene)
            #expect(found.status == reader.status, "\(found.report)")
            #expect(found.errorText.contains(words), "\(found.report)")
            #expect(found.errorText.split(separator: "\n").count == 1, "\(found.report)")
        }
        try refused("/nowhere", "cannot read \(reader.prefix)'/nowhere': No such file")
        try refused(folder, "\(reader.prefix)'\(folder)' is no regular file")
        try refused("/dev/zero", "\(reader.prefix)'/dev/zero' is no regular file")
        // Nobody will ever write to it.
        try #require(mkfifo(folder + "/fifo", 0o600) == 0)
        try refused(folder + "/fifo", "\(reader.prefix)'\(folder)/fifo' is no regular file")
        try scene.stage.write("large", "")
        try #require(truncate(folder + "/large", reader.limit.bytes + 1) == 0)
        try refused(
            folder + "/large",
            "\(reader.prefix)'\(folder)/large' is larger than \(reader.limit.text)")
    }

    /// What the kernel makes up has no size, and is read all the same.
    @Test func whatHasNoSizeIsRead() throws {
        let scene = try EpisodeStage()
        let path = "/proc/sys/kernel/ostype"
        for (reader, words) in [
            (Reader.configuration, "ostype:1:1: the file must be a mapping"),
            (.recording, "is no recording: line 1"),
        ] {
            let found = try reader.read(path, scene)
            #expect(found.status == 64, "\(found.report)")
            #expect((found.text + found.errorText).contains(words), "\(found.report)")
        }
    }
}
