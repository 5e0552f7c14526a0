import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

/// What of the configuration a comparison is about.
struct VerifyTarget {
    let pair: Configuration.Pair
    /// The modules that it is to prove.
    private(set) var modules: [Module]
    /// The only paths that are looked at; nil for all of the pair.
    var within: Selection?
    /// What of that is compared; nil for all of it.
    var part: UnprovenEntries.Part?
    /// Paths of which equal bytes prove nothing: they are not compared.
    let external: [RelativePath]
    /// By which what is expected is, or no longer.
    let time = Timestamp.now
    /// What may differ.
    let allowances: Allowances
    /// Modules of which something must not change, though both sides agree.
    let policed: [Module]

    /// Whether it is a part that was chosen for its age, and proves no module.
    let isPart: Bool

    /// A part of what another one is about, by which no module is proven.
    init(_ whole: VerifyTarget, within: Selection) {
        pair = whole.pair
        modules = whole.modules
        isPart = true
        self.within = within
        external = whole.external
        allowances = whole.allowances
        policed = whole.policed
    }

    /// The same, about fewer modules.
    func only(_ modules: [Module]) -> VerifyTarget {
        var target = self
        target.modules = modules
        return target
    }

    /// Whether it can prove its modules: a first look at a part of them does not.
    var isWhole: Bool {
        switch part {
        case nil, .unproven: !isPart
        case .rest: !isPart && modules.isEmpty
        case .hot, .suspect: false
        }
    }

    /// - Throws: `CommandError` where the configuration names no such pair.
    init(pair name: String, in configuration: Configuration) throws {
        guard let pair = configuration.pairs.first(where: { $0.name == name }) else {
            throw CommandError(
                "verify takes two stores, --module M, or a pair of the configuration, which has "
                    + "no '\(escaped(name.utf8))'", .usage)
        }
        self.pair = pair
        modules = configuration.modules.filter { $0.pair == name }
        isPart = false
        within = nil
        external = configuration.externalPaths(of: name)
        allowances = Allowances(modules, at: time)
        policed = modules.filter { $0.policy != nil }
    }

    /// - Throws: `CommandError` where the configuration names no such module.
    init(module name: String, in configuration: Configuration) throws {
        let module = try configuration.module(name)
        guard let pair = configuration.pairs.first(where: { $0.name == module.pair }) else {
            throw CommandError("module '\(name)' is of no pair", .defect)
        }
        self.pair = pair
        modules = [module]
        isPart = false
        within = Selection(module.paths)
        external = configuration.externalPaths(of: pair.name)
        allowances = Allowances(modules, at: time)
        policed = modules.filter { $0.policy != nil }
    }

    /// The module, where one alone is what is asked for.
    var module: Module? { within != nil && modules.count == 1 ? modules.first : nil }

    /// The same, where its check alone proves it.
    var onlyExternal: Module? { module.flatMap { $0.kind == .external ? $0 : nil } }

    /// What the operator leaves out, and what is external.
    ///
    /// - Throws: `CommandError` where that is more than can be left out.
    func filter(with rules: Filter) throws -> Filter {
        var filter = rules
        do throws(FilterError) {
            for path in external { try filter.leaveOut(path) }
        } catch {
            throw CommandError("the paths of external modules are too many: \(error.reason)")
        }
        return filter
    }
}

extension Configuration {
    /// Of a pair, in walk order.
    func externalPaths(of pair: String) -> [RelativePath] {
        Selection(modules.filter { $0.pair == pair && $0.kind == .external }.flatMap(\.paths)).paths
    }

    /// - Throws: `CommandError` where there is none of the name.
    func module(_ name: String) throws -> Module {
        guard let module = modules.first(where: { $0.name == name }) else {
            throw CommandError(
                "the configuration has no module '\(escaped(name.utf8))'", .usage)
        }
        return module
    }
}

extension Configuration.Pair {
    /// Stands for what one of its modules is: what was proven of other stores or paths, or in
    /// another scope, says nothing of it.
    func terms(of module: Module) -> String {
        var hash = ManifestHashes.openSSL.make(.sha256)
        let paths = Selection(module.paths).paths.map(\.bytes)
        for part in [stores.a.path, stores.b.path] + paths { hash.update(part + [0]) }
        // With what it no longer expects it is another one.
        for condition in module.expecting(at: .now).conditions { hash.update(condition + [0, 0]) }
        return "\(module.scope.rawValue) \(hash.finalize().hex)"
    }
}

