import ResyncStorage
import TestSupport

@testable import ResyncCore

extension FuzzTarget {
    static let escaper = FuzzTarget(
        "escaper", rounds: 70_000,
        samples: [
            "plain", "b\\\\s \\x41", "é\u{301} \u{1f600}\u{202e}\u{1b}[2J\n",
            "\u{200b}\u{2028}\u{2069}\u{feff}\u{ad}\u{e000}\u{85}",
        ].map(bytes)
    ) { input in
        let text = escaped(input)
        for scalar in text.unicodeScalars {
            try demand(isHarmless(scalar), "shows \(String(scalar.value, radix: 16))")
        }
        try demand(unescaped(text) == input, "gives back \(hexText(unescaped(text) ?? []))")
        // The other way round: what is no escape is refused, and the rest is read as it was meant.
        guard let shown = validText(input), let meant = unescaped(shown) else { return false }
        try demand(unescaped(escaped(meant)) == meant, "loses \(hexText(meant))")
        return true
    }

    static let mountTable = FuzzTarget(
        "mount table", rounds: 10_000,
        samples: [
            """
            27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
            22 27 0:21 / /proc rw,relatime - proc proc rw
            40 27 8:1 /sub /mnt/a rw,noatime shared:7 master:2 - ext4 /dev/sda1 rw,emergency_ro
            41 40 0:40 / /mnt/a/deep\\040er ro - btrfs /dev/sdb ro,ssd,subvol=/
            42 27 0:44 / /mnt/ab rw - tmpfs  rw,size=1m
            43 27 0:45 / /mnt/n rw - nfs4 [fe80::1]:/x\\134y rw,addr=a\\054b,vers=4.2

            """, "1 1 0:2 / / rw - rootfs rootfs rw\n",
        ].map(bytes), check: checkMountTable)

    static let fstab = FuzzTarget(
        "fstab", rounds: 15_000,
        samples: [
            """
            # /dev/sdz /comment ext4 defaults 0 0
            UUID=1 / ext4 defaults 0 1
              /dev/sdb1\t/srv/mail\\040store/   xfs  noauto 0 0

            """
        ].map(bytes)
    ) { input in
        let all = mountPoints(ofFstab: input)
        for point in all {
            try demand(point.first == slash, "gives \(escaped(point))")
            let names = point.dropFirst().split(
                separator: slash, omittingEmptySubsequences: false)
            let isPlain = names.allSatisfy {
                !$0.isEmpty && !$0.elementsEqual([0x2e]) && !$0.elementsEqual([0x2e, 0x2e])
            }
            try demand(point == [slash] || isPlain, "gives \(escaped(point))")
        }
        let some = mountPoints(ofFstab: input, atStart: true)
        try demand(some.allSatisfy { all.contains($0) }, "mounts more at start")
        return !all.isEmpty
    }

    static let kernelLog = FuzzTarget(
        "kernel log", rounds: 10_000,
        samples: [
            "3,5,1234567,-;EXT4-fs error (device sdf): ext4_find_entry: at\\x0a\n DEVICE=b8:16\n",
            "2,6,1234568,-;blk_update_request: I/O error, dev sda, sector 9 op 0x0:(READ)\n",
            "4,7,1234569,-;nfs: server filer not responding, still trying\n",
            "6,8,1,-;device-mapper: multipath: 253:4: Reinstating path 8:32.\n",
            "3,9,1,-;EXT4-fs (sdf): Remounting filesystem read-only\n",
            "6,8,1,-;XFS (sdf): Ending clean mount\n3,9,1,-;sd 2:0:0:1: [sdb] tag#0 FAILED\n",
        ].map(bytes), check: checkKernelLog)

    static let keptKernelLine = FuzzTarget(
        "kept kernel line", rounds: 300_000,
        samples: [
            "2026-11-24T17:50:03.123456+01:00 host kernel: EXT4-fs (sdf): error",
            "2026-11-24T17:50:03Z host kernel: [ 12.5] text",
            "Nov 24 17:50:03 host kernel: text", "[  123.456] text",
        ].map(bytes)
    ) { input in
        guard let line = KernelLogLine(input) else { return false }
        try demand(
            input.suffix(line.text.count).elementsEqual(line.text), "gives a text of its own")
        switch line.time {
        case .wall(let time): try demand(time.nanoseconds < 1_000_000_000, "\(time)")
        case .sinceBoot(let seconds): try demand(seconds >= 0 && seconds < 1e10, "\(seconds)")
        case .local(let month, let day, let seconds):
            try demand(
                (1...12).contains(month) && (1...31).contains(day)
                    && (0...86400).contains(seconds), "\(line.time)")
        }
        return true
    }

