import ResyncCore
import ResyncLedger
import ResyncStorage

/// What people are told of episodes. Of stores that fail together the first is told at once, and
/// those that follow it closely in one message: an outage of many is no flood.
struct EpisodeNotices {
    /// Nanoseconds in which what is alike is gathered.
    private static let interval: UInt64 = 5_000_000_000
    /// Names that are told of those that are told together.
    private static let namesTold = 250

    /// What is alike: the same has become of stores of one incident.
    private struct Topic: Hashable {
        let incident: String
        let kind: EpisodeClass
        let word: String
    }

    private struct Notice {
        let record: EpisodeRecord
        let state: StoreStatus.State
    }

    private struct Gathering {
        /// In nanoseconds since boot.
        var told: UInt64
        /// The newest of each store, in the order in which they came.
        var waiting: [Notice] = []

        func has(_ store: String) -> Bool {
            waiting.contains { $0.record.episode.store == store }
        }
    }

    private var gatherings: [Topic: Gathering] = [:]

    /// - Parameter word: what has become of it.
    /// - Returns: what is to be told now; none where it is told with others, soon.
    mutating func messages(
        about record: EpisodeRecord, _ state: StoreStatus.State, _ word: String, at now: Moment
    ) -> [JSONLine] {
        let notice = Notice(record: record, state: state)
        let episode = record.episode
        let topic = Topic(incident: episode.incident, kind: episode.kind, word: word)
        // What became of it before is told before.
        let earlier = gatherings.keys.filter { other in
            other != topic && gatherings[other]?.has(episode.store) == true
        }
        let late = earlier.compactMap { tell($0, at: now) }
        guard gatherings[topic] != nil else {
            gatherings[topic] = Gathering(told: now.boot)
            return late + [Self.message([notice], word)]
        }
        gatherings[topic]?.waiting.removeAll { $0.record.episode.store == episode.store }
        gatherings[topic]?.waiting.append(notice)
        return late
    }

    /// What has been gathered for long enough, or at all, where nobody waits any more.
    mutating func due(at now: Moment, all: Bool = false) -> [JSONLine] {
        let over = gatherings.filter { all || now.boot &- $1.told >= Self.interval }
        return over.sorted { $0.value.told < $1.value.told }.compactMap { topic, gathering in
            guard gathering.waiting.isEmpty else { return tell(topic, at: now) }
            gatherings[topic] = nil
            return nil
        }
    }

    private mutating func tell(_ topic: Topic, at now: Moment) -> JSONLine? {
        let waiting = gatherings[topic]?.waiting ?? []
        gatherings[topic] = Gathering(told: now.boot)
        return waiting.isEmpty ? nil : Self.message(waiting, topic.word)
    }

    /// About one store or several, of which the first is told in full.
    private static func message(_ notices: [Notice], _ word: String) -> JSONLine {
        let (record, state) = (notices[0].record, notices[0].state)
        let others = notices.count > 1 ? " and \(notices.count - 1) more" : ""
        // As much of its evidence as a command can be told at once.
        var pieces = Episode.evidenceLimit
        var message: JSONLine
        repeat {
            message = EpisodeReport.jsonLine(record, evidence: pieces)
            message.field("event", word)
            message.field("state", state.word)
            if notices.count > 1 {
                message.field(
                    "stores", notices.prefix(Self.namesTold).map { $0.record.episode.store })
            }
            message.field(
                "message",
                "\(record.episode.store)\(others): \(record.episode.kind.sentence) (\(word))")
            pieces /= 2
        } while message.bytes.count > OperatorCommand.messageLimit && pieces > 0
        return message
    }
}
