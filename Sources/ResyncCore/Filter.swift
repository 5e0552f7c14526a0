package struct Filter: Sendable, Hashable {
    package static let none = Filter()
    package init() {}
    package var isEmpty: Bool { true }
    package func excludes(_ name: UnsafeBufferPointer<UInt8>, in parent: [UInt8], isDirectory: Bool)
        -> Bool
    { false }
}
