/// Whether a module's service may run on its data.
package struct Gate: Sendable, Hashable {
    package enum Answer: String, Sendable, Hashable {
        case open, shut, undecided
    }

    package struct Reason: Sendable, Hashable {
        package let answer: Answer
        /// Without its end.
        package let text: String

        package init(_ answer: Answer, _ text: String) {
            self.answer = answer
            self.text = text
        }
    }

    /// What is known of one store.
    package struct Store: Sendable, Hashable {
        package var name: String
        /// When its last episode was closed, or noted, where that was later; nil where none was
        /// ever recorded, or it is open.
        package var lastClosed: Timestamp?
        package var lastEpisode: String?
        package var openEpisode: String?
        /// The last time in which nobody watched it while something changed, unless a person
        /// vouches for it.
        package var gap: Gap?
        /// Why it is not known to be well now; nil where it is.
        package var trouble: String?
        /// What speaks against it though it is well now: it is verified all the same.
        package var doubt: String?

        package init(name: String) { self.name = name }
    }

    /// A time in which nobody watched a store, and something of it changed, or of which
    /// nobody knows.
    package struct Gap: Sendable, Hashable {
        /// That a person may close who knows better; nil where there is none.
        package let episode: String?
        package let end: Timestamp
        /// When that was, and what changed; without its end.
        package let text: String

        package init(episode: String?, end: Timestamp, _ text: String) {
            self.episode = episode
            self.end = end
            self.text = text
        }
    }

    /// What a verification found out about a module; the newest come first.
    package struct Standing: Sendable, Hashable {
        package enum Answer: String, Sendable, Hashable {
            /// Every entry was proven equal: its service may run until something is known against
            /// it.
            case released
            /// It differs.
            case different
            /// Something of it is not known.
            case undecided
        }

        package let answer: Answer
        package let began: Timestamp
        /// When that was found.
        package let looked: Timestamp
        /// Why, without its end.
        package let reason: String
        /// The only side that was read, and held against what both were last proven to share; nil
        /// where both were read.
        package let alone: Side?

        package init(
            _ answer: Answer, began: Timestamp, looked: Timestamp? = nil, _ reason: String,
            alone: Side? = nil
        ) {
            self.alone = alone
            self.answer = answer
            self.began = began
            self.looked = looked ?? began
            self.reason = reason
        }
    }

    /// What is known of a module that has to be open.
    package struct Need: Sendable, Hashable {
        package var module: String
        /// A, then B.
        package var stores: [Store]
        /// In order of their looks, the newest first.
        package var standings: [Standing]

        package init(module: String, stores: [Store], standings: [Standing]) {
            self.module = module
            self.stores = stores
            self.standings = standings
        }
    }

    package let answer: Answer
    /// What decided it: of the module itself first, then of those that it needs.
    package let reasons: [Reason]

    /// Where one thing shuts it, it is shut; where nothing does and one is not known, undecided.
    ///
    /// - Parameters:
    ///   - unknown: why nothing is known at all; nil where something is.
    ///   - needs: the module itself, then all that have to be open before it.
    package init(unknown: String?, _ needs: [Need]) {
        if let unknown {
            self.init([Reason(.undecided, unknown)])
        } else {
            self.init(needs.flatMap(Self.reasons))
        }
    }

    /// Open because a person says so.
    package init(override sentence: String) { self.init([Reason(.open, sentence)]) }

    private init(_ reasons: [Reason]) {
        let worst: Answer =
            reasons.contains { $0.answer == .shut }
            ? .shut : reasons.allSatisfy { $0.answer == .open } ? .open : .undecided
        // Without anything known there is nothing to open it.
        answer = reasons.isEmpty ? .undecided : worst
        self.reasons = reasons
    }

    private static func reasons(_ need: Need) -> [Reason] {
        if let alone = need.openAlone { return [alone] }
        let module = need.module
        var reasons: [Reason] = []
        for store in need.stores {
            if let episode = store.openEpisode {
                reasons.append(
                    Reason(.undecided, "\(module): \(store.name) has an open episode, \(episode)"))
            } else if let trouble = store.trouble {
                reasons.append(Reason(.undecided, "\(module): \(store.name) \(trouble)"))
            }
            if let doubt = store.doubt {
                reasons.append(Reason(.undecided, "\(module): \(store.name) \(doubt)"))
            }
        }
        // Whatever was verified is void until it is over.
        if need.stores.contains(where: { $0.openEpisode != nil }) { return reasons }
        guard need.hadEpisode else {
            let decided = need.ofBoth.standings.first { $0.answer != .undecided }
            if let decided, decided.answer == .different {
                return reasons + [Reason(.shut, "\(module): \(decided.reason)")]
            }
            return reasons + [Reason(.open, "\(module): no episode was ever recorded")]
        }
        return reasons + [reason(need)]
    }

    private static func reason(_ given: Need) -> Reason {
        let (module, need) = (given.module, given.ofBoth)
        guard let newest = need.standings.first(where: need.counts) else {
            if let unwatched = reason(ofGapsIn: given) { return unwatched }
            let episodes = need.stores.compactMap(\.lastEpisode)
            return Reason(
                .shut,
                "\(module): not verified since the end of \(episodes.joined(separator: " and "))")
        }
        let released = need.standings.firstIndex { $0.answer == .released && need.counts($0) }
        // Ordinary writes leave it open; a difference does not, however early the verification
        // began that found it.
        let since =
            released.map { Array(need.standings[..<$0]) } ?? need.standings.filter(need.counts)
        if let different = since.first(where: { $0.answer == .different }) {
            return Reason(.shut, "\(module): \(different.reason)")
        }
        guard let released else {
            return Reason(.undecided, "\(module): \(newest.reason)")
        }
        return Reason(.open, "\(module): \(need.standings[released].reason)")
    }

    /// Where it would not be shut but for the times in which nobody watched: that they leave it
    /// undecided, and what ends that.
    private static func reason(ofGapsIn need: Need) -> Reason? {
        let (module, gaps) = (need.module, need.stores.filter { $0.gap != nil })
        guard !gaps.isEmpty else { return nil }
        var watched = need
        for index in watched.stores.indices { watched.stores[index].gap = nil }
        if watched.hadEpisode {
            let known = reason(watched)
            if known.answer == .shut { return known }
        }
        let texts = gaps.map { "\($0.name) \($0.gap?.text ?? "")" }
        let closing = gaps.compactMap { $0.gap?.episode }
            .map { "'resync episode close \($0) --note TEXT'" }
        return Reason(
            .undecided,
            "\(module): \(texts.joined(separator: ", and ")): 'resync verify --module \(module)' "
                + "ends that"
                + (closing.isEmpty
                    ? "" : ", or who knows that nothing was lost: ")
                + closing.joined(separator: " and "))
    }
}