    static let recording = FuzzTarget(
        "recording", rounds: 40_000,
        samples: [
            "5 1790000000.000000001 mail/a probe 4 1790000000.500000000 failed 5 fsync",
            "5 1.000000000 x probe 4 1.000000000 foreign a\\x0ab",
            "5 -1.000000000 x hang 0.5 device",
            "5 1.000000000 x kernel ext4.ro \\xff", "5 1.000000000 x fserror 5 9",
            "5 1.000000000 x errors -", "5 1.000000000 x stall 3.25",
        ].map(bytes)
    ) { input in
        guard let text = validText(input), let line = Recording.Line(text) else { return false }
        let again = line.text
        try demand(again.hasSuffix("\n"), "gives no line")
        try demand(
            Recording.Line(String(again.dropLast())) == line, "is recorded as \(again)")
        return true
    }

    static let probeAnswer = FuzzTarget(
        "probe answer", rounds: 50_000,
        samples: [
            "9 5 8:1 3 -7 verified\n/srv/x\\x0a", "9 - - 0 0 failed 5 fsync\n",
            "probe 5 6 1 0 1",
        ].map(bytes)
    ) { input in
        guard let text = validText(input) else { return false }
        let order = ProbeOrder(text)
        if let order { try demand(ProbeOrder(order.text) == order, "is sent as \(order.text)") }
        let answer = ProbeAnswer(text)
        if let answer {
            try demand(ProbeAnswer(answer.text) == answer, "is sent as \(answer.text)")
        }
        return order != nil || answer != nil
    }

    static let quantity = FuzzTarget(
        "quantity", rounds: 150_000,
        samples: ["64KiB", "4096", "1.5G", "200MiB/s", "1h30m", "500ms", "0.5d"].map(bytes)
    ) { input in
        guard let text = validText(input) else { return false }
        let size = try? parseSize(text)
        try demand(size.map { $0 >= 0 } ?? true, "a size of \(size ?? 0)")
        let rate = try? parseRate(text)
        try demand(rate.map { $0 > 0 } ?? true, "a rate of \(rate ?? 0)")
        let duration = try? parseDuration(text)
        try demand(
            duration.map { $0 >= 0 && $0 < 1e9 } ?? true, "a duration of \(duration ?? 0)")
        if let size { _ = (sizeText(size), countText(size)) }
        if let duration { _ = durationText(duration) }
        do throws(QuantityError) {
            _ = try parseSize(text)
        } catch {
            try demand(
                error.reason.unicodeScalars.allSatisfy { isHarmless($0) },
                "a reason that moves the cursor")
        }
        return size != nil || rate != nil || duration != nil
    }

    static let importedList = FuzzTarget(
        "sha256sum list", rounds: 8000, samples: importSamples(), check: checkImport)
}

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

// MARK: Mount tables

/// A table that is written again is read as the same one.
private func checkMountTable(_ input: [UInt8]) throws -> Bool {
    let table = MountTable(input)
    try demand(
        table.mounts.count + table.skipped <= input.count { $0 == 0x0a } + 1,
        "has more lines than there are")
    var text: [UInt8] = []
    for mount in table.mounts {
        try demand(mount.mountPoint.first == slash, "a relative mount point")
        try demand(table.mount(id: mount.id) == mount, "does not find \(mount.id)")
        text += line(mount)
        if let holder = table.mount(holding: mount.mountPoint) {
            try demand(
                isWithin(RelativePath.written(mount.mountPoint).absolute, holder.mountPoint)
                    || holder.mountPoint.contains { $0 == 0x2e || $0 == slash },
                "\(escaped(holder.mountPoint)) holds \(escaped(mount.mountPoint))")
        }
        try demand(
            table.mounts(below: mount.mountPoint).count < table.mounts.count,
            "all are below \(escaped(mount.mountPoint))")
    }
    // Escaped, a line is longer than it was.
    let lines = text.split(separator: 0x0a)
    guard lines.allSatisfy({ $0.count <= MountTable.lineLimit }) else { return false }
    let again = MountTable(text)
    try demand(again.mounts == table.mounts && again.skipped == 0, "is written as another one")
    return table.skipped == 0 && !table.mounts.isEmpty
}

