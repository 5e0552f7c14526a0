import ResyncCore
import ResyncStorage

/// A store, by where it lies and by what it is: what was kept of it goes by that, however its path
/// is written.
struct StorePlace {
    let path: [UInt8]
    let identity: StoreIdentity?

    init(_ path: [UInt8], _ identity: StoreIdentity?) {
        self.path = path
        self.identity = identity
    }

    init(_ site: LocalSite) { self.init(site.facts.path, site.identity) }

    /// Where in it a side of a run lies; nil where that does not.
    func place(of side: Side, of run: RunRecord) -> RelativePath? {
        let path = side == .a ? run.a : run.b
        if let identity, run.identities[side] == identity { return .root }
        return place(of: path)
    }

    /// Where in it a path lies; nil where that does not.
    func place(of path: [UInt8]) -> RelativePath? {
        let (own, other) = (components(self.path), components(path))
        guard other.starts(with: own) else { return nil }
        return RelativePath(Array(other.dropFirst(own.count).joined(separator: [slash])))
    }

    /// Whether a run read it, as far as anybody knows what both were: what is at its path now may
    /// be another one than was there then.
    func wasRead(by run: RunRecord) -> Bool {
        Side.allCases.contains { side in
            guard let then = run.identities[side], let identity else {
                return isSamePlace(side == .a ? run.a : run.b, path)
            }
            return then == identity
        }
    }
}

/// A comparison of two stores, or of what lies at one place in both.
struct KnownComparison {
    let run: RunRecord
    /// Which side its A is, or the only store that it read.
    let first: Side
    let place: RelativePath

    /// Nil where it is none of these stores.
    init?(_ run: RunRecord, of stores: Sides<StorePlace>) {
        func place(_ first: Side) -> RelativePath? {
            guard let place = stores[first].place(of: .a, of: run),
                run.isAlone || stores[first.other].place(of: .b, of: run) == place
            else { return nil }
            return place
        }
        guard let first = Side.allCases.first(where: { place($0) != nil }), let place = place(first)
        else { return nil }
        (self.run, self.first, self.place) = (run, first, place)
    }
}

/// A path, taken apart.
typealias Components = [ArraySlice<UInt8>]

/// Whether two paths name one place, by their names and the symlinks of relative ones.
func isSamePlace(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    components(absolute(left)) == components(absolute(right))
}

func components(_ path: [UInt8]) -> Components {
    absolute(path).split(separator: UInt8(ascii: "/"))
}

private func absolute(_ path: [UInt8]) -> [UInt8] {
    path.first == UInt8(ascii: "/") ? path : realPath(path) ?? path
}
