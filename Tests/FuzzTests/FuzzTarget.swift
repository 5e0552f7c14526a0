import Glibc
import ResyncCore
import TestSupport

/// A parser did what it may not do with some bytes.
package struct Violation: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}

/// Throws where something does not hold of what a parser made of its input.
func demand(_ holds: Bool, _ what: @autoclosure () -> String) throws {
    guard holds else { throw Violation(what()) }
}

/// How an input is taken apart, so that a part can be changed, and put together again, with the
/// checks over its parts made anew: or nothing but the checks would be tested.
struct Form: Sendable {
    let split: @Sendable ([UInt8]) -> [[UInt8]]
    let join: @Sendable ([[UInt8]]) -> [UInt8]

    /// One part, and no checks.
    static let plain = Form(split: { [$0] }, join: { $0.flatMap(\.self) })
}

/// A parser of foreign bytes, what it is to be fed with, and what must hold of what it gives.
package struct FuzzTarget: Sendable, CustomStringConvertible {
    package let name: String
    /// Inputs that a usual run makes: about a second's worth.
    package let rounds: Int
    /// Valid ones.
    let samples: [[UInt8]]
    /// One of these is taken for each input.
    let forms: [Form]
    /// Whether inputs that were taken are changed further.
    let grows: Bool
    /// False where the parser refuses; throws a `Violation` where it must not do what it did.
    private let check: @Sendable ([UInt8]) throws -> Bool

    package var description: String { name }

    init(
        _ name: String, rounds: Int, samples: [[UInt8]], forms: [Form] = [.plain],
        grows: Bool = true, check: @escaping @Sendable ([UInt8]) throws -> Bool
    ) {
        self.name = name
        self.rounds = rounds
        self.samples = samples
        self.forms = forms
        self.grows = grows
        self.check = check
    }

    /// Seconds of processor time that one input may take.
    private static let timeLimit = 3.0

    /// Whether the input is taken.
    package func feed(_ input: [UInt8]) throws -> Bool {
        let start = processorTime()
        let isTaken: Bool
        do {
            isTaken = try check(input)
        } catch is FormatError {
            isTaken = false
        } catch let found as Violation {
            throw Violation("\(name): \(found). Input: \(hexText(input))")
        } catch {
            throw Violation("\(name): throws \(error). Input: \(hexText(input))")
        }
        let seconds = processorTime() - start
        guard seconds < Self.timeLimit else {
            throw Violation("\(name): took \(seconds) s. Input: \(hexText(input))")
        }
        return isTaken
    }

    /// Feeds what a tool made up, which knows nothing of checks: the first byte says whether they
    /// are made anew.
    package func feed(foreign input: [UInt8]) throws {
        guard let first = input.first else { return }
        let rest = Array(input.dropFirst())
        if first % 4 == 0 {
            _ = try feed(rest)
        } else {
            let form = forms[Int(first / 4) % forms.count]
            _ = try feed(form.join(form.split(rest)))
        }
    }

    /// As `feed(foreign:)` takes them.
    package var foreignSamples: [[UInt8]] {
        samples.flatMap { sample in forms.indices.map { [UInt8(4 * $0 + 1)] + sample } }
    }

    /// Feeds inputs that chance made of the samples.
    package func run(_ rounds: Int, _ random: inout Seed) throws -> FuzzTally {
        var tally = FuzzTally()
        var mutator = Mutator(samples: samples)
        for sample in samples {
            try demand(try feed(sample), "\(name): refuses a sample: \(hexText(sample))")
        }
        let start = processorTime()
        for _ in 0..<rounds {
            let form = forms[random.below(forms.count)]
            let input = mutator.input(form, &random)
            if try feed(input) {
                tally.accepted += 1
                if grows { mutator.keep(input, &random) }
            } else {
                tally.refused += 1
            }
        }
        tally.seconds = processorTime() - start
        return tally
    }
}

package struct FuzzTally: Sendable {
    package var accepted = 0
    package var refused = 0
    /// Of processor time.
    package var seconds = 0.0
}

/// Of this thread: what else the machine does is no fault of a parser.
private func processorTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
