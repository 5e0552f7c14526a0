import ResyncCore
import ResyncEngine
import ResyncStorage

/// Which kept digests a comparison may use, from its options and from what speaks against a store.
struct KeptDigests {
    private let command: VerifyCommand
    private let state: StateFolder
    private let trouble: Sides<[String]>
    /// Nothing kept before the end of the window that the operator named counts.
    private let voidBefore: Timestamp?
    private let episodes: EpisodeKnowledge

    init(
        _ command: VerifyCommand, _ state: StateFolder, _ episodes: EpisodeKnowledge,
        _ trouble: Sides<[String]>
    ) throws {
        self.command = command
        self.state = state
        self.trouble = trouble
        self.episodes = episodes
        voidBefore = try command.suspect.map { try SuspectWindow($0).end }
    }

    func find(
        _ sites: Sides<LocalSite>, _ scheme: DigestScheme
    ) throws -> Sides<KeptManifest?> {
        var found: Sides<KeptManifest?> = Sides(a: nil, b: nil)
        var named = try command.since.map { path in
            (path, try ManifestInput(path).kept())
        }
        for side in Side.allCases {
            let facts = sites[side].facts
            let identity = StoreIdentity(
                fileSystem: facts.fileSystem.identity, inode: facts.stat.inode,
                device: facts.stat.device)
            if let index = named.firstIndex(where: { $0.1.header.identity == identity }) {
                let (path, manifest) = named.remove(at: index)
                if let reason = manifest.refusal(scheme) {
                    throw CommandError("'\(escaped(path.utf8))' cannot be used: \(reason)")
                }
                found[side] = manifest
            } else if command.since.isEmpty {
                found[side] = try state.manifests.find(identity)
            }
            if let manifest = found[side], let reason = void(manifest, side, facts.path, scheme) {
                Main.complain(
                    "what was kept of \(side.word.uppercased()) does not count: \(reason)")
                found[side] = nil
            }
        }
        if let (path, _) = named.first {
            throw CommandError("'\(escaped(path.utf8))' is of neither store")
        }
        return found
    }

    private func void(
        _ manifest: KeptManifest, _ side: Side, _ path: [UInt8], _ scheme: DigestScheme
    ) -> String? {
        if !trouble[side].isEmpty { return "there is trouble on it" }
        let voidBefore = [voidBefore, episodes.suspectEnd(of: path)].compactMap { $0 }.max()
        if let voidBefore, manifest.header.started < voidBefore {
            return "it was begun before the end of the suspect window"
        }
        // After failed write-back the cache looks right while the disk is stale.
        if voidBefore != nil, manifest.header.source != .media {
            return "it was not read from the medium since the suspect window"
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
