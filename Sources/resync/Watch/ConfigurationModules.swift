import Glibc
import ResyncCore
import ResyncStorage
import Yams

// What a configuration says of modules.
extension ConfigurationFile {
    private static let known =
        "name, pair, paths, weight, after, hot, scope, check, prepare, finish, kind, "
        + "lag, expect, policy"

    mutating func readModules(_ node: Node) {
        guard case .sequence(let modules) = node else {
            return note(node, "modules must be a list")
        }
        guard modules.count <= Module.limit else {
            return note(node, "there are more than \(Module.limit) modules")
        }
        var marks: [String: Node] = [:]
        for module in modules {
            guard let found = described(module) else { continue }
            guard marks.updateValue(module, forKey: found.name) == nil else {
                note(module, "there is a module '\(found.name)' already")
                continue
            }
            remarks += found.expired(at: .now).map { found.sentence(aboutExpired: $0) }
            configuration.modules.append(found)
        }
        moduleMarks = marks
    }

    private mutating func described(_ node: Node) -> Module? {
        let had = mistakes.count
        var module = Module(name: "", pair: "", paths: [])
        var found: Set<String> = []
        for (key, value) in entries(node, "a module") {
            let name = key.string ?? ""
            found.insert(name)
            switch name {
            case "name": if let name = self.name(value) { module.name = name }
            case "pair": if let name = self.name(value) { module.pair = name }
            case "paths": module.paths = paths(value)
            case "weight": if let weight = weight(value) { module.weight = weight }
            case "after": module.after = words(value, "after is a list of modules")
            case "hot": module.hot = hot(value)
            case "scope":
                if let scope = value.string.flatMap(Module.Scope.init(rawValue:)) {
                    module.scope = scope
                } else {
                    note(value, "scope is suspect or full")
                }
            case "check": module.check = command(value, "check")
            case "prepare":
                module.prepare = command(value, "prepare", takesArguments: true)
            case "finish": module.finish = command(value, "finish", takesArguments: true)
            case "lag": module.lag = duration(value, atLeast: 1)
            case "expect": module.expectations = expectations(value)
            case "policy":
                module.policy = value.string.flatMap(Module.Policy.init(rawValue:))
                if module.policy == nil { note(value, "policy is immutable or append-only") }
            case "kind":
                if let kind = value.string.flatMap(Module.Kind.init(rawValue:)) {
                    module.kind = kind
                } else {
                    note(value, "kind is copies or external")
                }
            default: noteUnknown(key, Self.known)
            }
        }
        guard case .mapping = node else { return nil }
        for required in ["name", "pair", "paths"] where !found.contains(required) {
            note(node, "a module needs '\(required)'")
        }
        if module.kind == .external, !found.contains("check") {
            note(node, "an external module needs 'check': nothing else proves it")
        }
        if module.kind == .external {
            for key in ["lag", "expect", "policy", "prepare", "finish"]
            where found.contains(key) {
                note(node, "'\(key)' means nothing where no bytes are compared")
            }
        } else if found.contains("finish"), !found.contains("prepare") {
            note(node, "'finish' needs 'prepare'")
        }
        return mistakes.count == had ? module : nil
    }

    private mutating func weight(_ node: Node) -> Double? {
        if let weight = node.float, weight > 0, weight <= 1e6 { return weight }
        note(node, "a weight is a number above 0, at most a million")
        return nil
    }

    private mutating func words(_ node: Node, _ what: String) -> [String] {
        let words = node.sequence.map { $0.compactMap { $0.string } } ?? []
        if words.isEmpty || words.count != node.sequence?.count { note(node, what) }
        return words
    }

    private mutating func hot(_ node: Node) -> [String] {
        let words = words(node, "hot is a list of paths")
        // Any day shows what is wrong with them.
        let day = CalendarDay(year: 2000, month: 1, day: 1)
        do throws(HotPathError) {
            _ = try HotPaths(words.map { Array($0.utf8) }, days: [day])
        } catch {
            note(node, error.reason)
        }
        return words
    }

    /// Entries that one module may name with a reason.
    private static let expectationLimit = 1000

    private mutating func expectations(_ node: Node) -> [Expectation] {
        guard let list = node.sequence, list.count <= Self.expectationLimit else {
            note(node, "expect is a list of {path, reason, until}")
            return []
        }
        return list.compactMap { expectation($0) }
    }

