import ResyncCore
import Yams

// Commands of the operator's in a configuration.
extension ConfigurationFile {
    /// A program with its arguments; of one text, what the shell makes of it.
    mutating func command(_ node: Node, _ what: String) -> [[UInt8]]? {
        var words: [String]
        if let text = node.string, !text.isEmpty {
            words = ["/bin/sh", "-c", text]
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
}
