import ResyncCore

/// What tells a device from another one that got its number: how the kernel names its hardware, its
/// volume, or the file behind it, as a number. Nil where it names none of them.
func deviceSerial(
    _ device: DeviceNumber, _ files: any KernelFiles, _ disk: any Disk
) -> UInt64? {
    var folder = "/sys/dev/block/\(device.major):\(device.minor)/"
    func text(_ name: String) -> [UInt8]? {
        guard let found = try? files.read(Array((folder + name).utf8), limit: 64 << 10) else {
            return nil
        }
        let text = Array(trimmed(found))
        return text.isEmpty ? nil : text
    }
    // A partition's folder lies in its disk's; which one it is its number says.
    if text("partition") != nil { folder += "../" }
    let names = ["wwid", "device/wwid", "serial", "dm/uuid", "loop/backing_file"]
    guard let found = names.lazy.compactMap(text).first else { return nil }
    guard var hash = try? EVPHash(.sha256) else { preconditionFailure("OpenSSL has no SHA-256") }
    hash.update(found)
    if let path = text("loop/backing_file") {
        // Another file may lie there by now.
        let stat = try? disk.stat(path: path)
        let file = stat.map { "\($0.inode) \($0.device.major) \($0.device.minor)" } ?? ""
        hash.update(Array(file.utf8))
        for part in ["loop/offset", "loop/sizelimit"] { hash.update([0] + (text(part) ?? [])) }
    }
    return hash.finalize().bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
}
