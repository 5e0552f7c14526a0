/// How strongly bytes were compared, strongest first.
package enum Assurance: String, Sendable, CaseIterable {
    case media, hash, cached, metadata, size, none
}

/// Counts of a comparison. Every entry is in exactly one of the outcomes.
package struct Tally: Sendable, Hashable {
    /// Names found on either side, the root itself left out.
    package var entries = 0
    /// Of these, those that were walked into as directories.
    package var directories = 0
    package var same = 0
    /// Existing on both sides with different data.
    package var contentDiffers = 0
    /// The same data, but something else differs.
    package var metadataDiffers = 0
    package var missingOnA = 0
    package var missingOnB = 0
    package var unstable = 0
    package var unreadable = 0
    package var notVerified = 0
    package var conflicts = 0
    /// Different, as they may be.
    package var expected = 0
    /// Of the unstable ones, those that gave two different contents under one stat.
    package var flapping = 0
    package var confirmed = 0
    /// Names left out by rules of the operator, and resync's own.
    package var excluded = 0
    /// Bytes read from both sides together.
    package var bytesRead = 0
    /// Bytes of files whose content was compared, counted once per pair.
    package var bytesByAssurance: [Assurance: Int] = [:]

    package init() {}

    package var differs: Int { contentDiffers + metadataDiffers }

    /// Results there are. A directory that cannot be listed to its end has one more.
    package var outcomes: Int {
        same + differs + missingOnA + missingOnB + unstable + unreadable + notVerified + conflicts
            + expected
    }

    /// Results other than that both sides are the same.
    package var findings: Int { outcomes - same }

    package mutating func count(_ difference: Difference) {
        switch difference.outcome {
        case .same: same += 1
        case .differs:
            if difference.aspects.touchesContent {
                contentDiffers += 1
            } else {
                metadataDiffers += 1
            }
        case .missingOnA: missingOnA += 1
        case .missingOnB: missingOnB += 1
        case .unstable:
            unstable += 1
            if difference.reason == .flapping { flapping += 1 }
        case .unreadable: unreadable += 1
        case .notVerified: notVerified += 1
        case .conflict: conflicts += 1
        case .expected: expected += 1
        }
        if difference.isConfirmed { confirmed += 1 }
    }

    package mutating func count(bytes: Int, _ assurance: Assurance) {
        guard bytes > 0 else { return }
        bytesByAssurance[assurance] = cappedSum(bytesByAssurance[assurance] ?? 0, bytes)
    }

    /// The counts that say what was covered, without the outcomes: what stays when differences are
    /// classed anew.
    package var withoutDifferences: Tally {
        var rest = self
        rest.contentDiffers = 0
        rest.metadataDiffers = 0
        rest.missingOnA = 0
        rest.missingOnB = 0
        rest.unstable = 0
        rest.unreadable = 0
        rest.notVerified = 0
        rest.conflicts = 0
        rest.expected = 0
        rest.flapping = 0
        rest.confirmed = 0
        return rest
    }

    package static func += (left: inout Tally, right: Tally) {
        left.entries += right.entries
        left.directories += right.directories
        left.same += right.same
        left.contentDiffers += right.contentDiffers
        left.metadataDiffers += right.metadataDiffers
        left.missingOnA += right.missingOnA
        left.missingOnB += right.missingOnB
        left.unstable += right.unstable
        left.unreadable += right.unreadable
        left.notVerified += right.notVerified
        left.conflicts += right.conflicts
        left.expected += right.expected
        left.flapping += right.flapping
        left.confirmed += right.confirmed
        left.excluded = cappedSum(left.excluded, right.excluded)
        left.bytesRead = cappedSum(left.bytesRead, right.bytesRead)
        for (assurance, bytes) in right.bytesByAssurance {
            left.count(bytes: bytes, assurance)
        }
    }
}
