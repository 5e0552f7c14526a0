import ResyncCore
import ResyncStorage

extension DiskFailure {
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
