/// One of the two stores of a comparison, in command-line order; no direction is implied.
package enum Side: UInt8, Sendable, CaseIterable {
    case a, b

    package var word: String { self == .a ? "a" : "b" }
    package var other: Side { self == .a ? .b : .a }
    /// As a person reads it.
    package var letter: String { self == .a ? "A" : "B" }

    package static func both<Value, E: Error>(
        _ make: (Side) throws(E) -> Value
    ) throws(E) -> Sides<Value> {
        Sides<Value>(a: try make(.a), b: try make(.b))
    }
}

/// The same thing for both sides. What every entry passes through is inlinable, since a generic is
/// not specialised in another module otherwise.
package struct Sides<Value> {
    package var a: Value
    package var b: Value

    @inlinable package init(a: Value, b: Value) {
        self.a = a
        self.b = b
    }

    @inlinable package subscript(side: Side) -> Value {
        get { side == .a ? a : b }
        set { if side == .a { a = newValue } else { b = newValue } }
    }

    /// The same with the sides exchanged.
    package var swapped: Sides<Value> { Sides(a: b, b: a) }

    package func map<R, E: Error>(_ transform: (Value) throws(E) -> R) throws(E) -> Sides<R> {
        Sides<R>(a: try transform(a), b: try transform(b))
    }
}

extension Sides: Sendable where Value: Sendable {}
extension Sides: Equatable where Value: Equatable {}
extension Sides: Hashable where Value: Hashable {}
