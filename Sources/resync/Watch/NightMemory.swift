import ResyncCore
import ResyncStorage

/// What the nights before came to.
struct NightMemory {
    struct Last {
        /// A run's id.
        var complete: String?
        /// One that ran out of time.
        var unfinished: String?
        /// When the first of those began that did not come to an end since one did.
        var since: Timestamp?
        /// When the last night began that read all again that was to be.
        var reread: Timestamp?
        /// When the last night began in which it had its turn.
        var begun: Timestamp?
        /// The last run that read images from the medium, both of them whole.
        var imageRead: String?
    }

    private let folder: Folder
    private let name: [UInt8]

    init(_ folder: Folder, _ pair: String) {
        self.folder = folder
        name = Array("pair-\(pair)".utf8)
    }

    /// What cannot be read is as if there had been none.
    func last() throws -> Last {
        var last = Last()
        guard let file = try? folder.read(name), file.size < 1024,
            let text = validText(try file.read(at: 0, count: file.size))
        else { return last }
        let words = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        func word(_ place: Int) -> String? {
            place < words.count && !words[place].isEmpty ? words[place] : nil
        }
        func time(_ place: Int) -> Timestamp? {
            word(place).flatMap { UInt32($0) }
                .map { Timestamp(seconds: Int64($0), nanoseconds: 0) }
        }
        (last.complete, last.unfinished) = (word(0), word(1))
        (last.since, last.reread, last.imageRead) = (time(2), time(3), word(4))
        last.begun = time(5)
        return last
    }

    func change(_ body: (inout Last) -> Void) throws {
        var last = try last()
        body(&last)
        func text(_ time: Timestamp?) -> String { time.map { "\($0.seconds)" } ?? "" }
        let lines = [
            last.complete ?? "", last.unfinished ?? "", text(last.since), text(last.reread),
            last.imageRead ?? "", text(last.begun),
        ]
        try folder.replace(name, with: Array(lines.map { $0 + "\n" }.joined().utf8))
    }
}
