import CLinux
import Glibc

/// The errno values some code reacts to, by meaning, and their names for messages.
package enum ErrorNumber {
    package static let notPermitted = EPERM
    package static let noEntry = ENOENT
    package static let inputOutput = EIO
    package static let noSuchAddress = ENXIO
    package static let accessDenied = EACCES
    package static let exists = EEXIST
    package static let crossDevice = EXDEV
    package static let busy = EBUSY
    package static let notDirectory = ENOTDIR
    package static let isDirectory = EISDIR
    package static let invalidArgument = EINVAL
    package static let tooManyOpen = EMFILE
    package static let tooManyOpenInSystem = ENFILE
    package static let noSpace = ENOSPC
    package static let readOnly = EROFS
    package static let quotaExceeded = EDQUOT
    package static let tooManyLinks = ELOOP
    package static let nameTooLong = ENAMETOOLONG
    package static let wouldBlock = EWOULDBLOCK
    package static let outOfRange = ERANGE
    package static let stale = ESTALE
    package static let timedOut = ETIMEDOUT
    package static let notSupported = EOPNOTSUPP
    package static let noSystemCall = ENOSYS
    package static let tooManyNames = EMLINK
    package static let noData = ENODATA
    package static let notEmpty = ENOTEMPTY
    package static let tooLarge = EOVERFLOW
    package static let brokenPipe = EPIPE
    package static let badDescriptor = EBADF
    package static let noLocks = ENOLCK

    /// The symbolic name, as `EIO`.
    package static func name(_ number: Int32) -> String {
        clinux_error_name(number).map { String(cString: $0) } ?? "errno \(number)"
    }

    /// The sentence, as `Input/output error`.
    package static func sentence(_ number: Int32) -> String {
        clinux_error_sentence(number).map { String(cString: $0) } ?? "error \(number)"
    }
}
