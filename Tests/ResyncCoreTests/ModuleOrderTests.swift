import Foundation
import TestSupport
import Testing

@testable import ResyncCore

@Suite struct ModuleOrderTests {
    /// What a module may come after.
    private enum Shape: CaseIterable {
        case nothing, outTrees, inTrees, seriesParallel, anything
    }

    private func modules(
        _ shape: Shape, _ count: Int, _ generator: inout Seed
    ) -> [ModuleWork] {
        var after: [[Int]] = (0..<count).map { _ in [] }
        switch shape {
        case .nothing: break
        case .outTrees:
            for module in 1..<max(1, count) where generator.below(5) > 0 {
                after[module] = [generator.below(module)]
            }
        case .inTrees:
            for module in 1..<max(1, count) where generator.below(5) > 0 {
                after[generator.below(module)].append(module)
            }
        case .seriesParallel: compose(Array(0..<count), &after, &generator)
        case .anything:
            let density = 1 + generator.below(4)
            for module in 0..<count {
                for other in 0..<module where generator.below(5) < density {
                    after[module].append(other)
                }
            }
        }
        return shuffled(withMore(after, &generator), &generator).map { after in
            // Few values, so that there are ties and much that takes no time.
            let isWhole = generator.below(3) > 0
            return ModuleWork(
                seconds: isWhole
                    ? Double(generator.below(4)) : Double.random(in: 0...10, using: &generator),
                weight: isWhole
                    ? Double(1 + generator.below(4))
                    : Double.random(in: 0.1...10, using: &generator),
                after: after)
        }
    }

    private func compose(_ part: [Int], _ after: inout [[Int]], _ generator: inout Seed) {
        guard part.count > 1 else { return }
        let cut = 1 + generator.below(part.count - 1)
        let (first, rest) = (Array(part[..<cut]), Array(part[cut...]))
        compose(first, &after, &generator)
        compose(rest, &after, &generator)
        if generator.below(2) == 0 { for module in rest { after[module] += first } }
    }

    /// Says some things twice, and some that follow from others.
    private func withMore(_ after: [[Int]], _ generator: inout Seed) -> [[Int]] {
        after.map { others in
            others + others.filter { _ in generator.below(4) == 0 }
                + others.flatMap { after[$0] }.filter { _ in generator.below(3) == 0 }
        }
    }

    private func shuffled(_ after: [[Int]], _ generator: inout Seed) -> [[Int]] {
        let names = after.indices.shuffled(using: &generator)
        var shuffled = after
        for (module, others) in after.enumerated() {
            shuffled[names[module]] = others.map { names[$0] }
        }
        return shuffled
    }

    /// The least cost of all orders, by going through them.
    private func leastCost(_ modules: [ModuleWork]) -> Double {
        let before = modules.map { $0.after.reduce(0) { $0 | 1 << $1 } }
        var best = Double.infinity
        func go(_ done: Int, _ now: Double, _ cost: Double) {
            guard cost < best else { return }
            if done == 1 << modules.count - 1 { best = cost }
            for (index, module) in modules.enumerated()
            where done & 1 << index == 0 && before[index] & ~done == 0 {
                let end = now + module.seconds
                go(done | 1 << index, end, cost + module.weight * end)
            }
        }
        go(0, 0, 0)
        return modules.isEmpty ? 0 : best
    }

    /// Whether an order is one, and its ends and cost are true.
    private func check(_ found: ModuleOrder, _ modules: [ModuleWork], _ what: String) {
        #expect(found.order.sorted() == Array(modules.indices), "\(what)")
        var verified: Set<Int> = []
        var (now, cost) = (0.0, 0.0)
        for index in found.order {
            #expect(verified.isSuperset(of: modules[index].after), "\(what)")
            verified.insert(index)
            now += modules[index].seconds
            cost += modules[index].weight * now
            #expect(found.estimatedEnds[index] == now, "\(what)")
        }
        #expect(found.cost == cost, "\(what)")
    }

    private func isNear(_ left: Double, _ right: Double) -> Bool {
        abs(left - right) <= 1e-9 * max(left, right)
    }

    @Test func againstAllOrdersOfFewModules() throws {
        let first = Seed.fromEnvironment().value
        var unproven = 0
        var worst = 1.0
        for seed in (0..<rounds(400)).map({ first &+ UInt64($0) }) {
            var generator = Seed(seed)
            for shape in Shape.allCases {
                let modules = modules(shape, generator.below(9), &generator)
                let least = leastCost(modules)
                let what = "\(shape), seed \(seed)"
                let tried = try ModuleOrder(modules)
                check(tried, modules, what)
                #expect(tried.isOptimal && tried.bound == 1, "\(what)")
                #expect(isNear(tried.cost, least), "\(what)")
                // Nothing is tried out: what is found is found by cutting.
                let cut = try ModuleOrder(modules, exactLimit: 1)
                check(cut, modules, what)
                #expect(cut.isOptimal || shape == .anything, "\(what)")
                #expect(!cut.isOptimal || isNear(cut.cost, least), "\(what)")
                #expect(cut.cost <= 2 * least * (1 + 1e-9), "\(what)")
                #expect(cut.cost <= cut.bound * least * (1 + 1e-9), "\(what)")
                #expect((1...2.000_000_001).contains(cut.bound), "\(what)")
                if !cut.isOptimal { unproven += 1 }
                if least > 0 { worst = max(worst, cut.cost / least) }
            }
        }
        print("not proven by cutting: \(unproven); the worst costs \(worst) of the best")
    }

