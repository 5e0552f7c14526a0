import ResyncStorage
import TestSupport

@testable import ResyncCore

func fuzzHash() -> EVPHash { ManifestHashes.openSSL.make(.sha256) }

/// A digest that is told from others by its number.
func fuzzDigest(_ number: UInt8) -> Digest { ManifestSample.digest([number]) }

extension Form {
    /// Frames behind a magic, each part the kind and the payload of one.
    static func frames(_ magic: [UInt8]) -> Form {
        Form(split: framed, join: { joined(magic, $0) { _, payload in payload } })
    }
}

/// The kind and payload of each frame, as far as there are any, whatever their checks.
func framed(_ bytes: [UInt8]) -> [[UInt8]] {
    var parts: [[UInt8]] = []
    var at = Frames.magicLength
    while at + Frames.headLength <= bytes.count {
        var reader = ByteReader(Array(bytes[(at + 1)..<(at + Frames.headLength)]))
        let length = Int((try? reader.fixed32()) ?? 0)
        let start = at + Frames.headLength
        let end = min(bytes.count, start + min(length, Frames.payloadLimit))
        parts.append([bytes[at]] + bytes[start..<end])
        at = end + Frames.checkLength
    }
    return parts
}

/// Frames with checks that are right. `change` sees the frames so far and may put another payload
/// in the place of one.
func joined(
    _ magic: [UInt8], _ parts: [[UInt8]],
    _ change: (_ frames: FrameWriter<EVPHash>, _ part: [UInt8]) -> [UInt8]
) -> [UInt8] {
    var frames = FrameWriter(magic: magic, hash: fuzzHash(), chain: fuzzHash())
    var bytes = frames.start()
    for part in parts {
        guard let kind = part.first else { continue }
        let payload = change(frames, part).dropFirst().prefix(Frames.payloadLimit)
        bytes += frames.frame(kind, Array(payload))
    }
    return bytes
}

extension [UInt8] {
    /// As a file is read.
    var reading: ReadBytes {
        let file = MemoryFile(self)
        return { file.read($0, $1) }
    }
}

/// Whether a scalar can do nothing to a terminal but be shown, said once more: no control, nothing
/// that turns the direction, is invisible, or ends a line (Unicode 15, UnicodeData.txt).
func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7f..<0xa0, 0xad, 0x600...0x605, 0x61c, 0x6dd, 0x70f, 0x180e,
        0x200b...0x200f, 0x2028...0x202e, 0x2060...0x206f, 0xe000...0xf8ff, 0xfeff,
        0xfff9...0xfffb, 0xe0000...0xe007f, 0xf_0000...0x10_ffff:
        false
    default: true
    }
}

/// What must hold of every path that comes out of a parser, said once more.
func demandInside(_ path: RelativePath) throws {
    guard !path.bytes.isEmpty else { return }
    let names = path.bytes.split(separator: 0x2f, omittingEmptySubsequences: false)
    let isInside = names.allSatisfy {
        !$0.isEmpty && !$0.elementsEqual([0x2e]) && !$0.elementsEqual([0x2e, 0x2e])
            && !$0.contains(0)
    }
    try demand(isInside, "gives the path \(escaped(path.bytes))")
}