extension Sequence where Element == StandingRecord {
    /// Those that say something of a module as it is now. That it was found to differ does always.
    func about(_ module: Module, of pair: Configuration.Pair?) -> [StandingRecord] {
        let terms = pair?.terms(of: module)
        return filter { $0.answer == .different || $0.termsOfModule == terms }
    }
}

extension StandingRecord {
    private static let alone = " alone: "

    /// The terms of what is found out by a look at one side only.
    static func terms(_ terms: String, alone side: Side) -> String { side.word + alone + terms }

    /// The only side that was read; nil where both were.
    var alone: Side? {
        Side.allCases.first { terms.hasPrefix(Self.terms("", alone: $0)) }
    }

    fileprivate var termsOfModule: String {
        alone.map { String(terms.dropFirst(Self.terms("", alone: $0).count)) } ?? terms
    }
}

extension BaselineLook {
    convenience init(
        _ sites: Sides<LocalSite>, _ state: StateFolder, _ limits: RunLimits,
        _ controls: RunControls
    ) throws {
        self.init(
            sites.map { $0 as any Site }, try state.baselines.find(sites.map { $0.identity }),
            limits, controls,
            batchSize: limits.work.batchSize(descriptors: descriptorLimit()))
    }
}

/// What a comparison proves of modules, looked at once it has come to its end.
struct ModuleStandings {
    private let look: BaselineLook?
    private let run: RunFolder
    private let state: StateFolder
    private let controls: RunControls
    private let alone: Side?

    /// - Parameters:
    ///   - look: nil where nothing can be proven.
    ///   - alone: the only side that was compared, with the baseline; nil where both were.
    init(
        _ look: BaselineLook?, alone: Side? = nil, _ run: RunFolder, _ state: StateFolder,
        _ controls: RunControls
    ) {
        self.look = look
        self.alone = alone
        self.run = run
        self.state = state
        self.controls = controls
    }

    /// Of each module; fewer where the run is interrupted meanwhile. They are kept in the ledger.
    ///
    /// - Parameter policies: what was found to break them.
    func find(
        _ target: VerifyTarget, _ policies: [String: PolicyFindings] = [:]
    ) throws -> [StandingRecord] {
        guard !target.modules.isEmpty else { return [] }
        let knowledge = EpisodeKnowledge(state)
        let overrides = try Overrides(state).all()
        let paths = target.pair.stores.map(\.path)
        let differences = try differences(of: target)
        let mismatches = try knowledge.mismatches(try stores(paths), in: state)
        var found: [StandingRecord] = []
        for module in target.modules {
            let whole = target.pair.terms(of: module)
            let terms = alone.map { StandingRecord.terms(whole, alone: $0) } ?? whole
            let standing: StandingRecord
            if module.kind == .external {
                standing = externalStanding(module, terms, controls.interruption)
            } else {
                let spans = try knowledge.spans(
                    against: module, of: target.pair, overrides)
                guard
                    let proof = try look?.proof(
                        of: module.expecting(at: target.time), spans, mismatches.contents,
                        lost: mismatches.lost)
                else { break }
                standing = try self.standing(
                    module, proof, differences[module.name, default: Differences()],
                    policies[module.name, default: PolicyFindings()], terms)
            }
            guard controls.interruption() == nil else { break }
            try knowledge.note(standing)
            found.append(standing)
        }
        return found
    }

    /// Those of the run, as the configuration has them.
    private func stores(_ paths: Sides<[UInt8]>) throws -> Sides<StorePlace> {
        let known = try run.record()?.identities ?? Sides(a: nil, b: nil)
        let identities = alone == .b ? known.swapped : known
        return Side.both { StorePlace(paths[$0], identities[$0]) }
    }

    private struct Differences {
        /// Seen twice.
        var differing = 0
        var pending = 0
        /// Not settled: nobody knows whether they differ.
        var open = 0
    }

