import Glibc
import ResyncCore
import ResyncStorage
import TestSupport
import Testing

@testable import ResyncEngine

/// A live store against a manifest: what differs is read again before it is said to.
@Suite struct ManifestVerifyTests {
    private static func mixed() -> TwoStores {
        let stores = TwoStores()
        stores.both { root in
            stores.disk.addGenerated("\(root)/d/e/deep", size: 300_000, seed: 1)
            stores.disk.addFile("\(root)/d/plain", "text")
            stores.disk.addFile("\(root)/empty")
            stores.disk.addSymlink("\(root)/link", to: "target")
            stores.disk.addFile("\(root)/mode", "text")
            stores.disk.addFile("\(root)/size", "text")
        }
        stores.calm()
        return stores
    }

    private static func different() -> TwoStores {
        let stores = mixed()
        stores.disk.write("/b/d/e/deep", at: 70_000, "X~")
        stores.disk.write("/b/d/e/deep", at: 299_999, "~")
        stores.disk.addFile("/a/gone/below/x", "1")
        stores.disk.addFile("/b/extra/x", "1")
        stores.disk.change("/b/mode", Ownership(mode: 0o600))
        stores.disk.write("/b/size", at: 4, "more")
        stores.calm()
        return stores
    }

    private static let confirmed = [
        "= d", "= d/e", "* d/e/deep content 65536+65536 262144+37856", "= d/plain", "= empty",
        "- extra existence", "- extra/x existence", "+ gone existence", "+ gone/below existence",
        "+ gone/below/x existence", "= link", "* mode mode", "* size size",
    ]

    @Test(arguments: [1, 8]) func whatIsSeenAgainIsConfirmed(_ workers: Int) throws {
        let stores = Self.different()
        let found = try stores.hold(try stores.manifest()) { $0.workers = workers }
        #expect(found.lines == Self.confirmed)
        #expect(found.status == .differences && found.tally.confirmed == 8)
        let deep = found.records.compactMap { record in
            if case .difference(let found) = record, !found.extents.isEmpty { found } else { nil }
        }
        #expect(deep.map(\.confirmedFrom) == [.media])
        // The same seen from the other side.
        let turned = try stores.hold(try stores.manifest()) { $0.side = .b }
        let swapped = Self.confirmed.map { line in
            line.hasPrefix("+") || line.hasPrefix("-")
                ? (line.hasPrefix("+") ? "-" : "+") + line.dropFirst() : line
        }
        #expect(turned.lines == swapped && turned.tally.confirmed == 8)
    }

    @Test func equalIsEqual() throws {
        let stores = Self.mixed()
        let found = try stores.hold(try stores.manifest())
        #expect(found.status == .ok && found.tally.same == 8 && found.tally.entries == 8)
        #expect(found.lines.allSatisfy { $0.hasPrefix("=") } && found.lines.count == 8)
    }

    @Test func withoutASecondLookNothingIsConfirmed() throws {
        let stores = Self.different()
        let found = try stores.hold(try stores.manifest()) { $0.passes = 0 }
        #expect(found.status == .unconfirmed && found.tally.confirmed == 0)
        #expect(found.tally.unstable == 8)
    }

