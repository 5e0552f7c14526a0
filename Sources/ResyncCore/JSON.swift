/// A JSON object (RFC 8259) put together field by field, in the order given.
///
/// Text that must not reach a terminal as it is (controls, bidirectional overrides) is written as
/// `\u` escapes, so that a line shown is a line read.
package struct JSONObject: Sendable {
    private var body: [UInt8] = [UInt8(ascii: "{")]

    package init() {}

    private mutating func name(_ name: StaticString) {
        if body.count > 1 { body.append(UInt8(ascii: ",")) }
        name.withUTF8Buffer { appendQuoted($0) }
        body.append(UInt8(ascii: ":"))
    }

    private mutating func appendQuoted(_ text: UnsafeBufferPointer<UInt8>) {
        body.appendJSON(String(decoding: text, as: UTF8.self))
    }

    package mutating func field(_ name: StaticString, _ value: String) {
        self.name(name)
        body.appendJSON(value)
    }

    package mutating func field(_ name: StaticString, _ value: Int) {
        self.name(name)
        body.append(contentsOf: String(value).utf8)
    }

    package mutating func field(_ name: StaticString, _ value: UInt64) {
        self.name(name)
        body.append(contentsOf: String(value).utf8)
    }

    /// The shortest digits that read back as the same number; `null` where it is none.
    package mutating func field(_ name: StaticString, _ value: Double) {
        self.name(name)
        body.append(contentsOf: (value.isFinite ? value.description : "null").utf8)
    }

    package mutating func field(_ name: StaticString, _ value: Bool) {
        self.name(name)
        body.append(contentsOf: (value ? "true" : "false").utf8)
    }

    package mutating func field(_ name: StaticString, _ value: JSONObject) {
        self.name(name)
        body.append(contentsOf: value.bytes)
    }

    package mutating func field(_ name: StaticString, _ values: [String]) {
        array(name, values) { $0.appendJSON($1) }
    }

    package mutating func field(_ name: StaticString, _ values: [Int]) {
        array(name, values) { $0.append(contentsOf: String($1).utf8) }
    }

    package mutating func field(_ name: StaticString, _ values: [JSONObject]) {
        array(name, values) { $0.append(contentsOf: $1.bytes) }
    }

    private mutating func array<Value>(
        _ name: StaticString, _ values: [Value], _ append: (inout [UInt8], Value) -> Void
    ) {
        self.name(name)
        body.append(UInt8(ascii: "["))
        for (index, value) in values.enumerated() {
            if index > 0 { body.append(UInt8(ascii: ",")) }
            append(&body, value)
        }
        body.append(UInt8(ascii: "]"))
    }

    /// `path` where the bytes are valid UTF-8, and always `path_b64`.
    package mutating func path(_ path: RelativePath) {
        if let text = validText(path.bytes) { field("path", text) }
        field("path_b64", base64(path.bytes))
    }

    /// From the opening to the closing brace.
    package var bytes: [UInt8] { body + [UInt8(ascii: "}")] }
}

/// One line of JSON Lines output: an object whose first field is its `type`.
package struct JSONLine: Sendable {
    /// What the line says; further fields are added here, or through the calls below.
    package var object = JSONObject()

    package init(type: String) { object.field("type", type) }

    package mutating func field(_ name: StaticString, _ value: String) {
        object.field(name, value)
    }
    package mutating func field(_ name: StaticString, _ value: Int) { object.field(name, value) }
    package mutating func field(_ name: StaticString, _ value: UInt64) {
        object.field(name, value)
    }
    package mutating func field(_ name: StaticString, _ value: Double) {
        object.field(name, value)
    }
    package mutating func field(_ name: StaticString, _ value: Bool) { object.field(name, value) }
    package mutating func field(_ name: StaticString, _ value: JSONObject) {
        object.field(name, value)
    }
    package mutating func field(_ name: StaticString, _ values: [String]) {
        object.field(name, values)
    }
    package mutating func field(_ name: StaticString, _ values: [Int]) {
        object.field(name, values)
    }
    package mutating func field(_ name: StaticString, _ values: [JSONObject]) {
        object.field(name, values)
    }
    package mutating func path(_ path: RelativePath) { object.path(path) }

    /// The line with its newline.
    package var bytes: [UInt8] { object.bytes + [UInt8(ascii: "\n")] }
}

/// Base 64 with padding (RFC 4648, section 4).
package func base64(_ bytes: [UInt8]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    for at in stride(from: 0, to: bytes.count, by: 3) {
        let count = min(3, bytes.count - at)
        var group = UInt32(bytes[at]) << 16
        if count > 1 { group |= UInt32(bytes[at + 1]) << 8 }
        if count > 2 { group |= UInt32(bytes[at + 2]) }
        for digit in 0..<4 {
            let index = Int(group >> UInt32(18 - 6 * digit)) & 63
            text.append(digit <= count ? alphabet[index] : UInt8(ascii: "="))
        }
    }
    return String(decoding: text, as: UTF8.self)
}

extension [UInt8] {
    /// Appends a JSON string with its quotes.
    fileprivate mutating func appendJSON(_ text: String) {
        append(UInt8(ascii: "\""))
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\":
                append(UInt8(ascii: "\\"))
                append(UInt8(truncatingIfNeeded: scalar.value))
            case "\n": append(contentsOf: Array("\\n".utf8))
            case "\r": append(contentsOf: Array("\\r".utf8))
            case "\t": append(contentsOf: Array("\\t".utf8))
            default:
                if scalar.value >= 0x20, scalar.value < 0x7f {
                    append(UInt8(truncatingIfNeeded: scalar.value))
                } else if isShowable(scalar) {
                    append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
                } else {
                    for unit in String(scalar).utf16 { appendEscape(unit) }
                }
            }
        }
        append(UInt8(ascii: "\""))
    }

    private mutating func appendEscape(_ unit: UInt16) {
        let bytes = [UInt8(unit >> 8), UInt8(truncatingIfNeeded: unit)]
        append(contentsOf: "\\u\(hexText(bytes))".utf8)
    }
}
