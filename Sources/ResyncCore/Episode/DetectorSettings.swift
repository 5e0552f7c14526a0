/// When a store counts as bad, and when as good again. Seconds.
package struct DetectorSettings: Sendable, Hashable {
    /// From one probe to the next while all is well.
    package var interval = 10.0
    /// The same while something is wrong, and what it is let grow to.
    package var alertInterval = 1.0
    package var alertIntervalLimit = 5.0
    /// A probe that took longer is a reason for suspicion. Above the two iSCSI pings of 5 s this
    /// would notice too late, much below it a busy disk would do.
    package var slow = 2.0
    /// A probe that takes longer opens an episode: above the pings of iSCSI (5 + 5 s), below what
    /// databases wait before they give up (20 s).
    package var hung = 15.0
    /// How long all must be well before an episode is closed: more than twice the forward delay of
    /// a spanning tree (15 s) and its maximum age (20 s). Doubles whenever the store falls back.
    package var holdDown = 60.0
    package var holdDownLimit = 900.0
    /// Verified probes that must have been among it: one may pass right after a fault.
    package var goodProbes = 3
    /// A suspicion that lasts longer, with so many slow probes in it, is an episode.
    package var suspicionLimit = 60.0
    package var slowProbes = 2
    /// For so long a message that somebody remounted the file system explains that it is read-only.
    package var remountLimit = 10.0
    /// For so long after a boot a store is waited for that /etc/fstab has mounted: as long as
    /// systemd waits for a device (DefaultTimeoutStartSec).
    package var mountLimit = 90.0
    /// Whether the store is probed at all: without it nothing but a person closes an episode.
    package var hasProbe = true

    package init() {}

    /// From the start of one probe to that of the next, at most, while all is well.
    package var longestGap: Double { 2 * interval + hung }
}
