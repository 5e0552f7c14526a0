import ResyncCore
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
    var configuration = Configuration()
    private(set) var mistakes: [ConfigurationMistake] = []
    /// What it says that has no effect any more.
    var remarks: [String] = []
    /// Where each module is described.
    var moduleMarks: [String: Node] = [:]
    private var names: Set<String> = []
    /// Where each store is named.
    private var places: [String: Mark] = [:]

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
        checkModules()
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
        let bytes = try wholeFile(path, "the configuration", limit: sizeLimit, .usage)
        guard let text = validText(bytes) else {
            throw CommandError("the configuration '\(escaped(path))' is no UTF-8 text", .usage)
        }
        return text
    }

    private static func mistake(_ error: YamlError) -> ConfigurationMistake {
        switch error {
        case .scanner(let context, let problem, let mark, _),
            .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            ConfigurationMistake(
                line: mark.line, column: mark.column,
                text: escaped(problem.utf8)
                    + (context.map {
                        " \(escaped($0.text.utf8)) that begins in line \($0.mark.line)"
                    }
                        ?? "") + ": is the indentation right?")
        case .reader(let problem, let offset, _, let yaml):
            place(of: offset ?? 0, in: yaml, escaped(problem.utf8))
        case .duplicatedKeysInMapping(let keys, let context):
            ConfigurationMistake(
                line: context.mark.line, column: context.mark.column,
                text: "a key is there twice: "
                    + keys.map { escaped($0.description.utf8) }.joined(separator: ", "))
        default:
            ConfigurationMistake(
                line: 1, column: 1, text: "it is no YAML: \(escaped("\(error)".utf8))")
        }
    }

    /// - Parameter offset: in bytes.
    private static func place(
        of offset: Int, in text: String, _ problem: String
    ) -> ConfigurationMistake {
        let lines = text.utf8.prefix(offset).split(
            separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let column = lines.last.map { String($0)?.unicodeScalars.count ?? 0 } ?? 0
        return ConfigurationMistake(line: lines.count, column: column + 1, text: problem)
    }

    // MARK: What it says

    mutating func note(_ node: Node, _ text: String) {
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
            case "modules": readModules(value)
            default: noteUnknown(key, "pairs, watch, notify, modules")
            }
        }
        if configuration.pairs.isEmpty, mistakes.isEmpty { note(root, "it names no pairs") }
    }

    mutating func noteUnknown(_ key: Node, _ known: String) {
        note(key, "unknown key '\(escaped((key.string ?? "?").utf8))': there are \(known)")
    }

    mutating func entries(_ node: Node, _ what: String) -> [(key: Node, value: Node)] {
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
        let had = mistakes.count
        var pair = Configuration.Pair(
            name: "", a: Configuration.Store(path: []), b: Configuration.Store(path: []))
        var found: Set<String> = []
        var marks: Sides<Mark?> = Sides(a: nil, b: nil)
        for (key, value) in entries(node, "a pair") {
            found.insert(key.string ?? "")
            switch key.string {
            case "name":
                guard let name = name(value) else { continue }
                if !names.insert(name).inserted { note(value, "there is a pair '\(name)' already") }
                pair.name = name
            case "a", "b":
                let side: Side = key.string == "a" ? .a : .b
                marks[side] = value.mark
                if let store = store(value) { pair.stores[side] = store }
            case "settle": if let seconds = duration(value) { pair.settle = seconds }
            case "read-limit": pair.readLimit = rate(value)
            case "write-limit": pair.writeLimit = rate(value)
            case "max-age": pair.maximumAge = duration(value)
            case "windows": pair.windows = windows(value)
            case "checks": pair.checks = checks(value)
            default:
                noteUnknown(
                    key, "name, a, b, settle, read-limit, write-limit, max-age, windows, checks")
            }
        }
        guard case .mapping = node else { return }
        for required in ["name", "a", "b"] where !found.contains(required) {
            note(node, "a pair needs '\(required)'")
        }
        guard mistakes.count == had else { return }
        for side in Side.allCases { places[pair.storeName(side)] = marks[side] }
        configuration.pairs.append(pair)
    }

    mutating func name(_ node: Node) -> String? {
        guard let name = node.string, StoreName.isValid(name), !name.contains("/") else {
            note(node, "a name has letters, digits, '.', '-' and '_', at most 80 of them")
            return nil
        }
        return name
    }

    private mutating func store(_ node: Node) -> Configuration.Store? {
        if let path = node.string { return store(at: path, node) }
        let had = mistakes.count
        var found: Configuration.Store?
        var (hasPath, probes, isReadOnly) = (false, true, false)
        for (key, value) in entries(node, "a store") {
            switch key.string {
            case "path":
                hasPath = true
                if let path = value.string {
                    found = store(at: path, value)
                } else {
                    note(value, "a path is text")
                }
            case "probe":
                probes = flag(value, "probe") ?? true
            case "read-only":
                isReadOnly = flag(value, "read-only") ?? false
            default: noteUnknown(key, "path, probe, read-only")
            }
        }
        if case .mapping = node, !hasPath { note(node, "a store needs a path") }
        // Where nothing can be written, nothing is probed by writing.
        found?.probes = probes && !isReadOnly
        found?.isReadOnly = isReadOnly
        return mistakes.count == had ? found : nil
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
        var limit: Node?
        for (key, value) in entries(node, "watch") {
            let place: WritableKeyPath<DetectorSettings, Double>
            switch key.string {
            case "interval": place = \.interval
            case "slow": place = \.slow
            case "hung": place = \.hung
            case "hold-down": place = \.holdDown
            case "hold-down-limit":
                place = \.holdDownLimit
                limit = value
            default:
                noteUnknown(key, "interval, slow, hung, hold-down, hold-down-limit")
                continue
            }
            guard let seconds = duration(value, atLeast: 0.1) else { continue }
            configuration.detector[keyPath: place] = seconds
        }
        let watch = configuration.detector
        if watch.slow > watch.hung { note(node, "slow must not be longer than hung") }
        guard watch.holdDownLimit < watch.holdDown else { return }
        if let limit {
            note(limit, "hold-down-limit must not be shorter than hold-down")
        } else {
            configuration.detector.holdDownLimit = watch.holdDown
        }
    }

    private mutating func readNotification(_ node: Node) {
        var found: Configuration.Notification?
        var (hasCommand, timeout, repeats): (Bool, Double?, Double?) = (false, nil, nil)
        for (key, value) in entries(node, "notify") {
            switch key.string {
            case "command":
                hasCommand = true
                let words = value.sequence.map { $0.compactMap { $0.string } } ?? []
                guard let first = words.first, first.hasPrefix("/"),
                    words.count == value.sequence?.count,
                    !words.contains(where: { $0.utf8.contains(0) })
                else {
                    note(value, "command is a list: a program with its whole path, arguments")
                    continue
                }
                found = Configuration.Notification(command: words.map { Array($0.utf8) })
            case "timeout": timeout = duration(value, atLeast: 1)
            case "repeat": repeats = duration(value, atLeast: 60)
            default: noteUnknown(key, "command, timeout, repeat")
            }
        }
        if case .mapping = node, !hasCommand { note(node, "notify needs a command") }
        guard var found else { return }
        if let timeout { found.timeout = timeout }
        found.repeats = repeats
        configuration.notification = found
    }

    // MARK: Values

    mutating func duration(_ node: Node, atLeast least: Double = 0) -> Double? {
        let found = quantity(node) { (text) throws(QuantityError) in try parseDuration(text) }
        guard let found, found >= least else {
            if found != nil { note(node, "that is too short: at least \(durationText(least))") }
            return nil
        }
        return found
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
                let place = places[one.0]
                mistakes.append(
                    ConfigurationMistake(
                        line: place?.line ?? 1, column: place?.column ?? 1,
                        text: one.1 == other.1
                            ? "\(one.0) and \(other.0) are the same store"
                            : "\(one.0) and \(other.0) lie one in the other"))
                // One for each store is enough.
                break
            }
        }
    }
}
