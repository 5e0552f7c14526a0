import ResyncCore

/// Names of a local directory that were looked at together.
///
/// Calls may come from several workers once files are split by blocks; `results` and `files` do
/// not change any more by then.
final class LocalExamination: Examination, @unchecked Sendable {
    // Unchecked because everything mutable is changed only by the one worker that made or closes
    // the batch; split files are detached into examinations of their own first.
    private let site: LocalSite
    private var results: [Examined]
    private var files: [OpenFile?]

    fileprivate struct OpenFile {
        let descriptor: Descriptor
        let stat: Stat
        /// A device has no times that tell of writes, and its stat does not know its size.
        var isDevice = false
        var isOurs = true
        /// Blocks end here, at the latest.
        var limit = Int.max
        /// Nil where a small file was never asked for from the medium, as most.
        var medium: MediumAccess?
    }

    init(
        site: LocalSite, names: NameList, wishes: [Wish], in directory: LocalDirectory,
        _ worker: Worker
    ) {
        self.site = site
        var look = Look(site: site, count: names.count)
        do throws(DiskError) {
            try directory.withDescriptor { (parent) throws(DiskError) in
                for index in 0..<names.count where wishes[index] != .absent {
                    if worker.stop.isRequested { break }
                    worker.pulse.step(to: index)
                    names.withCName(index) { name in
                        look.take(index, name, names.kinds[index], wishes[index], in: parent)
                    }
                }
            }
        } catch {
            for index in 0..<names.count where wishes[index] != .absent {
                look.results[index].failure = .disk(error)
            }
        }
        results = look.results
        files = look.files
    }

    /// One file that is already open and stays the caller's.
    ///
    /// - Parameter medium: of all who read by this descriptor.
    init(
        site: LocalSite, open descriptor: Descriptor, entry: Entry, isDevice: Bool, limit: Int,
        medium: MediumAccess
    ) {
        self.site = site
        results = [Examined(entry: entry)]
        files = [
            OpenFile(
                descriptor: descriptor, stat: entry.stat, isDevice: isDevice, isOurs: false,
                limit: limit, medium: medium)
        ]
    }

    private init(site: LocalSite, result: Examined, file: OpenFile?) {
        self.site = site
        results = [result]
        files = [file]
    }

    deinit { close() }

    subscript(index: Int) -> Examined { results[index] }

    func digest(_ requests: [ContentRequest], _ worker: Worker) throws -> [ContentAnswer] {
        prefetch(requests)
        var answers: [ContentAnswer] = []
        answers.reserveCapacity(requests.count)
        for request in requests {
            guard let file = files[request.index] else {
                preconditionFailure("digest of a file that is not open")
            }
            worker.pulse.step(to: request.index)
            // Who writes through a mapping moves the times once, until that is written back: what
            // comes after this moves them again.
            if request.isKept, request.source != .media { site.disk.writeBack(file.descriptor) }
            var stat = file.stat
            stat.size = min(stat.size, file.limit)
            let medium = request.source == .media ? medium(of: request.index) : file.medium
            var reader = ContentReader(
                site: site, descriptor: file.descriptor, stat: stat, medium: medium,
                worker: worker)
            var answer = try reader.digest(request)
            if answer.state == .stable, !isUnchanged(request.index) { answer.state = .moved }
            answers.append(answer)
        }
        return answers
    }

    /// Made at once where several workers may read the file.
    private func medium(of index: Int) -> MediumAccess {
        if let known = files[index]?.medium { return known }
        let made = MediumAccess(prefersDirect: true)
        files[index]?.medium = made
        return made
    }

    /// Small files that wait on the device are asked for all at once: a worker that reads one after
    /// the other keeps one read in flight, and sleeps and wakes for each.
    private func prefetch(_ requests: [ContentRequest]) {
        var left = Self.prefetchedAtOnce
        var isCold = false
        for (at, request) in requests.enumerated() where request.source != .media {
            guard isCold || at % 16 == 0, let file = files[request.index], !file.isDevice,
                file.stat.size > 0, file.stat.size <= Self.prefetchedSize
            else { continue }
            // Neighbours were mostly read together, or not at all.
            if at % 16 == 0 {
                isCold =
                    (try? site.disk.cachedPages(file.descriptor, in: 0..<file.stat.size)) ?? 0 == 0
            }
            guard isCold else { continue }
            left -= file.stat.size
            if left < 0 { return }
            site.disk.prefetch(file.descriptor, size: file.stat.size)
        }
    }

    /// Larger files are read ahead by the kernel.
    private static let prefetchedSize = 128 << 10
    /// Bytes that one worker may have on their way.
    private static let prefetchedAtOnce = 2 << 20

    func isUnchanged(_ index: Int) -> Bool {
        guard let file = files[index] else { return false }
        if file.isDevice { return true }
        guard let now = try? site.disk.stat(file.descriptor) else { return false }
        return now.isUnchanged(since: file.stat)
    }

    func isInUse(_ index: Int) -> Bool {
        files[index]?.isDevice == true && site.isDeviceInUse()
    }

