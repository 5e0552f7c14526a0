/// A message of the kernel that the watcher passes on: trouble, or a note for the reader.
package struct KernelMessage: Sendable, Hashable {
    /// As `KernelTrouble.what`, or beginning with `note.`.
    package let what: String
    /// Nil: it concerns the whole machine.
    package let subject: KernelSubject?
    package let text: [UInt8]
    /// Monotonic time since boot.
    package let microseconds: UInt64

    /// Nil for what says nothing about storage, and for every record that the kernel did not write
    /// itself.
    ///
    /// - Parameter trusted: the facilities whose word is taken; only a test adds one.
    package init?(_ record: KernelRecord, trusted: Set<UInt64> = [0]) {
        guard trusted.contains(record.facility) else { return nil }
        self.init(text: record.text, microseconds: record.microseconds)
    }

    /// What a message says that the kernel is known to have written.
    package init?(text: [UInt8], microseconds: UInt64 = 0) {
        if let trouble = recognisedTrouble(text) {
            (what, subject) = (trouble.what, trouble.subject)
        } else if let notice = recognisedNotice(text) {
            (what, subject) = notice
        } else {
            return nil
        }
        self.text = text
        self.microseconds = microseconds
    }
}
