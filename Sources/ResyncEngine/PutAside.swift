package import ResyncCore
package import ResyncStorage

/// Bytes of an image or device that its undo file keeps: they stood where a write had been
/// interrupted, were taken for torn and overwritten with what was there before. Whether they were
/// somebody's nobody can say.
package struct PutAside: Sendable, Hashable {
    package let side: Side
    /// Of the patch.
    package let number: Int
    package let extent: Extent
}

extension ApplyFolder {
    /// What patching has put aside, and is kept.
    package var putAside: [PutAside] {
        let side: Side = plan.trailer.totals.a.actions > 0 ? .a : .b
        return state.asides.sorted { $0.key < $1.key }.flatMap { number, extents in
            extents.map { PutAside(side: side, number: number, extent: $0) }
        }
    }

    /// Copies what was put aside, each piece into a new file that is named by its offset.
    ///
    /// - Throws: `UndoDamage` where it cannot be had, EEXIST where a file is there already.
    package func copyAside(
        to folder: Folder, copied: (_ name: [UInt8], Extent) throws -> Void
    ) throws {
        let place = UndoPlace(self)
        try place.check()
        var reader = try UndoLog.reader(of: try place.folder().read(place.name), run: run.id)
        var plan = plan
        try plan.forEach { number, action in
            guard state.asides[number] != nil else { return }
            var counts: [Extent: Int] = [:]
            for record in reader.asides(of: action) {
                let count = counts[record.extent, default: 0] + 1
                counts[record.extent] = count
                let more = count == 1 ? "" : "-\(count)"
                let name = Array("\(record.extent.offset)\(more)".utf8)
                let file = try folder.create(name)
                try file.write(try reader.bytes(of: record))
                try file.sync()
                try copied(name, record.extent)
            }
        }
        try folder.sync()
    }
}
