import ResyncCore
import ResyncStorage
import Yams

/// One thing that is wrong in a configuration file.
struct ConfigurationMistake {
    /// Both from 1.
    let line: Int
    let column: Int
    let text: String
}

/// A configuration file, read and understood as far as it goes.
struct ConfigurationFile {
    static let usualPath = Array("/etc/resync/resync.yaml".utf8)
    private static let sizeLimit = 1 << 20

    let path: [UInt8]
    private(set) var configuration = Configuration()
    private(set) var mistakes: [ConfigurationMistake] = []
    /// What it says that has no effect yet.
    private(set) var reserved: [String] = []

    /// - Throws: `CommandError` where it cannot be read at all.
    init(path: [UInt8]) throws {
        self.path = path
        let text = try Self.text(path)
        do {
            guard let root = try Yams.compose(yaml: text) else {
                mistakes.append(ConfigurationMistake(line: 1, column: 1, text: "it is empty"))
                return
            }
            read(root)
        } catch let error as YamlError {
            mistakes.append(Self.mistake(error))
        }
        if mistakes.isEmpty { findOverlaps() }
    }

    /// The configuration, if nothing is wrong with it.
    ///
    /// - Throws: `CommandError` with the first mistake.
    static func load(_ path: [UInt8]) throws -> Configuration {
        let file = try ConfigurationFile(path: path)
        guard let first = file.mistakes.first else { return file.configuration }
        let more = file.mistakes.count - 1
        throw CommandError(
            file.sentence(first)
                + (more > 0 ? " (and \(more) more: see 'resync config check')" : ""), .usage)
    }

    func sentence(_ mistake: ConfigurationMistake) -> String {
        "\(escaped(path)):\(mistake.line):\(mistake.column): \(mistake.text)"
    }

    private static func text(_ path: [UInt8]) throws -> String {
        let bytes: [UInt8]
        do throws(DiskError) {
            let file = try InputFile.open(path: path, disk: LinuxDisk())
            guard file.stat.type == .file, file.size <= sizeLimit else {
                throw DiskError(.openat, ErrorNumber.invalidArgument)
            }
            bytes = try file.read(at: 0, count: sizeLimit)
        } catch {
            throw CommandError(
                "cannot read the configuration '\(escaped(path))': \(error.sentence)", .usage)
        }
        guard let text = validText(bytes) else {
            throw CommandError("the configuration '\(escaped(path))' is no UTF-8 text", .usage)
        }
        return text
    }

