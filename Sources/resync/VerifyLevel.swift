import ResyncCore

extension Verification {
    /// How strongly a comparison compares, and what speaks for it.
    struct Level {
        var level: Assurance
        /// What speaks against a store.
        var reasons: Sides<[String]> = Sides(a: [], b: [])
        /// Whether any of that is of the machine, which does not say since when.
        var isUndated = false
        /// Where nobody could look for trouble.
        var unseen: [String] = []
        /// Runs that have begun to change a side, and were neither confirmed nor taken back since.
        var unfinished: Sides<String?> = Sides(a: nil, b: nil)
        /// Where what is read instead of a side lies.
        var snapshots: Sides<[UInt8]?> = Sides(a: nil, b: nil)

        var hasTrouble: Bool { !reasons.a.isEmpty || !reasons.b.isEmpty }

        /// With the side in front.
        var lines: [String] {
            reasons.a.map { "A: \($0)" } + reasons.b.map { "B: \($0)" }
        }

        var unfinishedLines: [String] {
            Side.allCases.compactMap { side in
                unfinished[side].map { run in
                    "run \(escaped(run.utf8)) has begun to change \(side.letter), and was not "
                        + "confirmed since: confirm it, go on with its plan, or undo it"
                }
            }
        }

        var snapshotLines: [String] {
            Side.allCases.compactMap { side in
                snapshots[side].map { "of \(side.letter), the snapshot '\(escaped($0))' is read" }
            }
        }

        private static let unseenShown = 3

        /// That silence is no proof, in one line; nil where it is, or where nothing rests on it.
        var unseenLine: String? {
            guard !unseen.isEmpty, level == .hash || level == .cached else { return nil }
            let more = unseen.count - Self.unseenShown
            return "trouble may go unseen, this could not be looked at: "
                + unseen.prefix(Self.unseenShown).joined(separator: "; ")
                + (more > 0 ? "; \(more) more" : "")
        }
    }
}