extension RelativePath {
    fileprivate var absolute: [UInt8] { [slash] + bytes }
}

private func line(_ mount: Mount) -> [UInt8] {
    func field(_ value: [UInt8]) -> [UInt8] {
        value.flatMap { byte -> [UInt8] in
            guard [0x20, 0x09, 0x0a, 0x5c, 0x2c, 0x23].contains(byte) else { return [byte] }
            let digits = String(byte, radix: 8)
            return bytes("\\" + String(repeating: "0", count: 3 - digits.count) + digits)
        }
    }
    func list(_ values: [[UInt8]]) -> [UInt8] {
        Array(values.map(field).joined(separator: [0x2c]))
    }
    let fields: [[UInt8]] = [
        bytes("\(mount.id)"), bytes("\(mount.parent)"), bytes(mount.device.text),
        field(mount.root), field(mount.mountPoint), list(mount.options), bytes("-"),
        field(mount.fileSystemType), field(mount.source), list(mount.superOptions),
    ]
    return Array(fields.joined(separator: [0x20])) + [0x0a]
}

// MARK: The kernel's log

/// Only what the kernel wrote is believed, and a subject stands in the text.
private func checkKernelLog(_ input: [UInt8]) throws -> Bool {
    var troubles = 0
    var subjects: Set<KernelSubject> = []
    for line in input.split(separator: 0x0a) {
        guard let record = KernelRecord(line) else { continue }
        try demand(record.text.count <= line.count, "a text that is longer than its line")
        guard let message = KernelMessage(record) else { continue }
        try demand(record.facility == 0, "believes facility \(record.facility)")
        try demand(
            message.what.utf8.allSatisfy { $0 == 0x2e || $0 == 0x2d || isLetter($0) },
            "calls it \(message.what)")
        troubles += 1
        guard let subject = message.subject else { continue }
        subjects.insert(subject)
        if case .number = subject { continue }
        let text = record.text
        let isThere = text.indices.contains { text[$0...].starts(with: subject.bytes) }
        try demand(isThere && !subject.bytes.isEmpty, "is about \(escaped(subject.bytes))")
    }
    let log = KernelLog(input, about: subjects)
    let listed = log.kinds.reduce(log.unlisted) { $0 + $1.count }
    try demand(
        listed <= log.records - log.malformed, "has more troubles than records: \(listed)")
    return troubles > 0
}

private func isLetter(_ byte: UInt8) -> Bool {
    (0x61...0x7a).contains(byte | 0x20) || (0x30...0x39).contains(byte)
}

// MARK: Lists of other tools

private func importSamples() -> [[UInt8]] {
    let digits = fuzzDigest(1).hex
    let list = ["a", "./b/c", "b/d e", "b.x"].map { "\(digits)  \($0)\0" }.joined()
    return [bytes(list), bytes("\(digits) *x\0")]
}

/// What is taken is a manifest, whatever stretches the list came in.
private func checkImport(_ input: [UInt8]) throws -> Bool {
    var outcomes: [[ManifestRecord]?] = []
    for stretch in [input.count, 7 + input.count / 50] {
        var records: [ManifestRecord] = []
        var list = ManifestImport()
        do {
            var at = 0
            while at < input.count {
                try list.take(Array(input[at..<min(input.count, at + stretch)]))
                at += stretch
            }
            try list.finish { records.append($0) }
            outcomes.append(records)
        } catch is ManifestRefusal {
            outcomes.append(nil)
        }
    }
    try demand(outcomes[0] == outcomes[1], "depends on how it is cut")
    guard let records = outcomes[0] else { return false }
    let header = ManifestImport.header(
        exclusions: fuzzDigest(1), store: [], tool: [],
        started: Timestamp(seconds: 0, nanoseconds: 0))
    do {
        let file = try ManifestSample.write(records, header).file
        let read = try ManifestSample.read(file)
        try demand(read.count == records.count, "is read as another one")
    } catch let error as FormatError {
        throw Violation("gives what is no manifest: \(error)")
    }
    return true
}
