/// Turning bytes from outside into text that can be shown: reversible, and unable to move a cursor.
///
/// Printable UTF-8 stays as it is, a backslash is doubled, every other byte becomes `\xHH`.
package func escaped(_ bytes: some Collection<UInt8>) -> String {
    let input = Array(bytes)
    var output = ""
    output.reserveCapacity(input.count)
    var at = 0
    while at < input.count {
        let byte = input[at]
        if byte == UInt8(ascii: "\\") {
            output += "\\\\"
            at += 1
        } else if byte >= 0x20, byte < 0x7f {
            output.unicodeScalars.append(Unicode.Scalar(byte))
            at += 1
        } else if let (scalar, length) = decodeScalar(input, at), isShowable(scalar) {
            output.unicodeScalars.append(scalar)
            at += length
        } else {
            output += "\\x" + hexText([byte])
            at += 1
        }
    }
    return output
}

/// The bytes that `escaped` was given; nil where a backslash begins no escape.
package func unescaped(_ text: some StringProtocol) -> [UInt8]? {
    let input = Array(text.utf8)
    var output: [UInt8] = []
    var at = 0
    while at < input.count {
        guard input[at] == UInt8(ascii: "\\") else {
            output.append(input[at])
            at += 1
            continue
        }
        guard at + 1 < input.count else { return nil }
        if input[at + 1] == UInt8(ascii: "\\") {
            output.append(UInt8(ascii: "\\"))
            at += 2
        } else {
            guard at + 3 < input.count, input[at + 1] == UInt8(ascii: "x"),
                let high = hexValue(input[at + 2]), let low = hexValue(input[at + 3])
            else { return nil }
            output.append(high << 4 | low)
            at += 4
        }
    }
    return output
}

/// The bytes as text when they are valid UTF-8, else nil. No normalisation, no repair.
package func validText(_ bytes: [UInt8]) -> String? {
    String(validating: bytes, as: UTF8.self)
}

/// One well-formed multi-byte scalar at `start` (Unicode 15, table 3-7): no overlong form, no
/// surrogate.
private func decodeScalar(_ bytes: [UInt8], _ start: Int) -> (Unicode.Scalar, Int)? {
    let first = bytes[start]
    let length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2
    guard first >= 0xc2, first <= 0xf4, start + length <= bytes.count else { return nil }
    var value = UInt32(first) & (0xff >> UInt32(length + 1))
    for at in 1..<length {
        guard bytes[start + at] & 0xc0 == 0x80 else { return nil }
        value = value << 6 | UInt32(bytes[start + at] & 0x3f)
    }
    let smallest: [UInt32] = [0, 0, 0x80, 0x800, 0x10000]
    guard value >= smallest[length], let scalar = Unicode.Scalar(value) else { return nil }
    return (scalar, length)
}

/// Whether a scalar may reach a terminal: no control, no bidirectional override, nothing invisible
/// that reorders or ends a line.
func isShowable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned,
        .privateUse:
        false
    default: true
    }
}
