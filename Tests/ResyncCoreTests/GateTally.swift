import ResyncCore

/// How often each of what happens in histories of gates did.
struct GateTally: CustomStringConvertible {
    var histories = 0
    var episodes = 0
    var verifications = 0
    var doubtful = 0
    var releases = 0
    var questions = 0
    /// Of modules with an episode, on their own stores or those of what they need.
    var opens = 0
    var shuts = 0
    var undecided = 0
    /// Times in which nobody watched a store and something changed, and for how many of them a
    /// person vouched.
    var unwatched = 0
    var excused = 0
    /// Of which a person told once they were over.
    var told = 0

    mutating func note(_ answer: ResyncCore.Gate.Answer, hadEpisode: Bool) {
        questions += 1
        guard hadEpisode else { return }
        switch answer {
        case .open: opens += 1
        case .shut: shuts += 1
        case .undecided: undecided += 1
        }
    }

    mutating func add(_ other: GateTally) {
        histories += 1
        episodes += other.episodes
        verifications += other.verifications
        doubtful += other.doubtful
        releases += other.releases
        questions += other.questions
        opens += other.opens
        shuts += other.shuts
        undecided += other.undecided
        unwatched += other.unwatched
        excused += other.excused
        told += other.told
    }

    var description: String {
        "\(histories) histories, \(episodes) episodes, \(verifications) verifications, "
            + "\(doubtful) doubtful, \(releases) releases; \(questions) questions, after an "
            + "episode \(opens) open, \(shuts) shut, \(undecided) undecided; "
            + "\(unwatched) unwatched, \(excused) of them excused; \(told) told of later"
    }
}
