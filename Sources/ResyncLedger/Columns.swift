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
    /// - Throws: `RowDecodingError` where something else stands there, which only damage explains.
    func value<Value: DatabaseValueConvertible & StatementColumnConvertible>(
        _ column: String
    ) throws -> Value {
        try decode(Value.self, forColumn: column)
    }

    func bytes(_ column: String) throws -> [UInt8] {
        let data: Data = try value(column)
        return Array(data)
    }

    func time(_ column: String) throws -> Timestamp { Timestamp(number: try value(column)) }

    /// One of the words that are known.
    func word<Word: RawRepresentable<String>>(_ column: String) throws -> Word {
        guard let word = Word(rawValue: try value(column)) else { throw LedgerError.damage }
        return word
    }

    func optionalWord<Word: RawRepresentable<String>>(_ column: String) throws -> Word? {
        let text: String? = try value(column)
        return text == nil ? nil : try word(column)
    }

    func moment(_ boot: String, _ wall: String) throws -> Moment {
        Moment(boot: UInt64(clamping: try value(boot) as Int64), wall: try time(wall))
    }

    func optionalMoment(_ boot: String, _ wall: String) throws -> Moment? {
        let (bootNumber, wallNumber): (Int64?, Int64?) = (try value(boot), try value(wall))
        guard let bootNumber, let wallNumber else { return nil }
        return Moment(
            boot: UInt64(clamping: bootNumber), wall: Timestamp(number: wallNumber))
    }
}