    @Test func whatWasRepairedMeanwhileIsSame() throws {
        let stores = Self.mixed()
        stores.disk.write("/b/d/e/deep", at: 70_000, "X~")
        stores.disk.addFile("/b/extra", "1")
        stores.disk.remove("/b/empty")
        stores.calm()
        let found = try stores.hold(try stores.manifest()) {
            $0.between = { [disk = stores.disk] in
                disk.write("/b/d/e/deep", at: 70_000, generatedBytes(seed: 1, 70_000..<70_002))
                disk.change("/b/d/e/deep", Ownership(mtime: TwoStores.calmTime))
                disk.addFile("/b/empty", "", Ownership(mtime: TwoStores.calmTime))
                disk.remove("/b/extra")
            }
        }
        #expect(
            found.lines == [
                "= d", "= d/e", "= d/e/deep", "= d/plain", "= empty", "~ extra (vanished)",
                "= link", "= mode", "= size",
            ])
        #expect(found.tally.bytesByAssurance[.hash] == 300_012)
        #expect(found.status == .unconfirmed)
    }

    @Test(arguments: [1, 2]) func whatMovesIsUnstableUntilItRests(_ passes: Int) throws {
        let stores = Self.mixed()
        stores.disk.write("/b/d/e/deep", at: 70_000, "X~")
        stores.disk.addFile("/a/gone/x", "1")
        stores.calm()
        let found = try stores.hold(try stores.manifest()) {
            $0.passes = passes
            $0.between = { [disk = stores.disk] in
                disk.write("/b/d/e/deep", at: 200_000, "X~")
                disk.change("/b/d/e/deep", Ownership(mtime: TwoStores.calmTime))
                disk.change("/b/d/plain", Ownership(mode: 0o600))
                disk.addFile("/b/gone/x", "2", Ownership(mtime: TwoStores.calmTime))
                disk.change("/b/gone", Ownership(mtime: TwoStores.calmTime))
            }
        }
        let differing = found.lines.filter { !$0.hasPrefix("=") }
        // What agreed in the first pass is not looked at again.
        if passes == 1 {
            #expect(
                differing == [
                    "~ d/e/deep content 65536+65536 196608+65536 (changing)",
                    "~ gone existence (changing)", "~ gone/x content 0+1 (changing)",
                ])
            #expect(found.status == .unconfirmed)
        } else {
            #expect(
                differing == [
                    "* d/e/deep content 65536+65536 196608+65536", "~ gone existence (changing)",
                    "* gone/x content 0+1",
                ])
            #expect(found.status == .differences)
        }
    }

    /// A stat that stood still, and other bytes each time.
    @Test(arguments: [false, true]) func otherBytesUnderOneStatAreFlapping(_ agree: Bool) throws {
        let stores = Self.mixed()
        if !agree { stores.disk.write("/b/d/e/deep", at: 70_000, "X~") }
        stores.calm()
        let manifest = try stores.manifest()
        stores.disk.inject(
            Fault(
                .corrupt(.flipBit(at: 80_000)), on: .pread, under: "/b/d/e/deep",
                range: 80_000..<80_001))
        let found = try stores.hold(manifest)
        #expect(
            found.lines.filter { !$0.hasPrefix("=") }
                == ["~ d/e/deep content 65536+65536 (flapping)"])
        #expect(found.tally.flapping == 1 && found.status == .trouble)
    }

    @Test func theManifestsDoubtIsNeverConfirmed() throws {
        let stores = Self.mixed()
        stores.disk.addGenerated("/a/torn", size: 300_000, seed: 2)
        stores.disk.addGenerated("/b/torn", size: 300_000, seed: 3)
        stores.disk.addFile("/a/moving", "first")
        stores.disk.addFile("/b/moving", "other")
        stores.disk.addFile("/a/zap/torn", "missing")
        stores.disk.addDirectory("/b/zap")
        stores.calm()
        for path in ["/a/torn", "/a/zap/torn"] {
            stores.disk.inject(
                Fault(.fail(EIO), on: .pread, under: path, range: 0..<1, persistent: true))
        }
        stores.disk.onCall { [disk = stores.disk] call in
            guard call.kind == .pread, call.path == Array("/a/moving".utf8) else { return }
            disk.write("/a/moving", at: 0, "next")
        }
        let manifest = try stores.manifest()
        stores.disk.onCall(nil)
        let found = try stores.hold(manifest) { $0.passes = 3 }
        let differing = found.lines.filter { !$0.hasPrefix("=") }
        try #require(differing.count == 3, "\(differing)")
        #expect(differing[0].hasPrefix("~ moving"), "\(differing)")
        #expect(differing[1].hasPrefix("! torn content"), "\(differing)")
        #expect(differing[2].hasPrefix("~ zap/torn existence"), "\(differing)")
        #expect(found.tally.confirmed == 0 && found.status == .trouble)
    }

    @Test func linksStandWhileTheInodeDoes() throws {
        let stores = Self.mixed()
        stores.disk.link("/a/d/plain", as: "/a/two")
        stores.disk.addFile("/b/two", "text")
        stores.calm()
        let aspects = AspectSet.standard.union(AspectSet(.links))
        let manifest = try stores.manifest(TwoStores.Against(aspects: aspects))
        let found = try stores.hold(manifest) { $0.aspects = aspects }
        #expect(found.lines.filter { !$0.hasPrefix("=") } == ["* two links"])
        #expect(found.tally.confirmed == 1)
    }

    @Test func imagesAreReadAgainToo() throws {
        let stores = TwoStores()
        stores.both { stores.disk.addGenerated("\($0)/image", size: 300_000, seed: 1) }
        stores.disk.write("/b/image", at: 70_000, "X~")
        stores.calm()
        let image = TwoStores.Against(aspects: .image)
        let manifest = try stores.manifest(of: "/a/image", image)
        let found = try stores.hold(manifest, live: "/b/image") { $0.aspects = .image }
        #expect(found.lines == ["*  content 65536+65536"] && found.tally.confirmed == 1)
        let moved = try stores.hold(manifest, live: "/b/image") {
            $0.aspects = .image
            $0.between = { [disk = stores.disk] in disk.write("/b/image", at: 0, "X~") }
        }
        #expect(moved.status == .unconfirmed && moved.tally.confirmed == 0)
        stores.disk.write("/b/image", at: 300_000, "more")
        let grown = try stores.hold(manifest, live: "/b/image") {
            $0.aspects = .image
            $0.between = { [disk = stores.disk] in disk.write("/b/image", at: 0, "Y~") }
        }
        #expect(grown.status == .unconfirmed && grown.tally.confirmed == 0)
    }

    @Test func whatIsOutOfReachIsNotAbsent() throws {
        let stores = Self.mixed()
        stores.disk.addFile("/a/d/lost", "1")
        stores.calm()
        let found = try stores.hold(try stores.manifest()) {
            $0.between = { [disk = stores.disk] in
                disk.inject(Fault(.fail(EACCES), on: .openat, under: "/b/d", persistent: true))
            }
        }
        #expect(found.lines.filter { !$0.hasPrefix("=") } == ["~ d/lost existence"])
        #expect(found.tally.confirmed == 0)
    }

    @Test func whatHasNoMediumIsConfirmedFromTheCache() throws {
        let stores = Self.different()
        let manifest = try stores.manifest()
        stores.disk.changeMount(of: "/b") {
            $0.directReads = .refused
            $0.dropsCache = false
            $0.fileSystem = FileSystemKind.tmpfs
        }
        let found = try stores.hold(manifest)
        #expect(found.lines == Self.confirmed)
        let sources = found.records.compactMap { record in
            if case .difference(let found) = record { found.confirmedFrom } else { nil }
        }
        #expect(Set(sources) == [.cache])
        let late = try stores.hold(manifest) {
            $0.source = .media
            $0.between = { [disk = stores.disk] in
                disk.addFile("/b/gone/below/x", "1", Ownership(mtime: TwoStores.calmTime))
            }
        }
        #expect(late.lines.contains("? gone/below/x (noMedium)"), "\(late.lines)")
        #expect(late.lines.contains("? d/plain (noMedium)") && late.status == .trouble)
    }

    /// Fails each call in turn, in the first pass or in the second.
    @Test(arguments: [EIO, ENOENT, ESTALE, EACCES], [false, true])
    func noFailureHidesADifferenceOrMakesOne(_ number: Int32, _ persistent: Bool) throws {
        let planted: Set<String> = ["d/e/deep", "extra", "extra/x", "gone", "mode", "size"]
        for nth in 1... {
            let stores = Self.different()
            let manifest = try stores.manifest()
            stores.disk.inject(Fault(.fail(number), nth: nth, persistent: persistent))
            let found: TwoStores.Held
            do {
                found = try stores.hold(manifest) { $0.workers = 1 }
            } catch is StoreError {
                continue
            } catch is DiskError {
                continue
            }
            let what = "call \(nth), \(ErrorNumber.name(number)): \(found.lines)"
            for record in found.records {
                switch record {
                case .same(let path):
                    #expect(!planted.contains(escaped(path.bytes)), "\(what)")
                case .difference(let difference) where difference.isConfirmed:
                    // That a name is not there is what the kernel may be made to say.
                    if number != ENOENT, number != ESTALE {
                        #expect(Self.confirmed.contains(line(record)), "\(what)")
                    }
                    #expect(difference.outcome != .unstable, "\(what)")
                case .difference: break
                }
            }
            #expect(found.status != .ok, "\(what)")
            #expect(found.tally.outcomes >= found.tally.entries, "\(what)")
            if stores.disk.firedFaults == 0 {
                #expect(nth > 40)
                return
            }
        }
    }

    @Test func aStoppedComparisonKeepsWhatItFoundAndBeginsAnew() throws {
        let stores = Self.different()
        let manifest = try stores.manifest()
        for place in stride(from: 1, to: Int.max, by: isLongRun ? 1 : 7) {
            let flag = Flag()
            let calls = Counter()
            stores.disk.onCall { _ in
                guard calls.next() == place else { return }
                flag.raise()
                usleep(60_000)
            }
            let found = try stores.hold(manifest) {
                $0.workers = 1
                $0.interruption = { flag.isUp ? SIGINT : nil }
            }
            stores.disk.onCall(nil)
            guard calls.count >= place else { break }
            let wasStopped = found.result.summary.ending == .interrupted(SIGINT)
            if wasStopped { #expect(found.status == .signal(SIGINT)) }
            #expect(found.lines.allSatisfy { !$0.hasSuffix("unconfirmed") }, "\(found.lines)")
            let again = try stores.hold(manifest) { $0.resumes = found.run }
            #expect(again.lines == Self.confirmed, "stopped at \(place)")
        }
    }

    @Test func aDamagedManifestIsToldFromDamagedRuns() throws {
        let stores = Self.mixed()
        let manifest = try stores.manifest()
        let path = "/state/manifest"
        let bytes = stores.kept.content(path)
        stores.kept.write(path, at: bytes.count - 30, [bytes[bytes.count - 30] ^ 1])
        #expect(throws: ManifestDamage.self) { try stores.hold(manifest) }
    }
}
