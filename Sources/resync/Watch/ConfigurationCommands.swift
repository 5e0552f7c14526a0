import ResyncCore
import Yams

// Commands of the operator's in a configuration.
extension ConfigurationFile {
    /// A program with its arguments; of one text, what the shell makes of it.
    mutating func command(
        _ node: Node, _ what: String, takesArguments: Bool = false
    ) -> [[UInt8]]? {
        var words: [String]
        if let text = node.string, !text.isEmpty {
            // What a shell's first argument is comes after its own name.
            words = ["/bin/sh", "-c", text] + (takesArguments ? ["sh"] : [])
        } else {
            words = node.sequence.map { $0.compactMap { $0.string } } ?? []
            if words.count != node.sequence?.count { words = [] }
        }
        guard let first = words.first, first.hasPrefix("/"),
            !words.contains(where: { $0.utf8.contains(0) })
        else {
            note(
                node,
                "\(what) is a command of the shell, or a list: a program with its whole path, "
                    + "arguments")
            return nil
        }
        return words.map { Array($0.utf8) }
    }

    mutating func checks(_ node: Node) -> [Configuration.Check] {
        guard let list = node.sequence, list.count <= Configuration.Check.limit else {
            note(node, "checks is a list of {name, command, every}")
            return []
        }
        var checks: [Configuration.Check] = []
        for item in list {
            guard let check = check(item) else { continue }
            if checks.contains(where: { $0.name == check.name }) {
                note(item, "there is a check '\(check.name)' already")
            }
            checks.append(check)
        }
        return checks
    }

    private mutating func check(_ node: Node) -> Configuration.Check? {
        var (name, words, every): (String?, [[UInt8]]?, Double?) = (nil, nil, nil)
        var found: Set<String> = []
        for (key, value) in entries(node, "a check") {
            found.insert(key.string ?? "")
            switch key.string {
            case "name": name = self.name(value)
            case "command": words = command(value, "command")
            case "every": every = duration(value, atLeast: 1)
            default: noteUnknown(key, "name, command, every")
            }
        }
        guard case .mapping = node else { return nil }
        for required in ["name", "command", "every"] where !found.contains(required) {
            note(node, "a check needs '\(required)'")
        }
        guard let name, let words, let every else { return nil }
        return Configuration.Check(name: name, command: words, every: every)
    }
}
