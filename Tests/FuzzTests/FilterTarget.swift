import ResyncCore
import TestSupport

extension FuzzTarget {
    /// A list of rules, a NUL, a path: against the rules as the manual words them.
    static let filter = FuzzTarget(
        "filter", rounds: 60_000, samples: filterSamples(), check: checkFilter)
}

private func filterSamples() -> [[UInt8]] {
    var random = Seed(11)
    return (0..<24).map { _ in
        let path = random.path()
        var list: [UInt8] = []
        for _ in 0...random.below(3) {
            list += (random.once(in: 3) ? "+ " : "- ").utf8 + random.pattern(from: path) + [0x0a]
        }
        return list + [0] + path
    }
}

private func checkFilter(_ input: [UInt8]) throws -> Bool {
    let cut = input.firstIndex(of: 0) ?? input.count
    let list = Array(input[..<cut])
    let path = Array(input[min(input.count, cut + 1)...])
    var filter = Filter()
    do {
        try filter.add(list: list, separator: 0x0a)
    } catch {
        try demand(filter.isEmpty, "takes a part of a list that it refuses")
        return false
    }
    var again = Filter()
    try again.add(list: filter.canonicalBytes, separator: 0)
    try demand(again == filter, "is written as another one")
    guard RelativePath(path).isValid, !path.isEmpty else { return false }
    let name = RelativePath(path).lastName.bytes
    let parent = RelativePath(path).parent.bytes
    for isDirectory in [false, true] {
        let isLeftOut = name.withUnsafeBufferPointer {
            filter.excludes($0, in: parent, isDirectory: isDirectory)
        }
        // The reference tries every choice there is: with many stars it comes to no end.
        guard list.count < 60, path.count < 40, list.count(where: { $0 == 0x2a }) < 12 else {
            continue
        }
        let expected = referenceExcludes(filter, path, isDirectory: isDirectory)
        try demand(
            isLeftOut == expected,
            "\(escaped(list)) on \(escaped(path)), directory \(isDirectory): \(isLeftOut)")
    }
    return true
}

private func referenceExcludes(_ filter: Filter, _ path: [UInt8], isDirectory: Bool) -> Bool {
    for rule in filter.canonicalBytes.split(separator: 0) {
        let pattern = Array(rule.dropFirst(2))
        if FilterReference.matches(pattern, path: path, isDirectory: isDirectory) {
            return rule.first == UInt8(ascii: "-")
        }
    }
    return false
}
