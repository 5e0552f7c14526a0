import Testing

@testable import ResyncCore

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// Where a mount shows which directory of a file system.
@Suite struct MountPlacesTests {
    private let table = MountTable(
        bytes(
            """
            1 0 8:1 / / rw - ext4 /dev/sda1 rw
            2 1 8:2 / /data rw - ext4 /dev/sda2 rw
            3 1 8:2 /live/db /mnt/db rw - ext4 /dev/sda2 rw
            4 2 8:3 /vol /data/live/inner rw - xfs /dev/sda3 rw
            5 1 8:3 /vol/sub /mnt/sub rw - xfs /dev/sda3 rw
            6 1 8:2 /live/db//deleted /mnt/gone rw - ext4 /dev/sda2 rw

            """))

    private func place(_ id: UInt64, _ path: String) throws -> FileSystemPlace? {
        try #require(table.mount(id: id)).place(of: bytes(path))
    }

    private func routes(
        _ outer: (UInt64, String), _ inner: (UInt64, String), crossing: Bool = false
    ) throws -> [String] {
        let start = try #require(try place(outer.0, outer.1))
        let end = try #require(try place(inner.0, inner.1))
        return table.routes(from: start, at: bytes(outer.1), to: end, crossing: crossing)
            .map { String(decoding: $0.bytes, as: UTF8.self) }
    }

    @Test func aPathLeadsToAPlaceInTheFileSystem() throws {
        let device = DeviceNumber(major: 8, minor: 2)
        #expect(try place(2, "/data") == FileSystemPlace(device: device, path: bytes("/")))
        #expect(try place(2, "/data/live") == FileSystemPlace(device: device, path: bytes("/live")))
        #expect(try place(3, "/mnt/db")?.path == bytes("/live/db"))
        #expect(try place(3, "/mnt/db/x/y")?.path == bytes("/live/db/x/y"))
        #expect(try place(1, "/")?.path == bytes("/"))
        #expect(try place(1, "/home/x")?.path == bytes("/home/x"))
        for path in ["/mnt/dbx", "/mnt", "mnt/db", "", "(unreachable)/mnt/db"] {
            #expect(try place(3, path) == nil, "\(path)")
        }
    }

    @Test func waysFromADirectoryToAPlace() throws {
        #expect(try routes((2, "/data"), (3, "/mnt/db")) == ["live/db"])
        #expect(try routes((2, "/data/live"), (3, "/mnt/db/x")) == ["db/x"])
        #expect(try routes((3, "/mnt/db"), (2, "/data/live/db/x")) == ["x"])
        #expect(try routes((2, "/data/live/db"), (3, "/mnt/db")) == [""])
        // A name that only begins alike, the way up, and another file system.
        #expect(try routes((2, "/data/li"), (3, "/mnt/db")) == [])
        #expect(try routes((3, "/mnt/db"), (2, "/data/live")) == [])
        #expect(try routes((1, "/"), (3, "/mnt/db")) == [])
        #expect(try routes((1, "/live"), (3, "/mnt/db")) == [])
    }

    @Test func waysOverMountsInside() throws {
        let sub: (UInt64, String) = (5, "/mnt/sub/x")
        #expect(try routes((2, "/data"), sub) == [])
        #expect(try routes((2, "/data"), sub, crossing: true) == ["live/inner/sub/x"])
        #expect(try routes((2, "/data/live/other"), sub, crossing: true) == [])
        let all = try routes((1, "/"), (3, "/mnt/db/x"), crossing: true)
        #expect(all == ["data/live/db/x", "mnt/db/x"])
    }

    @Test func namesOfOnePlace() {
        func names(_ path: String) -> [String] {
            table.names(of: bytes(path)).map { String(decoding: $0, as: UTF8.self) }
        }
        #expect(names("/data/live/db/x") == ["/data/live/db/x", "/mnt/db/x"])
        #expect(names("/mnt/db") == ["/data/live/db", "/mnt/db"])
        #expect(names("/data/live/inner/sub/y") == ["/data/live/inner/sub/y", "/mnt/sub/y"])
        #expect(names("/data/live/dbx") == ["/data/live/dbx"])
        #expect(names("/home") == ["/home"])
        #expect(names("data") == [])
    }
}