    private static func mistake(_ error: YamlError) -> ConfigurationMistake {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            ConfigurationMistake(line: mark.line, column: mark.column, text: problem)
        case .duplicatedKeysInMapping(let keys, let context):
            ConfigurationMistake(
                line: context.mark.line, column: context.mark.column,
                text: "a key is there twice: "
                    + keys.map { escaped($0.description.utf8) }.joined(separator: ", "))
        default:
            ConfigurationMistake(line: 1, column: 1, text: "it is no YAML: \(error)")
        }
    }

    // MARK: What it says

    private mutating func note(_ node: Node, _ text: String) {
        let mark = node.mark
        mistakes.append(
            ConfigurationMistake(line: mark?.line ?? 1, column: mark?.column ?? 1, text: text))
    }

    private mutating func read(_ root: Node) {
        for (key, value) in entries(root, "the file") {
            switch key.string {
            case "pairs": readPairs(value)
            case "watch": readWatch(value)
            case "notify": readNotification(value)
            case "modules": reserved.append("modules: not used by this version")
            default: noteUnknown(key, "pairs, watch, notify, modules")
            }
        }
        if configuration.pairs.isEmpty, mistakes.isEmpty { note(root, "it names no pairs") }
    }

    private mutating func noteUnknown(_ key: Node, _ known: String) {
        note(key, "unknown key '\(escaped((key.string ?? "?").utf8))': there are \(known)")
    }

    private mutating func entries(_ node: Node, _ what: String) -> [(key: Node, value: Node)] {
        guard case .mapping(let mapping) = node else {
            note(node, "\(what) must be a mapping of keys to values")
            return []
        }
        return mapping.map { ($0.key, $0.value) }
    }

    private mutating func readPairs(_ node: Node) {
        guard case .sequence(let pairs) = node else {
            return note(node, "pairs must be a list")
        }
        guard pairs.count <= Configuration.pairLimit else {
            return note(node, "there are more than \(Configuration.pairLimit) pairs")
        }
        for pair in pairs { readPair(pair) }
    }

    private mutating func readPair(_ node: Node) {
        let keys = entries(node, "a pair")
        guard !keys.isEmpty else { return }
        var name: String?
        var (a, b): (Configuration.Store?, Configuration.Store?)
        for (key, value) in keys {
            switch key.string {
            case "name": name = pairName(value)
            case "a": a = store(value)
            case "b": b = store(value)
            case "settle", "read-limit", "write-limit", "max-age", "windows": break
            default:
                noteUnknown(
                    key, "name, a, b, settle, read-limit, write-limit, max-age, windows")
            }
        }
        let had = mistakes.count
        for required in ["name", "a", "b"]
        where !keys.contains(where: { $0.key.string == required }) {
            note(node, "a pair needs '\(required)'")
        }
        guard let name, let a, let b, mistakes.count == had else { return }
        var pair = Configuration.Pair(name: name, a: a, b: b)
        for (key, value) in keys {
            switch key.string {
            case "settle": if let seconds = duration(value) { pair.settle = seconds }
            case "read-limit": pair.readLimit = rate(value)
            case "write-limit": pair.writeLimit = rate(value)
            case "max-age": pair.maximumAge = duration(value)
            case "windows": pair.windows = windows(value)
            default: break
            }
        }
        configuration.pairs.append(pair)
    }

    private mutating func pairName(_ node: Node) -> String? {
        guard let name = node.string, StoreName.isValid(name), !name.contains("/") else {
            note(node, "a name has letters, digits, '.', '-' and '_', at most 80 of them")
            return nil
        }
        guard !configuration.pairs.contains(where: { $0.name == name }) else {
            note(node, "there is a pair '\(name)' already")
            return nil
        }
        return name
    }

    private mutating func store(_ node: Node) -> Configuration.Store? {
        if let path = node.string { return store(at: path, node) }
        var found: Configuration.Store?
        var (probes, isReadOnly) = (true, false)
        for (key, value) in entries(node, "a store") {
            switch key.string {
            case "path":
                guard let path = value.string else {
                    note(value, "a path is text")
                    return nil
                }
                found = store(at: path, value)
            case "probe":
                probes = flag(value, "probe") ?? true
            case "read-only":
                isReadOnly = flag(value, "read-only") ?? false
            default: noteUnknown(key, "path, probe, read-only")
            }
        }
        if found == nil, mistakes.isEmpty { note(node, "a store needs a path") }
        // Where nothing can be written, nothing is probed by writing.
        found?.probes = probes && !isReadOnly
        found?.isReadOnly = isReadOnly
        return found
    }

    private mutating func flag(_ node: Node, _ name: String) -> Bool? {
        if let word = node.bool { return word }
        note(node, "\(name) is true or false")
        return nil
    }

    private mutating func store(at path: String, _ node: Node) -> Configuration.Store? {
        guard !path.hasPrefix("ssh://") else {
            note(node, "stores over ssh cannot be watched yet")
            return nil
        }
        guard path.hasPrefix("/"), !path.utf8.contains(0), path.utf8.count < 4096 else {
            note(node, "a store's path begins with '/'")
            return nil
        }
        let components = path.utf8.split(separator: slash)
        guard !components.contains(where: { $0.elementsEqual("..".utf8) }) else {
            note(node, "a store's path has no '..'")
            return nil
        }
        let plain = components.filter { !$0.elementsEqual(".".utf8) }
        return Configuration.Store(
            path: plain.isEmpty ? [slash] : Array(plain.map { [slash] + $0 }.joined()))
    }

    private mutating func readWatch(_ node: Node) {
        for (key, value) in entries(node, "watch") {
            guard let seconds = duration(value) else { continue }
            let isLong = seconds >= 0.1
            switch key.string {
            case "interval" where isLong: configuration.detector.interval = seconds
            case "slow" where isLong: configuration.detector.slow = seconds
            case "hung" where isLong: configuration.detector.hung = seconds
            case "hold-down" where isLong: configuration.detector.holdDown = seconds
            case "hold-down-limit" where isLong: configuration.detector.holdDownLimit = seconds
            case "interval", "slow", "hung", "hold-down", "hold-down-limit":
                note(value, "that is too short")
            default: noteUnknown(key, "interval, slow, hung, hold-down, hold-down-limit")
            }
        }
        if configuration.detector.slow > configuration.detector.hung {
            note(node, "slow must not be longer than hung")
        }
        configuration.detector.holdDownLimit = max(
            configuration.detector.holdDownLimit, configuration.detector.holdDown)
    }

    private mutating func readNotification(_ node: Node) {
        var found: Configuration.Notification?
        var (timeout, repeats): (Double?, Double?)
        for (key, value) in entries(node, "notify") {
            switch key.string {
            case "command":
                let words = value.sequence.map { $0.compactMap { $0.string } } ?? []
                guard let first = words.first, first.hasPrefix("/"),
                    words.count == value.sequence?.count
                else {
                    note(value, "command is a list: a program with its whole path, arguments")
                    continue
                }
                found = Configuration.Notification(command: words.map { Array($0.utf8) })
            case "timeout": timeout = duration(value)
            case "repeat": repeats = duration(value)
            default: noteUnknown(key, "command, timeout, repeat")
            }
        }
        guard var found else {
            if mistakes.isEmpty { note(node, "notify needs a command") }
            return
        }
        if let timeout { found.timeout = max(1, timeout) }
        found.repeats = repeats.map { max(60, $0) }
        configuration.notification = found
    }

    // MARK: Values

    private mutating func duration(_ node: Node) -> Double? {
        quantity(node) { (text) throws(QuantityError) in try parseDuration(text) }
    }

    private mutating func rate(_ node: Node) -> Int? {
        quantity(node) { (text) throws(QuantityError) in try parseRate(text) }
    }

    private mutating func quantity<Value>(
        _ node: Node, _ parse: (String) throws(QuantityError) -> Value
    ) -> Value? {
        guard let text = node.string else {
            note(node, "a value is expected")
            return nil
        }
        do throws(QuantityError) {
            return try parse(text)
        } catch {
            note(node, error.reason)
            return nil
        }
    }

    private mutating func windows(_ node: Node) -> [Configuration.Window] {
        guard let list = node.sequence else {
            note(node, "windows is a list, as [\"22:00-06:00\"]")
            return []
        }
        return list.compactMap { item in
            let window = item.string.flatMap(Configuration.Window.init)
            if window == nil { note(item, "a window is as 22:00-06:00") }
            return window
        }
    }

    // MARK: What does not fit together

    private mutating func findOverlaps() {
        let stores = configuration.stores.map { ($0.name, $0.store.path) }
        for (index, one) in stores.enumerated() {
            for other in stores[..<index]
            where isWithin(one.1, other.1) || isWithin(other.1, one.1) {
                mistakes.append(
                    ConfigurationMistake(
                        line: 1, column: 1,
                        text: one.1 == other.1
                            ? "\(one.0) and \(other.0) are the same store"
                            : "\(one.0) and \(other.0) lie one in the other"))
            }
        }
    }

    private func isWithin(_ path: [UInt8], _ other: [UInt8]) -> Bool {
        path == other || other == [slash] || path.starts(with: other + [slash])
    }
}

private let slash = UInt8(ascii: "/")