    func bypassCache(_ index: Int) -> Bool {
        guard let file = files[index] else { return false }
        let access = medium(of: index).prepare(
            site.disk, file.descriptor, file.stat,
            site.fileSystem(of: file.descriptor, file.stat))
        return access != .none
    }

    func read(
        _ index: Int, at offset: Int, into buffer: UnsafeMutableRawBufferPointer,
        _ worker: Worker
    ) throws(DiskError) -> Int {
        guard let file = files[index] else {
            throw DiskError(.pread, ErrorNumber.invalidArgument)
        }
        site.options.readLimit?.wait(for: buffer.count, worker: worker)
        defer { worker.pulse.step() }
        if file.medium?.isDirect == true {
            return try site.disk.readDirectly(file.descriptor, into: buffer, at: offset)
        }
        return try site.disk.readFully(file.descriptor, into: buffer, at: offset, .passing)
    }

    func nextData(_ index: Int, from offset: Int) -> Range<Int> {
        guard let file = files[index], !file.isDevice else { return offset..<Int.max }
        return site.nextData(file.descriptor, file.stat, from: offset)
    }

    func detach(_ index: Int) -> any Examination {
        defer { files[index] = nil }
        return LocalExamination(site: site, result: results[index], file: files[index])
    }

    func close() {
        for index in files.indices {
            if let file = files[index] {
                files[index] = nil
                if file.isOurs { site.disk.close(file.descriptor) }
            }
        }
    }
}

/// Looking at the names of one batch, one after the other.
private struct Look {
    private let site: LocalSite
    var results: [Examined]
    var files: [LocalExamination.OpenFile?]

    init(site: LocalSite, count: Int) {
        self.site = site
        results = Array(repeating: Examined(), count: count)
        files = Array(repeating: nil, count: count)
    }

    mutating func take(
        _ index: Int, _ name: UnsafePointer<CChar>, _ kind: EntryType?, _ wish: Wish,
        in parent: Descriptor
    ) {
        do throws(DiskError) {
            if wish == .open, kind == .file {
                try open(index, name, in: parent)
            } else {
                let stat = try site.disk.stat(name, in: parent)
                if wish == .open, stat.type == .file {
                    try open(index, name, in: parent)
                } else {
                    try describe(index, stat, name, in: parent)
                }
            }
        } catch {
            if error.number == ErrorNumber.noEntry {
                // Gone since it was listed, perhaps half described: neither entry nor failure.
                results[index] = Examined()
            } else {
                results[index].failure = .disk(error)
            }
        }
    }

    private mutating func describe(
        _ index: Int, _ stat: Stat, _ name: UnsafePointer<CChar>, in parent: Descriptor
    ) throws(DiskError) {
        results[index].entry = Entry(stat: stat)
        if site.isForeignMount(stat) {
            results[index].failure = .mount
            return
        }
        results[index].entry = try EntryDetails(site).entry(stat, name, in: parent)
    }

    /// Only ever called for what was a regular file a moment ago; should it be something else by
    /// now, opening it does not block, and it is closed again unread.
    private mutating func open(
        _ index: Int, _ name: UnsafePointer<CChar>, in parent: Descriptor
    ) throws(DiskError) {
        let descriptor: Descriptor
        do {
            descriptor = try openPatiently(name, in: parent)
        } catch {
            switch error.number {
            case ErrorNumber.noEntry: throw error
            default:
                // What cannot be opened can mostly still be described.
                return try describeUnopened(index, error, name, in: parent)
            }
        }
        do throws(DiskError) {
            let stat = try site.disk.stat(descriptor)
            if stat.type == .file, !site.isForeignMount(stat) {
                results[index].entry = try EntryDetails(site).entry(stat, descriptor)
                files[index] = LocalExamination.OpenFile(descriptor: descriptor, stat: stat)
                if stat.size >= passingSize {
                    files[index]?.medium = MediumAccess(prefersDirect: true)
                }
                return
            }
        } catch {
            site.disk.close(descriptor)
            throw error
        }
        site.disk.close(descriptor)
        try describeUnopened(index, DiskError(.openat, ErrorNumber.stale), name, in: parent)
    }

    /// A regular file that is not open failed with `error`.
    private mutating func describeUnopened(
        _ index: Int, _ error: DiskError, _ name: UnsafePointer<CChar>, in parent: Descriptor
    ) throws(DiskError) {
        try describe(index, try site.disk.stat(name, in: parent), name, in: parent)
        if results[index].entry?.stat.type == .file, results[index].failure == nil {
            results[index].failure = .disk(error)
        }
    }

    /// Descriptors are bounded by the size of batches; should they run out all the same, others
    /// are about to close theirs.
    private func openPatiently(
        _ name: UnsafePointer<CChar>, in parent: Descriptor
    ) throws(DiskError) -> Descriptor {
        var patience = 100
        while true {
            do {
                return try site.disk.openQuietly(
                    name, in: parent, [.readOnly, .noFollow, .nonBlocking])
            } catch {
                let isShortage =
                    error.number == ErrorNumber.tooManyOpen
                    || error.number == ErrorNumber.tooManyOpenInSystem
                guard isShortage, patience > 0 else { throw error }
                patience -= 1
                pause(milliseconds: 10)
            }
        }
    }
}
