import Glibc
import ResyncCore

/// The space of a mount that is limited, in blocks of 4 KiB. Bytes take it as they are written, not
/// as they reach the medium.
extension State {
    /// For a new object; one that needs no block of its own still needs some space to be there.
    mutating func takeSpace(_ count: Int, mount: Int) throws(Refusal) {
        guard mounts[mount].isSpaceLimited else { return }
        guard mounts[mount].blocksAvailable >= max(count, 1) else {
            throw Refusal(mounts[mount].spaceError)
        }
        mounts[mount].blocksAvailable -= count
    }

    /// For a range of a file; returns how many bytes there is space for, more than none.
    mutating func takeSpace(_ id: ObjectID, _ range: Range<Int>) throws(Refusal) -> Int {
        let mount = object(id).mount
        guard mounts[mount].isSpaceLimited, let file = object(id).file else { return range.count }
        let left = mounts[mount].blocksAvailable
        let missing = file.cache.missingBlocks(range)
        let count = missing.ranges.reduce(0) { $0 + $1.count }
        if count <= left {
            mounts[mount].blocksAvailable -= count
            return range.count
        }
        // Up to the first block for which there is none left.
        var rest = left
        var end = range.upperBound
        for run in missing.ranges {
            if run.count > rest {
                end = (run.lowerBound + rest) * SparseContent.blockSize
                break
            }
            rest -= run.count
        }
        guard end > range.lowerBound else { throw Refusal(mounts[mount].spaceError) }
        mounts[mount].blocksAvailable = 0
        return end - range.lowerBound
    }

    /// After a file shrank or got a hole.
    mutating func freeSpace(_ id: ObjectID, before: Int) {
        let found = object(id)
        let now = found.file?.cache.blockCount ?? 0
        if mounts[found.mount].isSpaceLimited, found.type == .file {
            mounts[found.mount].blocksAvailable += before - now
        }
    }

    /// After it lost a name or a descriptor.
    mutating func freeSpaceIfGone(_ id: ObjectID) {
        guard let found = objects[id], found.names == 0, found.opens == 0, id != State.root,
            mounts[found.mount].isSpaceLimited
        else { return }
        mounts[found.mount].blocksAvailable += found.blocks
    }

    /// After a power loss: what was lost is free again, what came back takes its space.
    mutating func recountSpace(since before: State) {
        for (number, mount) in mounts.enumerated() where mount.isSpaceLimited {
            let old = before.usedSpace(number)
            mounts[number].blocksAvailable += old - usedSpace(number)
        }
    }

    private func usedSpace(_ mount: Int) -> Int {
        objects.values.reduce(0) { sum, object in
            let isLive = object.names > 0 || object.opens > 0 || object.id == State.root
            return object.mount == mount && isLive ? sum + object.blocks : sum
        }
    }
}

extension Object {
    /// The blocks it takes.
    fileprivate var blocks: Int {
        switch type {
        case .file: file?.cache.blockCount ?? 0
        case .directory: 1
        case .symlink: target.count >= shortTarget ? 1 : 0
        default: 0
        }
    }
}
