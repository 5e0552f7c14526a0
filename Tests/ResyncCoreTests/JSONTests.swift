import Testing

@testable import ResyncCore

@Suite struct JSONTests {
    private func text(_ line: JSONLine) -> String { String(decoding: line.bytes, as: UTF8.self) }

    @Test func fieldsKeepTheirOrder() {
        var line = JSONLine(type: "summary")
        line.field("entries", 3)
        line.field("elapsed_s", 0.25)
        line.field("complete", true)
        line.field("aspects", ["mode", "size"])
        line.field("nothing", [String]())
        var extent = JSONObject()
        extent.field("offset", 0)
        extent.field("length", 1_048_576)
        line.field("extents", [extent, extent])
        line.field("where", extent)
        line.field("inode", UInt64.max)
        #expect(
            text(line) == #"{"type":"summary","entries":3,"elapsed_s":0.25,"complete":true,"#
                + #""aspects":["mode","size"],"nothing":[],"#
                + #""extents":[{"offset":0,"length":1048576},{"offset":0,"length":1048576}],"#
                + #""where":{"offset":0,"length":1048576},"inode":18446744073709551615}"# + "\n")
    }

    @Test func noNumberIsNull() {
        var line = JSONLine(type: "t")
        line.field("rate", Double.nan)
        #expect(text(line) == #"{"type":"t","rate":null}"# + "\n")
    }

    @Test(arguments: [
        ("a\"b\\c", #""a\"b\\c""#),
        ("a\nb\rc\td", #""a\nb\rc\td""#),
        ("\r\n", #""\r\n""#),
        ("\u{0}\u{1b}[2J\u{7f}\u{9b}", #""\u0000\u001b[2J\u007f\u009b""#),
        ("\u{202e}x\u{2028}", #""\u202ex\u2028""#),
        ("grün 中 e\u{301}", "\"grün 中 e\u{301}\""),
        ("\u{1f600}", "\"\u{1f600}\""),
        ("\u{e0001}", #""\udb40\udc01""#),
    ])
    func textIsEscaped(text: String, expected: String) {
        var object = JSONObject()
        object.field("v", text)
        // Compared as bytes: `String` would take differently composed letters for the same.
        #expect(object.bytes == Array("{\"v\":\(expected)}".utf8))
    }

    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"), ("x/y", "eC95"),
    ])
    func base64AsInRFC4648(plain: String, coded: String) {
        #expect(base64(Array(plain.utf8)) == coded)
    }

    @Test func base64UsesTheWholeAlphabet() {
        #expect(base64([0xfb, 0xff, 0xfe]) == "+//+")
    }

    @Test func aPathThatIsNoTextHasOnlyItsBytes() {
        var object = JSONObject()
        object.path(RelativePath([0x61, 0xff]))
        #expect(String(decoding: object.bytes, as: UTF8.self) == #"{"path_b64":"Yf8="}"#)
        object = JSONObject()
        object.path(RelativePath(Array("x/y".utf8)))
        #expect(
            String(decoding: object.bytes, as: UTF8.self) == #"{"path":"x/y","path_b64":"eC95"}"#)
    }
}
