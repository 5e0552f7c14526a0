/// The episodes of late, of all stores, among which each new one finds its incident.
package struct Chronicle: Sendable {
    private static let limit = 4096

    private var known: [EpisodeHeader]

    package init(_ known: [EpisodeHeader] = []) { self.known = known }

    /// Gives an episode its place among those that are known, which it does not join.
    package func place(_ episode: inout Episode, newID: (Moment) -> String) {
        Incident.place(&episode, among: known, newID: newID)
    }

    /// Takes in what became of a store.
    ///
    /// - Returns: the same; an episode that was opened has its place among the others.
    package mutating func take(
        _ event: DetectorEvent, newID: (Moment) -> String
    ) -> DetectorEvent {
        switch event {
        case .opened(var episode):
            place(&episode, newID: newID)
            remember(episode)
            return .opened(episode)
        case .watchedAgain(var episode?, let since):
            place(&episode, newID: newID)
            remember(episode)
            return .watchedAgain(episode, since: since)
        case .closed(let episode): remember(episode)
        case .suspected, .cleared, .rose, .noted, .recovering, .relapsed, .watchedAgain, .accepted:
            break
        }
        return event
    }

    private mutating func remember(_ episode: Episode) {
        known.removeAll { $0.id == episode.id }
        known.append(EpisodeHeader(episode))
        if known.count > Self.limit { known.removeFirst() }
    }
}
