package import ResyncCore
package import ResyncStorage

extension DiskFailure {
    init(_ error: DiskError, isSource: Bool = false) {
        self.init(
            call: Array(error.call.rawValue.utf8), number: error.number, isSource: isSource)
    }

    var error: DiskError {
        let call = SystemCall(rawValue: String(decoding: call, as: UTF8.self))
        return DiskError(call ?? .pwrite, number)
    }

    /// Whether nothing more is to be expected of the store: it is full, read-only or failing.
    var endsStore: Bool {
        switch number {
        case ErrorNumber.readOnly, ErrorNumber.inputOutput: true
        // Attributes may be too large for any store of its kind, and an owner may have a quota.
        case ErrorNumber.noSpace, ErrorNumber.quotaExceeded:
            ![.setxattr, .fchownat].contains(error.call)
        default: false
        }
    }
}

/// Why the work on a store came to an end before its own.
package struct StoreFailure: Error, Sendable {
    package let side: Side
    package let error: DiskError
    /// The entry that was worked on; nil where it was the store as a whole.
    package let path: RelativePath?

    package init(_ side: Side, _ error: DiskError, at path: RelativePath? = nil) {
        (self.side, self.error, self.path) = (side, error, path)
    }
}
