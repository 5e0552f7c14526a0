import ResyncCore
import ResyncEngine
import ResyncStorage

/// How progress is shown.
enum ProgressStyle: String, CaseIterable {
    /// A line on a terminal, nothing elsewhere.
    case auto
    case json
    case none

    static func parse(_ word: String, quiet: Bool) throws -> ProgressStyle {
        guard let style = ProgressStyle(rawValue: word) else {
            throw CommandError("--progress takes auto, json or none", .usage)
        }
        return style == .auto && quiet ? .none : style
    }
}

/// Shows how far a run is, on standard error.
final class ProgressLine: @unchecked Sendable {
    // Unchecked because reports come on the main thread only.
    private let style: ProgressStyle
    private let totalBytes: Int?
    private let started = monotonicSeconds()
    private var shown = false
    private var lastJSON = 0.0
    /// Readings of the last minute, for an honest rate.
    private var readings: [(time: Double, bytes: Int, entries: Int)] = []

    init(_ style: ProgressStyle, totalBytes: Int?) {
        self.style = style
        self.totalBytes = totalBytes
    }

    func report(_ phase: RunPhase, _ progress: Progress) {
        switch style {
        case .none: return
        case .auto:
            guard StandardError.isTerminal, monotonicSeconds() - started > 0.5 else { return }
            shown = true
            StandardError.write("\r\u{1b}[K" + text(phase, progress))
        case .json: reportJSON(phase, progress)
        }
    }

    /// Takes the line away again.
    func clear() {
        if shown { StandardError.write("\r\u{1b}[K") }
        shown = false
    }

    private func rate(_ progress: Progress) -> (bytes: Double, entries: Double) {
        let now = monotonicSeconds()
        readings.append((now, progress.bytes, progress.entries))
        readings.removeAll { now - $0.time > 60 }
        guard let first = readings.first, now - first.time > 0.2 else { return (0, 0) }
        let wall = now - first.time
        return (
            Double(progress.bytes - first.bytes) / wall,
            Double(progress.entries - first.entries) / wall
        )
    }

    /// Only where the whole is known, and not yet exceeded.
    private func secondsLeft(_ progress: Progress, _ rate: Double) -> Double? {
        guard let totalBytes, rate > 0, progress.bytes <= totalBytes else { return nil }
        return Double(totalBytes - progress.bytes) / rate
    }

    private func text(_ phase: RunPhase, _ progress: Progress) -> String {
        switch phase {
        case .settling: return "waiting for differences to settle"
        case .confirming(let count): return "looking again at \(countText(count)) differences"
        case .comparing:
            let rate = rate(progress)
            var text = "\(countText(progress.entries)) entries, \(sizeText(progress.bytes))"
            text += ", \(sizeText(wholeNumber(rate.bytes)))/s"
            text += ", \(countText(wholeNumber(rate.entries)))/s"
            if progress.differences > 0 { text += ", \(countText(progress.differences)) different" }
            if let left = secondsLeft(progress, rate.bytes) {
                text += ", \(durationText(left)) left"
            }
            return text
        }
    }

    private func reportJSON(_ phase: RunPhase, _ progress: Progress) {
        let now = monotonicSeconds()
        guard now - lastJSON >= 1 else { return }
        lastJSON = now
        var line = JSONLine(type: "status")
        switch phase {
        case .comparing: line.field("phase", "comparing")
        case .settling: line.field("phase", "settling")
        case .confirming: line.field("phase", "confirming")
        }
        line.field("entries", progress.entries)
        line.field("bytes_read", progress.bytes)
        line.field("differences", progress.differences)
        line.field("elapsed_s", now - started)
        let rate = rate(progress)
        line.field("bytes_per_s", rate.bytes)
        if let left = secondsLeft(progress, rate.bytes) { line.field("eta_s", left) }
        StandardError.write(String(decoding: line.bytes, as: UTF8.self))
    }
}
