import ResyncCore
import ResyncStorage

/// Reads a file of the operator's from its beginning to its end. Waits for nobody: a FIFO is
/// refused.
///
/// - Parameters:
///   - kind: what it is to the operator, as "the configuration".
///   - limit: in bytes.
/// - Throws: `CommandError` where it cannot be read, is no regular file, or is larger.
func wholeFile(
    _ path: [UInt8], _ kind: String? = nil, limit: Int, _ status: ExitStatus
) throws -> [UInt8] {
    let name = (kind.map { $0 + " " } ?? "") + "'\(escaped(path))'"
    let tooLarge = CommandError("\(name) is larger than \(sizeText(limit))", status)
    do {
        let file = try InputFile.open(path: path, disk: LinuxDisk())
        guard file.stat.type == .file else {
            throw CommandError("\(name) is no regular file", status)
        }
        guard file.size <= limit else { throw tooLarge }
        var bytes: [UInt8] = []
        // Its size is what it was just now, and 0 for files that the kernel makes up.
        while true {
            let more = try file.read(at: bytes.count, count: portion)
            if more.isEmpty { return bytes }
            bytes += more
            guard bytes.count <= limit else { throw tooLarge }
        }
    } catch let error as DiskError {
        throw CommandError("cannot read \(name): \(error.sentence)", status)
    }
}

private let portion = 1 << 20
