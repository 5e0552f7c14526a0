import ResyncCore

/// Where the bytes of an image or device lie, below all that only shows them once more: loop
/// devices, partitions, what the device mapper and md make of one device, and other paths to one
/// LUN. Two that start at one place are one store.
struct DevicePlace: Hashable {
    private enum Ground: Hashable {
        case file(ObjectIdentity)
        case device(DeviceNumber)
        /// By the name that a disk gives of itself, over whatever path it is reached.
        case disk([UInt8])
    }

    private var ground: Ground
    /// Bytes from its start.
    private var start = 0
    /// Bytes of it; nil for all that follow.
    private var length: Int?

    /// Nil for a directory.
    init?(_ site: LocalSite, _ files: some KernelFiles) {
        switch site.facts.kind {
        case .directory: return nil
        case .file: ground = .file(site.facts.stat.identity)
        case .device:
            ground = .device(site.facts.stat.special)
            // No stack of devices is as high; one that is goes in circles.
            for _ in 0..<32 {
                guard case .device(let device) = ground,
                    let below = Layer(device, files, site.disk).below
                else { break }
                lie(in: below)
            }
        }
    }

    private init(_ ground: Ground, start: Int = 0, length: Int? = nil) {
        (self.ground, self.start, self.length) = (ground, start, length)
    }

    private mutating func lie(in below: DevicePlace) {
        ground = below.ground
        start = cappedSum(below.start, start)
        length = length ?? below.length
    }

    /// One device of a stack, as `/sys` shows it.
    private struct Layer<Files: KernelFiles> {
        private let device: DeviceNumber
        private let files: Files
        private let disk: any Disk

        init(_ device: DeviceNumber, _ files: Files, _ disk: any Disk) {
            (self.device, self.files, self.disk) = (device, files, disk)
        }

        /// Where its bytes lie; nil where it is told of no other place, or not all of them lie
        /// in one.
        var below: DevicePlace? { partition ?? backingFile ?? member ?? itself }

        /// A partition's folder lies in its disk's.
        private var partition: DevicePlace? {
            guard text("/partition") != nil, let parent = number(at: "/../dev"),
                let start = sectors("/start"), let length = sectors("/size")
            else { return nil }
            return DevicePlace(.device(parent), start: start, length: length)
        }

        private var backingFile: DevicePlace? {
            guard let path = text("/loop/backing_file"), let stat = try? disk.stat(path: path),
                let start = bytes("/loop/offset"), let limit = bytes("/loop/sizelimit")
            else { return nil }
            let isDevice = stat.type == .blockDevice
            return DevicePlace(
                isDevice ? .device(stat.special) : .file(stat.identity), start: start,
                length: limit > 0 ? limit : nil)
        }

        /// The only device it is made of, or one of the paths to it.
        private var member: DevicePlace? {
            let members = names("/slaves").compactMap { number(at: "/slaves/\($0)/dev") }
                .map { Layer($0, files, disk) }
            guard let first = members.first else { return nil }
            if members.count > 1 {
                guard let name = first.diskName, members.allSatisfy({ $0.diskName == name })
                else { return nil }
                return DevicePlace(.disk(name))
            }
            // md takes all of a member but for what it notes there; of the device mapper's, many
            // may be cut from one, and where that is its own, a pool, be as large.
            let isWhole =
                text("/md/level") != nil
                || (first.sectors("/size").map { $0 == sectors("/size") } ?? false)
                    && (first.text("/dm/name") == nil || first.names("/holders").count == 1)
            return isWhole ? DevicePlace(.device(first.device)) : nil
        }

        private var itself: DevicePlace? { diskName.map { DevicePlace(.disk($0)) } }

        /// SCSI has it at the device, NVMe at the namespace.
        private var diskName: [UInt8]? {
            for path in ["/device/wwid", "/wwid"] {
                // What is all zeros names none.
                guard let text = text(path),
                    let digits = text.split(separator: UInt8(ascii: ".")).last,
                    digits.contains(where: { $0 != UInt8(ascii: "0") })
                else { continue }
                return text
            }
            return nil
        }

        private func number(at path: String) -> DeviceNumber? {
            text(path).flatMap { DeviceNumber($0[...]) }
        }

        private func sectors(_ path: String) -> Int? {
            guard let count = bytes(path) else { return nil }
            let (size, isTooLarge) = count.multipliedReportingOverflow(by: 512)
            return isTooLarge ? nil : size
        }

        private func bytes(_ path: String) -> Int? {
            text(path).flatMap { UInt64(digits: $0[...]) }.flatMap { Int(exactly: $0) }
        }

        /// Nil where nothing is there.
        private func text(_ path: String) -> [UInt8]? {
            guard let text = try? files.read(folder(path), limit: 64 << 10) else { return nil }
            let words = Array(trimmed(text))
            return words.isEmpty ? nil : words
        }

        private func names(_ path: String) -> [String] {
            ((try? files.names(in: folder(path))) ?? []).sorted(by: precedes)
                .compactMap { validText($0) }
        }

        private func folder(_ path: String) -> [UInt8] {
            Array("/sys/dev/block/\(device.text)\(path)".utf8)
        }
    }
}
