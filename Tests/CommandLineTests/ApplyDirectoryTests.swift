import Testing

/// New directories, where something about them is not as it mostly is.
@Suite(.serialized) struct ApplyDirectoryTests {
    private static let all = ["n", "n/m"]

    /// A stage whose A has a directory in a directory with a file, and whose B has neither.
    private func stage() throws -> Stage {
        // The state lies on a file system that keeps what is synced.
        let stage = try Stage(below: "/var/tmp")
        try stage.makeFolder("b")
        for name in Self.all { try stage.makeFolder("a/" + name) }
        try stage.write("a/n/m/f", "new")
        return stage
    }

    /// Takes directories away that their owner may not write to, too.
    private func open(_ stage: Stage) throws {
        try system("chmod", "-R", "u+rwX", stage.folder)
    }

    /// Whoever is not root takes nothing out of a directory that he may not write to, and moves no
    /// such one: the undo of what he has made opens it.
    @Test func withoutRootAReadOnlyDirectoryIsTakenBack() throws {
        guard let nobody = try Nobody() else { return }
        let stage = try stage()
        try system("chmod", "0555", stage.a + "/n/m", stage.a + "/n")
        try system("chown", "-R", "65534:65534", stage.folder)
        defer { try? open(stage) }
        func run(_ arguments: [String]) throws -> Finished {
            var command = nobody.command(arguments + ["--state", stage.state])
            command.directory = stage.folder
            return try command.run()
        }
        let planned = try run(["plan", stage.a, stage.b, "--authority", "a", "-o", "p"])
        #expect(planned.status == 0, "\(planned.report)")
        let applied = try run(["apply", "p"])
        #expect(applied.status == 0, "\(applied.report)")
        #expect(try system("stat", "-c", "%a", stage.b + "/n") == "555\n")
        let undone = try run(["undo", "last"])
        #expect(undone.status == 0, "\(undone.report)")
        #expect(!stage.exists("b/n"), "\(undone.report)")
    }

    /// It comes to be with fewer bits than it was made with.
    @Test func aDefaultListThatKeepsBitsAwayHoldsNothingUp() throws {
        guard let strace = Command.find("strace"), Command.find("setfacl") != nil else {
            return skip("strace or setfacl is not installed")
        }
        for undoes in [false, true] {
            let stage = try stage()
            guard try system("setfacl", "-d", "-m", "u::rx,g::-,o::-", stage.b) != nil else {
                return skip("no ACLs here")
            }
            let planned = try stage.resync([
                "plan", stage.a, stage.b, "--authority", "a", "-o", "p",
            ]).run()
            #expect(planned.status == 0, "\(planned.report)")
            // The journal's record of what was made is the one that is lost.
            let apply = stage.resync(["apply", "p", "--workers", "1"])
            var failing = apply
            failing.program = strace
            failing.arguments =
                [
                    "-f", "-qq", "-o", stage.folder + "/log", "-e", "trace=pwrite64", "-e",
                    "inject=pwrite64:error=EDQUOT:when=6", Command.resync,
                ].map { Array($0.utf8) } + apply.arguments
            let cut = try failing.run()
            #expect(cut.status == 6 && stage.exists("b/n/m"), "\(cut.report)")
            if undoes {
                let undone = try stage.resync(["undo", "last"]).run()
                #expect(undone.status == 0 && !stage.exists("b/n"), "\(undone.report)")
            } else {
                let again = try apply.run()
                #expect(again.status == 0, "\(again.report)")
                #expect(stage.text("b/n/m/f") == "new", "\(again.report)")
            }
        }
    }
}
