/// How a write probe ended.
package enum ProbeOutcome: Sendable, Hashable {
    /// What was acknowledged before was still there, and so was what was written now, read back
    /// from the medium where that can be had.
    case verified
    /// No room for the probe's file: nothing is known of the store's health.
    case full
    /// A call failed.
    case failed(errorNumber: Int32, call: String)
    /// The last acknowledged stamp, or the one just written, was not there.
    case lost
    /// The stamp, or the place it lies in, is not this store's.
    case foreign(String)
    /// The worker ended without an answer.
    case workerDied
}

/// What keeps a probe from ending, as the kernel tells of the worker.
package enum ProbeWait: String, Sendable, CaseIterable {
    /// Waiting for a frozen file system to be thawed.
    case frozen
    /// Waiting for the device, or for nobody knows what.
    case device
}

/// How a store's mount looks, held against how it was when it was first seen.
package enum MountCondition: String, Sendable, CaseIterable {
    case writable
    /// This mount was made read-only: only an administrator does that.
    case readOnlyMount = "mount-ro"
    /// The file system is read-only, whoever did that.
    case readOnly = "ro"
    /// The kernel stopped writing after an error (Linux 6.15 and later say so).
    case emergencyReadOnly = "emergency_ro"
    case shutdown
    /// Another file system shows through, or nothing.
    case gone
    case otherDevice = "other-device"
    /// The mount table could not be read.
    case unknown
}

/// One thing a signal has to say about a store; the unit of a recording.
package enum Observation: Sendable, Hashable {
    case probe(ProbeOutcome, started: Moment)
    /// A probe has not ended for so many seconds.
    case probeHangs(seconds: Double, ProbeWait)
    case mount(MountCondition)
    /// A kernel message, by its stable name.
    case kernel(String, text: [UInt8])
    /// FAN_FS_ERROR: the first error number, and how many there were.
    case fileSystemError(Int32, count: UInt32)
    /// The file system's count of errors; nil where it keeps none.
    case errorCount(UInt64?)
    /// Requests are in flight and none has ended for so many seconds.
    case deviceStalls(seconds: Double)
}
