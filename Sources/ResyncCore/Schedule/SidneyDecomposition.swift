/// Cuts modules into blocks until each is solved, and lays the solutions end to end.
///
/// A set that is to be verified without a gap is cut in one of two ways, neither of which loses the
/// best order. Where all of one part come before all of the rest, there is no choice (the series
/// composition of Lawler 1978). Otherwise, of all parts that nothing outside comes before, one with
/// the most weight per second comes first (Sidney 1975). What cannot be cut is tried out where it
/// is small, and where it is large it is cut by a guess. A thousand modules with three of them
/// before each take some 20 ms, and 1 s where each weighs more than those before it.
struct SidneyDecomposition {
    private(set) var order: [Int] = []
    /// No order costs less.
    private(set) var lowerBound = 0.0
    private(set) var isOptimal = true

    private let modules: [ModuleWork]
    private let precedence: Precedence
    private let exactLimit: Int
    /// Seconds and weights as whole numbers, so that no cut is decided by rounding.
    private let seconds: [Int128]
    private let weights: [Int128]
    /// Where a module stands in the set at hand; -1 when it is not in it.
    private var places: [Int]
    /// When what is in `order` is verified.
    private var now = 0.0

    /// A set of modules, ascending, to be verified without a gap.
    private struct Piece {
        let members: [Int]
        /// Whether the lower bound has it already.
        let isCounted: Bool
    }

    init(_ modules: [ModuleWork], _ precedence: Precedence, exactLimit: Int) {
        self.modules = modules
        self.precedence = precedence
        self.exactLimit = exactLimit
        seconds = wholeNumbers(modules.map(\.seconds))
        weights = wholeNumbers(modules.map(\.weight))
        places = modules.map { _ in -1 }
    }

    mutating func solve() {
        // A stack of our own: a chain of thousands would not fit on that of a thread.
        var pieces = [Piece(members: Array(modules.indices), isCounted: false)]
        func put(_ parts: [[Int]], isCounted: Bool) {
            pieces += parts.reversed().map { Piece(members: $0, isCounted: isCounted) }
        }
        while let piece = pieces.popLast() {
            if let parts = cut(piece.members) {
                put(parts, isCounted: piece.isCounted)
            } else if let best = solution(of: piece.members) {
                append(best, piece.isCounted)
            } else {
                put(guess(piece.members, piece.isCounted), isCounted: true)
            }
        }
    }

    private mutating func cut(_ members: [Int]) -> [[Int]]? {
        guard members.count > 1 else { return nil }
        let parts = series(members)
        if parts.count > 1 { return parts }
        let halves = blocks(members)
        return halves.count > 1 ? halves : nil
    }

    private mutating func append(_ part: [Int], _ isCounted: Bool) {
        for module in part {
            now += modules[module].seconds
            if !isCounted { lowerBound += modules[module].weight * now }
        }
        order += part
    }

    /// Parts of which each as a whole comes before the next.
    private func series(_ members: [Int]) -> [[Int]] {
        let mask = precedence.before.mask(members)
        let before = members.map { precedence.before.count($0, mask) }
        // What comes before a module has fewer before it than the module has.
        let sorted = members.indices.sorted { (before[$0], $0) < (before[$1], $1) }
        var parts: [[Int]] = []
        var start = 0
        // How often one of the first comes before one of the rest.
        var pairs = 0
        for (index, place) in sorted.enumerated() {
            pairs += precedence.behind.count(members[place], mask) - before[place]
            guard pairs == (index + 1) * (members.count - index - 1) else { continue }
            parts.append(sorted[start...index].map { members[$0] }.sorted())
            start = index + 1
        }
        return parts
    }

    /// Two parts, of which the first is to come first; one where none is found, and then no part
    /// that could come first has more weight per second than all.
    private mutating func blocks(_ members: [Int]) -> [[Int]] {
        var (allSeconds, allWeight): (Int128, Int128) = (0, 0)
        for module in members {
            allSeconds += seconds[module]
            allWeight += weights[module]
        }
        // Above 0 in sum for just those parts that have more weight per second than all (the
        // parameter of Dinkelbach 1967).
        var flow = ClosureFlow(
            gains: members.map { allSeconds * weights[$0] - allWeight * seconds[$0] },
            after: direct(members))
        flow.run()
        // The least part with the largest sum has all that is better than the average, so that the
        // halves can be cut on alone (Fujishige 1980).
        let best = flow.spread(from: members.indices.filter { flow.excess[$0] > 0 })
        if !best.isEmpty { return split(members, best) }
        // Nothing is better; what no more can flow out of is as good (Picard and Queyranne 1980).
        return split(members, flow.spread(from: [0]))
    }

    /// What each member comes after, by place in the set at hand.
    private mutating func direct(_ members: [Int]) -> [[Int]] {
        for (place, module) in members.enumerated() { places[module] = place }
        defer { for module in members { places[module] = -1 } }
        return members.map { module in
            precedence.direct[module].map { places[$0] }.filter { $0 >= 0 }
        }
    }

