/// One record of `/dev/kmsg` (Documentation/ABI/testing/dev-kmsg): `prio,seq,usec,flags;text`.
package struct KernelRecord: Sendable, Hashable {
    /// Bytes of a record; the kernel writes no longer one.
    package static let limit = 8 << 10

    /// Who wrote it: 0 is the kernel, and user space cannot say so of itself.
    package let facility: UInt64
    /// 0 is an emergency, 7 is debugging.
    package let level: UInt8
    /// Counts every record since boot.
    package let sequence: UInt64
    /// Monotonic time since boot.
    package let microseconds: UInt64
    /// The first line, its `\xHH` escapes decoded: any byte may be in it.
    package let text: [UInt8]

    /// Nil unless the bytes start as the ABI says. Continuation lines, which name the driver's view
    /// of the device, are left out.
    package init?(_ record: some Collection<UInt8>) {
        guard record.count <= Self.limit else { return nil }
        let line = record.prefix { $0 != UInt8(ascii: "\n") }
        guard let end = line.firstIndex(of: UInt8(ascii: ";")) else { return nil }
        let fields = line[..<end].split(
            separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        // Fields may be added behind the flags; the flags say nothing that matters here.
        guard fields.count >= 4, let priority = UInt64(digits: fields[0]),
            let sequence = UInt64(digits: fields[1]),
            let microseconds = UInt64(digits: fields[2])
        else { return nil }
        self.facility = priority >> 3
        self.level = UInt8(truncatingIfNeeded: priority & 7)
        self.sequence = sequence
        self.microseconds = microseconds
        self.text = hexDecoded(Array(line[line.index(after: end)...]))
    }
}

private func hexDecoded(_ text: [UInt8]) -> [UInt8] {
    guard text.contains(UInt8(ascii: "\\")) else { return text }
    var output: [UInt8] = []
    var at = 0
    while at < text.count {
        if at + 3 < text.count, text[at] == UInt8(ascii: "\\"), text[at + 1] == UInt8(ascii: "x"),
            let high = hexValue(text[at + 2]), let low = hexValue(text[at + 3])
        {
            output.append(high << 4 | low)
            at += 4
        } else {
            output.append(text[at])
            at += 1
        }
    }
    return output
}

/// What a kernel message is about, in the words of the message.
package enum KernelSubject: Sendable, Hashable {
    /// A block device by its kernel name: `sda1`, `dm-0`, `cciss!c0d0`.
    case device([UInt8])
    case number(DeviceNumber)
    /// A SCSI address: `2:0:0:1`.
    case scsi([UInt8])
    /// An iSCSI session or connection: `session3`, `connection3:0`.
    case iscsi([UInt8])
    /// A server of network file systems.
    case server([UInt8])

    /// Whether it is one of the devices that stores rest on.
    package var isDevice: Bool {
        if case .server = self { false } else { true }
    }

    package var bytes: [UInt8] {
        switch self {
        case .device(let name), .scsi(let name), .iscsi(let name), .server(let name): name
        case .number(let device): Array(device.text.utf8)
        }
    }
}

/// A message in which the kernel says that it could not read or write, or will no longer.
package struct KernelTrouble: Sendable, Hashable {
    package let subject: KernelSubject
    /// Short and stable: `ext4.error`.
    package let what: String
    /// Monotonic time since boot.
    package let microseconds: UInt64
    /// As the kernel wrote it: any byte may be in it.
    package let text: [UInt8]

    /// Nil for what is no trouble, and for every record that the kernel did not write itself.
    package init?(_ record: KernelRecord) {
        guard record.facility == 0, let finding = recognisedTrouble(record.text) else {
            return nil
        }
        subject = finding.subject
        what = finding.what
        microseconds = record.microseconds
        text = record.text
    }
}

/// What a stretch of the kernel log says about some subjects.
package struct KernelLog: Sendable {
    /// Kinds of trouble that are told apart; messages of further kinds count as `unlisted`.
    package static let kindLimit = 4096

    package struct Kind: Sendable, Hashable {
        package let last: KernelTrouble
        package let count: Int
    }

    /// Trouble by reason and subject, in the order of the first message.
    package private(set) var kinds: [Kind] = []
    package private(set) var unlisted = 0
    /// Records that could not be parsed.
    package private(set) var malformed = 0
    /// Records since boot that were overwritten before they could be read.
    package private(set) var overwritten: UInt64 = 0
    package private(set) var records = 0

    /// Parses records that follow each other, as reading `/dev/kmsg` from its start gives them.
    /// Every byte sequence gives a log.
    package init(_ bytes: [UInt8], about subjects: Set<KernelSubject>) {
        struct Key: Hashable {
            let what: String
            let subject: KernelSubject
        }
        var places: [Key: Int] = [:]
        var nextSequence: UInt64 = 0
        for line in bytes.split(separator: UInt8(ascii: "\n")) where line.first != space {
            records += 1
            guard let record = KernelRecord(line) else {
                malformed += 1
                continue
            }
            if record.sequence > nextSequence { overwritten &+= record.sequence - nextSequence }
            nextSequence = max(nextSequence, record.sequence &+ 1)
            guard let trouble = KernelTrouble(record), subjects.contains(trouble.subject) else {
                continue
            }
            let key = Key(what: trouble.what, subject: trouble.subject)
            if let place = places[key] {
                kinds[place] = Kind(last: trouble, count: kinds[place].count + 1)
            } else if kinds.count < Self.kindLimit {
                places[key] = kinds.count
                kinds.append(Kind(last: trouble, count: 1))
            } else {
                unlisted += 1
            }
        }
    }
}

private let space = UInt8(ascii: " ")
