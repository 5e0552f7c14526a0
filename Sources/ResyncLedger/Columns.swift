import Foundation
import GRDB
import ResyncCore

// How values become columns.

extension Timestamp {
    /// Nanoseconds since 1970; a clock that is off by centuries counts as the last time there is.
    var number: Int64 {
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carry) = whole.addingReportingOverflow(Int64(nanoseconds))
        return overflow || carry ? (seconds < 0 ? .min : .max) : sum
    }

    init(number: Int64) {
        let (quotient, rest) = number.quotientAndRemainder(dividingBy: 1_000_000_000)
        self.init(
            seconds: rest < 0 ? quotient - 1 : quotient,
            nanoseconds: UInt32(rest < 0 ? rest + 1_000_000_000 : rest))
    }
}

extension Moment {
    var bootNumber: Int64 { Int64(clamping: boot) }
    var wallNumber: Int64 { wall.number }
}

extension [UInt8] {
    /// Never text: a name is bytes.
    var blob: Data { Data(self) }
}

extension Row {
    func bytes(_ column: String) -> [UInt8] {
        let data: Data? = self[column]
        return data.map { Array($0) } ?? []
    }

    func moment(_ boot: String, _ wall: String) -> Moment {
        Moment(
            boot: UInt64(clamping: self[boot] as Int64),
            wall: Timestamp(number: self[wall]))
    }

    func optionalMoment(_ boot: String, _ wall: String) -> Moment? {
        let (bootNumber, wallNumber): (Int64?, Int64?) = (self[boot], self[wall])
        guard let bootNumber, let wallNumber else { return nil }
        return Moment(
            boot: UInt64(clamping: bootNumber), wall: Timestamp(number: wallNumber))
    }
}
