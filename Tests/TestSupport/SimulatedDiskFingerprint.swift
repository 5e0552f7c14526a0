import ResyncCore
import Synchronization

extension SimulatedDisk {
    /// A number made of all that the disk holds: names, inodes, what they say with all their times,
    /// and contents. Disks that differ in any of it have different numbers, but for one chance in
    /// 2^64; the clock, and which inode number comes next, are no part of it.
    package var fingerprint: UInt64 {
        state.withLock { state in
            state.objects.values.reduce(UInt64(0)) { sum, object in
                object.names > 0 || object.id == State.root ? sum &+ object.fingerprint : sum
            }
        }
    }

    /// A number for each content that a file below a path has; equal for a hole and for zeros.
    package func contentNumbers(_ path: some ByteString = "/") -> Set<UInt64> {
        state.withLock { state in
            var numbers: Set<UInt64> = []
            var rest = state.lookUp(path).map { [$0] } ?? []
            while let id = rest.popLast() {
                guard let object = state.objects[id] else { continue }
                if object.type == .file, let file = object.file {
                    numbers.insert(file.cache.fingerprint)
                }
                rest += object.directory?.all.map(\.object) ?? []
            }
            return numbers
        }
    }
}

extension Object {
    fileprivate var fingerprint: UInt64 {
        var sum = Fingerprint(UInt64(id))
        sum.add(UInt64(type.rawValue) << 32 | UInt64(attributes.mode))
        sum.add(UInt64(attributes.uid) << 32 | UInt64(attributes.gid))
        sum.add(attributes.mtime)
        sum.add(attributes.ctime)
        sum.add(UInt64(special.major) << 32 | UInt64(special.minor))
        sum.add(target)
        sum.add(inode)
        if let file { sum.add(file.cache.fingerprint) }
        // In whatever order they lie in their tables.
        var rest = attributes.extended.reduce(UInt64(0)) { all, attribute in
            var one = Fingerprint(1)
            one.add(attribute.key)
            one.add(attribute.value)
            return all &+ one.value
        }
        for (name, child) in directory?.all ?? [] {
            var one = Fingerprint(2)
            one.add(name.bytes)
            one.add(UInt64(child))
            rest &+= one.value
        }
        sum.add(rest)
        return sum.value
    }
}

/// Words and bytes in order, made one number.
private struct Fingerprint {
    private(set) var value: UInt64

    init(_ start: UInt64) { value = mixed(start &+ 1) }

    mutating func add(_ word: UInt64) { value = mixed(value ^ word) &+ 0x9e37_79b9_7f4a_7c15 }

    mutating func add(_ time: Timestamp) {
        add(UInt64(bitPattern: time.seconds))
        add(UInt64(time.nanoseconds))
    }

    mutating func add(_ bytes: [UInt8]) {
        add(UInt64(bytes.count))
        bytes.withUnsafeBytes { bytes in
            var at = 0
            while at + 8 <= bytes.count {
                add(bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
                at += 8
            }
            var last: UInt64 = 0
            while at < bytes.count {
                last = last << 8 | UInt64(bytes[at])
                at += 1
            }
            add(last)
        }
    }
}
