package import ResyncCore

/// How long the devices under some stores take to answer, by the kernel's counters of them.
package struct DeviceLatency {
    private let folders: [[UInt8]]
    private let files: any KernelFiles
    private var last: [[UInt8]: Counts] = [:]

    private struct Counts {
        let requests: UInt64
        let milliseconds: UInt64
        let inFlight: UInt64
        /// In which at least one request was in flight.
        let busyMilliseconds: UInt64
    }

    /// - Parameter paths: of the stores, without symlinks. Of one that rests on no device of this
    ///   machine nothing is known.
    package init(
        of paths: [[UInt8]], in table: MountTable, files: any KernelFiles = LinuxKernelFiles()
    ) {
        self.files = files
        folders = Set(paths.flatMap { storePlaces(of: $0, nil, table, files).devices })
            .sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// Seconds that a request took since the last call, on the device where they took longest, or
    /// has waited for since then, where none ended; nil where there was none, or at the first call.
    package mutating func next() -> Double? {
        var longest: Double?
        for folder in folders {
            guard let now = counts(folder) else { continue }
            defer { last[folder] = now }
            guard let before = last[folder], let seconds = seconds(now, before) else { continue }
            longest = max(longest ?? 0, seconds)
        }
        return longest
    }

    private func seconds(_ now: Counts, _ before: Counts) -> Double? {
        if now.requests == before.requests {
            guard now.inFlight > 0, now.busyMilliseconds > before.busyMilliseconds else {
                return nil
            }
            return Double(now.busyMilliseconds - before.busyMilliseconds) / 1000
        }
        guard now.requests > before.requests, now.milliseconds >= before.milliseconds else {
            return nil
        }
        return Double(now.milliseconds - before.milliseconds) / 1000
            / Double(now.requests - before.requests)
    }

    private func counts(_ folder: [UInt8]) -> Counts? {
        guard let text = try? files.read(folder + Array("/stat".utf8), limit: 1024) else {
            return nil
        }
        let fields = text.split { $0 <= 0x20 }.map { UInt64(digits: $0) ?? 0 }
        // Documentation/block/stat.rst: reads and writes, each with their milliseconds, are fields
        // 1 and 4, 5 and 8; those in flight are the ninth, and then comes how long there were any.
        guard fields.count >= 10 else { return nil }
        return Counts(
            requests: fields[0] &+ fields[4], milliseconds: fields[3] &+ fields[7],
            inFlight: fields[8], busyMilliseconds: fields[9])
    }
}
