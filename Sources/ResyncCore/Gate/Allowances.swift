/// Entries that may differ between the sites, in content or in what is said about them. That one is
/// missing, or is of another type, is a difference all the same.
package struct Expectation: Sendable, Hashable {
    private let pattern: FilterPattern
    /// For people.
    package let reason: String
    /// From then on it holds no longer.
    package let until: Timestamp

    /// - Parameter pattern: with the meaning that it has in a `Filter`; nil is given where it is
    ///   empty, too long, or has a zero byte.
    package init?(_ pattern: [UInt8], reason: String, until: Timestamp) {
        guard !pattern.isEmpty, pattern.count <= Filter.patternLimit, !pattern.contains(0) else {
            return nil
        }
        self.pattern = FilterPattern(pattern)
        self.reason = reason
        self.until = until
    }

    package var text: [UInt8] { pattern.text }

    func matches(_ path: RelativePath, isDirectory: Bool) -> Bool {
        guard path != .root else { return false }
        return path.lastName.bytes.withUnsafeBufferPointer { name in
            path.parent.bytes.withUnsafeBufferPointer { parent in
                pattern.matches(name, in: parent, isDirectory: isDirectory)
            }
        }
    }
}

extension Module {
    /// With what is expected at a time only.
    package func expecting(at now: Timestamp) -> Module {
        var module = self
        module.expectations = expectations(at: now)
        return module
    }

    private func expectations(at now: Timestamp) -> [Expectation] {
        expectations.filter { now < $0.until }
    }

    /// What was expected, and is no longer.
    package func expired(at now: Timestamp) -> [Expectation] {
        expectations.filter { $0.until <= now }
    }

    func expects(_ path: RelativePath, isDirectory: Bool) -> Bool {
        expectations.contains { $0.matches(path, isDirectory: isDirectory) }
    }
}

/// What a configuration lets differ in a comparison: for a time, or as long as it is expected.
package struct Allowances: Sendable {
    private let modules: [Module]

    /// - Parameter now: by which expectations hold, or no longer.
    package init(_ modules: [Module] = [], at now: Timestamp = .epoch) {
        self.modules = modules.map { $0.expecting(at: now) }.filter {
            $0.lag != nil || !$0.expectations.isEmpty
        }
    }

    package var isEmpty: Bool { modules.isEmpty }

    /// What becomes of a difference that nobody looks at once more.
    ///
    /// - Parameter looked: when it was looked at for the second time, at the earliest; nil where
    ///   it never was.
    package func settle(_ difference: Difference, looked: Timestamp?) -> Difference {
        guard let module = modules.first(where: { $0.holds(difference.path) }) else {
            return difference
        }
        var settled = difference
        if isExpected(difference, module) {
            settled.outcome = .expected
        } else if isPending(difference, module, looked) {
            settled.outcome = .unstable
            settled.reason = .pending
        }
        return settled
    }

    private func isExpected(_ difference: Difference, _ module: Module) -> Bool {
        guard let a = difference.stats.a, let b = difference.stats.b, a.type == b.type,
            module.expects(difference.path, isDirectory: a.type == .directory)
        else { return false }
        switch difference.outcome {
        case .differs: return true
        case .unstable:
            // Of a directory that moves nobody knows what is in it; what flaps is no matter of
            // what is expected.
            return a.type != .directory
                && (difference.reason == .changing || difference.reason == nil)
        case .same, .missingOnA, .missingOnB, .unreadable, .notVerified, .conflict, .expected:
            return false
        }
    }

    private func isPending(
        _ difference: Difference, _ module: Module, _ looked: Timestamp?
    ) -> Bool {
        guard let looked, let lag = module.lag, difference.isConfirmed else { return false }
        switch difference.outcome {
        case .differs, .missingOnA, .missingOnB: break
        case .same, .unstable, .unreadable, .notVerified, .conflict, .expected: return false
        }
        let times = Side.allCases.compactMap { difference.stats[$0] }.flatMap {
            [$0.mtime, $0.ctime]
        }
        let seconds = Int64(lag.rounded(.up))
        // A time that lies further ahead than that says nothing of when it was written.
        let (first, last) = (looked.adding(seconds: -seconds), looked.adding(seconds: seconds))
        return times.contains { first < $0 && $0 < last }
    }
}
