package import ResyncCore
package import ResyncStorage

extension StoreFindings {
    /// Looks at a store for what the guards ask.
    package init(_ site: LocalSite) throws {
        self.init(identity: site.identity)
        marker = try MarkerFile.read(site)
        size = site.facts.size
        let fileSystem = site.facts.fileSystem
        isReadOnly = fileSystem.isReadOnly
        guard site.facts.kind == .directory else { return }
        available = fileSystem.available
        let worker = try Worker(
            scheme: try DigestScheme(.sha256, blockSize: 1 << 20), pulse: Pulse(), stop: Stop())
        let listing = try site.root().list(worker)
        isEmpty = true
        while isEmpty {
            let names = try listing.next(64)
            if names.isEmpty { break }
            isEmpty = (0..<names.count).allSatisfy { names.name($0).isOurs }
        }
    }
}

extension Name {
    /// Reserved at the root of a store.
    fileprivate var isOurs: Bool { bytes.starts(with: reservedPrefix) }
}
