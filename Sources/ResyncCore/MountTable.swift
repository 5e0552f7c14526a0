/// One line of `/proc/PID/mountinfo` (proc_pid_mountinfo(5)), its octal escapes decoded.
package struct Mount: Sendable, Hashable {
    /// The reusable number of the mount table and of `mnt_id:` in fdinfo, not statx's unique one.
    package let id: UInt64
    /// The mount it is attached to; not in the table for the topmost one.
    package let parent: UInt64
    /// The file system's device; btrfs shows another one than `stat` does.
    package let device: DeviceNumber
    /// Which directory of the file system is shown here.
    package let root: [UInt8]
    package let mountPoint: [UInt8]
    /// Options of this mount alone.
    package let options: [[UInt8]]
    package let fileSystemType: [UInt8]
    package let source: [UInt8]
    /// Options of the file system, the same wherever it is mounted.
    package let superOptions: [[UInt8]]

    package func hasOption(_ option: StaticString) -> Bool { options.holds(option) }
    package func hasSuperOption(_ option: StaticString) -> Bool { superOptions.holds(option) }
    package func isType(_ type: StaticString) -> Bool { [fileSystemType].holds(type) }
}

extension [[UInt8]] {
    fileprivate func holds(_ word: StaticString) -> Bool {
        word.withUTF8Buffer { word in contains { $0.elementsEqual(word) } }
    }
}

/// A mount table as one process sees it.
package struct MountTable: Sendable {
    /// Bytes of a line; a longer one is counted, not parsed.
    package static let lineLimit = 16 << 10
    /// Lines of a table; what follows is counted, not parsed.
    package static let tableLimit = 100_000

    /// In the order of the table; of lines with one id only the last.
    package let mounts: [Mount]
    /// Lines that were malformed, too long or too many: what they say is not known.
    package let skipped: Int
    private let indexByID: [UInt64: Int]
    private let children: [UInt64: [Int]]
    /// Without a parent in the table.
    private let topmost: [Int]
    /// Another one for each text that a reader has met; 0 where nobody says.
    package var number: UInt64 = 0

    /// Parses the text of a mountinfo file. Every byte sequence gives a table.
    package init(_ text: some Collection<UInt8>) {
        var parsed: [Mount] = []
        var lastOfID: [UInt64: Int] = [:]
        var skipped = 0
        for line in text.split(separator: UInt8(ascii: "\n")) {
            guard parsed.count + skipped < Self.tableLimit, line.count <= Self.lineLimit,
                let mount = Mount(line: Array(line))
            else {
                skipped += 1
                continue
            }
            lastOfID[mount.id] = parsed.count
            parsed.append(mount)
        }
        let kept = parsed.indices.filter { lastOfID[parsed[$0].id] == $0 }.map { parsed[$0] }
        var indexByID: [UInt64: Int] = [:]
        var children: [UInt64: [Int]] = [:]
        for (index, mount) in kept.enumerated() {
            indexByID[mount.id] = index
            // A rootfs may name itself as its parent.
            if mount.parent != mount.id { children[mount.parent, default: []].append(index) }
        }
        self.mounts = kept
        self.skipped = skipped
        self.indexByID = indexByID
        self.children = children
        topmost = kept.indices.filter {
            kept[$0].parent == kept[$0].id || indexByID[kept[$0].parent] == nil
        }
    }

    package func mount(id: UInt64) -> Mount? { indexByID[id].map { mounts[$0] } }

    /// Every mount of one file system.
    package func mounts(of device: DeviceNumber) -> [Mount] {
        mounts.filter { $0.device == device }
    }

    /// The mount that a path leads to: mounts hidden under a later one are not met. Nil for a
    /// relative path and one with `..`; symlinks are not known here.
    package func mount(holding path: [UInt8]) -> Mount? {
        guard let path = normalised(path) else { return nil }
        var found: Mount?
        // The topmost mounts come first; each step then goes down by one parent.
        var candidates = topmost
        while let next = first(holding: path, of: candidates) {
            found = mounts[next]
            candidates = children[mounts[next].id] ?? []
        }
        return found
    }

    /// Of mounts with one parent the one that a walk to a path meets. A table may be long, and is
    /// asked often: nothing is sorted.
    private func first(holding path: [UInt8], of siblings: [Int]) -> Int? {
        siblings.lazy.filter { isWithin(path, mounts[$0].mountPoint) }.min { left, right in
            let (one, other) = (mounts[left].mountPoint.count, mounts[right].mountPoint.count)
            // The last line of one mount point wins.
            return one == other ? left > right : one < other
        }
    }

    /// The mounts strictly below a path that can be reached by walking from it, the visible one of
    /// each mount point, in path order.
    package func mounts(below path: [UInt8]) -> [Mount] {
        guard let path = normalised(path), let start = mount(holding: path) else { return [] }
        var found: [Mount] = []
        var open = [start]
        while let parent = open.popLast() {
            for index in unhidden(children[parent.id] ?? []) {
                let child = mounts[index]
                guard child.mountPoint != path, isWithin(child.mountPoint, path) else { continue }
                let isCovered = children[child.id]?.contains {
                    mounts[$0].mountPoint == child.mountPoint
                }
                if isCovered != true { found.append(child) }
                open.append(child)
            }
        }
        return found.sorted { RelativePath($0.mountPoint) < RelativePath($1.mountPoint) }
    }

    /// Of mounts with one parent those that no other of them hides, in path order. A walk meets the
    /// upper mount point first; what was mounted further down before is out of reach.
    private func unhidden(_ siblings: [Int]) -> [Int] {
        let sorted = siblings.sorted {
            let (left, right) = (mounts[$0].mountPoint, mounts[$1].mountPoint)
            // The last line of one mount point wins, so it comes first.
            return left == right ? $0 > $1 : RelativePath(left) < RelativePath(right)
        }
        var kept: [Int] = []
        for index in sorted {
            if let last = kept.last, isWithin(mounts[index].mountPoint, mounts[last].mountPoint) {
                continue
            }
            kept.append(index)
        }
        return kept
    }
}

