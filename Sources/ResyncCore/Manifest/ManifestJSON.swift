extension ManifestHeader {
    var jsonLine: JSONLine {
        var line = JSONLine(type: "manifest")
        line.field("format", Self.format)
        line.field("content", content.rawValue)
        line.field("digest", digest.rawValue)
        line.field("block_size", blockSize)
        line.field("aspects", aspects.aspects.map { $0.word })
        line.field("whole_file", hasWholeFile)
        line.field("exclusions", exclusions.hex)
        line.field("mounts", mounts.rawValue)
        line.field("owners", owners.rawValue)
        line.field("kind", kind.rawValue)
        line.field("source", source == .media ? "media" : "cache")
        line.field("host", escaped(host))
        line.field("store", escaped(store))
        line.field("file_system", String(identity.fileSystem, radix: 16))
        line.field("root_inode", identity.inode)
        line.field("root_device", "\(identity.device.major):\(identity.device.minor)")
        line.field("tool", escaped(tool))
        line.field("started", started.decimal)
        return line
    }
}

extension ManifestEntry {
    func jsonLine(_ path: RelativePath, _ header: ManifestHeader) -> JSONLine {
        var line = JSONLine(type: "entry")
        line.path(path)
        if let entry { describe(entry, header, &line) }
        if let linkedTo {
            if let text = validText(linkedTo.bytes) { line.field("linked_to", text) }
            line.field("linked_to_b64", base64(linkedTo.bytes))
        }
        if let content, doubt == nil {
            if header.content == .blocks { line.field("digest", content.digest.hex) }
            if let whole = content.whole { line.field("sha256", whole.hex) }
        }
        if isRacy { line.field("racy", true) }
        if let doubt {
            line.field("outcome", doubt.outcome.word)
            if let reason = doubt.reason { line.field("reason", reason.sentence) }
            line.field("errors", doubt.errors.map { $0.json })
        }
        return line
    }

    private func describe(_ entry: Entry, _ header: ManifestHeader, _ line: inout JSONLine) {
        let stat = entry.stat
        line.field("entry_type", stat.type.word)
        // A list says no more of its files than their digests.
        guard header.content == .blocks else { return }
        line.field("mode", "0" + String(stat.mode, radix: 8))
        line.field("uid", Int(stat.uid))
        line.field("gid", Int(stat.gid))
        if let owner = entry.owner {
            line.field("user", escaped(owner.user))
            line.field("group", escaped(owner.group))
        }
        if stat.type == .file { line.field("size", stat.size) }
        line.field("mtime", stat.mtime.decimal)
        line.field("ctime", stat.ctime.decimal)
        line.field("inode", stat.inode)
        line.field("links", Int(stat.links))
        if let target = entry.target {
            if let text = validText(target) { line.field("target", text) }
            line.field("target_b64", base64(target))
        }
        if stat.type.isDevice {
            line.field("device", "\(stat.special.major):\(stat.special.minor)")
        }
        if let xattrs = entry.xattrs { line.field("xattrs", xattrs.hex) }
        if let acl = entry.acl { line.field("acl", acl.hex) }
    }
}

extension EntryError {
    fileprivate var json: JSONObject {
        var object = JSONObject()
        object.field("call", escaped(call))
        object.field("errno", Int(number))
        if let extent {
            object.field("offset", extent.offset)
            object.field("length", extent.length)
        }
        return object
    }
}

extension DirectoryEnd {
    func jsonLine(_ path: RelativePath) -> JSONLine {
        var line = JSONLine(type: "directory_end")
        line.path(path)
        line.field("entries", entries)
        line.field("excluded", excluded)
        line.field("complete", listing == .complete)
        if let digest { line.field("digest", digest.hex) }
        return line
    }
}

extension ManifestTrailer {
    var jsonLine: JSONLine {
        var line = JSONLine(type: "summary")
        line.field("entries", counts.entries)
        line.field("files", counts.types[.file] ?? 0)
        line.field("directories", counts.types[.directory] ?? 0)
        line.field("bytes", counts.bytes)
        line.field("incomplete_directories", counts.incompleteDirectories)
        line.field("unreadable", counts.unreadable)
        line.field("unstable", counts.unstable)
        line.field("not_verified", counts.notVerified)
        line.field("excluded", counts.excluded)
        if let root { line.field("root", root.hex) }
        line.field("ended", ended.decimal)
        return line
    }
}