    /// Of the entries of each module.
    ///
    /// - Parameters:
    ///   - isByPath: who named two paths knew nothing of what may differ, and may have asked for
    ///     more than a module is held to.
    ///   - place: that was compared of both stores.
    ///   - isCounted: whether a difference says anything of the stores as they are.
    private func differences(
        of target: VerifyTarget, isByPath: Bool = false, at place: RelativePath = .root,
        where isCounted: (Difference) -> Bool = { _ in true }
    ) throws -> [String: Differences] {
        var counts: [String: Differences] = [:]
        let looked = Timestamp.now
        var reader = try run.results()
        while let record = try reader.next() {
            guard case .difference(var difference) = record else { continue }
            difference.path = place.appending(difference.path)
            // No path is of two modules.
            guard let module = target.modules.first(where: { $0.holds(difference.path) }),
                isCounted(difference)
            else { continue }
            if isByPath {
                if difference.outcome == .differs,
                    difference.aspects.intersection(.standard).isEmpty
                {
                    continue
                }
                difference = target.allowances.settle(difference, looked: looked)
            }
            switch difference.outcome {
            case .differs, .missingOnA, .missingOnB, .conflict:
                counts[module.name, default: Differences()].differing += 1
            case .unstable where difference.reason == .pending:
                counts[module.name, default: Differences()].pending += 1
            case .unstable, .unreadable, .notVerified:
                counts[module.name, default: Differences()].open += 1
            case .same, .expected: continue
            }
        }
        return counts
    }

    private func standing(
        _ module: Module, _ proof: ModuleProof, _ found: Differences,
        _ policies: PolicyFindings, _ terms: String
    ) throws -> StandingRecord {
        let header = try run.header()
        var reasons: [String] = []
        if proof.isEmpty {
            reasons.append("nothing lies under its paths")
        } else if !proof.unmet.isEmpty {
            let unmet = proof.unmet.prefix(3).map { "'\(shown($0))'" }.joined(separator: ", ")
            reasons.append(
                "nothing lies under \(countText(proof.unmet.count)) of its paths: \(unmet)")
        }
        if found.differing > 0 { reasons.append("\(countText(found.differing)) different") }
        reasons += policies.sentences
        if found.pending > 0 {
            reasons.append("\(countText(found.pending)) \(Reason.pending.sentence)")
        }
        let isOpen = found.pending + found.open > 0
        if proof.isWhole, found.open > 0 {
            reasons.append("\(countText(found.open)) unstable or not verified")
        }
        for (gap, count) in proof.gaps.sorted(by: { $0.key < $1.key })
        where gap != .foundDiffering || found.differing == 0 {
            let examples = proof.examples.filter { $0.gap == gap }.prefix(3)
                .map { "'\(shown($0.path))'" }.joined(separator: ", ")
            reasons.append(
                "\(countText(count)) \(gap.sentence)" + (examples.isEmpty ? "" : ": \(examples)"))
        }
        var answer: Gate.Standing.Answer =
            found.differing > 0 || !policies.counts.isEmpty
            ? .different
            : proof.isWhole && !isOpen && policies.unknown == 0
                ? .released : .undecided
        var check: CheckOutcome?
        if answer == .released, let words = module.check {
            check = CheckOutcome(running: words) { controls.interruption() != nil }
        }
        if let failure = check?.failure {
            answer = .undecided
            reasons.append("check failed: \(failure)")
        }
        if proof.expected > 0 {
            reasons.append("\(countText(proof.expected)) expected to differ")
        }
        var standing = StandingRecord(
            module: module.name, terms: terms, pair: module.pair, run: run.id,
            began: header.started, looked: .now, answer: answer, scope: module.scope,
            assurance: try run.terms()?.assurance.rawValue ?? "", entries: proof.entries,
            bytes: proof.bytes, oldest: proof.oldest, reason: reasons.joined(separator: "; "))
        standing.checkExit = check?.exit
        standing.lacksPaths = !proof.unmet.isEmpty
        return standing
    }

