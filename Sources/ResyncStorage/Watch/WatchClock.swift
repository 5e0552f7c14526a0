import CLinux
package import ResyncCore

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
/// dirty pages may get, how often they are looked for, and how often a file system commits.
package func writeBackMargin(_ files: some KernelFiles = LinuxKernelFiles()) -> Double {
    func centiseconds(_ name: String, _ usual: Double) -> Double {
        let text = try? files.read(Array("/proc/sys/vm/\(name)".utf8), limit: 64)
        let value = text.flatMap { UInt64(digits: trimmed($0)) }
        return value.map { min(Double($0) / 100, 86400) } ?? usual
    }
    let commit = 5.0
    return centiseconds("dirty_expire_centisecs", 30)
        + centiseconds("dirty_writeback_centisecs", 5) + commit
}

/// Tells the service manager how this process is, where there is one that wants to know.
package func notifyService(_ text: String) { _ = clinux_notify_service(text) }

/// Keeps what this process needs in memory: the disk it comes from may be the one that hangs.
///
/// - Returns: whether that was allowed.
package func lockMemory() -> Bool { clinux_lock_memory() == 0 }
