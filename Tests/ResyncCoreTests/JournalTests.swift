import Testing

@testable import ResyncCore

@Suite struct JournalTests {
    private static let time = Timestamp(seconds: 1_700_000_000, nanoseconds: 5)
    private static let begin = JournalRecord.begin(plan: digest(1), secret: digest(2))

    static let records: [JournalRecord] = [
        begin, .intent(3..<9),
        .results(
            first: 3,
            [
                .done, .changed, .withheld, .sourceChanged, .blocked, .conflict, .released,
                .failed(DiskFailure(call: Array("pwrite64".utf8), number: 28)),
                .failed(DiskFailure(call: [], number: -1, isSource: true)),
            ]),
        .undoIntent(0..<0), .undone(first: 0, [.done]),
        .attributes(number: 4, [Attribute(name: [1, 0xff], value: [])]), .confirmed(time),
        .released(time), .erased(number: 7, time), .freed(0..<9_000_000, time),
        .undoFolder([slash, 0xff]), .putAside(number: 3, [Extent(offset: 5, length: 9)]),
        .straysErased([StrayName(number: 2, suffix: []), StrayName(number: 4, suffix: [9])], time),
        .undone(first: 2, [.lost]),
        .shelved([ShelvedTime(number: 3, ctime: time), ShelvedTime(number: 7, ctime: .epoch)]),
    ]

    @Test(arguments: records)
    func whatIsWrittenIsReadAgain(_ record: JournalRecord) throws {
        var writer = ByteWriter()
        writer.journal(record)
        var reader = ByteReader(writer.bytes)
        #expect(try reader.journal() == record)
        // Cut anywhere it is refused.
        for count in 0..<writer.bytes.count {
            var cut = ByteReader(Array(writer.bytes.prefix(count)))
            #expect(throws: FormatError.self) { try cut.journal() }
        }
    }

    private func state(_ records: [JournalRecord], count: Int = 4) throws -> JournalState {
        var state = try JournalState(Self.begin, count: count, settling: count)
        for record in records { try state.take(record) }
        return state
    }

    @Test func actionsThatThePlanDoesNotHaveAreRefused() {
        for record: JournalRecord in [
            .intent(0..<5), .results(first: 4, [.done]), .undoIntent(2..<5),
            .undone(first: .max, [.done]), .erased(number: 4, Self.time),
            .freed(0..<5, Self.time), .attributes(number: 4, []),
            .erased(number: .max, Self.time), .attributes(number: .max, []),
            .shelved([ShelvedTime(number: 4, ctime: Self.time)]),
        ] {
            #expect(throws: FormatError.self) { try state([record]) }
        }
    }

    /// Only what was done has displaced something; what is done later is kept again.
    @Test func whatIsFreedCanNoLongerBeTakenBack() throws {
        let done = JournalRecord.results(first: 0, [.done, .changed])
        let freed = try state([.intent(0..<2), done, .freed(0..<4, Self.time)])
        #expect([0, 1, 2].map { freed.isErased($0) } == [true, false, false])
        #expect(!freed.isKept(0))
        #expect(freed.slices == 1)
        let later = try state([
            .intent(0..<2), done, .freed(0..<4, Self.time), .intent(1..<3),
            .results(first: 1, [.done, .done]),
        ])
        #expect((0..<4).map { later.isKept($0) } == [false, true, true, false])
        let released = try state([.intent(0..<2), done, .released(Self.time)])
        #expect(released.isErased(0))
    }

    /// What a crash left of a batch is settled as a whole, or its rest would be forgotten.
    @Test func aBatchThatIsOpenIsNotNarrowed() throws {
        let open = JournalRecord.intent(1..<3)
        let one: [ActionResult] = [.done]
        for record: JournalRecord in [
            .intent(1..<2), .intent(2..<4), .intent(0..<1), .results(first: 1, one),
            .results(first: 2, one), .results(first: 0, one + one),
        ] {
            #expect(throws: FormatError.self) { try state([open, record]) }
        }
        #expect(try state([open, open]).open == 1..<3)
        #expect(try state([open, .intent(0..<4)]).open == 0..<4)
        #expect(try state([open, .results(first: 1, one + one)]).open == nil)
        #expect(try state([open, .results(first: 0, one + one + one)]).open == nil)
    }

    @Test func aBatchThatIsTakenBackIsOpenNoMore() throws {
        let open = JournalRecord.intent(1..<3)
        let back = try state([
            open, .undoIntent(0..<2), .undone(first: 0, [.done, .done]), .undoIntent(2..<4),
            .undone(first: 2, [.done, .done]),
        ])
        #expect(back.open == nil && back.isTakenBack)
        let refused = try state([
            open, .undoIntent(0..<4), .undone(first: 0, [.done, .changed, .done, .done]),
        ])
        // It may have been carried out: what it displaced is kept.
        #expect(refused.open == nil && !refused.isTakenBack && refused.isKept(1))
        let failure = ActionResult.failed(DiskFailure(call: Array("pread64".utf8), number: 5))
        let failed = try state([
            open, .undoIntent(0..<4), .undone(first: 0, [.done, failure, .done, .done]),
        ])
        #expect(failed.open == 1..<3 && !failed.isTakenBack)
    }

    /// Of an image, part of an action may be back where another one was left.
    @Test func anUndoThatLeftAllOfItsActionsIsOneAllTheSame() throws {
        let left = try state([
            .intent(0..<4), .results(first: 0, [.done, .done, .done, .done]), .undoIntent(0..<4),
            .undone(first: 0, [.changed, .changed, .changed, .changed]),
        ])
        #expect(left.isBeingUndone && left.isOver && !left.isComplete && !left.isTakenBack)
    }

    /// What it left in the quarantine is asked for even if the action came to another end since.
    @Test func aConflictIsToBeTakenBackToo() throws {
        let met = JournalRecord.results(first: 0, [.conflict, .changed])
        for later: [JournalRecord] in [[], [.intent(0..<1), .results(first: 0, [.changed])]] {
            let records = [.intent(0..<2), met] + later
            #expect(try !state(records).isUndone)
            let back = JournalRecord.undone(first: 0, [.done, .blocked])
            #expect(try state(records + [.undoIntent(0..<2), back]).isUndone)
        }
    }
}