extension Mount {
    /// Nil unless the line has the fields of the manual page. A source may be empty.
    fileprivate init?(line: [UInt8]) {
        let space = UInt8(ascii: " ")
        let fields = line.split(separator: space, omittingEmptySubsequences: false)
        // Optional fields follow the sixth until the first lone hyphen.
        guard fields.count >= 9,
            let hyphen = fields[6...].firstIndex(where: { $0.elementsEqual([UInt8(ascii: "-")]) }),
            fields.count >= hyphen + 4,
            let id = UInt64(digits: fields[0]), let parent = UInt64(digits: fields[1]),
            let device = DeviceNumber(fields[2]), fields[4].first == slash
        else { return nil }
        self.id = id
        self.parent = parent
        self.device = device
        root = octalDecoded(fields[3])
        mountPoint = octalDecoded(fields[4])
        options = separated(fields[5])
        fileSystemType = octalDecoded(fields[hyphen + 1])
        source = octalDecoded(fields[hyphen + 2])
        // A file system that forgets to escape a space must not hide the options behind it.
        superOptions = fields[(hyphen + 3)...].flatMap { separated($0) }
        guard !fileSystemType.isEmpty else { return nil }
    }
}

/// Where something is to be mounted, from the text of a fstab(5).
///
/// - Parameter atStart: only where that is done without anybody's asking.
package func mountPoints(
    ofFstab text: some Collection<UInt8>, atStart: Bool = false
) -> [[UInt8]] {
    text.split(separator: UInt8(ascii: "\n")).compactMap { line in
        let fields = Array(line).split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        guard fields.count >= 3, fields[0].first != UInt8(ascii: "#"), fields[1].first == slash
        else { return nil }
        if atStart, fields.count > 3, separated(fields[3]).contains(Array("noauto".utf8)) {
            return nil
        }
        return normalised(octalDecoded(fields[1]))
    }
}

extension DeviceNumber {
    /// From `MAJ:MIN` in decimal.
    package init?(_ text: some Collection<UInt8>) {
        let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard parts.count == 2, let major = UInt64(digits: parts[0]),
            let minor = UInt64(digits: parts[1]), let major = UInt32(exactly: major),
            let minor = UInt32(exactly: minor)
        else { return nil }
        self.init(major: major, minor: minor)
    }

    /// As `MAJ:MIN` in decimal.
    package var text: String { "\(major):\(minor)" }
}

extension UInt64 {
    /// From decimal digits and nothing else; nil when there are none or they say too much.
    package init?(digits: some Collection<UInt8>) {
        guard !digits.isEmpty else { return nil }
        var value: UInt64 = 0
        for byte in digits {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
            guard !overflow, !carry else { return nil }
            value = sum
        }
        self = value
    }
}

/// Split first, then decoded: an escaped comma belongs to its option.
private func separated(_ field: ArraySlice<UInt8>) -> [[UInt8]] {
    field.split(separator: UInt8(ascii: ",")).map { octalDecoded($0) }
}

/// Decodes `\ooo`, as the kernel writes space, tab, newline, backslash and `#`; a backslash that
/// begins no such escape stays.
private func octalDecoded(_ field: ArraySlice<UInt8>) -> [UInt8] {
    guard field.contains(UInt8(ascii: "\\")) else { return Array(field) }
    var output: [UInt8] = []
    var at = field.startIndex
    while at < field.endIndex {
        if field[at] == UInt8(ascii: "\\"), at + 3 < field.endIndex,
            let value = octalValue(field[(at + 1)...(at + 3)])
        {
            output.append(value)
            at += 4
        } else {
            output.append(field[at])
            at += 1
        }
    }
    return output
}

private func octalValue(_ digits: ArraySlice<UInt8>) -> UInt8? {
    var value = 0
    for byte in digits {
        guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "7") else { return nil }
        value = value * 8 + Int(byte - UInt8(ascii: "0"))
    }
    return UInt8(exactly: value)
}

/// Without double and trailing slashes and `.`; nil for a relative path and one with `..`.
private func normalised(_ path: [UInt8]) -> [UInt8]? {
    let dot = UInt8(ascii: ".")
    guard path.first == slash else { return nil }
    var output: [UInt8] = []
    for component in path.split(separator: slash) where !component.elementsEqual([dot]) {
        if component.elementsEqual([dot, dot]) { return nil }
        output.append(slash)
        output += component
    }
    return output.isEmpty ? [slash] : output
}
