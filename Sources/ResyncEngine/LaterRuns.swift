import ResyncCore
import ResyncStorage

extension ApplyFolder {
    /// What later runs have changed once more and can take back, by number, with the last of them.
    /// It goes back with them first: what they have put there may look like this run's own.
    func changedLater(in runs: Folder) throws -> [Int: String] {
        let stores = plan.header.stores
        guard stores.a.kind == .directory else { return [:] }
        var found: [Int: String] = [:]
        var own: Sides<[RelativePath: [OwnChange]]>?
        for id in try RunFolder.list(in: runs) where id > run.id {
            let other = try RunFolder.open(id, in: runs)
            // One that is damaged can take nothing back.
            guard try other.isOfApply(), let later = try? ApplyFolder(reading: other),
                later.state.keepsSomething, !later.state.isOver
            else { continue }
            let theirs = later.plan.header.stores
            let sides = Side.allCases.map { side in
                Side.allCases.first { theirs[side].identity.isSameStore(as: stores[$0].identity) }
            }
            guard sides.contains(where: { $0 != nil }) else { continue }
            let numbers = try own ?? numbersByPath()
            own = numbers
            try later.plan.forEach { number, action in
                guard let side = action.side == .a ? sides[0] : sides[1],
                    later.state.isKept(number)
                else { return }
                let isTouched = action.keptDirectory != nil
                for own in numbers[side][action.path] ?? [] where !(isTouched && own.isTouched) {
                    found[own.number] = id
                }
            }
        }
        return found
    }

    private struct OwnChange {
        let number: Int
        /// A directory in which things were done, and no more: two runs may do so independently.
        let isTouched: Bool
    }

    private func numbersByPath() throws -> Sides<[RelativePath: [OwnChange]]> {
        var numbers = Sides<[RelativePath: [OwnChange]]>(a: [:], b: [:])
        var plan = plan
        try plan.forEach { number, action in
            guard state.isToBeTakenBack(number) else { return }
            numbers[action.side][action.path, default: []].append(
                OwnChange(number: number, isTouched: action.keptDirectory != nil))
        }
        return numbers
    }
}
