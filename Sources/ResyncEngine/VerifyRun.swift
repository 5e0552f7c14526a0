package import ResyncCore
import ResyncStorage

package func quickVerify(_ a: [UInt8], _ b: [UInt8], workers: Int) throws -> Tally {
    let disk = LinuxDisk()
    let siteA = try LocalSite(path: a, disk: disk, options: LocalSiteOptions())
    let siteB = try LocalSite(path: b, disk: disk, options: LocalSiteOptions())
    let rules = VerifyRules(scheme: try DigestScheme(.gmac, blockSize: 1 << 20))
    let progress = Progress()
    let verify = Verify(rules, progress: progress, splitWidth: 8)
    let walk = Walk(verify, WalkedSites(a: siteA, b: siteB), WalkScope())
    let total = Totals()
    let stop = Stop()
    let drain = Drain<WalkUnit<Verify>, VerifyOutput, Worker>(
        first: [.root],
        context: { _ in try Worker(scheme: rules.scheme, pulse: Pulse(), stop: stop) },
        run: { unit, worker in try walk.run(unit, worker) },
        emit: { output, _ in
            total.tally += output.tally
            for d in output.differences {
                print(
                    d.outcome.sign, escaped(d.path.bytes), d.aspects.aspects.map(\.word), d.extents,
                    d.errors.map {
                        String(decoding: $0.call, as: UTF8.self) + ErrorNumber.name($0.number)
                    })
            }
        })
    _ = try drain.work(workers: workers) { _ in .goOn }
    return total.tally
}
final class Totals: @unchecked Sendable { var tally = Tally() }
