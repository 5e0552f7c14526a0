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

    func isA(of run: RunRecord) -> Bool { isSame(run.a, run.identities.a) }
    func isB(of run: RunRecord) -> Bool { isSame(run.b, run.identities.b) }

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

    private func isSame(_ path: [UInt8], _ identity: StoreIdentity?) -> Bool {
        identity != nil && identity == self.identity || isSamePlace(path, self.path)
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
