import ResyncCore
import ResyncLedger

/// An episode in words, and as JSON.
enum EpisodeReport {
    /// One line.
    static func line(_ record: EpisodeRecord) -> String {
        let episode = record.episode
        let state =
            if let closed = episode.closed {
                "closed after \(durationText(span(episode, closed)))"
            } else {
                "OPEN"
            }
        let again = episode.ordinal > 1 ? ", number \(episode.ordinal)" : ""
        return "\(episode.id)  \(episode.store)  \(episode.kind.rawValue)  "
            + "\(episode.firstEvidence.wall.localText)  \(state)\(again)"
    }

    /// Everything that a person needs to understand it.
    static func lines(_ record: EpisodeRecord) -> [String] {
        let episode = record.episode
        var lines = [
            "episode   \(episode.id)"
                + (episode.ordinal > 1 ? " (number \(episode.ordinal) of its incident)" : ""),
            "incident  \(episode.incident)",
            "store     \(episode.store)  \(escaped(record.path))",
            "class     \(episode.kind.rawValue): \(episode.kind.sentence)",
        ]
        if let before = episode.recurrenceOf { lines.append("repeats   \(before)") }
        lines.append("state     \(state(episode))")
        lines.append("suspect   \(window(record))")
        if let noted = record.noted, let end = record.end, noted > end {
            lines.append("noted     \(noted.localText): what was verified before does not count")
        }
        if episode.flaps > 0 {
            lines.append(
                "relapses  \(episode.flaps): it failed again while it was coming back")
        }
        if !episode.note.isEmpty { lines.append("note      \(escaped(episode.note.utf8))") }
        lines.append("")
        lines += timeline(episode)
        return lines
    }

    /// What happened, in the order of time.
    static func timeline(_ episode: Episode) -> [String] {
        var moments: [(at: Moment, text: String)] = []
        // No probe tells of what somebody records.
        let isSaid = episode.bootID.isEmpty || episode.evidence.first?.what == "person.opened"
        if let good = episode.lastGood {
            let text = isSaid ? "taken to be good until then" : "last probe that was verified"
            moments.append((good, text))
        }
        // Of many messages of one kind within a second one is enough.
        var pieces: [(piece: Evidence, count: Int)] = []
        for piece in episode.evidence {
            let same = pieces.lastIndex {
                $0.piece.what == piece.what && $0.piece.at.wall.seconds == piece.at.wall.seconds
            }
            if let same { pieces[same].count += 1 } else { pieces.append((piece, 1)) }
        }
        for (piece, count) in pieces {
            let more = count > 1 ? " (and \(count - 1) more like it)" : ""
            moments.append((piece.at, piece.sentence + more))
        }
        for step in episode.steps.dropFirst() {
            moments.append((step.at, "now \(step.kind.rawValue): \(step.kind.sentence)"))
        }
        if let first = episode.steps.first {
            moments.append((first.at, "EPISODE OPENED, \(first.kind.rawValue)"))
        }
        if let good = episode.firstGood {
            let text =
                isSaid ? "taken to be good again" : "first probe that was verified again"
            moments.append((good, text))
        }
        if let closed = episode.closed { moments.append((closed, ending(episode))) }
        let sorted = moments.enumerated().sorted { left, right in
            (left.element.at.wall, left.offset) < (right.element.at.wall, right.offset)
        }
        var lines = sorted.map { "  \($0.element.at.wall.clockText)  \($0.element.text)" }
        if episode.evidenceLeftOut > 0 {
            lines.append("  (\(episode.evidenceLeftOut) pieces of evidence between are not kept)")
        }
        return lines
    }

    static func ending(_ episode: Episode) -> String {
        switch episode.ending {
        case .probe?: "EPISODE CLOSED: probes were verified over the whole hold-down"
        case .reboot?: "EPISODE CLOSED after a reboot: probes were verified again"
        case .person? where episode.bootID.isEmpty: "EPISODE CLOSED: nothing more is known of it"
        case .person?: "EPISODE CLOSED by a person"
        case .watched?: "EPISODE CLOSED: it was watched again"
        case nil: "EPISODE CLOSED"
        }
    }

    private static func state(_ episode: Episode) -> String {
        guard let closed = episode.closed else {
            return "open since \(episode.detected.wall.localText)"
        }
        let check =
            episode.sawCheck
            ? "; its file system was checked"
            : (episode.errorCount ?? 0) > 0
                ? "; its file system counts errors and was not checked" : ""
        return "from \(episode.detected.wall.localText) to \(closed.wall.localText)\(check)"
    }

    /// What changed while nobody watched.
    static func changes(_ episode: Episode) -> String {
        let found = episode.evidence.filter { $0.source == .watcher }.map { escaped($0.text) }
        return found.isEmpty ? "something changed" : found.joined(separator: ", ")
    }

    /// The time that surely contains the damage.
    static func window(_ record: EpisodeRecord) -> String {
        let (start, end) = record.window
        let from = start.map { $0.localText } ?? "the beginning: nothing was verified before"
        let to = end.map { $0.localText } ?? "now, nothing was verified since"
        return "from \(from) to \(to)"
    }

    /// Seconds; by the clock that nobody sets where both ends are known on it.
    private static func span(_ episode: Episode, _ closed: Moment) -> Double {
        let first = episode.firstEvidence
        return episode.ending == .probe && first.boot > 0 && closed.boot >= first.boot
            ? closed.seconds(since: first)
            : Double(max(0, closed.wall.seconds - first.wall.seconds))
    }

    /// - Parameter limit: pieces of evidence that are told: the first ones, and the newest.
    static func jsonLine(
        _ record: EpisodeRecord, evidence limit: Int = Episode.evidenceLimit
    ) -> JSONLine {
        let episode = record.episode
        var line = JSONLine(type: "episode")
        line.field("episode", episode.id)
        line.field("incident", episode.incident)
        if let before = episode.recurrenceOf { line.field("recurrence_of", before) }
        line.field("ordinal", episode.ordinal)
        line.field("store", episode.store)
        line.path(RelativePath(record.path))
        line.field("class", episode.kind.rawValue)
        line.field("classes", episode.steps.map { $0.kind.rawValue })
        line.field("open", episode.isOpen)
        if let good = episode.lastGood { line.field("last_good", good.wall.utcText) }
        line.field("first_evidence", episode.firstEvidence.wall.utcText)
        line.field("detected", episode.detected.wall.utcText)
        if let good = episode.firstGood { line.field("first_good", good.wall.utcText) }
        if let closed = episode.closed { line.field("closed", closed.wall.utcText) }
        if let ending = episode.ending { line.field("ended_by", ending.rawValue) }
        if let noted = record.noted { line.field("noted", noted.utcText) }
        let (start, end) = record.window
        if let start { line.field("suspect_from", start.utcText) }
        if let end { line.field("suspect_to", end.utcText) }
        line.field("relapses", episode.flaps)
        line.field("checked", episode.sawCheck)
        let all = episode.evidence
        let told =
            all.count <= limit ? all : all.prefix(limit / 2) + all.suffix(limit - limit / 2)
        line.field("evidence", told.map { evidence($0) })
        let leftOut = episode.evidenceLeftOut + all.count - told.count
        if leftOut > 0 { line.field("evidence_left_out", leftOut) }
        return line
    }

    private static func evidence(_ piece: Evidence) -> JSONObject {
        var line = JSONObject()
        line.field("at", piece.at.wall.utcText)
        line.field("source", piece.source.rawValue)
        line.field("strength", piece.strength.rawValue)
        line.field("what", piece.what)
        line.field("text", escaped(piece.text))
        return line
    }
}
