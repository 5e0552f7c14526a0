/// Whether the second site could take over what a pair holds, and why not.
package struct Takeover: Sendable, Hashable {
    /// What is known of a module of the pair.
    package struct ModuleState: Sendable, Hashable {
        let name: String
        let gate: Gate.Answer
        let isProven: Bool

        /// - Parameter isProven: whether it was ever proven as it is now.
        package init(name: String, gate: Gate.Answer, isProven: Bool) {
            self.name = name
            self.gate = gate
            self.isProven = isProven
        }
    }

    /// What a check of the pair last said.
    package struct CheckState: Sendable, Hashable {
        let name: String
        /// Seconds from one to the next.
        let every: Double
        /// Nil where it was never run.
        let ended: Timestamp?
        let exit: Int
        let line: String

        package init(name: String, every: Double, ended: Timestamp?, exit: Int, line: String) {
            self.name = name
            self.every = every
            self.ended = ended
            self.exit = exit
            self.line = line
        }

        /// Whether it says nothing of now any more.
        package func isStale(at now: Timestamp) -> Bool {
            guard let ended else { return true }
            let age = Double(now.seconds) - Double(ended.seconds)
            // One from later than now was kept under another clock.
            return age > 2 * every + 1 || age < -1
        }
    }

    /// Why it could not; sentences without their ends. Empty where it could.
    package let reasons: [String]

    package var isReady: Bool { reasons.isEmpty }

    /// - Parameters:
    ///   - unknown: why nothing is known at all; nil where something is.
    ///   - troubles: what is wrong with the pair's stores; sentences without their ends.
    package init(
        unknown: String?, troubles: [String], _ modules: [ModuleState], _ checks: [CheckState],
        at now: Timestamp
    ) {
        guard unknown == nil else {
            reasons = unknown.map { [$0] } ?? []
            return
        }
        var reasons = troubles
        if modules.isEmpty { reasons.append("nothing of it is proven: it has no modules") }
        for module in modules {
            if !module.isProven {
                reasons.append("\(module.name) was never proven")
            } else if module.gate != .open {
                reasons.append("\(module.name) is \(module.gate.rawValue)")
            }
        }
        for check in checks {
            if check.ended == nil {
                reasons.append("check \(check.name) was never run")
            } else if check.isStale(at: now) {
                reasons.append("check \(check.name) was not run for too long")
            } else if check.exit != 0 {
                let said = check.line.isEmpty ? "" : ": \(check.line)"
                reasons.append("check \(check.name) failed (exit \(check.exit))\(said)")
            }
        }
        self.reasons = reasons
    }
}