    /// Here the blocks that cannot be cut are larger.
    @Test func whatIsGuessedIsWithinItsBound() throws {
        let first = Seed.fromEnvironment().value
        var ratios: [Double] = []
        for seed in (0..<rounds(300)).map({ first &+ UInt64($0) }) {
            var generator = Seed(seed)
            // What takes time weighs nothing much, and what weighs takes no time: the hard kind.
            let modules = (0..<14).map { index in
                let isLast = index >= 6
                return ModuleWork(
                    seconds: isLast ? 0 : 1, weight: isLast ? 1 : 1e-6,
                    after: isLast ? [generator.below(6), generator.below(6)] : [])
            }
            let best = try ModuleOrder(modules)
            #expect(best.isOptimal)
            let cut = try ModuleOrder(modules, exactLimit: 1)
            check(cut, modules, "seed \(seed)")
            #expect(cut.cost <= cut.bound * best.cost * (1 + 1e-9), "seed \(seed)")
            #expect(cut.bound < 2, "seed \(seed)")
            #expect(!cut.isOptimal || isNear(cut.cost, best.cost), "seed \(seed)")
            if !cut.isOptimal { ratios.append(cut.cost / best.cost) }
        }
        ratios.sort()
        guard let worst = ratios.last else {
            Issue.record("nothing was guessed")
            return
        }
        print("guessed: median \(ratios[ratios.count / 2]), worst \(worst) of the best")
    }

