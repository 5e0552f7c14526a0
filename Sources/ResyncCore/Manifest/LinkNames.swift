/// Gives every further name of an object the path of its first one, from entries in walk order.
///
/// An object leaves the table with its last name, so memory grows with the linked objects that
/// still have names to come, or have some outside of the store.
package struct LinkNames: Sendable {
    private var known: [ObjectIdentity: (first: RelativePath, left: UInt32)] = [:]

    package init() {}

    package mutating func name(
        _ entry: inout ManifestEntry, at path: @autoclosure () -> RelativePath
    ) {
        guard let stat = entry.entry?.stat, stat.links > 1, stat.type != .directory else { return }
        if let (first, left) = known[stat.identity] {
            entry.linkedTo = first
            known[stat.identity] = left > 1 ? (first, left - 1) : nil
        } else {
            known[stat.identity] = (path(), stat.links - 1)
        }
    }
}
