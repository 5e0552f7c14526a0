import Foundation
import Glibc

/// Where a command's standard output goes.
enum Output {
    case captured
    case closed
    case file(String)
    /// A stream whose reader has gone.
    case abandoned
}

/// Closes the descriptors of a child from a number on; Swift's Glibc hides it. Foundation lets
/// children inherit what it writes: one that ran on would keep the store of another test open for
/// writing.
private let closeInChild = unsafeBitCast(
    dlsym(nil, "posix_spawn_file_actions_addclosefrom_np"),
    to: (@convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32).self)

/// What a command that ended gave. A command ended by signal N has the status 128+N.
struct Finished {
    let status: Int32
    let output: [UInt8]
    let errors: [UInt8]
    let seconds: Double
    /// The most memory it had at a time, in bytes.
    let memory: Int

    var text: String { String(decoding: output, as: UTF8.self) }
    var errorText: String { String(decoding: errors, as: UTF8.self) }
    var lines: [String] { text.split(separator: "\n").map { String($0) } }

    /// For the message of an expectation that failed.
    var report: String { "status \(status)\n\(text)\(errorText)" }
}

enum CommandFailure: Error {
    case spawn(Int32)
    case timeout(String)
}

/// A program with its arguments, which are bytes.
struct Command {
    var program: String
    var arguments: [[UInt8]]
    var directory: String?
    var output = Output.captured
    var input = "/dev/null"
    var timeout = 120.0

    init(_ program: String, _ arguments: [[UInt8]]) {
        self.program = program
        self.arguments = arguments
    }

    init(_ program: String, _ arguments: [String]) {
        self.init(program, arguments.map { Array($0.utf8) })
    }

    /// The program that was built with these tests.
    static let resync: String = {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        let beside = URL(filePath: own ?? "/").deletingLastPathComponent().path + "/resync"
        if FileManager.default.isExecutableFile(atPath: beside) { return beside }
        return project + "/.build/debug/resync"
    }()

    static let project = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path

    /// The full path of an installed program.
    static func find(_ name: String) -> String? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        return (path.split(separator: ":").map { String($0) } + ["/usr/sbin", "/sbin"])
            .map { "\($0)/\(name)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    func run() throws -> Finished { try start().wait(timeout) }

    func start() throws -> Running {
        let outputFile = try temporaryFile()
        let errorFile = try temporaryFile()
        defer {
            close(outputFile)
            close(errorFile)
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, input, O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, errorFile, STDERR_FILENO)
        var ends: [Int32] = [-1, -1]
        switch output {
        case .captured: posix_spawn_file_actions_adddup2(&actions, outputFile, STDOUT_FILENO)
        case .closed: posix_spawn_file_actions_addclose(&actions, STDOUT_FILENO)
        case .file(let path):
            posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, path, O_WRONLY, 0)
        case .abandoned:
            let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
            socketpair(AF_UNIX, type, 0, &ends)
            close(ends[0])
            posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
        }
        defer { if ends[1] >= 0 { close(ends[1]) } }
        guard closeInChild(&actions, 3) == 0 else { throw CommandFailure.spawn(errno) }
        let process = try spawn(&actions)
        return Running(process, outputFile, errorFile, description)
    }

    private var description: String {
        ([program] + arguments.map { String(decoding: $0, as: UTF8.self) }).joined(separator: " ")
    }

    private func spawn(_ actions: inout posix_spawn_file_actions_t) throws -> pid_t {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Whoever runs the tests may ignore signals that these tests send.
        var signals = sigset_t()
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGDEF) | Int16(POSIX_SPAWN_SETSIGMASK))
        var words = [Array(program.utf8)] + arguments
        if let directory { words = ["env", "-C", directory].map { Array($0.utf8) } + words }
        var pointers = words.map { word in strdup(word.map { CChar(bitPattern: $0) } + [0]) }
        defer { for pointer in pointers { free(pointer) } }
        pointers.append(nil)
        var process: pid_t = 0
        let result = posix_spawnp(
            &process, directory == nil ? program : "env", &actions, &attributes, pointers, environ)
        guard result == 0 else { throw CommandFailure.spawn(result) }
        return process
    }

    /// Without a name, and not inherited by what other tests start.
    private func temporaryFile() throws -> Int32 {
        var template = Array((NSTemporaryDirectory() + "/resync-output-XXXXXX").utf8CString)
        let file = mkstemp(&template)
        guard file >= 0 else { throw CommandFailure.spawn(errno) }
        unlink(template)
        _ = fcntl(file, F_SETFD, FD_CLOEXEC)
        return file
    }
}

/// A command that was started.
final class Running {
    let process: pid_t
    private let started = ContinuousClock.now
    private let output: Int32
    private let errors: Int32
    private let description: String
    private var isOver = false

    init(_ process: pid_t, _ output: Int32, _ errors: Int32, _ description: String) {
        self.process = process
        self.output = fcntl(output, F_DUPFD_CLOEXEC, 3)
        self.errors = fcntl(errors, F_DUPFD_CLOEXEC, 3)
        self.description = description
    }

    deinit {
        if !isOver {
            kill(process, SIGKILL)
            var status: Int32 = 0
            waitpid(process, &status, 0)
        }
        close(output)
        close(errors)
    }

    func signal(_ number: Int32) { kill(process, number) }

    /// Whether it has not come to its end.
    var isRunning: Bool {
        var found = siginfo_t()
        let isEnded =
            waitid(P_PID, id_t(process), &found, WEXITED | WNOHANG | WNOWAIT) == 0
            && found.si_signo != 0
        return !isEnded
    }

    func wait(_ timeout: Double = 120) throws -> Finished {
        var status: Int32 = 0
        var usage = rusage()
        while wait4(process, &status, WNOHANG, &usage) == 0 {
            guard seconds < timeout else { throw CommandFailure.timeout(description) }
            usleep(2000)
        }
        isOver = true
        let ended = status & 0x7f
        return Finished(
            status: ended == 0 ? status >> 8 & 0xff : 128 + ended, output: read(output),
            errors: read(errors), seconds: seconds, memory: usage.ru_maxrss << 10)
    }

    private var seconds: Double { started.duration(to: .now) / .seconds(1) }

    /// What it has said so far.
    var outputSoFar: String { String(decoding: read(output), as: UTF8.self) }
    var errorsSoFar: String { String(decoding: read(errors), as: UTF8.self) }

    private func read(_ file: Int32) -> [UInt8] {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = pread(file, &buffer, buffer.count, all.count)
            guard count > 0 else { return all }
            all += buffer[..<count]
        }
    }
}

/// Runs a system program and returns what it printed; nil when it failed.
@discardableResult
func system(_ program: String, _ arguments: String...) throws -> String? {
    guard let path = Command.find(program) else { return nil }
    let finished = try Command(path, arguments).run()
    return finished.status == 0 ? finished.text : nil
}

/// Says that a test could not do its work.
func skip(_ reason: String) { print("skipped: \(reason)") }

/// Whether something slow or privileged can be done here.
let isRoot = geteuid() == 0
