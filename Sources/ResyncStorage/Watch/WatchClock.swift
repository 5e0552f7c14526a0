import CLinux
package import ResyncCore
import Synchronization

extension Moment {
    package static var now: Moment { Moment(boot: clinux_boot_time(), wall: .now) }
}

/// Of this boot of this machine: another one after each start; empty where the kernel does not say.
package func bootIdentity(_ files: some KernelFiles = LinuxKernelFiles()) -> String {
    let path = Array("/proc/sys/kernel/random/boot_id".utf8)
    guard let text = try? files.read(path, limit: 64) else { return "" }
    return validText(Array(trimmed(text))) ?? ""
}

/// Seconds for which the kernel may keep to itself what a program was told is written: how old
/// dirty pages may get, how often they are looked for, and how often a file system commits: by
/// itself ext4 each 5 s, btrfs each 30 s, F2FS each 60 s. There a sync of one file, as that of a
/// probe, commits nothing of others.
///
/// - Parameter path: of a store; nil where it is not known.
package func writeBackMargin(
    of path: [UInt8]? = nil, _ files: some KernelFiles = LinuxKernelFiles()
) -> Double {
    func centiseconds(_ name: String, _ usual: Double) -> Double {
        let text = try? files.read(Array("/proc/sys/vm/\(name)".utf8), limit: 64)
        let value = text.flatMap { UInt64(digits: trimmed($0)) }
        return value.map { min(Double($0) / 100, 86400) } ?? usual
    }
    let mount = path.flatMap { mountTable(files)?.mount(holding: $0) }
    return centiseconds("dirty_expire_centisecs", 30)
        + centiseconds("dirty_writeback_centisecs", 5) + (mount?.commitInterval ?? 5)
}

extension Mount {
    /// Seconds.
    fileprivate var commitInterval: Double {
        let usual = isType("btrfs") ? 30.0 : isType("f2fs") ? 60 : 5
        let option = Array("commit=".utf8)
        let told = superOptions.last { $0.starts(with: option) }
            .flatMap { UInt64(digits: $0.dropFirst(option.count)) }
        // 0 stands for the usual one. A day is more than anybody has asked for.
        return told.map { $0 == 0 ? usual : min(Double($0), 86400) } ?? usual
    }
}

/// Tells the service manager how this process is, where there is one that wants to know.
package func notifyService(_ text: String) { _ = clinux_notify_service(text) }

/// Keeps what this process needs in memory: the disk it comes from may be the one that hangs.
///
/// - Returns: whether that was allowed.
package func lockMemory() -> Bool { clinux_lock_memory() == 0 }

/// Names of episodes and incidents, as `20261122-175003-1f3a`: they sort by time, and no two are
/// the same, however many stores fail in one second.
package final class EpisodeIDs: Sendable {
    private struct Second {
        var digits = ""
        var given: Set<String> = []
    }

    private let last = Mutex(Second())

    package init() {}

    package func next(_ moment: Moment) -> String {
        let digits = moment.wall.utcText.filter { $0.isNumber || $0 == "T" }
            .map { $0 == "T" ? "-" : String($0) }.joined()
        return last.withLock { last in
            if last.digits != digits { last = Second(digits: digits) }
            var id = ""
            // Where more are wanted than there are short ones, they get longer.
            var length = 2
            repeat {
                id = "\(digits)-\(hexText((try? randomBytes(length)) ?? [0, 0]))"
                length = last.given.count > 1000 ? 8 : length
            } while !last.given.insert(id).inserted
            return id
        }
    }
}
