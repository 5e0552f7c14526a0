import ResyncCore
import ResyncStorage

/// How much of a plan there is room for: on the targets' file systems, and by the operator's word
/// for what is kept for an undo.
struct Room {
    /// Bytes kept for an undo, on each side; nil for as many as fit.
    private let limit: Int?
    private var kept = Sides(a: 0, b: 0)

    init(limit: Int?) { self.limit = limit }

    /// Takes account of what a run keeps already.
    mutating func count(_ folder: ApplyFolder) throws {
        guard limit != nil else { return }
        kept = Sides(a: 0, b: 0)
        var plan = folder.plan
        try plan.forEach { number, action in
            guard folder.state.isKept(number) else { return }
            kept[action.side] = cappedSum(kept[action.side], action.bytesDisplaced)
        }
    }

    /// Takes account of what has been done since.
    mutating func take(_ actions: [Action]) {
        for action in actions {
            kept[action.side] = cappedSum(kept[action.side], action.bytesDisplaced)
        }
    }

    /// How many actions there is room for, from the first on.
    ///
    /// - Parameter isLeft: whether something is to be done for the action at this distance from the
    ///   first.
    /// - Throws: `Shortage` where there is room for none.
    func fitting(
        _ actions: ArraySlice<Action>, _ hand: Hand, _ isLeft: (Int) -> Bool
    ) throws -> Int {
        var available: Sides<Int?> = Sides(a: nil, b: nil)
        for side in Side.allCases where actions.contains(where: { $0.side == side }) {
            available[side] = try hand.changer(side).space()
        }
        var kept = kept
        for (at, action) in actions.enumerated() where isLeft(at) {
            let side = action.side
            if let free = available[side] {
                var needed = action.spaceNeeded
                // Holes stay holes; looked for only where it matters.
                if needed > free { needed = try action.spaceOfData(hand) ?? needed }
                guard needed <= free else {
                    if at > 0 { return at }
                    throw Shortage.space(side, needed: needed, available: free)
                }
                available[side] = free - needed
            }
            let sum = cappedSum(kept[side], action.bytesDisplaced)
            if let limit, action.bytesDisplaced > 0, sum > limit {
                if at > 0 { return at }
                throw Shortage.undo(needed: action.bytesDisplaced, available: limit - kept[side])
            }
            kept[side] = sum
        }
        return actions.count
    }
}

extension Action {
    /// What an entry takes beside its content, at most: its inode and its name.
    private static let entrySpace = 4096

    /// Bytes on the target's file system while what it displaces stays.
    fileprivate var spaceNeeded: Int {
        switch kind {
        case .write, .makeDirectory, .symlink, .link, .special:
            return cappedSum(bytesWritten, Self.entrySpace)
        case .metadata, .remove, .removeDirectory, .settleDirectory, .patch: return 0
        }
    }

    private static let piecesLimit = 1 << 20

    /// As `spaceNeeded`, but for the holes of the source's file; nil where that cannot be asked, or
    /// it has too many.
    fileprivate func spaceOfData(_ hand: Hand) throws -> Int? {
        guard kind == .write, let after,
            let entry = try hand.source(side.other).open(path, as: after)
        else { return nil }
        // What is copied at a time is written whole, if there is data in it.
        let piece = Worker.pieceSize
        var bytes = Self.entrySpace
        var at = 0
        for _ in 0..<Self.piecesLimit {
            let data = entry.nextData(from: at)
            guard !data.isEmpty, data.lowerBound < after.stat.size else { return bytes }
            let start = max(at, data.lowerBound / piece * piece)
            let pieces = cappedSum(data.upperBound, piece - 1) / piece
            at = min(after.stat.size, pieces * piece)
            bytes = cappedSum(bytes, at - start)
        }
        return nil
    }
}
