import ResyncCore
import ResyncStorage

/// Where the undo file of an image's run lies: with the run, or in a folder of the operator's. Each
/// slice of a plan has one of its own, since a file that is done with goes as a whole.
struct UndoPlace {
    private let run: RunFolder
    private let slice: Int
    /// Of the operator's; nil: with the run.
    let path: [UInt8]?

    /// That of the slice that a run is in.
    init(_ folder: ApplyFolder) {
        run = folder.run
        slice = folder.state.slices
        path = folder.state.undoFolder
    }

    func folder() throws -> Folder {
        guard let path else { return run.folder }
        return try Folder.make(path: path, disk: run.folder.disk)
    }

    /// Throws where the operator's folder is not there: what lies in it cannot be released.
    func check() throws(DiskError) {
        if let path { _ = try run.folder.disk.stat(path: path) }
    }

    var name: [UInt8] { name(slice) }

    /// Where the slice's file is looked for.
    var text: String {
        guard let path else { return "'\(escaped(name))' in the folder of its run" }
        return "'\(escaped(path + [slash] + name))'"
    }

    private func name(_ slice: Int) -> [UInt8] {
        let own = slice == 0 ? "undo" : "undo-\(slice)"
        return Array((path == nil ? own : "resync-\(run.id).\(own)").utf8)
    }

    /// Removes what a crash left of the files of slices that were freed, and of this slice's where
    /// all was. A folder that is not there has none.
    ///
    /// - Returns: whether there were any.
    @discardableResult
    func removeFreed(all: Bool) throws -> Bool {
        do throws(DiskError) {
            try check()
        } catch {
            guard error.number == ErrorNumber.noEntry else { throw error }
            return false
        }
        let folder = try folder()
        var found = false
        for slice in 0..<(all ? slice + 1 : slice) {
            for name in [name(slice), name(slice) + Array(".new".utf8)] {
                guard try folder.has(name) else { continue }
                try folder.remove(name)
                found = true
            }
        }
        if found { try folder.sync() }
        return found
    }

    /// Removes the slice's file, and those of slices before it that a crash left.
    func removeAll() throws {
        let folder = try folder()
        for slice in 0...slice {
            do throws(DiskError) {
                try folder.remove(name(slice))
            } catch {
                guard error.number == ErrorNumber.noEntry else { throw error }
            }
        }
        try folder.sync()
    }
}
