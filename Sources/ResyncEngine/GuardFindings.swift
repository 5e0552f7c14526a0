package import ResyncCore
package import ResyncStorage

extension StoreFindings {
    /// Looks at a store for what the guards ask.
    package init(_ site: LocalSite, _ state: StateFolder) throws {
        self.init(identity: site.identity)
        marker = try MarkerFile.read(site)
        size = site.facts.size
        let fileSystem = site.facts.fileSystem
        isReadOnly = fileSystem.isReadOnly
        guard site.facts.kind == .directory else {
            unfinished = try state.unfinishedRun(on: site)
            return
        }
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

extension StateFolder {
    /// The last run that has begun to change an image or device, and was neither confirmed nor
    /// taken back; nil where there is none.
    fileprivate func unfinishedRun(on image: LocalSite) throws -> String? {
        for id in try RunFolder.list(in: runs).reversed() {
            let run = try RunFolder.open(id, in: runs)
            guard (try? run.header().kind) == "apply",
                let folder = try? ApplyFolder(reading: run), folder.isUnfinished
            else { continue }
            for side in Side.allCases where folder.plan.trailer.totals[side].actions > 0 {
                let store = folder.plan.header.stores[side]
                let isSame =
                    store.kind == .device
                    ? store.identity.device == image.identity.device
                    : store.identity.isSameStore(as: image.identity)
                if isSame { return id }
            }
        }
        return nil
    }
}

extension ApplyFolder {
    fileprivate var isUnfinished: Bool {
        if state.open != nil || state.openUndo != nil { return true }
        return !state.isUndone && state.confirmed == nil
    }
}

extension Name {
    /// Reserved at the root of a store.
    fileprivate var isOurs: Bool { bytes.starts(with: reservedPrefix) }
}
