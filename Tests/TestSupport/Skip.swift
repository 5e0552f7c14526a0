import Glibc
import Synchronization

/// How many checks of this process could not be made here.
private let skips = Atomic(0)

/// Says aloud that something is not tested here, and why: silence would look like success. The
/// number tells how many there were so far.
package func skip(_ reason: String, _ test: String = #function) {
    let number = skips.add(1, ordering: .relaxed).newValue
    print("skipped: \(reason) (\(test), number \(number))")
}

package var skipCount: Int { skips.load(ordering: .relaxed) }

/// Whether tests may take minutes: `RESYNC_LONG=1`.
package let isLongRun = getenv("RESYNC_LONG") != nil
