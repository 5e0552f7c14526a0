/// At what rate a verification that nobody waits for reads: from a share of what it may take, twice
/// as much with each turn while the devices answer as they usually do, and half as much while they
/// do not, so that services which come back find their disks free.
package struct RateRamp: Sendable, Hashable {
    /// The least share of the limit that is ever taken, with which a verification begins.
    package static let least = 0.1
    /// Seconds of a turn.
    package static let turn = 2.0
    /// Seconds that a device may take to answer, whatever it usually takes.
    package static let harmless = 0.02
    /// How many times the usual time to answer is too much.
    package static let patience = 3.0

    /// What holds the rate below the limit.
    package enum Cause: Sendable, Hashable {
        case beginning
        /// The mean time that requests took of late, and the least that it ever was, in seconds.
        case slow(seconds: Double, usually: Double)
    }

    /// Bytes a second that may be taken.
    package let limit: Int
    /// Of the limit: `least` ... 1.
    package private(set) var share: Double
    /// Nil where nothing does.
    package private(set) var cause: Cause?
    private var usual: Double?

    /// - Parameter share: to begin with.
    package init(limit: Int, share: Double = Self.least) {
        self.limit = limit
        self.share = max(Self.least, min(share, 1))
        cause = self.share < 1 ? .beginning : nil
    }

    /// Bytes a second; one at least.
    package var rate: Int { max(1, wholeNumber(Double(limit) * share)) }

    /// The share that a verification has come to that began so many seconds ago and met nothing
    /// slow.
    package static func share(after seconds: Double) -> Double {
        var share = least
        for _ in 0..<Int(max(0, min(seconds / turn, 10))) { share *= 2 }
        return min(share, 1)
    }

    /// A turn is over.
    ///
    /// - Parameter latency: seconds that requests took in it on the slowest device, on average; nil
    ///   where there were none, or it is not known.
    package mutating func take(latency: Double?) {
        if let latency {
            if let usual, latency > Self.harmless, latency > Self.patience * usual {
                share = max(Self.least, share / 2)
                cause = .slow(seconds: latency, usually: usual)
                return
            }
            usual = min(usual ?? latency, latency)
        }
        share = min(1, share * 2)
        cause = share < 1 ? cause ?? .beginning : nil
    }
}
