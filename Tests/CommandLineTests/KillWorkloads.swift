import Foundation
import Glibc

/// A small change of a tree that is carried out with a kill at each of its calls.
enum KillWorkload: String, CaseIterable, Sendable {
    /// One file is replaced; 20 files in 5 directories are made; each type becomes each other; a
    /// tree of 30 goes; names of files are split and joined; only metadata.
    case replaced, made, types, deleted, links, metadata

    /// Makes both stores.
    func build(_ stage: Stage) throws {
        try system("mkdir", stage.b)
        switch self {
        case .replaced: try replaced(stage)
        case .made: try made(stage)
        case .types: try types(stage)
        case .deleted: try deleted(stage)
        case .links: try links(stage)
        case .metadata: try metadata(stage)
        }
        // All is as old as what was left alone for years.
        for store in [stage.a, stage.b] {
            let script = """
                cd "$1" && find . -depth -print0 | \
                xargs -0 touch -h -d "@$2"
                """
            try shell(script, store, "1500000000")
        }
        if self == .metadata {
            try system("touch", "-d", "@1", stage.b + "/time", stage.b + "/all")
        }
    }

    private func shell(_ script: String, _ arguments: String...) throws {
        let done = try Command("/bin/bash", ["-c", script, "script"] + arguments).run()
        guard done.status == 0 else {
            print(done.report)
            throw StageFailure(call: "bash", number: done.status)
        }
    }

    private func replaced(_ stage: Stage) throws {
        try stage.write("a/file", noise(9000, seed: 1))
        try stage.write("b/file", noise(8000, seed: 2))
    }

    private func made(_ stage: Stage) throws {
        try stage.write("a/same", "same")
        try stage.write("b/same", "same")
        for folder in ["d0", "d0/d1", "d2", "d3", "d3/d4"] {
            try stage.makeFolder("a/\(folder)")
            for number in 0..<4 {
                try stage.write(
                    "a/\(folder)/f\(number)", noise(100 + number * 1999, seed: UInt64(number + 7)))
            }
            try system("chmod", "2750", stage.a + "/" + folder)
        }
        // What is made in it gets a list that its source does not have.
        for store in ["a", "b"] { try stage.makeFolder("\(store)/inherited") }
        try stage.write("a/inherited/none", "no list of its own")
        for store in [stage.a, stage.b] {
            try system("setfacl", "-d", "-m", "u:12:rwx", store + "/inherited")
        }
        try system("chown", "-R", "12:34", stage.a + "/d3")
        try system("chmod", "04711", stage.a + "/d3/f1")
        try system("setfacl", "-d", "-m", "u:12:rwx", stage.a + "/d0/d1")
    }

    private func types(_ stage: Stage) throws {
        let makers: [String: (String) throws -> Void] = [
            "file": { try stage.write($0, "file at \($0)") },
            "symlink": { try system("ln", "-s", "to-\($0)", stage.folder + "/" + $0) },
            "directory": {
                try stage.makeFolder($0)
                try stage.write($0 + "/in", "in \($0)")
            },
        ]
        for (from, make) in makers {
            for (to, makeOther) in makers where from != to {
                try make("b/\(from)-\(to)")
                try makeOther("a/\(from)-\(to)")
            }
        }
        try system("mkfifo", stage.a + "/fifo")
        try stage.write("b/fifo", "no fifo")
    }

    private func deleted(_ stage: Stage) throws {
        for store in ["a", "b"] {
            for number in 0..<8 { try stage.write("\(store)/kept\(number)", "kept \(number)") }
        }
        for folder in ["x", "x/y", "x/y/z", "x/w", "v"] {
            try stage.makeFolder("b/\(folder)")
            for number in 0..<4 { try stage.write("b/\(folder)/f\(number)", "\(folder) \(number)") }
            try system("ln", "-s", "f0", stage.b + "/\(folder)/link")
        }
    }

    private func links(_ stage: Stage) throws {
        try stage.makeFolder("a/d")
        try stage.makeFolder("b/d")
        // One group is whole on A and split on B, another the other way round.
        try stage.write("a/one1", "first group")
        for name in ["one2", "d/one3"] {
            try system("ln", stage.a + "/one1", stage.a + "/" + name)
        }
        try stage.write("b/one1", "first group")
        try system("ln", stage.b + "/one1", stage.b + "/one2")
        try stage.write("b/d/one3", "first group")
        try stage.write("b/two1", "second group")
        for name in ["two2", "d/two3"] {
            try system("ln", stage.b + "/two1", stage.b + "/" + name)
        }
        try stage.write("a/two1", "second group")
        try system("ln", stage.a + "/two1", stage.a + "/two2")
        try stage.write("a/d/two3", "second group, alone and changed")
        // Another group has other content on both of its names.
        for (store, text) in [("a", "third group, new"), ("b", "third, old")] {
            try stage.write("\(store)/three1", text)
            try system("ln", "\(stage.folder)/\(store)/three1", "\(stage.folder)/\(store)/d/three2")
        }
    }

    private func metadata(_ stage: Stage) throws {
        for store in ["a", "b"] {
            let names = [
                "mode", "owner", "suid", "acl", "xattr", "gone", "capability", "time", "all",
            ]
            for name in names { try stage.write("\(store)/\(name)", "metadata of \(name)") }
            try stage.makeFolder("\(store)/dir")
            try system("ln", "-s", "x", "\(stage.folder)/\(store)/symlink")
        }
        try system("chmod", "0640", stage.a + "/mode")
        try system("chown", "7:8", stage.a + "/owner")
        for store in [stage.a, stage.b] { try system("chmod", "04755", store + "/suid") }
        try system("chown", "9:9", stage.a + "/suid")
        try system("chmod", "06755", stage.a + "/suid")
        try system("setfacl", "-m", "u:5:r", stage.a + "/acl")
        try system("setfacl", "-m", "d:u:5:rx", stage.a + "/dir")
        try system("setfattr", "-n", "user.k", "-v", "new", stage.a + "/xattr")
        try system("setfattr", "-n", "user.k", "-v", "old", stage.b + "/xattr")
        try system("setfattr", "-n", "user.gone", "-v", "1", stage.b + "/gone")
        try system("setfattr", "-n", "user.gone", "-v", "1", stage.b + "/dir")
        try system("setcap", "cap_net_raw+ep", stage.a + "/capability")
        try system("chown", "-h", "3:3", stage.a + "/symlink")
        try system("chown", "1:2", stage.a + "/all", stage.a + "/dir")
        try system("chmod", "0711", stage.a + "/all", stage.a + "/dir")
    }
}
