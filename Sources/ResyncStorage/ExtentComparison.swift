import Glibc
package import ResyncCore

/// What comparing two open files byte by byte, within some extents, gave.
package struct ExtentComparison: Sendable {
    /// What differs, down to 4 KiB.
    package var extents: [Extent] = []
    /// SHA-256 of each of them on each side.
    package var digests: Sides<[Digest]> = Sides(a: [], b: [])
    /// The witness of each extent that was asked for, as this reading had it.
    package var witnesses: Sides<[Digest]> = Sides(a: [], b: [])
    /// Read errors; the extent they fell in is not compared further.
    package var errors: [EntryError] = []
    package var bytesRead = 0
    package var wasStopped = false
    /// One side ended before its stat said.
    package var wasCut = false
    /// The most bits that differ in one block.
    package var bitsPerBlock = 0
    /// Whether each differing page is all zeros on that side.
    package var isZero = Sides(a: true, b: true)

    package init() {}

    package var isDifferent: Bool { !extents.isEmpty }

    package var shape: (Shape, Side?)? {
        guard isDifferent else { return nil }
        // Few bits against zeros are rather a flip than a write that was lost.
        if bitsPerBlock <= 8 { return (.bitflip, nil) }
        return isZero.a != isZero.b ? (.zeroed, isZero.a ? .a : .b) : nil
    }
}

/// One side of a byte-by-byte comparison.
package struct OpenContent: Sendable {
    package let examination: any Examination
    package let index: Int

    package init(_ examination: any Examination, _ index: Int) {
        self.examination = examination
        self.index = index
    }
}

