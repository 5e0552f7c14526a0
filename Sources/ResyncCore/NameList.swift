/// Many names of one directory in two allocations, each ended by a NUL so that it can be handed to
/// a system call as it lies.
package struct NameList: Sendable {
    package private(set) var bytes: [UInt8] = []
    private var starts: [UInt32] = []
    /// What the directory said of each entry; nil where it did not say.
    package private(set) var kinds: [EntryType?] = []

    package init() {}

    package var count: Int { starts.count }
    package var isEmpty: Bool { starts.isEmpty }

    /// - Precondition: the list stays below 4 GiB; listings are cut far earlier.
    package mutating func append(_ name: UnsafeRawBufferPointer, kind: EntryType?) {
        precondition(bytes.count + name.count < Int(UInt32.max))
        starts.append(UInt32(truncatingIfNeeded: bytes.count))
        bytes.append(contentsOf: name)
        bytes.append(0)
        kinds.append(kind)
    }

    package mutating func append(_ name: Name, kind: EntryType?) {
        name.bytes.withUnsafeBytes { append($0, kind: kind) }
    }

    package mutating func append(_ index: Int, of other: NameList) {
        other.withBytes(index) { append(UnsafeRawBufferPointer($0), kind: other.kinds[index]) }
    }

    package mutating func setKind(_ kind: EntryType?, at index: Int) { kinds[index] = kind }

    /// Where the directory did not say what the entry is.
    package var unknownKinds: [Int] {
        kinds.contains(nil) ? kinds.indices.filter { kinds[$0] == nil } : []
    }

    package mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        starts.removeAll(keepingCapacity: true)
        kinds.removeAll(keepingCapacity: true)
    }

    private func end(_ index: Int) -> Int {
        (index + 1 < starts.count ? Int(starts[index + 1]) : bytes.count) - 1
    }

    package func name(_ index: Int) -> Name {
        Name(Array(bytes[Int(starts[index])..<end(index)]))
    }

    /// Calls `body` with the name's bytes, without its NUL.
    package func withBytes<R>(_ index: Int, _ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
        bytes.withUnsafeBufferPointer {
            body(UnsafeBufferPointer(rebasing: $0[Int(starts[index])..<end(index)]))
        }
    }

    /// Calls `body` with the name as a C string.
    package func withCName<R, E: Error>(
        _ index: Int, _ body: (UnsafePointer<CChar>) throws(E) -> R
    ) throws(E) -> R {
        let start = Int(starts[index])
        return try bytes.withUnsafeBufferPointer { (all) throws(E) -> R in
            try UnsafeRawPointer(all.baseAddress.unsafelyUnwrapped + start)
                .withMemoryRebound(to: CChar.self, capacity: 1) { (name) throws(E) -> R in
                    try body(name)
                }
        }
    }

    /// Whether name `left` comes before name `right` of `other`; nil when they are the same bytes.
    package func precedes(_ left: Int, _ other: NameList, _ right: Int) -> Bool? {
        withBytes(left) { l in other.withBytes(right) { r in bytesPrecede(l, r) } }
    }

    /// The same names in byte order.
    package func sorted() -> NameList {
        guard count > 1 else { return self }
        let shared = sharedPrefix
        var order = [(key: UInt64, index: Int)]()
        order.reserveCapacity(count)
        for index in 0..<count {
            order.append((withBytes(index) { sortKey($0, from: shared) }, index))
        }
        bytes.withUnsafeBufferPointer { all in
            order.sort { left, right in
                if left.key != right.key { return left.key < right.key }
                return bytesPrecede(slice(all, left.index), slice(all, right.index)) ?? false
            }
        }
        var result = NameList()
        result.bytes.reserveCapacity(bytes.count)
        result.starts.reserveCapacity(count)
        result.kinds.reserveCapacity(count)
        for item in order { result.append(item.index, of: self) }
        return result
    }

    private func slice(
        _ all: UnsafeBufferPointer<UInt8>, _ index: Int
    ) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(rebasing: all[Int(starts[index])..<end(index)])
    }

    /// How many leading bytes all names have in common: sorting looks only behind them.
    private var sharedPrefix: Int {
        withBytes(0) { first in
            var shared = first.count
            for index in 1..<count {
                withBytes(index) { other in
                    shared = min(shared, other.count)
                    var at = 0
                    while at < shared, first[at] == other[at] { at += 1 }
                    shared = at
                }
                if shared == 0 { break }
            }
            return shared
        }
    }
}

/// Eight bytes from `start` on as a big-endian number, so that numbers compare as the bytes do.
private func sortKey(_ name: UnsafeBufferPointer<UInt8>, from start: Int) -> UInt64 {
    var key: UInt64 = 0
    for at in start..<start + 8 {
        key = key << 8 | (at < name.count ? UInt64(name[at]) : 0)
    }
    return key
}

/// Whether `left` comes before `right` in byte order; nil when they are equal.
package func bytesPrecede(
    _ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>
) -> Bool? {
    let shared = min(left.count, right.count)
    var at = 0
    while at < shared {
        if left[at] != right[at] { return left[at] < right[at] }
        at += 1
    }
    return left.count == right.count ? nil : left.count < right.count
}
