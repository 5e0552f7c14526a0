import Foundation
import Testing

/// The man page and the completions are those of the command as it is.
@Suite struct GeneratedFilesTests {
    private let folder = Command.project + "/Sources/resync/Documentation"

    @Test func filesAreCurrent() throws {
        guard Command.find("python3") != nil else { return skip("python3 is not installed") }
        let found = try Command(
            Command.project + "/Scripts/generate", ["--check", "--program", Command.resync]
        ).run()
        #expect(found.status == 0, "\(found.report)")
    }

    @Test func manualPageIsWellFormed() throws {
        guard let mandoc = Command.find("mandoc") else { return skip("mandoc is not installed") }
        let page = folder + "/resync.1"
        let found = try Command(mandoc, ["-Tlint", "-W", "warning", page]).run()
        #expect(found.status == 0, "\(found.report)")
        let text = try Command(mandoc, ["-Tascii", page]).run()
        #expect(text.status == 0)
        for word in ["SYNOPSIS", "EXIT STATUS", "resync verify", "resync demo"] {
            #expect(text.text.replacing(/.\x{8}/, with: "").contains(word), "\(word)")
        }
    }

    @Test(arguments: [("bash", "resync.bash"), ("zsh", "_resync"), ("fish", "resync.fish")])
    func completionsAreValid(_ shell: String, _ file: String) throws {
        guard let program = Command.find(shell) else { return skip("\(shell) is not installed") }
        let found = try Command(program, ["-n", "\(folder)/\(file)"]).run()
        #expect(found.status == 0, "\(found.report)")
    }
}
