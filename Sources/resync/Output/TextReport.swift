import ResyncCore
import ResyncEngine
import ResyncStorage

/// What a person reads after a comparison.
struct TextReport {
    /// Lines of differences printed before the rest is only counted.
    static let lineLimit = 1000

    private var printed = 0
    private var omitted = 0
    /// Where all of them are kept; nil where nothing is.
    private let runID: String?

    init(runID: String?) { self.runID = runID }

    mutating func add(_ record: ResultRecord) throws {
        guard case .difference(let difference) = record else { return }
        guard printed < Self.lineLimit else {
            omitted += 1
            return
        }
        printed += 1
        try StandardOutput.shared.write(Self.line(difference) + "\n")
    }

    /// As `* a/b  content: 4096 bytes at 8192 (bitflip)`.
    static func line(_ difference: Difference) -> String {
        let details = [aspects(difference), reason(difference), errors(difference)]
            .filter { !$0.isEmpty }
        let tail = details.isEmpty ? "" : "  " + details.joined(separator: "; ")
        return "\(difference.outcome.sign) \(shown(difference.path))\(tail)"
    }

    private static func aspects(_ difference: Difference) -> String {
        switch difference.outcome {
        case .missingOnA: return "missing on A"
        case .missingOnB: return "missing on B"
        default: break
        }
        return difference.aspects.aspects.map { aspect in
            switch aspect {
            case .content: "content" + extents(difference)
            case .size: "size" + sizes(difference) + (shape(difference).map { " (\($0))" } ?? "")
            case .existence: difference.stats.a == nil ? "missing on A" : "missing on B"
            default: aspect.word
            }
        }.joined(separator: ", ")
    }

    private static func sizes(_ difference: Difference) -> String {
        guard let a = difference.stats.a, let b = difference.stats.b else { return "" }
        return " \(a.size) on A, \(b.size) on B"
    }

    private static func shape(_ difference: Difference) -> String? {
        guard let shape = difference.shape else { return nil }
        guard shape == .zeroed, let side = difference.shapeSide else { return shape.word }
        return "zeroed on \(side.word.uppercased())"
    }

    private static let extentsShown = 4

    private static func extents(_ difference: Difference) -> String {
        guard !difference.extents.isEmpty else { return "" }
        var parts = difference.extents.prefix(extentsShown).map { "\($0.length) at \($0.offset)" }
        let more = difference.extents.count - parts.count
        if more > 0 { parts.append("\(more) more") }
        let shape = difference.aspects.contains(.size) ? nil : shape(difference)
        return ": bytes " + parts.joined(separator: ", ") + (shape.map { " (\($0))" } ?? "")
    }

    private static func reason(_ difference: Difference) -> String {
        difference.reason?.sentence ?? ""
    }

    private static func errors(_ difference: Difference) -> String {
        difference.errors.prefix(extentsShown).map { error in
            let call = escaped(error.call)
            let place = error.extent.map { " at \($0.offset)" } ?? ""
            return "\(ErrorNumber.sentence(error.number)) on \(error.side.word.uppercased())"
                + "\(place) (\(call))"
        }.joined(separator: ", ")
    }

    /// The lines after the differences.
    func finish(_ summary: Summary, _ stalled: [StalledRead]) throws {
        let output = StandardOutput.shared
        if omitted > 0 {
            let place = runID.map { "resync runs show \($0)" } ?? "--json prints them"
            try output.write("… \(countText(omitted)) more: \(place)\n")
        }
        try output.write(Self.closing(summary, stalled, runID))
    }

    /// What follows the differences, whoever prints them.
    static func closing(
        _ summary: Summary, _ stalled: [StalledRead], _ runID: String?
    ) -> String {
        let reads = stalled.map { read in
            "! \(shown(read.path))  a read on \(read.side.letter) was not answered in time; the "
                + "rest of that store was not verified\n"
        }
        return reads.joined() + summaryText(summary, runID)
    }

    /// - Parameter runID: the run that goes on where it was; nil where none is kept.
    static func summaryText(_ summary: Summary, _ runID: String?) -> String {
        let tally = summary.tally
        var parts = [
            "\(countText(tally.entries)) \(tally.entries == 1 ? "entry" : "entries"): "
                + "\(countText(tally.same)) same"
        ]
        func add(_ count: Int, _ text: String) {
            if count > 0 { parts.append("\(countText(count)) \(text)") }
        }
        add(tally.contentDiffers, "with different content")
        add(tally.metadataDiffers, "with different metadata only")
        add(tally.missingOnA, "missing on A")
        add(tally.missingOnB, "missing on B")
        add(tally.expected, "expected to differ")
        add(tally.unstable, "unstable")
        add(tally.unreadable, "unreadable")
        add(tally.notVerified, "not verified")
        if summary.leftUnread > 0 {
            parts.append("at least \(countText(summary.leftUnread)) not reached")
        }
        add(tally.excluded, "excluded")
        add(summary.provenBefore, "proven before")
        var text = parts.joined(separator: ", ") + "\n"
        text += coverage(summary)
        if tally.flapping > 0 {
            text +=
                "\(countText(tally.flapping)) FLAPPING: different bytes under an unchanged "
                + "stat; suspect memory, controller or disk\n"
        }
        for doubt in summary.doubtLines { text += "! \(doubt)\n" }
        return text + "\(summary.verdict)\(ending(summary, runID))\n"
    }

    private static func coverage(_ summary: Summary) -> String {
        let levels = Assurance.allCases.compactMap { level -> String? in
            guard let bytes = summary.tally.bytesByAssurance[level] else { return nil }
            return "\(sizeText(bytes)) at \(level.rawValue)"
        }
        let compared = levels.isEmpty ? "no content compared" : levels.joined(separator: ", ")
        return "content compared: \(compared); \(sizeText(summary.tally.bytesRead)) read in "
            + "\(durationText(summary.elapsed))\n"
            + (summary.leftOut.isEmpty ? "" : "not compared: \(words(summary.leftOut))\n")
    }

    private static func words(_ aspects: AspectSet) -> String {
        aspects.aspects.map { $0.word }.joined(separator: ", ")
    }

    private static func ending(_ summary: Summary, _ runID: String?) -> String {
        let hint = runID.map { "; 'resync runs resume \($0)' goes on" } ?? ""
        return switch summary.ending {
        case .complete:
            summary.tally.entries + summary.provenBefore == 0
                ? ": there was nothing to compare" : ""
        case .interrupted: ": interrupted\(hint)"
        case .outOfTime: ": out of time\(hint)"
        case .stalled: ": storage does not answer\(hint)"
        }
    }
}

extension Summary {
    /// What speaks against a side, as a person reads it.
    var doubtLines: [String] {
        Side.allCases.flatMap { side in doubts[side].map { "\(side.letter) \($0)" } }
    }
}
