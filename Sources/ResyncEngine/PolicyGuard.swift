package import ResyncCore
package import ResyncStorage

/// What of a module was found to have broken its policy.
package struct PolicyFindings: Sendable, Hashable {
    package var counts: [PolicyBreach: Int] = [:]
    package var examples: [PolicyBreach: [RelativePath]] = [:]
    /// Files of which nobody could tell.
    package var unknown = 0

    private static let shown = 3

    package init() {}

    fileprivate mutating func add(_ path: RelativePath, _ breach: PolicyBreach) {
        counts[breach, default: 0] += 1
        if examples[breach, default: []].count < Self.shown {
            examples[breach, default: []].append(path)
        }
    }
}

/// Holds what both sides share now against what they shared before a run. Where a module's policy
/// is broken, or nobody can tell, what was proven before stays: else the next run would know
/// nothing of it.
package final class PolicyGuard: @unchecked Sendable {
    // Unchecked because a baseline is written on one thread, and is over before it is asked.
    private let modules: [Module]
    private let reading: PartReading
    private let scheme: DigestScheme
    /// Seconds within which a file is read.
    private let patience: Double
    private var isAnswered = true
    /// By module.
    package private(set) var findings: [String: PolicyFindings] = [:]

    /// - Parameters:
    ///   - modules: those without a policy are left alone.
    ///   - site: one of both: what is asked was just found to be the same on the other one.
    package init(
        _ modules: [Module], _ site: any Site, _ scheme: DigestScheme, _ source: ReadSource,
        patience: Double
    ) {
        self.modules = modules.filter { $0.policy != nil }
        reading = PartReading(site, scheme, source)
        self.scheme = scheme
        self.patience = patience
    }

    /// Whether what was known of an entry stays.
    func keeps(_ known: BaselineRecord, _ now: BaselineRecord, _ content: FileContent?) -> Bool {
        guard let module = modules.first(where: { $0.holds(now.path) }),
            let policy = module.policy
        else { return false }
        switch policy.weigh(known, now) {
        case .kept: return false
        case .broken(let breach):
            findings[module.name, default: PolicyFindings()].add(now.path, breach)
            return true
        case .grown: break
        }
        switch content.flatMap({ beginning(known, now, $0) }) {
        case known.agreed.content?: return false
        case nil: findings[module.name, default: PolicyFindings()].unknown += 1
        case _?: findings[module.name, default: PolicyFindings()].add(now.path, .rewritten)
        }
        return true
    }

    /// The digest of a file's beginning, as long as the file once was; nil where it cannot be had.
    private func beginning(
        _ known: BaselineRecord, _ now: BaselineRecord, _ content: FileContent
    ) -> Digest? {
        let size = known.agreed.stat.size
        let start = size / scheme.blockSize * scheme.blockSize
        var rest: Digest?
        if start < size {
            // Nobody else watches over this read: storage that does not answer is asked once.
            guard isAnswered else { return nil }
            let (reading, path, stat) = (reading, now.path, now.agreed.stat)
            let found = answer(within: patience) {
                Read(digest: try? reading.digest(start..<size, of: path, seen: stat))
            }
            isAnswered = found != nil
            guard let digest = found?.digest else { return nil }
            rest = digest
        }
        return content.digest(
            ofFirst: size, rest: rest, blockSize: scheme.blockSize,
            ManifestHashes.openSSL.make(scheme.algorithm))
    }

    private struct Read: Sendable {
        let digest: Digest?
    }
}
