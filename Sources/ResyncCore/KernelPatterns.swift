/// The messages of Linux 4.x to 6.x that mean lost, failed or refused reads and writes. All are
/// anchored at the start: what a message quotes, a name or a label, is chosen by others.
///
/// Left out are messages that name no store's device, as `blocked for more than 120 seconds`.
func recognisedTrouble(_ text: [UInt8]) -> (what: String, subject: KernelSubject)? {
    for recognise in [ext4, jbd2, xfs, btrfs, block, scsi, iscsi, multipath, nfs] {
        var cursor = Cursor(text)
        if let finding = recognise(&cursor) { return (finding.what, finding.subject) }
    }
    return nil
}

/// Messages that are no trouble, but tell a person what went on meanwhile. Those without a subject
/// concern the whole machine.
func recognisedNotice(_ text: [UInt8]) -> (what: String, subject: KernelSubject?)? {
    for recognise in [mounting, pathBack, link] {
        var cursor = Cursor(text)
        if let notice = recognise(&cursor) { return notice }
    }
    return nil
}

private typealias Notice = (what: String, subject: KernelSubject?)

private func mounting(_ text: inout Cursor) -> Notice? {
    if text.take("XFS (") {
        guard let device = text.device(), text.take("): ") else { return nil }
        guard text.take("Mounting V") || text.take("Ending ") else { return nil }
        return ("note.mounted", .device(device))
    }
    guard text.take("EXT4-fs ("), let device = text.device(), text.take("): ") else { return nil }
    if text.take("mounted filesystem") { return ("note.mounted", .device(device)) }
    if text.take("recovery complete") { return ("note.replayed", .device(device)) }
    if text.take("unmounting filesystem") { return ("note.unmounted", .device(device)) }
    guard text.take("re-mounted") else { return nil }
    // A remount that changed nothing names no mode.
    let what =
        if text.contains(" ro.") || text.contains(" ro ") {
            "note.remounted-ro"
        } else if text.contains(" r/w.") || text.contains(" r/w ") {
            "note.remounted-rw"
        } else {
            "note.remounted"
        }
    return (what, .device(device))
}

private func pathBack(_ text: inout Cursor) -> Notice? {
    if text.take("device-mapper: multipath: ") {
        guard let major = text.digits(), text.take(":"), let minor = text.digits(),
            text.take(": Reinstating path "), let map = DeviceNumber(major + [colon] + minor)
        else { return nil }
        return ("note.path-back", .number(map))
    }
    guard text.take("nfs: server ") || text.take("NFS: server ") || text.take("lockd: server "),
        let server = text.run(of: { $0 > 0x20 && $0 != 0x7f }), text.take(" OK")
    else { return nil }
    return ("note.server-back", .server(server))
}

/// Bridges and links: the usual cause, seen from this machine.
private func link(_ text: inout Cursor) -> Notice? {
    if text.contains(": topology change detected") { return ("note.topology", nil) }
    if text.contains(" entered "), text.contains(") entered "), text.contains(" state"),
        text.contains(": port ")
    {
        return ("note.port", nil)
    }
    return text.contains(": Link is Down") || text.contains("NIC Link is Down")
        ? ("note.link-down", nil) : nil
}

private struct Finding {
    let what: String
    let subject: KernelSubject

    init(_ what: String, _ subject: KernelSubject) {
        self.what = what
        self.subject = subject
    }
}

private func ext4(_ text: inout Cursor) -> Finding? {
    guard text.take("EXT4-fs ") else { return nil }
    if text.take("error (device ") {
        guard let device = text.device(), text.take(")") else { return nil }
        return Finding("ext4.error", .device(device))
    }
    if text.take("warning (device ") {
        guard let device = text.device(), text.take("): ext4_end_bio:"), text.digits() != nil,
            text.take(": I/O error ")
        else { return nil }
        return Finding("ext4.endio", .device(device))
    }
    guard text.take("("), let device = text.device(), text.take("): ") else { return nil }
    return ext4State(&text).map { Finding($0, .device(device)) }
}

private func ext4State(_ text: inout Cursor) -> String? {
    if text.take("Remounting filesystem read-only") { return text.isAtEnd ? "ext4.ro" : nil }
    if text.take("shut down requested (") { return "ext4.shutdown" }
    _ = text.take("previous ")
    if text.take("I/O error while writing superblock")
        || text.take("I/O error to superblock detected")
    {
        return "ext4.sbwrite"
    }
    if text.take("This should not happen!! Data will be lost")
        || text.take("Delayed block allocation failed")
        || text.take("failed to convert unwritten extents ") && text.contains("data loss!")
    {
        return "ext4.lostdata"
    }
    if text.take("warning: mounting fs with errors")
        || text.take("error count since last fsck: ") && text.digits() != nil
    {
        return "ext4.witherrors"
    }
    return nil
}

