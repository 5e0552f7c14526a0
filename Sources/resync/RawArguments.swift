import Glibc

/// Command-line arguments are bytes, but arrive as `String`, which would repair what is no valid
/// UTF-8 and so name another file. Bytes that are not valid travel as private-use scalars instead,
/// and come out again as they were.
enum RawArguments {
    /// U+10FF00 ... U+10FFFF stand for the bytes 00 ... FF.
    private static let base: UInt32 = 0x10_ff00

    static func all() -> [String] {
        let arguments = CommandLine.unsafeArgv
        return (1..<max(1, Int(CommandLine.argc))).compactMap { index in
            arguments[index].map {
                text(UnsafeRawBufferPointer(start: $0, count: strlen($0)).map { $0 })
            }
        }
    }

    static func text(_ bytes: [UInt8]) -> String {
        if let text = String(validating: bytes, as: UTF8.self),
            !text.unicodeScalars.contains(where: { $0.value >= base })
        {
            return text
        }
        var text = ""
        for byte in bytes {
            let isPlain = byte < 0x80
            text.unicodeScalars.append(
                isPlain ? Unicode.Scalar(byte) : Unicode.Scalar(base + UInt32(byte)) ?? "?")
        }
        return text
    }

    static func bytes(_ text: String) -> [UInt8] {
        guard text.unicodeScalars.contains(where: { $0.value >= base }) else {
            return Array(text.utf8)
        }
        return text.unicodeScalars.flatMap { scalar -> [UInt8] in
            scalar.value >= base
                ? [UInt8(truncatingIfNeeded: scalar.value - base)] : Array(String(scalar).utf8)
        }
    }
}
