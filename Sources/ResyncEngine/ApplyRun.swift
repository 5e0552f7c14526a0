package import ResyncCore
package import ResyncStorage

/// Carries out a plan, batch by batch, so that a crash at any moment loses nothing: see
/// `StoreChanger` for the steps of an action, `JournalRecord` for what is said before and after.
package final class ApplyRun {
    let folder: ApplyFolder
    private let sites: Sides<any Site>
    private let options: ApplyOptions
    private let controls: RunControls
    private let progress = Progress()
    var failure: StoreFailure?
    private var failedSides: Set<Side> = []
    /// Objects of the source, by the side they were to come to, whose first name did not come.
    private var absent: Sides<Set<ObjectIdentity>> = Sides(a: [], b: [])
    private var notMade = NotMade()
    private var opened = OpenSnapshot()
    private var holders: [Int: OpenFiles.Holder] = [:]
    private var withoutExchange: Set<Side> = []
    private var notTaken = Sides<[Aspect: Int]>(a: [:], b: [:])
    private var room: Room

    package init(
        _ folder: ApplyFolder, _ sites: Sides<any Site>, _ options: ApplyOptions,
        _ controls: RunControls
    ) {
        self.folder = folder
        self.sites = sites
        self.options = options
        self.controls = controls
        room = Room(limit: options.maxUndo)
    }

    private var order: ChangeOrder { folder.order }

    /// First settles what a crash left; then goes on with what is not done.
    package func callAsFunction() throws -> ApplyResult {
        var result = ApplyResult(counts: folder.state.counts, ending: .complete)
        do {
            try settleOpen()
        } catch {
            // The store's trouble is told as any other that it has on the way.
            guard failure != nil else { throw error }
            result.failure = failure
            return result
        }
        do {
            try room.count(folder)
            for frame in 0..<folder.plan.frameCount where failure == nil {
                try carryOut(frame: frame)
            }
        } catch let signal as Signal {
            result.ending = .interrupted(signal.number)
        } catch let shortage as Shortage {
            result.shortage = shortage
        }
        result.counts = folder.state.counts
        result.failure = failure
        result.holders = holders
        result.withoutExchange = withoutExchange
        result.notTaken = notTaken
        return result
    }

    /// Whether there is room to begin.
    package func shortage() throws -> Shortage? {
        try room.count(folder)
        for frame in 0..<folder.plan.frameCount {
            let (first, actions) = try folder.plan.actions(frame: frame)
            guard let at = actions.indices.first(where: { !isSettled(first + $0) }) else {
                continue
            }
            do {
                _ = try room.fitting(actions[at...at], Hand(sites, order)) { _ in true }
            } catch let shortage as Shortage {
                return shortage
            }
            return nil
        }
        return nil
    }

    private struct Signal: Error {
        let number: Int32
    }

    private func carryOut(frame: Int) throws {
        var (first, rest) = try folder.plan.actions(frame: frame)
        let hand = Hand(sites, order)
        while failure == nil, !rest.isEmpty {
            if let signal = controls.interruption() { throw Signal(number: signal) }
            controls.report(.comparing, progress)
            let start = first
            let count = try room.fitting(rest.prefix(batchLength(rest)), hand) {
                !isSettled(start + $0)
            }
            let batch = Array(rest.prefix(count))
            try carryOut(first, batch)
            first += count
            rest = Array(rest.dropFirst(count))
        }
    }

    // MARK: Batches

    private static let batchActions = 256
    private static let batchBytes = 256 << 20

    /// Actions that can be staged together: of one group, and not too much at a time.
    private func batchLength(_ actions: [Action]) -> Int {
        var bytes = 0
        var count = 0
        for action in actions {
            guard count < Self.batchActions, action.group == actions[0].group else { break }
            bytes = cappedSum(bytes, action.bytesWritten)
            if count > 0, bytes > Self.batchBytes { break }
            count += 1
        }
        return count
    }

    private func carryOut(_ first: Int, _ actions: [Action]) throws {
        let numbers = first..<first + actions.count
        guard numbers.contains(where: { !isSettled($0) }) else { return }
        var results: [ActionResult?] = numbers.map { isSettled($0) ? .done : nil }
        let hand = Hand(sites, order)
        try keepAttributes(first, actions, &results, hand)
        try folder.append(.intent(numbers))
        do throws(DiskError) {
            for side in sides(of: actions) { try begin(side, hand) }
        } catch {
            return
        }
        for (at, action) in actions.enumerated() where results[at] == nil {
            if let held = held(back: action, first + at, hand) { results[at] = held }
        }
        guard try makeDirectories(first, actions, &results, hand) else { return }
        for (at, action) in actions.enumerated()
        where results[at] == nil && notMade.hold(back: action) { results[at] = .blocked }
        var placed = Set(
            actions.indices.filter {
                actions[$0].kind == .makeDirectory && actions[$0].before != nil
            })
        let staged = try stage(first, actions, &results)
        guard sync(actions, hand) else { return discard(first, actions, results, staged, hand) }
        try examine(first, actions, &results, staged, hand)
        try note(staged: staged.filter { results[$0.key] == nil }, first)
        // Until here nothing that anybody sees was touched, but for directories.
        for (at, action) in actions.enumerated()
        where results[at] == nil && action.kind != .makeDirectory {
            controls.pace.hold()
            placed.insert(at)
            let end = hand.changer(action.side).place(first + at, action, staged[at])
            if case .ended(let result) = end { results[at] = result }
        }
        guard sync(actions, hand) else { return }
        for (at, action) in actions.enumerated() where results[at] == nil {
            controls.pace.hold()
            results[at] = hand.changer(action.side).shelve(first + at, action)
        }
        withoutExchange.formUnion(hand.withoutExchange)
        guard mend(first, actions, &results, placed, hand), sync(actions, hand) else { return }
        guard try noteMade(first, actions, results, hand),
            try noteUnread(first, actions, results, hand)
        else { return }
        try finish(first, actions, results)
    }

    private func sides(of actions: [Action]) -> [Side] {
        Side.allCases.filter { side in actions.contains { $0.side == side } }
    }

    private func begin(_ side: Side, _ hand: Hand) throws(DiskError) {
        do throws(DiskError) {
            try hand.changer(side).begin()
        } catch {
            failure = StoreFailure(side, error)
            throw error
        }
    }

    /// What failed half-way is brought to one of its ends at once. False where not even that can be
    /// done: then the intent stays open, for the next start.
    private func mend(
        _ first: Int, _ actions: [Action], _ results: inout [ActionResult?], _ placed: Set<Int>,
        _ hand: Hand
    ) -> Bool {
        for (at, action) in actions.enumerated() {
            switch results[at] {
            case .failed(let found)? where !found.isSource: break
            case .conflict?: break
            default: continue
            }
            do {
                let own = folder.own(first + at)
                if let end = try hand.changer(action.side).recover(first + at, action, own) {
                    results[at] = end
                }
            } catch {
                let error = error as? DiskError ?? DiskError(.renameat2, ErrorNumber.inputOutput)
                // Of what was never come to nothing is in place: its trouble is its own.
                guard placed.contains(at) || DiskFailure(error).endsStore else { continue }
                failure = StoreFailure(action.side, error, at: action.path)
                return false
            }
        }
        return true
    }

    func isSettled(_ number: Int) -> Bool { folder.state.isDone(number) }

    private func finish(
        _ first: Int, _ actions: [Action], _ results: [ActionResult?]
    ) throws {
        let all = results.map { $0 ?? .blocked }
        let new = actions.indices.filter { !isSettled(first + $0) && all[$0].isDone }
        try folder.append(.results(first: first, all))
        room.take(new.map { actions[$0] })
        progress.add(
            entries: all.count,
            bytes: zip(actions, all).reduce(0) {
                cappedSum($0, $1.1.isDone ? $1.0.bytesWritten : 0)
            },
            differences: 0)
        for (action, result) in zip(actions, all) {
            if let after = action.after, after.hasMoreNames, !result.isDone {
                absent[action.side].insert(after.stat.identity)
            }
            guard case .failed(let found) = result, !found.isSource else { continue }
            failedSides.insert(action.side)
            if found.endsStore {
                failure = StoreFailure(action.side, found.error, at: action.path)
            }
        }
    }

    /// Why an action is not carried out although its target is as planned; nil when it is.
    private func held(back action: Action, _ number: Int, _ hand: Hand) -> ActionResult? {
        // After trouble with the target nothing is taken away: what replaces it may be missing.
        if action.group == .removal, failedSides.contains(action.side) { return .blocked }
        if options.decided?.speakAgainst(action) == true { return .decided }
        // What stands where its first name was to come may look like it, and is not.
        if action.kind == .link, let after = action.after,
            absent[action.side].contains(after.stat.identity)
        {
            return .blocked
        }
        guard !options.acceptsOpen, let stat = action.before?.stat, stat.type == .file else {
            return nil
        }
        // Device numbers change when a file system is mounted anew: only the object as it is now
        // tells, and it is looked at only where there is reason to.
        let opened = opened.now(options.openForWriting)
        guard opened.inodes.contains(stat.inode),
            let now = try? hand.changer(action.side).stat(action)?.identity,
            let holder = opened.objects[now]
        else { return nil }
        if holders.count < Self.holdersKept { holders[number] = holder }
        return .withheld
    }

    private static let holdersKept = 10_000

    // MARK: Steps

    /// One after the other: what is staged below a directory needs it in place, and durably so
    /// where it takes the place of something.
    private func makeDirectories(
        _ first: Int, _ actions: [Action], _ results: inout [ActionResult?], _ hand: Hand
    ) throws -> Bool {
        var hasExchanged = false
        var made: [MadeObject] = []
        let worker = try self.worker()
        for (at, action) in actions.enumerated()
        where action.kind == .makeDirectory && results[at]?.isDone != true {
            if results[at] == nil, notMade.hold(back: action) { results[at] = .blocked }
            defer { if results[at] != nil { notMade.add(action) } }
            guard results[at] == nil else { continue }
            let changer = hand.changer(action.side)
            let staging = try changer.stage(
                first + at, action, isRetry: folder.state.results[first + at] != nil,
                folder.own(first + at), from: hand.source(action.side.other), worker)
            switch staging {
            case .ended(let result): results[at] = result
            case .staged(let staged):
                guard let staged else { continue }
                let object = MadeObject(number: first + at, mark: ObjectMark(staged))
                guard action.before != nil else {
                    made.append(object)
                    continue
                }
                try folder.append(.madeDirectories([object]))
                hasExchanged = true
                let end = changer.place(first + at, action, staged)
                if case .ended(let result) = end { results[at] = result }
            }
        }
        if !made.isEmpty { try folder.append(.madeDirectories(made)) }
        return !hasExchanged || sync(actions, hand)
    }

    private var batchWork: BatchWork {
        BatchWork(
            sites: sites, order: order, controls: controls, progress: progress,
            blockSize: options.blockSize, workers: options.workers)
    }

    private func worker() throws -> Worker {
        try Worker(
            scheme: try DigestScheme(.sha256, blockSize: options.blockSize), pulse: Pulse(),
            stop: Stop())
    }

    /// - Returns: what lies under the staged name, for each that has something there.
    private func stage(
        _ first: Int, _ actions: [Action], _ results: inout [ActionResult?]
    ) throws -> [Int: Stat] {
        let isRetry = actions.indices.map { folder.state.results[first + $0] != nil }
        let own = actions.indices.map { folder.own(first + $0) }
        let open = actions.indices.filter {
            results[$0] == nil && actions[$0].kind != .makeDirectory
        }
        let outcomes = try batchWork.eachOf(open) { at, hand, worker in
            let action = actions[at]
            let changer = hand.changer(action.side)
            let staging = try changer.stage(
                first + at, action, isRetry: isRetry[at], own[at],
                from: hand.source(action.side.other), worker)
            var outcome = BatchWork.Outcome(at: at, notTaken: changer.takeNotTaken())
            switch staging {
            case .ended(let result): outcome.result = result
            case .staged(let made): outcome.staged = made
            }
            return outcome
        }
        var staged: [Int: Stat] = [:]
        for outcome in outcomes {
            notTaken[actions[outcome.at].side].merge(outcome.notTaken, uniquingKeysWith: +)
            results[outcome.at] = outcome.result
            staged[outcome.at] = outcome.staged
        }
        return staged
    }

    /// What is to take an entry's place is read back before anybody can see it: a medium that has
    /// not what it took is found out while the old entry still stands.
    private func examine(
        _ first: Int, _ actions: [Action], _ results: inout [ActionResult?],
        _ staged: [Int: Stat], _ hand: Hand
    ) throws {
        let open = actions.indices.filter {
            results[$0] == nil && actions[$0].kind == .write && actions[$0].before != nil
        }
        let outcomes = try batchWork.eachOf(open) { at, hand, worker in
            let changer = hand.changer(actions[at].side)
            let found = try changer.examine(first + at, actions[at], staged[at], worker)
            return BatchWork.Outcome(at: at, result: found)
        }
        for outcome in outcomes {
            guard let found = outcome.result else { continue }
            results[outcome.at] = found
            let (at, changer) = (outcome.at, hand.changer(actions[outcome.at].side))
            changer.discard(first + at, actions[at], staged[at])
        }
    }

    /// False where a sync failed: what was written since may be lost, and asking again would say
    /// it is not.
    private func sync(_ actions: [Action], _ hand: Hand) -> Bool {
        for side in sides(of: actions) {
            do throws(DiskError) {
                try hand.changer(side).sync()
            } catch {
                failure = StoreFailure(side, error)
                return false
            }
        }
        return true
    }

    private func discard(
        _ first: Int, _ actions: [Action], _ results: [ActionResult?], _ staged: [Int: Stat],
        _ hand: Hand
    ) {
        for (at, action) in actions.enumerated()
        where results[at] == nil && action.kind != .makeDirectory {
            hand.changer(action.side).discard(first + at, action, staged[at])
        }
    }

    // MARK: Recovery

    /// Brings the actions of an intent that has no results to one of their ends; throws where that
    /// cannot be done.
    package func settleOpen() throws {
        guard let open = folder.state.open else { return }
        let hand = Hand(sites, order)
        var actions: [Action] = []
        try folder.plan.forEach(in: open) { _, action in actions.append(action) }
        var results = actions.map { _ in ActionResult.done }
        // A directory that was taken away is back before what was in it is looked for.
        let isRemoval = actions.first?.group == .removal
        for at in isRemoval ? actions.indices.reversed() : Array(actions.indices) {
            let number = open.lowerBound + at
            guard !folder.state.isDone(number) else { continue }
            let action = actions[at]
            do {
                let own = folder.own(number)
                results[at] =
                    try hand.changer(action.side).recover(number, action, own) ?? .stopped
            } catch let error as DiskError {
                let found = StoreFailure(action.side, error, at: action.path)
                failure = found
                throw found
            }
        }
        if !sync(actions, hand), let failure { throw failure }
        let isNoted =
            try noteMade(open.lowerBound, actions, results, hand)
            && noteUnread(open.lowerBound, actions, results, hand)
        if !isNoted, let failure { throw failure }
        try folder.append(.results(first: open.lowerBound, results))
    }
}