private func jbd2(_ text: inout Cursor) -> Finding? {
    if text.take("Aborting journal on device ") {
        guard let device = text.journalDevice() else { return nil }
        return Finding("jbd2.abort", .device(device))
    }
    guard text.take("JBD2: ") else { return nil }
    if text.take("Detected IO errors ") {
        guard text.skip(past: " on "), let device = text.journalDevice() else { return nil }
        return Finding("jbd2.data", .device(device))
    }
    guard text.skip(pastLast: " for "), let device = text.journalDevice() else { return nil }
    return Finding("jbd2.error", .device(device))
}

private func xfs(_ text: inout Cursor) -> Finding? {
    guard text.take("XFS ("), let device = text.device(), text.take("): ") else { return nil }
    if text.take("log I/O error -") { return Finding("xfs.logerr", .device(device)) }
    if text.contains("hutting down filesystem")
        || text.contains("ilesystem has been shut down")
    {
        return Finding("xfs.shutdown", .device(device))
    }
    if text.take("metadata I/O error in ") { return Finding("xfs.metaerr", .device(device)) }
    if text.take("Metadata corruption") || text.take("Internal error")
        || text.take("Corruption detected") || text.take("Corruption of")
    {
        return Finding("xfs.corrupt", .device(device))
    }
    return nil
}

private func btrfs(_ text: inout Cursor) -> Finding? {
    guard text.take("BTRFS: ") || text.take("BTRFS "),
        text.take("error") || text.take("critical") || text.take("warning") || text.take("info"),
        text.take(" (device "), let device = text.device()
    else { return nil }
    if text.take(" state ") { _ = text.run(of: isLetter) }
    guard text.take(")") else { return nil }
    _ = text.take(":")
    _ = text.take(" ")
    if text.take("forced readonly") { return Finding("btrfs.ro", .device(device)) }
    if text.take("Transaction aborted")
        || text.take("in ") && text.contains(": errno=")
    {
        return Finding("btrfs.abort", .device(device))
    }
    if text.take("bdev "), text.contains(" errs: wr ") {
        return Finding("btrfs.devstat", .device(device))
    }
    return nil
}

/// The block layer's names of what a request ended with (blk_errors in block/blk-core.c), without
/// `operation not supported`: a refused discard loses nothing.
private let blockErrors: [StaticString] = [
    "I/O", "critical space allocation", "critical nexus", "critical target", "critical medium",
    "timeout", "recoverable transport", "protection", "device resource", "device offline",
    "reservation conflict",
]

private func block(_ text: inout Cursor) -> Finding? {
    if text.take("Buffer I/O error on dev") {
        _ = text.take("ice")
        guard text.take(" "), let device = text.device(), text.take(", logical block "),
            text.digits() != nil
        else { return nil }
        return Finding(text.take(", lost ") ? "buf.lost" : "buf.error", .device(device))
    }
    if text.take("Trying to write to read-only block-device ") {
        guard let device = text.device() else { return nil }
        return Finding("blk.rodev", .device(device))
    }
    // Kernels 3 to 5 put the name of the printing function first.
    if !text.take("blk_update_request: ") { _ = text.take("print_req_error: ") }
    if blockErrors.contains(where: { text.take($0) }) {
        guard text.take(" error, dev "), let device = text.device(), text.take(", sector ") else {
            return nil
        }
        return Finding("blk.ioerr", .device(device))
    }
    guard let device = text.device(), text.take(" writeback error on inode ") else { return nil }
    return Finding("wb.error", .device(device))
}

private func scsi(_ text: inout Cursor) -> Finding? {
    guard text.take("sd "), let address = text.run(of: isAddress), text.take(" ") else {
        return nil
    }
    // The run took the colon that ends the address.
    var subject = KernelSubject.scsi(address.last == colon ? Array(address.dropLast()) : address)
    if text.take("[") {
        guard let device = text.device(), text.take("] ") else { return nil }
        subject = .device(device)
    }
    if text.take("rejecting I/O to offline device") || text.take("rejecting I/O to dead device")
        || text.take("Device offlined - not ready after error recovery")
    {
        return Finding("scsi.reject", subject)
    }
    if text.take("Write Protect is on") { return Finding("scsi.wp", subject) }
    guard text.skip(past: "hostbyte=DID_"), transportErrors.contains(where: { text.take($0) })
    else { return nil }
    return Finding("scsi.transport", subject)
}