    private func split(_ members: [Int], _ first: [Int]) -> [[Int]] {
        var isFirst = members.map { _ in false }
        for place in first { isFirst[place] = true }
        let places = members.indices
        return [places.filter { isFirst[$0] }, places.filter { !isFirst[$0] }]
            .filter { !$0.isEmpty }.map { $0.map { members[$0] } }
    }

    /// The best order of few modules, by way of the sets that could be verified first (Held and
    /// Karp 1962); nil where they are too many.
    private mutating func solution(of members: [Int]) -> [Int]? {
        guard members.count > 1 else { return members }
        guard members.count <= exactLimit else { return nil }
        let before = direct(members).map { $0.reduce(0) { $0 | 1 << $1 } }
        let full = 1 << members.count - 1
        var costs = Array(repeating: Double.infinity, count: full + 1)
        var ends = Array(repeating: 0.0, count: full + 1)
        var last = Array(repeating: 0, count: full + 1)
        costs[0] = 0
        for done in 0..<full where costs[done] < .infinity {
            for place in members.indices where done & 1 << place == 0 {
                guard before[place] & ~done == 0 else { continue }
                let next = done | 1 << place
                let module = modules[members[place]]
                ends[next] = ends[done] + module.seconds
                let cost = costs[done] + module.weight * ends[next]
                guard cost < costs[next] else { continue }
                costs[next] = cost
                last[next] = place
            }
        }
        var best: [Int] = []
        var rest = full
        while rest != 0 {
            best.append(members[last[rest]])
            rest ^= 1 << last[rest]
        }
        return best.reversed()
    }

    /// A large block in two: first one module with all before it, or last one with all behind it,
    /// whichever leaves the most weight per second in front for what it leaves behind.
    private mutating func guess(_ members: [Int], _ isCounted: Bool) -> [[Int]] {
        isOptimal = false
        if !isCounted { lowerBound += leastCost(members) }
        let mask = precedence.before.mask(members)
        let time = members.reduce(0) { $0 + modules[$1].seconds }
        let weight = members.reduce(0) { $0 + modules[$1].weight }
        var best = (score: -1.0, module: members[0], isFirst: true)
        for module in members {
            let (timeBefore, weightBefore) = sums(module, precedence.before, mask)
            let (timeBehind, weightBehind) = sums(module, precedence.behind, mask)
            // The ratio of what is first to the ratio of the rest.
            let asFirst =
                weightBefore / timeBefore * ((time - timeBefore) / (weight - weightBefore))
            let asLast =
                timeBehind / weightBehind * ((weight - weightBehind) / (time - timeBehind))
            if asFirst > best.score { best = (asFirst, module, true) }
            if asLast > best.score { best = (asLast, module, false) }
        }
        var chosen: Set = [best.module]
        let rows = best.isFirst ? precedence.before : precedence.behind
        rows.forEachColumn(best.module, mask) { chosen.insert($0) }
        return split(
            members, members.indices.filter { chosen.contains(members[$0]) == best.isFirst })
    }

    /// Seconds and weight of a module with those of a mask that a row has.
    private func sums(_ module: Int, _ rows: BitRows, _ mask: [UInt64]) -> (Double, Double) {
        var (time, weight) = (modules[module].seconds, modules[module].weight)
        rows.forEachColumn(module, mask) {
            time += modules[$0].seconds
            weight += modules[$0].weight
        }
        return (time, weight)
    }

    /// What a block costs at least. None of its beginnings has more weight per second than all of
    /// it, so that in the two-dimensional Gantt chart (Goemans and Williamson 2000) the corners of
    /// every order lie on one side of the diagonal, and a triangle for each step beside it.
    private func leastCost(_ members: [Int]) -> Double {
        var (time, weight, times, squares) = (0.0, 0.0, 0.0, 0.0)
        for module in members.map({ modules[$0] }) {
            time += module.seconds
            weight += module.weight
            times += module.seconds * module.seconds
            squares += module.weight * module.weight
        }
        let steps = max(times * (weight / time), squares * (time / weight))
        return weight * now + (weight * time + steps) / 2
    }
}

/// Multiplied by one power of two, so that the sum is below 2^62; what is above 0 stays so. The
/// product of two sums, and a sum of such products, is then below 2^126.
private func wholeNumbers(_ values: [Double]) -> [Int128] {
    guard let largest = values.max(), largest > 0 else { return values.map { _ in 0 } }
    let bits = 61 - largest.exponent - (Int.bitWidth - values.count.leadingZeroBitCount)
    return values.map { value in
        guard value > 0 else { return 0 }
        return max(1, Int128(Double(sign: .plus, exponent: bits, significand: value).rounded()))
    }
}
