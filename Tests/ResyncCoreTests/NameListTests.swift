import TestSupport
import Testing

@testable import ResyncCore

@Suite struct NameListTests {
    private func list(_ names: [[UInt8]]) -> NameList {
        var list = NameList()
        for (index, name) in names.enumerated() {
            list.append(Name(name), kind: EntryType(rawValue: UInt8(index % 8)))
        }
        return list
    }

    private func names(_ list: NameList) -> [[UInt8]] {
        (0..<list.count).map { list.name($0).bytes }
    }

    private func expectSorted(_ names: [[UInt8]]) {
        let given = list(names)
        let sorted = given.sorted()
        #expect(self.names(sorted) == names.sorted { $0.lexicographicallyPrecedes($1) })
        #expect(self.names(given) == names)
        // Each name keeps its kind.
        var kinds: [[UInt8]: Set<EntryType?>] = [:]
        for index in 0..<given.count {
            kinds[given.name(index).bytes, default: []].insert(given.kinds[index])
        }
        for index in 0..<sorted.count {
            #expect(kinds[sorted.name(index).bytes]?.contains(sorted.kinds[index]) == true)
        }
    }

    @Test func sortingAgreesWithTheOracle() {
        var random = Seed.fromEnvironment()
        for _ in 0..<rounds(300) {
            let prefix = random.bytes([0, 0, 1, 7, 8, 9, 247][random.below(7)])
            expectSorted(
                (0..<random.below(60)).map { _ in
                    let letters = 1 + random.below(3)
                    return prefix
                        + (0..<random.below(12)).map { _ in
                            UInt8.random(in: 0...255, using: &random) % UInt8(letters) &* 127
                        }
                })
        }
    }

    @Test func sortingSeesTheLastOf255Bytes() {
        let long = [UInt8](repeating: 0x61, count: 254)
        expectSorted([long + [0x62], long + [0x61], long, long + [0xff]])
    }

    /// The sort key fills short names up with zeros: a NUL must still make a difference.
    @Test func aNulIsNotTheEnd() {
        expectSorted([[0x61, 0, 0], [0x61], [0x61, 0], [0], [], [0, 0]])
        expectSorted([[0x61, 0], [0x61]])
    }

    @Test func smallListsStay() {
        expectSorted([])
        expectSorted([[0x78]])
        expectSorted([[0x78], [0x78]])
        #expect(NameList().isEmpty)
    }

    @Test func precedes() {
        let left = list([[0x61], [0x61, 0x62], [0xff], []])
        let right = list([[0x61], [0x62]])
        #expect(left.precedes(0, right, 0) == nil)
        #expect(left.precedes(0, right, 1) == true)
        #expect(left.precedes(1, right, 0) == false)
        #expect(left.precedes(1, right, 1) == true)
        // Bytes are unsigned.
        #expect(left.precedes(2, right, 1) == false)
        #expect(left.precedes(3, right, 0) == true)
        #expect(left.precedes(3, left, 3) == nil)
    }

    @Test func namesAreCStringsAsTheyLie() {
        let all = list([[0x61, 0x62], [], [0xff, 0x80], [UInt8](repeating: 0x7a, count: 255)])
        for index in 0..<all.count {
            let seen = all.withCName(index) { name -> [UInt8] in
                var bytes: [UInt8] = []
                var at = name
                while at.pointee != 0 {
                    bytes.append(UInt8(bitPattern: at.pointee))
                    at += 1
                }
                return bytes
            }
            #expect(seen == all.name(index).bytes)
        }
    }

    @Test func kinds() {
        var all = list([[1], [2], [3]])
        #expect(all.unknownKinds == [0])
        all.setKind(.socket, at: 0)
        #expect(all.unknownKinds == [])
        var other = NameList()
        other.append(2, of: all)
        #expect(names(other) == [[3]])
        #expect(other.kinds == [all.kinds[2]])
        all.removeAll()
        #expect(all.isEmpty && all.bytes.isEmpty && all.kinds.isEmpty)
    }
}