private let transportErrors: [StaticString] = [
    "TRANSPORT_DISRUPTED", "TRANSPORT_FAILFAST", "NO_CONNECT", "TIME_OUT", "BUS_BUSY",
    "IMM_RETRY",
]

private func iscsi(_ text: inout Cursor) -> Finding? {
    _ = text.run { $0 == UInt8(ascii: " ") }
    if text.take("session") {
        guard let number = text.digits(), text.take(": session recovery timed out after ") else {
            return nil
        }
        return Finding("iscsi.lost", .iscsi(Array("session".utf8) + number))
    }
    guard text.take("connection"), let session = text.digits(), text.take(":"),
        let number = text.digits(), text.take(": ")
    else { return nil }
    let subject = KernelSubject.iscsi(Array("connection".utf8) + session + [colon] + number)
    if text.take("ping timeout of ") { return Finding("iscsi.ping", subject) }
    return text.take("detected conn error (") ? Finding("iscsi.conn", subject) : nil
}

private func multipath(_ text: inout Cursor) -> Finding? {
    guard text.take("device-mapper: multipath: "), let major = text.digits(), text.take(":"),
        let minor = text.digits(), text.take(": Failing path "),
        let map = DeviceNumber(major + [colon] + minor)
    else { return nil }
    return Finding("mpath.fail", .number(map))
}

private func nfs(_ text: inout Cursor) -> Finding? {
    guard text.take("nfs: server ") || text.take("NFS: server ") || text.take("lockd: server "),
        let server = text.run(of: { $0 > 0x20 && $0 != 0x7f }),
        text.take(" not responding, still trying") || text.take(" not responding, timed out")
    else { return nil }
    return Finding("nfs.stall", .server(server))
}

private let colon = UInt8(ascii: ":")

private func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
private func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a }
private func isAddress(_ byte: UInt8) -> Bool { isDigit(byte) || byte == colon }

/// A place in a message. What takes moves on; what does not, stays.
private struct Cursor {
    private var rest: ArraySlice<UInt8>

    init(_ text: [UInt8]) { rest = text[...] }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func take(_ word: StaticString) -> Bool {
        let length = word.withUTF8Buffer { rest.starts(with: $0) ? $0.count : nil }
        guard let length else { return false }
        rest = rest.dropFirst(length)
        return true
    }

    /// The longest run of such bytes; nil when there is none.
    mutating func run(of isWanted: (UInt8) -> Bool) -> [UInt8]? {
        let run = rest.prefix(while: isWanted)
        rest = rest.dropFirst(run.count)
        return run.isEmpty ? nil : Array(run)
    }

    mutating func digits() -> [UInt8]? { run(of: isDigit) }

    /// A block device's name, without the colon that may follow it.
    mutating func device() -> [UInt8]? {
        let name = run { isDigit($0) || isLetter($0) || "!_.:+-".utf8.contains($0) }
        guard let name, name.last == colon else { return name }
        return name.count > 1 ? Array(name.dropLast()) : nil
    }

    /// The device of a journal at the end of a message: `sdf-8.` is the journal in inode 8 of sdf.
    mutating func journalDevice() -> [UInt8]? {
        guard var name = device(), isAtEnd else { return nil }
        if name.last == UInt8(ascii: ".") { name.removeLast() }
        // `dm-8` alone is a device that holds nothing but a journal.
        let suffixes = [Array("-8".utf8), Array(":8".utf8)]
        if !name.elementsEqual("dm-8".utf8), suffixes.contains(Array(name.suffix(2))) {
            name.removeLast(2)
        }
        return name.isEmpty ? nil : name
    }

    func contains(_ word: StaticString) -> Bool { place(of: word) != nil }

    mutating func skip(past word: StaticString) -> Bool {
        guard let place = place(of: word) else { return false }
        rest = rest[(place + word.utf8CodeUnitCount)...]
        return true
    }

    mutating func skip(pastLast word: StaticString) -> Bool {
        guard skip(past: word) else { return false }
        while skip(past: word) {}
        return true
    }

    private func place(of word: StaticString) -> Int? {
        word.withUTF8Buffer { word in
            rest.indices.first { rest[$0...].starts(with: word) }
        }
    }
}
