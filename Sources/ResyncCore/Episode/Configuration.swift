/// What is watched and compared here, as the configuration file says.
package struct Configuration: Sendable, Hashable {
    /// Pairs that one file may name.
    package static let pairLimit = 1000

    package struct Store: Sendable, Hashable {
        /// Absolute.
        package var path: [UInt8]
        /// Whether a small file in it is written and read back to see that this works.
        package var probes = true
        /// Whether it is mounted read-only on purpose.
        package var isReadOnly = false

        package init(path: [UInt8]) { self.path = path }
    }

    /// A time of day in which something may run: minutes since midnight, local time. One that ends
    /// before it begins goes over midnight.
    package struct Window: Sendable, Hashable {
        package let start: Int
        package let end: Int

        /// As `22:00-06:00`.
        package init?(_ text: String) {
            let parts = text.split(separator: "-", omittingEmptySubsequences: false)
            guard parts.count == 2, let start = Self.minutes(parts[0]),
                let end = Self.minutes(parts[1]), start != end
            else { return nil }
            self.start = start
            self.end = end
        }

        private static func minutes(_ text: Substring) -> Int? {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, parts[1].count == 2, let hours = Int(parts[0]),
                let minutes = Int(parts[1]), (0..<24).contains(hours), (0..<60).contains(minutes)
            else { return nil }
            return hours * 60 + minutes
        }

        package var text: String { "\(Self.clock(start))-\(Self.clock(end))" }

        /// Over midnight where it ends before it begins.
        fileprivate func holds(_ minute: Int) -> Bool {
            start < end ? (start..<end).contains(minute) : minute >= start || minute < end
        }

        private static func clock(_ minutes: Int) -> String {
            let rest = minutes % 60
            return "\(minutes / 60):\(rest < 10 ? "0" : "")\(rest)"
        }
    }

    /// A command of the operator's that is run again and again.
    package struct Check: Sendable, Hashable {
        /// Checks that one pair may have.
        package static let limit = 20

        package var name: String
        package var command: [[UInt8]]
        /// Seconds from one to the next.
        package var every: Double

        package init(name: String, command: [[UInt8]], every: Double) {
            self.name = name
            self.command = command
            self.every = every
        }
    }

    package struct Pair: Sendable, Hashable {
        package var name: String
        package var stores: Sides<Store>
        /// Seconds that a difference must be old before it counts; above the lag of replication.
        package var settle = 2.0
        /// Bytes a second and side; nil: no limit.
        package var readLimit: Int?
        package var writeLimit: Int?
        /// Seconds within which the whole store is to be read again; nil: nobody asked.
        package var maximumAge: Double?
        /// When verifications may run; empty: always.
        package var windows: [Window] = []
        /// What has to succeed for its second site to be able to take over.
        package var checks: [Check] = []

        package init(name: String, a: Store, b: Store) {
            self.name = name
            stores = Sides(a: a, b: b)
        }

        /// As `mail/a`.
        package func storeName(_ side: Side) -> String { "\(name)/\(side.word)" }
    }

    package struct Notification: Sendable, Hashable {
        /// A program and its arguments; what happened comes on its standard input, as JSON.
        package var command: [[UInt8]]
        /// Seconds after which it is killed.
        package var timeout = 30.0
        /// Seconds after which an open episode is told again; nil: never.
        package var repeats: Double?

        package init(command: [[UInt8]]) { self.command = command }
    }

    package var pairs: [Pair] = []
    package var modules: [Module] = []
    package var notification: Notification?
    package var detector = DetectorSettings()

    package init() {}

    /// Stores by name, pair by pair.
    package var stores: [(name: String, store: Store)] {
        pairs.flatMap { pair in
            [Side.a, .b].map { (pair.storeName($0), pair.stores[$0]) }
        }
    }
}

extension [Configuration.Window] {
    private static var day: Range<Int> { 0..<24 * 60 }

    /// Minutes of a day that lie in one of them at least.
    package var minutes: Int {
        Self.day.count { minute in contains { $0.holds(minute) } }
    }

    /// Seconds until none of them holds any more; nil where none does, infinite where one always
    /// does.
    ///
    /// - Parameter second: of the day, 0 ..< 86 400.
    package func secondsLeft(at second: Int) -> Double? {
        let now = second / 60
        let end = Self.day.first { later in
            !contains { $0.holds((now + later) % Self.day.count) }
        }
        guard let end else { return .infinity }
        return end > 0 ? Double(end * 60 - second % 60) : nil
    }
}
