import ResyncCore
import ResyncStorage

/// Where the data of external modules lies in two stores, whichever names these go by.
struct ExternalPaths {
    private var modules: [(path: RelativePath, module: String)] = []

    /// - Parameter configuration: nil where there is none.
    init(_ configuration: Configuration?, in sites: Sides<LocalSite>) {
        guard let configuration else { return }
        let roots = sites.map { forms(of: $0.facts.path) }
        for module in configuration.modules where module.kind == .external {
            guard let pair = configuration.pairs.first(where: { $0.name == module.pair }) else {
                continue
            }
            for store in Side.allCases.flatMap({ forms(of: pair.stores[$0].path) }) {
                for (path, root) in module.paths.flatMap({ path in
                    (roots.a + roots.b).map { (store + path.components.map(\.bytes), $0) }
                }) {
                    add(path, below: root, module.name)
                }
            }
        }
    }

    private mutating func add(_ path: [[UInt8]], below root: [[UInt8]], _ module: String) {
        if path.starts(with: root) {
            let rest = path[root.count...]
            modules.append((RelativePath(Array(rest.joined(separator: [slash]))), module))
        } else if root.starts(with: path) {
            // All of the store is its.
            modules.append((.root, module))
        }
    }

    var paths: Selection { Selection(modules.map(\.path)) }

    /// The module whose data an action would touch; nil where it leaves them all alone.
    func module(touchedBy action: Action) -> String? {
        let touches: (RelativePath) -> Bool =
            switch action.kind {
            case .makeDirectory, .metadata, .settleDirectory, .patch:
                { action.path.isWithin($0) }
            case .write, .link, .symlink, .special, .remove, .removeDirectory:
                { action.path.isWithin($0) || $0.isWithin(action.path) }
            }
        return modules.first { touches($0.path) }?.module
    }
}

extension Configuration.Pair {
    /// Whether its stores are these, whichever names they go by and in either order.
    func isOf(_ sites: Sides<LocalSite>) -> Bool {
        let own = stores.map { forms(of: $0.path) }
        let given = sites.map { forms(of: $0.facts.path) }
        func isSame(_ side: Side, _ other: Side) -> Bool {
            own[side].contains { given[other].contains($0) }
        }
        return Side.allCases.contains { isSame(.a, $0) && isSame(.b, $0.other) }
    }
}

/// Seconds in which the path of a store that lives was followed.
private let patience = 2.0

/// An absolute path's components, as it was written and without symlinks.
private func forms(of path: [UInt8]) -> [[[UInt8]]] {
    let path = absolutePath(path)
    let real = answer(within: patience) { realPath(path) } ?? nil
    return [path, real ?? path].map { $0.split(separator: slash).map { Array($0) } }
}
