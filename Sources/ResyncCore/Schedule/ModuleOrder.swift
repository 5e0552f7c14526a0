/// What is verified as a whole before the service that lives on it opens again.
package struct ModuleWork: Sendable, Hashable {
    /// How long verifying it takes: 0 ... `limit`.
    package var seconds: Double
    /// What a second without it costs, in any unit: above 0, up to `limit`.
    package var weight: Double
    /// The indices of the modules that must be verified before it opens.
    package var after: [Int]

    package static let limit = 1e12

    package init(seconds: Double, weight: Double = 1, after: [Int] = []) {
        self.seconds = seconds
        self.weight = weight
        self.after = after
    }
}

/// Why there is no order. Modules are named by their indices.
package enum ModuleOrderError: Error, Hashable {
    /// Each comes after the one before it, and the first after the last.
    case cycle([Int])
    /// It comes after one that there is not.
    case noSuchModule(module: Int, after: Int)
    /// Its seconds or its weight are out of bounds.
    case badNumber(module: Int)
    /// There are more than `ModuleOrder.limit`.
    case tooMany(Int)
}

/// The order in which modules, verified one after the other, open with the least weighted sum of
/// waiting: 1|prec|Σwⱼ Cⱼ in the notation of Graham, Lawler, Lenstra and Rinnooy Kan (1979).
///
/// A module opens when it and all that it comes after are verified. To verify one before something
/// that it comes after gains nothing, so the order keeps to `after`. The least sum is found where
/// nothing comes after anything (Smith 1956), where `after` is a forest in either direction (Horn
/// 1972) or series-parallel (Lawler 1978), and wherever Sidney's decomposition (1975) leaves small
/// blocks only. In general the problem is NP-hard (Lawler 1978); then the sum is less than twice
/// the least (Chekuri and Motwani 1999; Margot, Queyranne and Wang 2003), and `bound` says how near
/// it is proven to be.
package struct ModuleOrder: Sendable, Hashable {
    /// Indices of modules, the first to be verified first. Where either would do, the lower index.
    package let order: [Int]
    /// By index of the module, in seconds from the start of the first.
    package let estimatedEnds: [Double]
    /// The sum of weight × end.
    package let cost: Double
    /// No order costs less than `cost / bound`; 1 where the order is proven to be the best.
    package let bound: Double
    /// Whether no order costs less, up to rounding: numbers count to 2^-46 of the largest.
    package let isOptimal: Bool

    /// Pairs of modules are kept as bits, and time grows with the cube in the worst shapes.
    package static let limit = 2000

    package init(_ modules: [ModuleWork]) throws(ModuleOrderError) {
        try self.init(modules, exactLimit: 14)
    }

    /// - Parameter exactLimit: how many modules a block may have to be solved by trying, 1 ... 20;
    ///   time and memory double with each.
    init(_ modules: [ModuleWork], exactLimit: Int) throws(ModuleOrderError) {
        var solution = SidneyDecomposition(
            modules, try Precedence(modules), exactLimit: exactLimit)
        solution.solve()
        var ends = modules.map { _ in 0.0 }
        var (now, cost) = (0.0, 0.0)
        for module in solution.order {
            now += modules[module].seconds
            ends[module] = now
            cost += modules[module].weight * now
        }
        order = solution.order
        estimatedEnds = ends
        self.cost = cost
        isOptimal = solution.isOptimal
        bound = solution.isOptimal ? 1 : max(1, cost / solution.lowerBound)
    }
}

/// What comes before what.
struct Precedence {
    /// Of each module those it was said to come after, each once, ascending.
    let direct: [[Int]]
    /// All that come before a module, and all that come behind it, whatever lies between.
    private(set) var before: BitRows
    private(set) var behind: BitRows

    init(_ modules: [ModuleWork]) throws(ModuleOrderError) {
        guard modules.count <= ModuleOrder.limit else { throw .tooMany(modules.count) }
        for (index, module) in modules.enumerated() {
            // NaN is in no range.
            guard (0...ModuleWork.limit).contains(module.seconds),
                (0...ModuleWork.limit).contains(module.weight), module.weight > 0
            else { throw .badNumber(module: index) }
            if let wrong = module.after.first(where: { !modules.indices.contains($0) }) {
                throw .noSuchModule(module: index, after: wrong)
            }
        }
        direct = modules.map { Set($0.after).sorted() }
        before = BitRows(modules.count)
        behind = before
        let order = try Self.sorted(direct)
        for module in order {
            for other in direct[module] { before.add(other, andItsRowTo: module) }
        }
        for module in order.reversed() {
            for other in direct[module] { behind.add(module, andItsRowTo: other) }
        }
    }

    /// Every module behind those it comes after (Kahn 1962).
    private static func sorted(_ direct: [[Int]]) throws(ModuleOrderError) -> [Int] {
        var waiting = direct.map(\.count)
        var followers: [[Int]] = direct.map { _ in [] }
        for (module, others) in direct.enumerated() {
            for other in others { followers[other].append(module) }
        }
        var order = waiting.indices.filter { waiting[$0] == 0 }
        var next = 0
        while next < order.count {
            for module in followers[order[next]] {
                waiting[module] -= 1
                if waiting[module] == 0 { order.append(module) }
            }
            next += 1
        }
        guard order.count < direct.count else { return order }
        throw .cycle(cycle(in: direct) { waiting[$0] > 0 })
    }

    /// - Parameter isLeft: whether a module is one of those of which each comes after another one.
    private static func cycle(in direct: [[Int]], _ isLeft: (Int) -> Bool) -> [Int] {
        var path: [Int] = []
        var seenAt: [Int: Int] = [:]
        var module = direct.indices.first(where: isLeft)
        while let at = module, seenAt[at] == nil {
            seenAt[at] = path.count
            path.append(at)
            module = direct[at].first(where: isLeft)
        }
        // The path leads from a module to what it comes after.
        let cycle = Array(path[(module.flatMap { seenAt[$0] } ?? 0)...].reversed())
        let start = cycle.indices.min { cycle[$0] < cycle[$1] } ?? 0
        return Array(cycle[start...] + cycle[..<start])
    }
}

/// A square of bits.
struct BitRows {
    private let words: Int
    private var bits: [UInt64]

    init(_ count: Int) {
        words = (count + 63) / 64
        bits = Array(repeating: 0, count: count * words)
    }

    mutating func add(_ column: Int, andItsRowTo row: Int) {
        for word in 0..<words { bits[row * words + word] |= bits[column * words + word] }
        bits[row * words + column / 64] |= 1 << UInt64(column % 64)
    }

    /// How many of the columns in a row are among those of a mask.
    func count(_ row: Int, _ mask: [UInt64]) -> Int {
        var sum = 0
        for word in 0..<words { sum += (bits[row * words + word] & mask[word]).nonzeroBitCount }
        return sum
    }

    /// The columns in a row that are among those of a mask, ascending.
    func forEachColumn(_ row: Int, _ mask: [UInt64], _ body: (Int) -> Void) {
        for word in 0..<words {
            var rest = bits[row * words + word] & mask[word]
            while rest != 0 {
                body(word * 64 + rest.trailingZeroBitCount)
                rest &= rest - 1
            }
        }
    }

    func mask(_ columns: [Int]) -> [UInt64] {
        var mask: [UInt64] = Array(repeating: 0, count: words)
        for column in columns { mask[column / 64] |= 1 << UInt64(column % 64) }
        return mask
    }
}