    private mutating func expectation(_ node: Node) -> Expectation? {
        var (path, reason, until): (String?, String?, Timestamp?) = (nil, nil, nil)
        var found: Set<String> = []
        for (key, value) in entries(node, "what is expected") {
            found.insert(key.string ?? "")
            switch key.string {
            case "path": path = value.string
            case "reason":
                reason = value.string.flatMap { $0.isEmpty ? nil : $0 }
                if reason == nil { note(value, "a reason is text") }
            case "until":
                until = value.string.flatMap { Timestamp.dayAfter($0) }
                if until == nil { note(value, "until is a day, as 2027-03-31") }
            default: noteUnknown(key, "path, reason, until")
            }
        }
        guard case .mapping = node else { return nil }
        for required in ["path", "reason", "until"] where !found.contains(required) {
            note(node, "what is expected needs '\(required)'")
        }
        guard let path, let reason, let until else {
            if found.contains("path"), path == nil { note(node, "a path is a pattern") }
            return nil
        }
        let made = Expectation(Array(path.utf8), reason: reason, until: until)
        if made == nil { note(node, "'\(escaped(path.utf8))' is no pattern") }
        return made
    }

    private mutating func paths(_ node: Node) -> [RelativePath] {
        let words = words(node, "paths is a list of paths in the pair's stores")
        guard words.count <= Module.pathLimit else {
            note(node, "a module has at most \(Module.pathLimit) paths")
            return []
        }
        return words.compactMap { word in
            let path = RelativePath.written(Array(word.utf8))
            guard !word.hasPrefix("/"), path.isValid, !path.isReserved else {
                note(node, "'\(escaped(word.utf8))' is no path in a store")
                return nil
            }
            return path
        }
    }

    /// What is wrong with the modules beside each other and the pairs.
    mutating func checkModules() {
        let modules = configuration.modules
        let pairs = Set(configuration.pairs.map(\.name))
        let names = Set(modules.map(\.name))
        var places: [String: [(path: RelativePath, module: String)]] = [:]
        for module in modules {
            guard let mark = moduleMarks[module.name] else { continue }
            if !pairs.contains(module.pair) {
                note(mark, "module '\(module.name)': there is no pair '\(module.pair)'")
            }
            for other in module.after where !names.contains(other) {
                let other = escaped(other.utf8)
                note(mark, "module '\(module.name)': there is no module '\(other)'")
            }
            places[module.pair, default: []] += module.paths.map { ($0, module.name) }
        }
        for (_, found) in places.sorted(by: { $0.key < $1.key }) { findOverlaps(found) }
        guard mistakes.isEmpty else { return }
        do throws(ModuleOrderError) {
            _ = try ModuleOrder(modules.works { _ in 0 })
        } catch {
            guard case .cycle(let circle) = error, let first = circle.first,
                let mark = moduleMarks[modules[first].name]
            else { return }
            // Each comes after the one before it.
            let chain = ([first] + circle.reversed()).map { modules[$0].name }
            note(mark, "modules wait for each other: \(chain.joined(separator: " after "))")
        }
    }

    private mutating func findOverlaps(_ paths: [(path: RelativePath, module: String)]) {
        // In walk order what holds a path comes right before it, or before others that it holds.
        var above: [(path: RelativePath, module: String)] = []
        for one in paths.sorted(by: { $0.path < $1.path }) {
            while let last = above.last, !one.path.isWithin(last.path) { above.removeLast() }
            if let last = above.last, let mark = moduleMarks[one.module] {
                note(
                    mark,
                    "module '\(one.module)': '\(shown(one.path))' lies in '\(shown(last.path))' of "
                        + (last.module == one.module ? "itself" : "module '\(last.module)'"))
            }
            above.append(one)
        }
    }
}

extension Module {
    /// Says of each expectation that holds no longer that it does not.
    func tellExpired(at now: Timestamp) {
        for expectation in expired(at: now) { Main.complain(sentence(aboutExpired: expectation)) }
    }

    fileprivate func sentence(aboutExpired expectation: Expectation) -> String {
        "module '\(name)': that '\(escaped(expectation.text))' may differ has expired "
            + "(\(escaped(expectation.reason.utf8)))"
    }
}

extension Timestamp {
    /// When a day like `2027-03-31` is over by the clock of this machine; nil where it is none.
    fileprivate static func dayAfter(_ text: String) -> Timestamp? {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].count == 4, parts[1].count == 2, parts[2].count == 2,
            let year = Int32(parts[0]), let month = Int32(parts[1]), let day = Int32(parts[2]),
            (1970...9999).contains(year), (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        var fields = tm()
        (fields.tm_year, fields.tm_mon, fields.tm_mday) = (year - 1900, month - 1, day + 1)
        fields.tm_isdst = -1
        return Timestamp(seconds: Int64(mktime(&fields)), nanoseconds: 0)
    }
}
