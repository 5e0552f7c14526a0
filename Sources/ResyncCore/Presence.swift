/// On which sides a name was listed.
package struct Presence: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let a = Presence(rawValue: 1)
    package static let b = Presence(rawValue: 2)
    package static let both: Presence = [.a, .b]

    package static func on(_ side: Side) -> Presence { side == .a ? .a : .b }
    package func contains(_ side: Side) -> Bool { contains(Presence.on(side)) }
}

/// Names of one directory as both sides list them, merged in byte order.
package struct PairedNames: Sendable {
    /// The kind is nil where the sides name different ones.
    package private(set) var names = NameList()
    package private(set) var presence: [Presence] = []

    package init() {}

    package var count: Int { names.count }
    package var isEmpty: Bool { names.isEmpty }

    package mutating func append(
        _ index: Int, of list: NameList, kind: EntryType?, _ presence: Presence
    ) {
        list.withBytes(index) { names.append(UnsafeRawBufferPointer($0), kind: kind) }
        self.presence.append(presence)
    }

    package mutating func append(_ name: Name, kind: EntryType?, _ presence: Presence) {
        names.append(name, kind: kind)
        self.presence.append(presence)
    }
}
