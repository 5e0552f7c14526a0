package import ResyncCore

/// What a watcher is told of a store when it starts.
package struct WatchedStore: Sendable {
    package let name: String
    /// Absolute, as it was configured.
    package let path: [UInt8]
    /// Whether the probe writes.
    package let probes: Bool
    /// Whether it is mounted read-only on purpose.
    package let isReadOnly: Bool
    /// By which the probe's file is known: 32 hexadecimal digits, of this state folder alone.
    package let probeID: String
    /// What an earlier watcher last knew.
    package var sequence: UInt64 = 0
    package var fileSystem: UInt64?
    package var lastGood: Moment?
    package var episode: Episode?
    package var penalty: FlapPenalty
    package var errors = ErrorCount()
    /// Until when it was taken into maintenance.
    package var maintenanceEnd: Timestamp?
    /// How it was seen last, its moment on the clocks of this boot; nil where it never was.
    package var sight: StoreSight?
    /// Of an open episode: as its status has it.
    package var behind = 0.0

    package init(
        name: String, _ store: Configuration.Store, probeID: String, penalty: FlapPenalty
    ) {
        self.name = name
        path = store.path
        probes = store.probes
        isReadOnly = store.isReadOnly
        self.probeID = probeID
        self.penalty = penalty
    }
}
