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
            switch try state.unsettledRun(on: site) {
            case .unfinished(let run)?: unfinished = run
            case .unreadable(let run)?: unreadable = run
            case nil: break
            }
            return
        }
        available = fileSystem.available
        hasPartner =
            try marker?.baseline != nil
            || state.baselines.hasAny(of: identity)
        isEmpty = try !site.holdsEntries()
    }
}

private enum UnsettledRun {
    case unfinished(String)
    /// Whether it is finished, nobody can say.
    case unreadable(String)
}

extension StateFolder {
    /// The last run that has begun to change an image or device, and was neither confirmed nor
    /// taken back, as far as anybody can say; nil where there is none.
    fileprivate func unsettledRun(on image: LocalSite) throws -> UnsettledRun? {
        for id in try RunFolder.list(in: runs).reversed() {
            let run = try RunFolder.open(id, in: runs)
            guard try run.isOfApply() else { continue }
            do {
                let folder = try ApplyFolder(reading: run)
                if folder.isUnfinished, folder.plan.changes(image) { return .unfinished(id) }
            } catch {
                if run.mayChange(image) { return .unreadable(id) }
            }
        }
        return nil
    }
}

extension RunFolder {
    /// Whether a run carries a plan out; where its header cannot be read, what else it keeps tells.
    package func isOfApply() throws -> Bool {
        if let header = try? header() { return header.kind == "apply" }
        let own = [ApplyFolder.File.plan, ApplyFolder.File.journal]
        return try folder.names().contains { own.contains($0.bytes) }
    }

    /// Whether a run that cannot be read may be one that changes an image: yes, unless what is left
    /// of it says otherwise.
    fileprivate func mayChange(_ image: LocalSite) -> Bool {
        if let plan = try? ApplyFolder.plan(of: self) { return plan.changes(image) }
        guard let header = try? header() else { return true }
        return [header.a, header.b].contains { image.isMeant(by: $0) ?? true }
    }
}

extension PlanReader {
    fileprivate func changes(_ image: LocalSite) -> Bool {
        Side.allCases.contains { side in
            guard trailer.totals[side].actions > 0 else { return false }
            let store = header.stores[side]
            return store.kind == .device
                ? store.identity.device == image.identity.device
                : store.identity.isSameStore(as: image.identity)
        }
    }
}

extension ApplyFolder {
    fileprivate var isUnfinished: Bool {
        if state.open != nil || state.openUndo != nil { return true }
        return !state.isUndone && !state.isOver && state.confirmed == nil
    }
}
