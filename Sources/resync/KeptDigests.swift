import ResyncCore
import ResyncEngine
import ResyncStorage

/// Which kept digests a comparison may use, from its options and from what speaks against a store.
struct KeptDigests {
    private let command: VerifyCommand
    private let state: StateFolder
    private let trouble: Sides<[String]>
    /// Nothing counts that was kept before, nor what was not read from the medium since.
    private let voidBefore: Sides<(time: Timestamp, what: String)?>
    /// What was found to differ while no stat told so: it is read, whatever is kept of it.
    let doubted: Set<RelativePath>
    /// Whether what is not taken from what is kept is read from the medium: where it can be kept
    /// in doubtful times.
    let needsMedium: Bool

    init(
        _ command: VerifyCommand, _ state: StateFolder, _ episodes: EpisodeKnowledge,
        _ sites: Sides<LocalSite>, _ trouble: Sides<[String]>
    ) throws {
        self.command = command
        self.state = state
        self.trouble = trouble
        let mismatches = try episodes.mismatches(sites.map { StorePlace($0) }, in: state)
        let named = try command.suspect.map { try SuspectWindow($0).end }
        voidBefore = sites.map { site in
            let window = [named, episodes.suspectEnd(of: site.facts.path)].compactMap { $0 }.max()
            return [
                window.map { ($0, "the end of the suspect window") },
                mismatches.lost.last.map { ($0, "a run that found differences and is not kept") },
            ].compactMap { $0 }.max { $0.0 < $1.0 }
        }
        doubted = mismatches.paths
        needsMedium =
            voidBefore.a != nil || voidBefore.b != nil || mismatches.areFromMedium
            || !trouble.a.isEmpty || !trouble.b.isEmpty
    }

    func find(
        _ sites: Sides<LocalSite>, _ scheme: DigestScheme
    ) throws -> Sides<KeptManifest?> {
        var found: Sides<KeptManifest?> = Sides(a: nil, b: nil)
        var named = try command.since.map { path in
            (path, try ManifestInput(path).kept())
        }
        for side in Side.allCases {
            let identity = sites[side].identity
            if let index = named.firstIndex(where: { $0.1.header.identity == identity }) {
                let (path, manifest) = named.remove(at: index)
                if let reason = manifest.refusal(scheme) {
                    throw CommandError("'\(escaped(path.utf8))' cannot be used: \(reason)")
                }
                found[side] = manifest
            } else if command.since.isEmpty {
                found[side] = try state.manifests.find(identity)
            }
            if let manifest = found[side], let reason = void(manifest, side, scheme) {
                Main.complain(
                    "what was kept of \(side.word.uppercased()) does not count: \(reason)")
                found[side] = nil
            }
        }
        if let (path, _) = named.first {
            throw CommandError(
                "'\(escaped(path.utf8))' is of neither store, or of one that another is of")
        }
        // Both sides' digests are needed to spare a reading.
        if let side = Side.allCases.first(where: { found[$0] == nil && found[$0.other] != nil }) {
            Main.complain("nothing that was kept of \(side.letter) counts: all of both is read")
        }
        return found
    }

    private func void(_ manifest: KeptManifest, _ side: Side, _ scheme: DigestScheme) -> String? {
        if !trouble[side].isEmpty { return "there is trouble on it" }
        if manifest.header.started > .now { return "it was begun at a time that is still to come" }
        guard let voidBefore = voidBefore[side] else { return manifest.refusal(scheme) }
        if manifest.header.started < voidBefore.time {
            return "it was begun before \(voidBefore.what)"
        }
        // After failed write-back the cache looks right while the disk is stale.
        if manifest.header.source != .media {
            return "it was not read from the medium since \(voidBefore.what)"
        }
        return manifest.refusal(scheme)
    }
}

extension ManifestInput {
    func kept() throws -> KeptManifest {
        let file = file
        return try named { try KeptManifest(file) }
    }
}
