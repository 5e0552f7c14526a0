/// What two entries of one name can disagree about. The raw value is the bit in `AspectSet` and
/// the number in kept files.
package enum Aspect: UInt8, Sendable, CaseIterable {
    case existence = 0
    case type, size, content, target, mode, owner, mtime, links, xattrs, acl, device

    package var word: String {
        switch self {
        case .existence: "existence"
        case .type: "type"
        case .size: "size"
        case .content: "content"
        case .target: "target"
        case .mode: "mode"
        case .owner: "owner"
        case .mtime: "mtime"
        case .links: "links"
        case .xattrs: "xattrs"
        case .acl: "acl"
        case .device: "device"
        }
    }

    /// Whether a difference here means that the data differs, not only what is said about it.
    package var isContent: Bool {
        switch self {
        case .existence, .type, .size, .content, .target, .device: true
        case .mode, .owner, .mtime, .links, .xattrs, .acl: false
        }
    }

    /// The aspect that must agree before this one is compared at all.
    package var restsOn: Aspect? {
        switch self {
        case .existence: nil
        case .content: .size
        case .type: .existence
        case .size, .target, .mode, .owner, .mtime, .links, .xattrs, .acl, .device: .type
        }
    }
}

/// A set of aspects.
package struct AspectSet: OptionSet, Sendable, Hashable {
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package init(_ aspect: Aspect) { self.init(rawValue: 1 << aspect.rawValue) }

    package init(_ aspects: [Aspect]) {
        self.init(rawValue: aspects.reduce(0) { $0 | 1 << $1.rawValue })
    }

    package static let standard = AspectSet([
        .existence, .type, .size, .content, .target, .mode, .owner, .mtime,
    ])
    package static let all = AspectSet(Aspect.allCases)

    package func contains(_ aspect: Aspect) -> Bool { rawValue & (1 << aspect.rawValue) != 0 }

    package mutating func insert(_ aspect: Aspect) { formUnion(AspectSet(aspect)) }

    /// In the order of the declaration.
    package var aspects: [Aspect] { Aspect.allCases.filter { contains($0) } }

    /// What of the usual aspects it leaves out. Content has a size, whether that is in it or not.
    package var leftOut: AspectSet {
        var left = Self.standard.subtracting(self)
        if contains(.content) { left.remove(AspectSet(.size)) }
        return left
    }

    package var touchesContent: Bool { aspects.contains { $0.isContent } }
}

/// How owners are compared.
package enum OwnerRule: String, Sendable {
    case number, name
}

/// Which aspects are compared, and how closely.
package struct ComparisonRules: Sendable, Hashable {
    package var aspects: AspectSet
    /// Times that lie no further apart than this, in nanoseconds, agree.
    package var modifyWindow: UInt64
    package var owners: OwnerRule

    package init(
        aspects: AspectSet = .standard, modifyWindow: UInt64 = 0, owners: OwnerRule = .number
    ) {
        self.aspects = aspects
        self.modifyWindow = modifyWindow
        self.owners = owners
    }
}

/// One name with everything about it that is compared, except file content.
package struct Entry: Sendable, Hashable {
    package var stat: Stat
    /// Few entries have any: kept apart, so that the many without are cheap to copy.
    private var details: Details?

    private final class Details: Sendable, Hashable {
        let target: [UInt8]?
        let xattrs: Digest?
        let acl: Digest?
        let owner: OwnerNames?

        init(target: [UInt8]?, xattrs: Digest?, acl: Digest?, owner: OwnerNames?) {
            self.target = target
            self.xattrs = xattrs
            self.acl = acl
            self.owner = owner
        }

        static func == (left: Details, right: Details) -> Bool {
            left.target == right.target && left.xattrs == right.xattrs && left.acl == right.acl
                && left.owner == right.owner
        }

        func hash(into hasher: inout Hasher) { hasher.combine(target) }
    }

    package init(
        stat: Stat, target: [UInt8]? = nil, xattrs: Digest? = nil, acl: Digest? = nil,
        owner: OwnerNames? = nil
    ) {
        self.stat = stat
        if target != nil || xattrs != nil || acl != nil || owner != nil {
            details = Details(target: target, xattrs: xattrs, acl: acl, owner: owner)
        }
    }

    /// Where a symlink points, as stored.
    package var target: [UInt8]? { details?.target }
    /// Digest over the extended attributes without the ACLs; nil where not asked for.
    package var xattrs: Digest? { details?.xattrs }
    package var acl: Digest? { details?.acl }
    /// The owner's names; nil where owners are compared by number.
    package var owner: OwnerNames? { details?.owner }
}

/// User and group by name, as the site they live on resolves them; its number in decimal where it
/// has no name for one.
package struct OwnerNames: Sendable, Hashable {
    package var user: [UInt8]
    package var group: [UInt8]

    package init(user: [UInt8], group: [UInt8]) {
        self.user = user
        self.group = group
    }
}

extension ComparisonRules {
    /// The aspects in which two entries of one name disagree, as far as that shows without reading
    /// content. Links are judged elsewhere, since they concern several entries.
    package func metadataDifferences(_ a: Entry, _ b: Entry) -> AspectSet {
        guard a.stat.type == b.stat.type else {
            return aspects.contains(.type) ? AspectSet(.type) : []
        }
        var found: AspectSet = []
        let (left, right) = (a.stat, b.stat)
        if left.type == .file, left.size != right.size { found.insert(.size) }
        if left.type == .symlink, a.target != b.target { found.insert(.target) }
        if left.type != .symlink, left.mode != right.mode { found.insert(.mode) }
        if ownersDiffer(a, b) { found.insert(.owner) }
        if left.mtime != right.mtime, left.mtime.distance(to: right.mtime) > modifyWindow {
            found.insert(.mtime)
        }
        if a.xattrs != b.xattrs { found.insert(.xattrs) }
        if a.acl != b.acl { found.insert(.acl) }
        found.formIntersection(aspects)
        // The number is all the content that a device node has.
        let tellsNumber = aspects.contains(.device) || aspects.contains(.content)
        if tellsNumber, left.type.isDevice, left.special != right.special { found.insert(.device) }
        return found
    }

    private func ownersDiffer(_ a: Entry, _ b: Entry) -> Bool {
        switch owners {
        case .number: a.stat.uid != b.stat.uid || a.stat.gid != b.stat.gid
        case .name: a.owner != b.owner
        }
    }

    /// Whether the content of two such entries is to be read and compared.
    package func comparesContent(_ a: Stat, _ b: Stat) -> Bool {
        aspects.contains(.content) && a.type == .file && b.type == .file && a.size == b.size
    }
}