    @Test func whatIsEqualStaysInTheOrderGiven() throws {
        func order(_ modules: [ModuleWork]) throws -> [Int] { try ModuleOrder(modules).order }
        #expect(try order([]) == [])
        #expect(try order((0..<30).map { _ in ModuleWork(seconds: 3) }) == Array(0..<30))
        // As much weight for each second.
        let sizes = [4.0, 1, 2, 8, 0.5]
        #expect(
            try order(sizes.map { ModuleWork(seconds: $0, weight: $0) }) == Array(0..<5))
        // All take no time.
        #expect(
            try order((0..<30).map { ModuleWork(seconds: 0, weight: Double(1 + $0)) })
                == Array(0..<30))
        // The lowest index that may.
        let tree = [2, nil, 1, nil, 0].map { ModuleWork(seconds: 1, after: $0.map { [$0] } ?? []) }
        #expect(try order(tree) == [1, 2, 0, 3, 4])
    }

    @Test func whatTakesNoTimeComesAsSoonAsItMay() throws {
        let modules = [
            ModuleWork(seconds: 5), ModuleWork(seconds: 0, weight: 0.001, after: [0]),
            ModuleWork(seconds: 0, weight: 0.001), ModuleWork(seconds: 9, after: [2]),
            ModuleWork(seconds: 0, weight: 0.002, after: [2]),
        ]
        let found = try ModuleOrder(modules)
        #expect(found.order == [2, 4, 0, 1, 3])
        #expect(found.estimatedEnds == [5, 5, 0, 14, 0])
    }

    private func refusal(_ after: [[Int]]) -> ModuleOrderError? {
        do {
            _ = try ModuleOrder(after.map { ModuleWork(seconds: 1, after: $0) })
            return nil
        } catch { return error }
    }

    @Test func aCycleIsNamed() {
        #expect(refusal([[1], [2], [0], [0]]) == .cycle([0, 2, 1]))
        #expect(refusal([[1], [], [2]]) == .cycle([2]))
        #expect(refusal([[1], [0, 7], []]) == .noSuchModule(module: 1, after: 7))
        #expect(refusal([[], [-1]]) == .noSuchModule(module: 1, after: -1))
        let tooMany = (0...ModuleOrder.limit).map { _ in [Int]() }
        #expect(refusal(tooMany) == .tooMany(ModuleOrder.limit + 1))
    }

    @Test func everyCycleNamedIsOne() throws {
        var generator = Seed.fromEnvironment()
        var cycles = 0
        for _ in 0..<300 {
            let count = 2 + generator.below(12)
            let after = (0..<count).map { _ in
                (0..<generator.below(3)).map { _ in generator.below(count) }
            }
            guard let error = refusal(after) else {
                let modules = after.map { ModuleWork(seconds: 1, after: $0) }
                check(try ModuleOrder(modules), modules, "no cycle")
                continue
            }
            guard case .cycle(let cycle) = error else {
                Issue.record("\(error)")
                continue
            }
            cycles += 1
            #expect(Set(cycle).count == cycle.count)
            for (index, module) in cycle.enumerated() {
                let previous = index == 0 ? cycle[cycle.count - 1] : cycle[index - 1]
                #expect(after[module].contains(previous), "\(cycle) in \(after)")
            }
        }
        #expect((50..<300).contains(cycles))
    }

    @Test(arguments: [
        (-1.0, 1.0), (.nan, 1), (.infinity, 1), (2e12, 1), (1, 0), (1, -1), (1, .nan),
        (1, .infinity), (1, 2e12),
    ])
    func numbersOutOfBoundsAreRefused(_ seconds: Double, _ weight: Double) {
        #expect(throws: ModuleOrderError.badNumber(module: 1)) {
            try ModuleOrder([
                ModuleWork(seconds: 1), ModuleWork(seconds: seconds, weight: weight),
            ])
        }
    }

    /// The largest and the smallest numbers there may be, side by side.
    @Test func numbersFarApartAreTaken() throws {
        let least = Double.leastNonzeroMagnitude
        let modules = [
            ModuleWork(seconds: 1e12, weight: least), ModuleWork(seconds: 1e12, weight: 1e12),
            ModuleWork(seconds: least, weight: 1e12), ModuleWork(seconds: 0, weight: least),
        ]
        #expect(try ModuleOrder(modules).order == [3, 2, 1, 0])
        let small = modules.map { ModuleWork(seconds: $0.seconds > 0 ? least : 0, weight: least) }
        #expect(try ModuleOrder(small).order == [3, 0, 1, 2])
    }

    /// A thousand modules of several shapes; `rising`: each weighs more than those before it, which
    /// leaves one block of nearly all.
    @Test(arguments: ["chain", "outTree", "comb", "general", "rising"])
    func aThousandModulesTakeNoTime(_ shape: String) throws {
        var generator = Seed.fromEnvironment()
        let modules = (0..<1000).map { index in
            let after =
                switch shape {
                case _ where index == 0: [Int]()
                case "chain": [index - 1]
                case "outTree": [generator.below(index)]
                case "comb": [index % 2 == 0 ? index - 2 : index - 1]
                case "general": (0..<3).map { _ in generator.below(index) }
                default: (0..<3).map { _ in max(0, index - 1 - generator.below(20)) }
                }
            return ModuleWork(
                seconds: shape == "rising" ? 1 : Double.random(in: 0...1000, using: &generator),
                weight: shape == "rising"
                    ? Double(index + 1) : Double.random(in: 1...10, using: &generator),
                after: after)
        }
        let clock = ContinuousClock()
        let start = clock.now
        let found = try ModuleOrder(modules)
        let took = clock.now - start
        print("\(shape): \(took), at most \(found.bound) times the least cost")
        check(found, modules, shape)
        // Others may have the processors.
        #expect(took < .seconds(shape == "rising" ? 20 : 5))
        #expect(found.isOptimal || shape == "general" || shape == "rising")
        #expect(found.bound <= 2)
    }

    @Test func aStoreOfFortyModulesOpensSooner() throws {
        let first = Seed.fromEnvironment().value
        var ratios: [String: [Double]] = [:]
        for seed in (0..<100).map({ first &+ UInt64($0) }) {
            var generator = Seed(seed)
            var modules: [ModuleWork] = []
            var names: [Name] = []
            for _ in 0..<40 {
                // Box and Muller (1958).
                let (u, v) = (
                    Double.random(in: 0.0..<1, using: &generator),
                    Double.random(in: 0.0..<1, using: &generator)
                )
                let normal = (-2 * log(1 - u)).squareRoot() * cos(2 * .pi * v)
                let weight = Double(1 + generator.below(10))
                modules.append(ModuleWork(seconds: exp(2 * normal), weight: weight))
                names.append(generator.name())
            }
            let best = try ModuleOrder(modules)
            #expect(best.isOptimal)
            func compare(_ name: String, _ isBefore: (Int, Int) -> Bool) {
                var (now, cost) = (0.0, 0.0)
                for index in modules.indices.sorted(by: isBefore) {
                    now += modules[index].seconds
                    cost += modules[index].weight * now
                }
                ratios[name, default: []].append(best.cost / cost)
            }
            compare("path") { names[$0].bytes.lexicographicallyPrecedes(names[$1].bytes) }
            compare("size") { modules[$0].seconds < modules[$1].seconds }
            compare("weight") { modules[$0].weight > modules[$1].weight }
        }
        let medians = ratios.mapValues { $0.sorted()[50] }
        for (name, median) in medians.sorted(by: { $0.key < $1.key }) {
            print("cost of the order found / of \(name) order, median of 100: \(median)")
        }
        #expect((medians["path"] ?? 1) <= 0.5)
        #expect(ratios.values.allSatisfy { $0.allSatisfy { $0 <= 1 + 1e-9 } })
    }
}