extension Gate.Store {
    /// Before this nothing that was verified counts; nil where nothing speaks against it.
    fileprivate var ended: Timestamp? { [lastClosed, gap?.end].compactMap { $0 }.max() }
}

extension Gate.Need {
    /// With what was found out by looking at both sides, and every difference.
    fileprivate var ofBoth: Gate.Need {
        var need = self
        need.standings.removeAll { $0.alone != nil && $0.answer != .different }
        return need
    }

    /// Open because one store was proven to hold what both did, and the other one is out of reach;
    /// nil where that is not so. Once that one is back both have to be compared.
    fileprivate var openAlone: Gate.Reason? {
        for (side, index) in [(Side.a, 0), (.b, 1)] where stores.count == 2 {
            let (store, other) = (stores[index], stores[1 - index])
            guard store.openEpisode == nil, store.trouble == nil, store.doubt == nil,
                let why = other.openEpisode.map({ "has an open episode, \($0)" }) ?? other.trouble,
                let place = standings.firstIndex(where: {
                    $0.answer == .released && $0.alone == side
                }),
                // Nor was the other one back since then.
                [store.ended, other.ended].allSatisfy({ ended in
                    ended.map { standings[place].began > $0 } ?? true
                }),
                !standings[..<place].contains(where: {
                    $0.answer == .different || $0.answer == .released && $0.alone == nil
                })
            else { continue }
            return Gate.Reason(
                .open,
                "\(module): \(standings[place].reason), \(store.name) alone: \(other.name) \(why)")
        }
        return nil
    }

    /// Asked only where none is open.
    fileprivate var hadEpisode: Bool {
        stores.contains { $0.lastEpisode != nil || $0.gap != nil }
    }

    /// What began before the last episode was over proves nothing.
    fileprivate func counts(_ standing: Gate.Standing) -> Bool {
        stores.compactMap(\.ended).max().map { standing.began > $0 } ?? false
    }

    /// Whether it is to be verified without anybody asking: its stores are well after an episode,
    /// and it was not verified since; or that left it undecided, and is long ago beside the time
    /// that it took. What differs waits for a person.
    package func isDue(at now: Timestamp) -> Bool {
        guard stores.allSatisfy({ $0.openEpisode == nil && $0.trouble == nil }), hadEpisode else {
            return false
        }
        let standings = ofBoth.standings
        guard let newest = standings.first(where: counts) else { return true }
        let took = max(0, min(newest.looked.seconds - newest.began.seconds, 1 << 40))
        return !standings.contains { counts($0) && $0.answer != .undecided }
            && newest.looked.adding(seconds: max(Self.retry, Self.share * took)) < now
    }

    /// Seconds after which what was left undecided is verified again, at the earliest.
    private static var retry: Int64 { 60 }
    /// Of the time, not more than one part in so many goes into trying again.
    private static var share: Int64 { 10 }
}