/// Reads the same extents from both sides and compares them in pages of 4 KiB.
///
/// Extents begin at block boundaries, as the first pass gives them, so that the witnesses can be
/// compared with those the first pass took.
package struct ExtentComparer {
    private let sides: Sides<OpenContent>
    private let scheme: DigestScheme
    private let worker: Worker
    private let other: BlockDigester
    private var result = ExtentComparison()
    /// Running digests of the difference at hand.
    private var hashes: Sides<EVPHash>
    private var openEnd: Int?
    private var bitsInBlock = 0
    /// The data that begins at or after the current place.
    private var data: Sides<Range<Int>?> = Sides(a: nil, b: nil)

    private static let page = 4096

    package init(
        _ a: OpenContent, _ b: OpenContent, _ scheme: DigestScheme, _ worker: Worker
    ) throws {
        sides = Sides(a: a, b: b)
        self.scheme = scheme
        self.worker = worker
        guard let other = worker.other.digester else {
            throw HashingError(call: "EVP_CIPHER_CTX_new")
        }
        self.other = other
        hashes = Sides(a: try EVPHash(.sha256), b: try EVPHash(.sha256))
    }

    package mutating func compare(_ extents: [Extent]) throws -> ExtentComparison {
        for extent in extents where !result.wasStopped && !result.wasCut {
            try compare(extent)
        }
        closeDifference()
        return result
    }

    private mutating func compare(_ extent: Extent) throws {
        var blocks = Sides(a: BlockList(), b: BlockList())
        var at = extent.offset
        data = Sides(a: nil, b: nil)
        while at < extent.end {
            if let end = endOfHole(from: at, in: extent) {
                try countZeros(at..<end, &blocks)
                at = end
                continue
            }
            let end = at + min(scheme.blockSize - at % scheme.blockSize, extent.end - at)
            guard let digests = try compareBlock(at..<end) else { return }
            blocks.a.append(digests.a)
            blocks.b.append(digests.b)
            at = end
        }
        for side in Side.allCases {
            let list = blocks[side]
            result.witnesses[side].append(scheme.witness(list, 0..<list.blockCount))
        }
    }

    /// Where the blocks end that lie in a hole on both sides; nil where the first does not.
    private mutating func endOfHole(from at: Int, in extent: Extent) -> Int? {
        guard at % scheme.blockSize == 0 else { return nil }
        var start = extent.end
        for side in Side.allCases {
            if let known = data[side], at < known.upperBound {
                start = min(start, max(at, known.lowerBound))
            } else {
                let found = sides[side].examination.nextData(sides[side].index, from: at)
                data[side] = found
                start = min(start, found.lowerBound)
            }
        }
        let end = start == extent.end ? start : start / scheme.blockSize * scheme.blockSize
        return end > at ? end : nil
    }

    /// What lies in a hole is the zeros that it is read as.
    private mutating func countZeros(
        _ range: Range<Int>, _ blocks: inout Sides<BlockList>
    ) throws {
        let whole = range.count / scheme.blockSize
        let rest = range.count % scheme.blockSize
        for side in Side.allCases {
            if whole > 0 {
                let zeros = try worker.digester.zeros(scheme.blockSize)
                blocks[side].append(zeros, count: whole)
            }
            if rest > 0 { blocks[side].append(try worker.digester.zeros(rest)) }
        }
        worker.pulse.step()
    }

    /// Nil when the block could not be read whole.
    private mutating func compareBlock(_ range: Range<Int>) throws -> Sides<Digest>? {
        try worker.digester.begin()
        try other.begin()
        bitsInBlock = 0
        var at = range.lowerBound
        while at < range.upperBound {
            if worker.stop.isRequested {
                result.wasStopped = true
                return nil
            }
            let count = min(Worker.pieceSize, range.upperBound - at)
            guard read(.a, worker.piece, at, count, range),
                read(.b, worker.other.piece, at, count, range)
            else { return nil }
            let left = UnsafeRawBufferPointer(rebasing: worker.piece[..<count])
            let right = UnsafeRawBufferPointer(rebasing: worker.other.piece[..<count])
            try worker.digester.update(left)
            try other.update(right)
            comparePages(left, right, at)
            at += count
        }
        result.bitsPerBlock = max(result.bitsPerBlock, bitsInBlock)
        return Sides(a: try worker.digester.finish(), b: try other.finish())
    }

    private mutating func read(
        _ side: Side, _ buffer: UnsafeMutableRawBufferPointer, _ offset: Int, _ count: Int,
        _ block: Range<Int>
    ) -> Bool {
        let open = sides[side]
        worker.pulse.step(on: side)
        let whole = (count + Self.page - 1) / Self.page * Self.page
        do throws(DiskError) {
            let got = try open.examination.read(
                open.index, at: offset,
                into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<whole]), worker)
            result.bytesRead += min(got, count)
            if got < count { result.wasCut = true }
            return got >= count
        } catch {
            result.errors.append(
                EntryError(
                    side: side, call: Array(error.call.rawValue.utf8), number: error.number,
                    extent: Extent(offset: block.lowerBound, length: block.count)))
            return false
        }
    }

    private mutating func comparePages(
        _ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer, _ offset: Int
    ) {
        var at = 0
        while at < left.count {
            let count = min(Self.page, left.count - at)
            let a = UnsafeRawBufferPointer(rebasing: left[at..<(at + count)])
            let b = UnsafeRawBufferPointer(rebasing: right[at..<(at + count)])
            if areDifferent(a, b) { addPage(a, b, offset + at) }
            at += count
        }
    }

    private mutating func addPage(
        _ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer, _ offset: Int
    ) {
        let isFull = result.extents.count >= Difference.extentLimit
        if openEnd != offset, !(isFull && openEnd != nil) {
            closeDifference()
            result.extents.append(Extent(offset: offset, length: 0))
        }
        // Beyond the limit the last extent grows over what agrees; its digests then cover only
        // the pages that differ.
        result.extents[result.extents.count - 1].length =
            offset + a.count - result.extents[result.extents.count - 1].offset
        openEnd = offset + a.count
        hashes.a.update(a)
        hashes.b.update(b)
        if !isAllZero(a) { result.isZero.a = false }
        if !isAllZero(b) { result.isZero.b = false }
        for index in 0..<a.count where bitsInBlock <= 8 {
            bitsInBlock += (a[index] ^ b[index]).nonzeroBitCount
        }
    }

    private mutating func closeDifference() {
        guard openEnd != nil else { return }
        openEnd = nil
        result.digests.a.append(hashes.a.finalize())
        result.digests.b.append(hashes.b.finalize())
    }
}

/// - Precondition: buffers of one length.
private func areDifferent(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    guard let left = a.baseAddress, let right = b.baseAddress else { return false }
    return memcmp(left, right, a.count) != 0
}

private func isAllZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.allSatisfy { $0 == 0 }
}
