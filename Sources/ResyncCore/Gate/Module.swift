/// A named service's data: what is verified together, and what may be used again together.
package struct Module: Sendable, Hashable {
    /// Modules that one configuration may name.
    package static let limit = ModuleOrder.limit
    /// Paths that one module may name.
    package static let pathLimit = 1000

    /// What has to be proven after an episode before its service may run.
    package enum Scope: String, Sendable, Hashable, CaseIterable {
        /// What may have been written since it was last proven.
        case suspect
        /// Every entry.
        case full
    }

    /// How its data is proven.
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        /// By equal bytes on both sides.
        case copies
        /// By its check alone: equal bytes prove nothing of it, as of a live database.
        case external
    }

    /// In one configuration there is one of this name.
    package var name: String
    /// The pair of stores that it lies in.
    package var pair: String
    /// Each with all that lies below it; the root alone where it is all of the pair.
    package var paths: [RelativePath]
    /// How much it matters that it reopens early, beside the others.
    package var weight = 1.0
    /// Modules that have to be open before it.
    package var after: [String] = []
    /// Where its service writes, with dates in it, as `rec/%Y/%m/%d`: what the schedule names to be
    /// looked at first.
    package var hot: [String] = []
    package var scope = Scope.full
    package var kind = Kind.copies
    /// A program and its arguments: what has to succeed before it is released.
    package var check: [[UInt8]]?
    /// What makes a store ready to be read, and may give a snapshot to be read instead.
    package var prepare: [[UInt8]]?
    /// What is done once a store was read.
    package var finish: [[UInt8]]?
    /// Seconds that it may take until what was written on one side is on the other one as well:
    /// what is younger is no difference yet. Nil: none.
    package var lag: Double?
    package var expectations: [Expectation] = []
    package var policy: Policy?

    package init(name: String, pair: String, paths: [RelativePath]) {
        self.name = name
        self.pair = pair
        self.paths = paths
    }

    /// What else has to be as it was for a proof to be one of it; nothing where only its stores,
    /// paths and scope decide.
    package var conditions: [[UInt8]] {
        var conditions: [[UInt8]] = []
        if kind == .external { conditions.append(Array("external".utf8)) }
        if let policy { conditions.append(Array(policy.rawValue.utf8)) }
        if let check { conditions.append(Array("check".utf8) + check.flatMap { [0] + $0 }) }
        for expectation in expectations {
            conditions.append(
                Array("expect \(expectation.until.seconds) ".utf8) + expectation.text)
        }
        return conditions
    }

    /// Whether an entry is its.
    package func holds(_ path: RelativePath) -> Bool { paths.contains { path.isWithin($0) } }
}

extension Sequence where Element == Module {
    /// One of them, and all that have to be open before it, the one itself first; none twice.
    package func needed(by module: Module) -> [Module] {
        let named = Dictionary(map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        var found = [module]
        var seen: Set<String> = [module.name]
        var at = 0
        while at < found.count {
            for name in found[at].after where seen.insert(name).inserted {
                if let other = named[name] { found.append(other) }
            }
            at += 1
        }
        return found
    }
}

extension [Module] {
    /// As the schedule sees them; those that are not among them are waited for by nobody.
    ///
    /// - Parameter seconds: how long verifying one takes.
    package func works(_ seconds: (Module) -> Double) -> [ModuleWork] {
        let places = Dictionary(
            enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
        return map { module in
            ModuleWork(
                seconds: seconds(module), weight: module.weight,
                after: module.after.compactMap { places[$0] })
        }
    }

    /// What the gate of each answers, by its name: the worst of it and of all that it needs.
    ///
    /// - Parameter own: what is known of each by itself; undecided where nothing is.
    package func gates(_ own: [String: Gate.Answer]) -> [String: Gate.Answer] {
        var followers: [String: [String]] = [:]
        for module in self {
            for other in module.after { followers[other, default: []].append(module.name) }
        }
        var gates = Dictionary(
            map { ($0.name, Gate.Answer.open) }, uniquingKeysWith: { first, _ in first })
        // What is shut counts more than what is not known.
        for answer in [Gate.Answer.undecided, .shut] {
            var next = map(\.name).filter { (own[$0] ?? .undecided) == answer }
            var seen = Set(next)
            while let name = next.popLast() {
                gates[name] = answer
                next += followers[name, default: []].filter { seen.insert($0).inserted }
            }
        }
        return gates
    }
}
