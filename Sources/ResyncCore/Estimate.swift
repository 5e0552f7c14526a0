/// What bounds how fast a store is verified.
package enum BindingLimit: String, Sendable {
    case device
    case memory
    case digest
    case systemCalls = "system calls"
    case rateLimit = "rate limit"
}

/// Seconds that something is expected to take, and between which bounds.
package struct Estimate: Sendable, Hashable {
    package var seconds: Double
    package var low: Double
    package var high: Double

    package init(_ seconds: Double, low: Double, high: Double) {
        self.seconds = seconds
        self.low = low
        self.high = high
    }

    package static let nothing = Estimate(0, low: 0, high: 0)

    package static func + (left: Estimate, right: Estimate) -> Estimate {
        Estimate(
            left.seconds + right.seconds, low: left.low + right.low, high: left.high + right.high)
    }

    package static func * (estimate: Estimate, factor: Double) -> Estimate {
        Estimate(
            estimate.seconds * factor, low: estimate.low * factor, high: estimate.high * factor)
    }

    /// With bounds at least this far from it, for what no sample shows.
    package func widened(by share: Double) -> Estimate {
        Estimate(
            seconds, low: min(low, seconds * (1 - share)), high: max(high, seconds * (1 + share)))
    }
}

/// Parts of a store that were read, each with its amount (files, or bytes) and its seconds.
package struct RateSample: Sendable {
    private var parts: [(amount: Double, seconds: Double)] = []

    package init() {}

    package mutating func add(amount: Double, seconds: Double) {
        if amount > 0 { parts.append((amount, max(0, seconds))) }
    }

    package var isEmpty: Bool { parts.isEmpty }
    package var amount: Double { parts.reduce(0) { $0 + $1.amount } }
    package var seconds: Double { parts.reduce(0) { $0 + $1.seconds } }

    /// Seconds of so much more of the same: the ratio estimator, its bounds two standard errors
    /// away (Cochran 1977, Sampling Techniques, 6.3 and 6.4). Where all was read nothing is left to
    /// estimate. Fewer than three parts show no spread; then the bounds are a quarter away.
    package func estimate(of total: Double) -> Estimate {
        guard !isEmpty, total > 0 else { return .nothing }
        let rate = seconds / amount
        let count = Double(parts.count)
        let middle = rate * total
        if amount >= total { return Estimate(middle, low: middle, high: middle) }
        guard parts.count >= 3 else {
            return Estimate(middle, low: middle, high: middle).widened(by: 0.25)
        }
        let mean = amount / count
        let squares = parts.reduce(0) { sum, part in
            let rest = part.seconds - rate * part.amount
            return sum + rest * rest
        }
        let left = 1 - amount / total
        let error = (left * squares / (count * (count - 1))).squareRoot() / mean * total
        return Estimate(middle, low: max(0, middle - 2 * error), high: middle + 2 * error)
    }
}

/// So many of what comes, each with the same chance (Vitter 1985, algorithm R).
package struct Reservoir<Element: Sendable>: Sendable {
    package private(set) var elements: [Element] = []
    package private(set) var seen = 0
    private let limit: Int

    package init(limit: Int) { self.limit = limit }

    package mutating func add(
        _ element: @autoclosure () -> Element, using random: inout some RandomNumberGenerator
    ) {
        seen += 1
        if elements.count < limit {
            elements.append(element())
        } else {
            let place = Int.random(in: 0..<seen, using: &random)
            if place < limit { elements[place] = element() }
        }
    }
}