    /// Of each module that is released, or open since there never was an episode, and in which a
    /// comparison that cannot prove it found a difference, seen twice: it is so no longer. They are
    /// kept in the ledger.
    ///
    /// - Parameters:
    ///   - isByPath: whether two paths were named, and not the pair.
    ///   - place: that these have in its stores.
    ///   - isCounted: whether a difference says anything of the stores as they are.
    func findDifferent(
        _ target: VerifyTarget, isByPath: Bool, at place: RelativePath = .root,
        where isCounted: (Difference) -> Bool = { _ in true }
    ) throws -> [StandingRecord] {
        let knowledge = EpisodeKnowledge(state)
        let (header, terms) = (try run.header(), try run.terms())
        let differences = try differences(
            of: target, isByPath: isByPath, at: place, where: isCounted)
        return try target.modules.compactMap { module in
            guard module.kind != .external, let found = differences[module.name],
                found.differing > 0
            else { return nil }
            // What left it open since does not keep it from being shut now. What is shut waits to
            // be verified as a whole.
            let decided = try knowledge.standings(of: module, in: target.pair)
                .first { $0.answer != .undecided }
            guard decided?.answer != .different,
                try decided?.alone != nil
                    || !knowledge.isToBeProven([module], of: target.pair)
            else { return nil }
            let standing = StandingRecord(
                module: module.name, terms: target.pair.terms(of: module), pair: module.pair,
                run: run.id, began: header.started, looked: .now, answer: .different,
                scope: module.scope, assurance: terms?.assurance.rawValue ?? "",
                entries: found.differing, bytes: 0, oldest: nil,
                reason: "\(countText(found.differing)) different")
            try knowledge.note(standing)
            return standing
        }
    }
}

/// What the check of an external module says of it: nothing else proves it.
func externalStanding(
    _ module: Module, _ terms: String, _ interruption: () -> Int32?
) -> StandingRecord {
    let began = Timestamp.now
    let check = CheckOutcome(running: module.check ?? []) { interruption() != nil }
    var standing = StandingRecord(
        module: module.name, terms: terms, pair: module.pair, run: "", began: began,
        looked: .now, answer: check.failure == nil ? .released : .undecided, scope: module.scope,
        assurance: StandingRecord.external, entries: 0, bytes: 0,
        oldest: check.failure == nil ? began : nil,
        reason: check.failure.map { "check failed: \($0)" } ?? "")
    standing.checkExit = check.exit
    return standing
}

extension PolicyFindings {
    var sentences: [String] {
        var sentences = counts.sorted { $0.key < $1.key }.map { breach, count in
            let examples = examples[breach, default: []].map { "'\(shown($0))'" }
            return "\(countText(count)) \(breach.sentence): \(examples.joined(separator: ", "))"
        }
        if unknown > 0 {
            sentences.append(
                "of \(countText(unknown)) that grew nobody can tell how they begin")
        }
        return sentences
    }
}

extension StandingRecord {
    /// The assurance of what no comparison proves.
    static let external = "external"

    var isExternal: Bool { assurance == Self.external }

    static let unkept =
        "there is no ledger to note it in, so 'resync gate' knows nothing of it: 'resync watch' "
        + "keeps one"

    /// Whether something keeps the comparison from having verified it.
    var isTrouble: Bool {
        isExternal
            ? answer != .released
            : answer != .released && (entries == 0 || lacksPaths) || checkExit ?? 0 != 0
    }

    /// In one line.
    var line: String {
        if isExternal, answer == .released {
            return "module \(module): released by its check; its paths are not compared (external)"
        }
        let size = "\(countText(entries)) \(entries == 1 ? "entry" : "entries"), \(sizeText(bytes))"
        switch answer {
        case .released:
            let alone = alone.map { ", \($0.letter) alone" } ?? ""
            return "module \(module): released, \(size) proven equal (\(scope.rawValue)\(alone))"
                + (reason.isEmpty ? "" : ", \(reason)")
        case .different: return "module \(module): NOT RELEASED: \(reason)"
        case .undecided: return "module \(module): UNDECIDED: \(reason)"
        }
    }

    var json: JSONLine {
        var line = JSONLine(type: "module")
        line.field("module", module)
        line.field("pair", pair)
        line.field("run", run)
        line.field("answer", answer.rawValue)
        line.field("scope", scope.rawValue)
        if let alone { line.field("alone", alone.word) }
        line.field("assurance", assurance)
        line.field("entries", entries)
        line.field("bytes", bytes)
        line.field("began", began.utcText)
        line.field("looked", looked.utcText)
        if let oldest { line.field("oldest_proof", oldest.utcText) }
        if let checkExit { line.field("check_exit", checkExit) }
        if !reason.isEmpty { line.field("reason", reason) }
        return line
    }
}
