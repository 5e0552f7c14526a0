import Testing

/// What the program says about itself.
@Suite struct HelpTests {
    private static let commands: [[String]] = [
        [], ["verify"], ["runs"], ["runs", "list"], ["runs", "show"], ["runs", "resume"],
        ["runs", "delete"], ["demo"],
    ]

    @Test(arguments: commands)
    func helpTellsOfNothingThatIsNotThere(_ command: [String]) throws {
        let help = try Command(Command.resync, command + ["--help"]).run()
        #expect(help.status == 0)
        #expect(help.errors.isEmpty)
        #expect(help.text.contains("USAGE: resync"))
        let built = try subcommands([])
        for word in help.text.split(whereSeparator: { $0 == "'" || $0 == "\n" })
        where word.hasPrefix("resync ") {
            let name = word.dropFirst(7).prefix { $0.isLetter }
            #expect(name.isEmpty || built.contains(String(name)), "'\(word)'")
        }
        for name in try subcommands(command) {
            #expect(try Command(Command.resync, command + [name, "--help"]).run().status == 0)
        }
    }

    private func subcommands(_ command: [String]) throws -> Set<String> {
        let help = try Command(Command.resync, command + ["--help"]).run().lines
        guard let start = help.firstIndex(of: "SUBCOMMANDS:") else { return [] }
        let names = help[(start + 1)...].compactMap { line -> String? in
            guard line.hasPrefix("  "), !line.hasPrefix("   "), !line.contains("See '") else {
                return nil
            }
            return line.split(separator: " ").first.map { String($0) }
        }
        return Set(names).union(["help"])
    }

    @Test func versionIsPrinted() throws {
        let found = try Command(Command.resync, ["--version"]).run()
        #expect(found.status == 0)
        #expect(found.lines.count == 1)
        #expect(found.text.split(separator: ".").count == 3)
    }

    @Test func helpOnAClosedStreamIsNoSuccess() throws {
        var command = Command(Command.resync, ["--help"])
        command.output = .file("/dev/full")
        #expect(try command.run().status != 0)
    }
}
