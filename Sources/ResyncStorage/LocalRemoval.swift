import ResyncCore

extension LocalChanger {
    /// Nothing is prepared for a removal; but what the source has got since stays on the target.
    func stageRemoval(
        _ action: Action, isRetry: Bool, _ source: any StoreSource
    ) throws(DiskError) -> Staging {
        guard try isAsBefore(action, isRetry: isRetry) else { return .ended(.changed) }
        let now: EntryType?
        do throws(DiskError) {
            now = try source.type(at: action.path)
        } catch {
            return .ended(ActionResult(error, isSource: true))
        }
        // In the place of a directory the plan may have the source's file made.
        let isBack = action.kind == .removeDirectory ? now == .directory : now != nil
        return isBack ? .ended(.sourceChanged) : .staged()
    }
}

extension LocalSource {
    func type(at path: RelativePath) throws(DiskError) -> EntryType? {
        do throws(DiskError) {
            let parent = try chain.open(path.parent)
            return try withCString(path.lastName.bytes) { (name) throws(DiskError) in
                try site.disk.stat(name, in: parent).type
            }
        } catch {
            // A name that its file system cannot have is not there either.
            let isImpossible = [ErrorNumber.nameTooLong, ErrorNumber.invalidArgument].contains(
                error.number)
            guard error.isAbsence || isImpossible else { throw error }
            return nil
        }
    }
}
