import Foundation
import ResyncCore
import Testing

/// Two stores as they were before, and what must be true of them since.
struct TreeCase {
    let stage: Stage
    let what: String
    /// The folder that is changed.
    let target: String
    let a: Recorded
    let b: Recorded

    init(_ stage: Stage, _ what: String, target: String? = nil) throws {
        self.stage = stage
        self.what = what
        self.target = target ?? stage.b
        a = try recorded(stage.a)
        b = try recorded(self.target)
    }

    /// Runs a command that has to come to its end. One that came there before it was killed says
    /// so; and where nothing was begun, nothing is to be taken back.
    func end(_ command: Command) throws {
        let done = try command.run()
        let isOver =
            done.status == 0 || done.errorText.contains("carried out already")
            || done.errorText.contains("no run 'last'")
        #expect(isOver, "\(what): \(done.report)")
    }

    func checkNothingIsLost() throws {
        let source = try recorded(stage.a)
        let differences = source.differences(from: a)
        #expect(differences == [], "\(what)")
        #expect(source.mapValues(\.stat.ctime) == a.mapValues(\.stat.ctime), "\(what)")
        let found = try recorded(target)
        let lost = a.contents.union(b.contents)
            .subtracting(source.contents).subtracting(found.contents)
            .map { escaped($0.prefix(40)) }
        #expect(lost == [], "\(what)")
        let torn = torn(found)
        #expect(torn == [], "\(what)")
    }

    /// Paths that are neither wholly as they were nor wholly as they are to be.
    private func torn(_ now: Recorded) -> [String] {
        var found: [String] = []
        for path in Set(now.keys).union(a.keys).union(b.keys) where !isOwn(path) {
            let (old, new) = (b[path], a[path])
            guard let entry = now[path] else {
                // The removal of a directory is a change of its own, whatever takes its place.
                let isOneStep = old?.stat.type != .directory || new?.stat.type == .directory
                if old != nil, new != nil, isOneStep, isStable(path) {
                    found.append("gone \(escaped(path))")
                }
                continue
            }
            let versions = [old, new].compactMap { $0 }
            if entry.stat.type == .directory {
                if !versions.contains(where: { $0.stat.type == .directory }) {
                    found.append("unknown directory \(escaped(path))")
                }
            } else if !versions.contains(where: { $0.isSame(as: entry) }),
                !isBetween(entry, old, new)
            {
                found.append("torn \(escaped(path)): \(entry.text)")
            }
        }
        return found
    }

    private func isOwn(_ path: [UInt8]) -> Bool {
        path.split(separator: slash).contains { $0.starts(with: ".resync".utf8) }
    }

    /// Whether all above a path are directories before and after.
    private func isStable(_ path: [UInt8]) -> Bool {
        var above = path
        while let end = above.lastIndex(of: slash) {
            above = Array(above[..<end])
            if a[above]?.stat.type != .directory || b[above]?.stat.type != .directory {
                return false
            }
        }
        return true
    }

    /// Metadata that is changed in place: the object is the old one, each part is old or new. A
    /// change of owner takes special bits and capabilities away until they are set again.
    private func isBetween(
        _ now: RecordedEntry, _ old: RecordedEntry?, _ new: RecordedEntry?
    ) -> Bool {
        guard let old, let new, now.stat.inode == old.stat.inode else { return false }
        let modes = [old.stat.mode, new.stat.mode, old.stat.mode & 0o777, new.stat.mode & 0o777]
        return now.isAlike(old, but: [Array("security.capability".utf8)])
            && modes.contains(now.stat.mode)
            && [old.stat.uid, new.stat.uid].contains(now.stat.uid)
            && [old.stat.gid, new.stat.gid].contains(now.stat.gid)
            && [old.stat.mtime, new.stat.mtime].contains(now.stat.mtime)
    }

    func checkEnd(_ expected: Recorded) throws {
        let found = try recorded(target)
        let differences = found.differences(from: expected)
        #expect(differences == [], "\(what)")
        let left = found.keys.filter { path in
            let names = path.split(separator: slash)
            guard let own = names.firstIndex(where: { $0.starts(with: ".resync".utf8) }) else {
                return false
            }
            if own == 0, names[0].elementsEqual(".resync-store".utf8) { return false }
            guard own == 0, names[0].elementsEqual(".resync-quarantine".utf8) else { return true }
            return names.contains { $0.suffix(9).elementsEqual("-unplaced".utf8) }
        }
        #expect(left.map { escaped($0) } == [], "\(what)")
    }
}
