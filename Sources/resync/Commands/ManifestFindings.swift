import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

/// What a comparison with a manifest says of the two stores: what differs from the other one's
/// manifest differs from that one, as it was then.
struct ManifestFindings {
    private let plan: ManifestVerifyPlan
    private let site: LocalSite
    private let header: ManifestHeader
    private let episodes: EpisodeKnowledge
    private let state: StateFolder
    private let configuration: Configuration?

    /// - Parameters:
    ///   - header: the manifest's.
    ///   - configuration: nil where there is none, or it cannot be read: nobody asked for it.
    init(
        _ plan: ManifestVerifyPlan, _ site: LocalSite, _ header: ManifestHeader,
        _ episodes: EpisodeKnowledge, _ state: StateFolder, _ configuration: Configuration?
    ) {
        self.plan = plan
        self.site = site
        self.header = header
        self.episodes = episodes
        self.state = state
        self.configuration = configuration
    }

    private var live: Side { plan.manifestSide.other }

    /// Notes what a run found.
    ///
    /// - Returns: what is known of modules by it.
    func note(
        _ result: VerifyResult, _ run: RunFolder, _ controls: RunControls
    ) throws -> [StandingRecord] {
        // A list of another tool does not say of which store it is, and its own manifest tells
        // nothing of the other one.
        guard header.identity != StoreIdentity(), header.identity != site.identity else {
            return []
        }
        var stores = Sides<StoreIdentity?>(a: header.identity, b: header.identity)
        stores[live] = site.identity
        try episodes.note(
            run, result.summary, known: (stores, plan.rules.source == .media ? .media : .hash))
        guard result.summary.tally.findings > 0, !header.isImage, let target = try target() else {
            return []
        }
        // What was written since may be right.
        let limit = header.started.adding(seconds: -Suspicion.coarseness)
        return try ModuleStandings(nil, run, state, controls)
            .findDifferent(target, isByPath: true) { difference in
                difference.stats[live].map { max($0.mtime, $0.ctime) < limit } ?? true
            }
    }

    /// The pair that they are, as far as that is known without asking the other store: it may be
    /// out of reach.
    private func target() throws -> VerifyTarget? {
        guard let configuration, !configuration.modules.isEmpty else { return nil }
        let names = [site.facts.path, realPath(site.facts.path) ?? site.facts.path]
        for pair in configuration.pairs {
            guard
                let side = Side.allCases.first(where: { side in
                    names.contains { isSamePlace(pair.stores[side].path, $0) }
                })
            else { continue }
            let isProven = try state.baselines.all(of: site.identity, as: side).contains {
                $0.header.identities[side.other] == header.identity
            }
            let isThere =
                header.host == hostName() && header.store.first == slash
                && isSamePlace(pair.stores[side.other].path, header.store)
            if isProven || isThere { return try VerifyTarget(pair: pair.name, in: configuration) }
        }
        return nil
    }
}
