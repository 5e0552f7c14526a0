/// Paths picked out one by one, in walk order.
package struct Selection: Sendable {
    package let paths: [RelativePath]
    /// Of these, a walk that keeps within the paths takes nothing that lies below for a part.
    private let shallow: Set<RelativePath>

    /// Sorts, and drops repeats.
    ///
    /// - Parameter shallow: those of the paths that stand for themselves alone.
    package init(_ paths: [RelativePath], shallow: Set<RelativePath> = []) {
        self.shallow = shallow
        var unique: [RelativePath] = []
        for path in paths.sorted() where unique.last != path { unique.append(path) }
        self.paths = unique
    }

    /// Whether one of them stands for itself alone.
    package func isShallow(_ path: RelativePath) -> Bool { shallow.contains(path) }

    /// Whether a path is one of them, or lies below one that does not stand for itself alone.
    package func holds(_ path: RelativePath) -> Bool {
        isOne(path) || path != .root && holdsAll(in: path.parent)
    }

    private func isOne(_ path: RelativePath) -> Bool {
        let at = place(of: path)
        return at < paths.count && paths[at] == path
    }

    private func holdsAll(in directory: RelativePath) -> Bool {
        var above = directory
        while !isOne(above) || shallow.contains(above) {
            if above == .root { return false }
            above = above.parent
        }
        return true
    }

    /// Whether one of them lies below a path, or is it.
    package func isLedTo(by path: RelativePath) -> Bool {
        let at = place(of: path)
        return at < paths.count && paths[at].isWithin(path)
    }

    /// The names in a directory that lead to a path, or are one; nil where all belong to one.
    package func names(in directory: RelativePath) -> Set<[UInt8]>? {
        if holdsAll(in: directory) { return nil }
        let depth = directory.depth
        // What lies below a directory comes right behind it.
        return Set(
            paths[place(of: directory)...].lazy.prefix { $0.isWithin(directory) }
                .filter { $0 != directory }.map { $0.components[depth].bytes })
    }

    /// Of the first path that does not come before another one.
    private func place(of path: RelativePath) -> Int {
        var (low, high) = (0, paths.count)
        while low < high {
            let middle = (low + high) / 2
            if paths[middle] < path { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The selected paths that share one component at some depth.
    package struct Group: Sendable, Equatable {
        package let name: Name
        /// Whether the path that ends with the component is itself selected.
        package let isSelected: Bool
        /// The paths further down.
        package let below: Range<Int>
    }

    /// Groups the paths of a range, all within one directory `depth` components deep, by their next
    /// component.
    package func groups(in range: Range<Int>, depth: Int) -> [Group] {
        var groups: [Group] = []
        var at = range.lowerBound
        while at < range.upperBound {
            let components = paths[at].components
            guard components.count > depth else {
                at += 1
                continue
            }
            let prefix = RelativePath(
                Array(components[...depth].map { $0.bytes }.joined(separator: [slash])))
            var end = at
            while end < range.upperBound, paths[end].isWithin(prefix) { end += 1 }
            let isSelected = components.count == depth + 1
            groups.append(
                Group(
                    name: components[depth], isSelected: isSelected,
                    below: (isSelected ? at + 1 : at)..<end))
            at = end
        }
        return groups
    }
}
