/// Memory aligned to pages, given out piece by piece. Pieces are valid until the next `reset`.
package final class PageBuffer {
    private var memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private var used = 0
    private static let page = 4096

    package init() {}

    deinit { memory.deallocate() }

    /// Makes place for so many bytes, in whole pages; what was given out is gone.
    package func reset(_ count: Int) {
        used = 0
        guard memory.count < count else { return }
        memory.deallocate()
        memory = .allocate(byteCount: count, alignment: Self.page)
    }

    /// The next piece; it begins at a page.
    ///
    /// - Precondition: there is place for it.
    package func next(_ count: Int) -> UnsafeMutableRawBufferPointer {
        let end = used + count
        precondition(end <= memory.count)
        defer { used = (end + Self.page - 1) / Self.page * Self.page }
        return UnsafeMutableRawBufferPointer(rebasing: memory[used..<end])
    }

    /// One piece, instead of all others.
    package func place(_ count: Int) -> UnsafeMutableRawBufferPointer {
        reset(count)
        return next(count)
    }
}
