/// One run, for those who look for it by what it was about.
package struct RunRecord: Sendable, Hashable {
    package let id: String
    package let kind: String
    package let a: [UInt8]
    package let b: [UInt8]
    package let began: Timestamp
    package let ended: Timestamp
    package let status: Int
    package let verdict: String
    /// How strongly content was compared.
    package let assurance: String
    /// Whether all of both stores was looked at.
    package let isWhole: Bool
    /// The stores, as far as it is known which they were.
    package let identities: Sides<StoreIdentity?>
    /// How many entries it did not find to be the same: what may differ included, and what could
    /// not be told.
    package let findings: Int

    package init(
        id: String, kind: String, a: [UInt8], b: [UInt8], began: Timestamp, ended: Timestamp,
        status: Int, verdict: String, assurance: String, isWhole: Bool, findings: Int,
        identities: Sides<StoreIdentity?> = Sides(a: nil, b: nil)
    ) {
        self.identities = identities
        self.findings = findings
        self.id = id
        self.kind = kind
        self.a = a
        self.b = b
        self.began = began
        self.ended = ended
        self.status = status
        self.verdict = verdict
        self.assurance = assurance
        self.isWhole = isWhole
    }
}

extension RunRecord {
    /// What stands for the other store where there is only the baseline.
    package static let baseline = Array("baseline".utf8)

    package var isAlone: Bool { b == Self.baseline }
}
