package import ResyncCore
package import ResyncStorage

/// Keeps a plan's actions in a scratch file until their turn comes.
package final class ActionSpoolFile: ActionSpool {
    private let scratch: Scratch
    private var file: ScratchFile?
    private var pending = ByteWriter()
    /// Where each portion ends.
    private var ends: [Int] = []

    private static let portion = 256 << 10

    package init(_ scratch: Scratch) { self.scratch = scratch }

    package func append(_ action: Action) throws {
        pending.action(action)
        if pending.bytes.count >= Self.portion { try flush() }
    }

    private func flush() throws {
        let file = try file ?? scratch.file()
        self.file = file
        let start = ends.last ?? 0
        try file.write(pending.bytes, at: start)
        ends.append(start + pending.bytes.count)
        pending.removeAll()
    }

    package func forEach(_ body: (Action) throws -> Void) throws {
        var start = 0
        for end in ends {
            guard let bytes = try file?.read(at: start, count: end - start) else { continue }
            try Self.decode(bytes, body)
            start = end
        }
        try Self.decode(pending.bytes, body)
    }

    private static func decode(_ bytes: [UInt8], _ body: (Action) throws -> Void) throws {
        var reader = ByteReader(bytes)
        while !reader.isAtEnd { try body(try reader.action()) }
    }
}
