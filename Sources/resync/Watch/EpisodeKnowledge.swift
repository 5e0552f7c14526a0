import ResyncCore
import ResyncEngine
import ResyncLedger
import ResyncStorage

/// What the watcher, and the ledger that it keeps, say of stores: whether what is read there is to
/// be trusted.
struct EpisodeKnowledge {
    private let ledger: Ledger?
    private let records: [EpisodeRecord]
    private let runs: [RunRecord]
    private let statuses: [StoreStatus]
    /// Why the ledger cannot be read: then nothing is known to be good.
    private let failure: String?

    init(_ state: StateFolder) {
        var (ledger, records, runs): (Ledger?, [EpisodeRecord], [RunRecord]) = (nil, [], [])
        var failure: String?
        do {
            ledger = try LedgerFile.open(in: state)
            records = try ledger?.episodes(since: Timestamp(seconds: 0, nanoseconds: 0)) ?? []
            runs = try ledger?.runs() ?? []
        } catch {
            failure = Main.explain(error)?.message ?? "the ledger cannot be read: \(error)"
        }
        (self.ledger, self.records, self.runs) = (ledger, records, runs)
        self.failure = failure
        statuses = (try? WatchClient(state)?.status()) ?? []
    }

    /// What speaks against a store.
    func reasons(against path: [UInt8]) -> [String] {
        var reasons = failure.map { [$0] } ?? []
        for status in statuses where isAbout(status.path, path) {
            switch status.state {
            case .suspect: reasons.append("the watcher suspects it: \(status.evidence)")
            case .ok, .unknown, .down, .recovering: break
            }
        }
        for record in records where isAbout(record.path, path) {
            let episode = record.episode
            guard let closed = episode.closed else {
                reasons.append(
                    "episode \(episode.id) is open: \(episode.kind.sentence), since "
                        + episode.firstEvidence.wall.localText)
                continue
            }
            guard !isVerified(path, since: closed.wall) else { continue }
            reasons.append(
                "episode \(episode.id) (\(episode.kind.rawValue)) ended "
                    + "\(closed.wall.localText), and it was not verified from the medium since")
        }
        return reasons
    }

    /// Before this nothing that was kept of a store counts: the end of its last suspect window.
    func suspectEnd(of path: [UInt8]) -> Timestamp? {
        records.filter { isAbout($0.path, path) }
            .map { $0.window.end ?? .now }.max()
    }

    /// Why nothing is to be copied from or to a store now; nil where nothing speaks against it.
    func refusal(for path: [UInt8]) -> String? {
        if let failure { return failure }
        for status in statuses where isAbout(status.path, path) && status.state != .ok {
            if status.state == .unknown { continue }
            return "is \(status.state.word): \(status.evidence)"
        }
        let open = records.first { $0.episode.isOpen && isAbout($0.path, path) }
        return open.map {
            "has an open episode, \($0.episode.id): \($0.episode.kind.sentence)"
        }
    }

    /// Whether a store had an episode at or after a time.
    func hadEpisode(_ path: [UInt8], since time: Timestamp) -> Bool {
        records.contains { record in
            isAbout(record.path, path) && (record.window.end ?? .now) >= time
        }
    }

    /// Episodes whose suspect window reaches into a run that began then.
    func episodes(of path: [UInt8], during began: Timestamp) -> [Episode] {
        records.filter {
            isAbout($0.path, path) && ($0.window.end ?? .now) >= began
        }.map { $0.episode }
    }

    /// Notes a run where there is a ledger; nothing rests on its being there.
    func note(_ run: RunRecord) {
        do {
            try ledger?.save(run)
        } catch {
            Main.complain(Main.explain(error)?.message ?? "\(error)")
        }
    }

    /// Whether all of it was read from the medium in a run that began later.
    private func isVerified(_ path: [UInt8], since time: Timestamp) -> Bool {
        runs.contains { run in
            run.isWhole && run.assurance == Assurance.media.rawValue && run.began >= time
                && (isSame(run.a, path) || isSame(run.b, path))
        }
    }
}

/// Whether a watched store is the one at a path, holds it, or lies in it.
private func isAbout(_ watched: [UInt8], _ path: [UInt8]) -> Bool {
    let (watched, paths) = (components(watched), [path, realPath(path) ?? path].map(components))
    return paths.contains { $0.starts(with: watched) || watched.starts(with: $0) }
}

private func isSame(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    components(absolute(left)) == components(absolute(right))
}

private func components(_ path: [UInt8]) -> [ArraySlice<UInt8>] {
    absolute(path).split(separator: UInt8(ascii: "/"))
}

private func absolute(_ path: [UInt8]) -> [UInt8] {
    path.first == UInt8(ascii: "/") ? path : realPath(path) ?? path
}
