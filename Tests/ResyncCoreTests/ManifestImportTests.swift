import TestSupport
import Testing

@testable import ResyncCore

@Suite struct ManifestImportTests {
    /// The paths that a list with one file of this name makes.
    private func paths(_ name: String, prefix: String) throws -> [String] {
        var list = ManifestImport(prefix: Array(prefix.utf8))
        try list.take(Array((digest(1).hex + "  " + name).utf8) + [0])
        var names: [String] = []
        try list.finish { record in
            guard case .entry(let entry) = record else { return }
            names.append(escaped(entry.name.bytes))
        }
        return names
    }

    @Test(arguments: ["/srv/data", "/srv/data/"])
    func aPrefixEndsWhereANameDoes(prefix: String) throws {
        #expect(try paths("/srv/data/base/x", prefix: prefix) == ["", "base", "x"])
        #expect(try paths("/srv/data//x", prefix: prefix) == ["", "x"])
        for name in ["/srv/database/x", "/srv/data2", "/srv/data"] {
            #expect(throws: ManifestRefusal.self, "\(name)") {
                _ = try paths(name, prefix: prefix)
            }
        }
    }
}
