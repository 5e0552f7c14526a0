/// Units of work and their outputs in the order the outputs belong, as a linked list in an array.
///
/// Between the head and the first waiting node there are only running nodes, the ends of groups
/// that these belong to, and finished ones; finished neighbours are merged, so finding the first
/// waiting node costs no more than the running ones and their groups.
struct OrderedWork<Unit: Sendable, Output: Sendable> {
    private enum Content {
        case waiting(Unit)
        /// The end of a group, of which so many nodes are not done.
        case ending(Unit, open: Int)
        case running
        case done([Output])
    }

    private struct Node {
        var content: Content
        var previous: Int
        var next: Int
        /// The end of the innermost group that it belongs to.
        var group: Int
    }

    private var nodes: [Node] = []
    private var free: [Int] = []
    private var head = none
    private(set) var waitingCount = 0
    /// What the outputs weigh that wait for an earlier unit.
    private var heldWeight = 0
    private let weight: @Sendable (Output) -> Int

    private static var none: Int { -1 }

    init(_ units: [Unit], weight: @escaping @Sendable (Output) -> Int) {
        self.weight = weight
        var last = Self.none
        for unit in units { last = insert(.waiting(unit), after: last, in: Self.none) }
    }

    var isEmpty: Bool { head == Self.none }

    /// The earliest waiting unit; nil when none waits, or when too much is held back by an earlier
    /// unit that runs.
    mutating func take(lookahead: Int) -> (node: Int, unit: Unit)? {
        guard waitingCount > 0 else { return nil }
        var at = head
        var isHead = true
        while at != Self.none {
            switch nodes[at].content {
            case .waiting(let unit):
                guard isHead || heldWeight < lookahead else { return nil }
                nodes[at].content = .running
                waitingCount -= 1
                return (at, unit)
            case .running, .ending: isHead = false
            case .done: break
            }
            at = nodes[at].next
        }
        return nil
    }

    /// Puts what a running node gave in its place.
    mutating func replace(_ node: Int, with pieces: [Piece<Unit, Output>]) {
        var at = node
        var isFirst = true
        var outputs: [Output] = []
        var units: [Int] = []
        let group = nodes[node].group
        func add(_ content: Content) {
            if !outputs.isEmpty {
                at = place(.done(outputs), at, &isFirst)
                outputs = []
            }
            at = place(content, at, &isFirst)
        }
        for piece in pieces {
            switch piece {
            case .output(let output): outputs.append(output)
            case .unit(let unit):
                add(.waiting(unit))
                units.append(at)
            case .last(let unit):
                add(units.isEmpty ? .waiting(unit) : .ending(unit, open: units.count))
                for index in units { nodes[index].group = at }
                units = [at]
            }
        }
        if !outputs.isEmpty || isFirst { at = place(.done(outputs), at, &isFirst) }
        mergeNext(at)
        mergePrevious(node)
        count(units.count - 1, in: group)
    }

    /// Counts nodes of a group that are not done; with the last of them its end may be begun.
    private mutating func count(_ change: Int, in group: Int) {
        guard group != Self.none, case .ending(let unit, let open) = nodes[group].content else {
            return
        }
        if open + change > 0 {
            nodes[group].content = .ending(unit, open: open + change)
        } else {
            nodes[group].content = .waiting(unit)
            waitingCount += 1
        }
    }

    private mutating func place(_ content: Content, _ at: Int, _ isFirst: inout Bool) -> Int {
        guard isFirst else { return insert(content, after: at, in: nodes[at].group) }
        isFirst = false
        nodes[at].content = content
        count(content)
        return at
    }

    private mutating func count(_ content: Content) {
        switch content {
        case .waiting: waitingCount += 1
        case .done(let outputs): heldWeight += weigh(outputs)
        case .ending, .running: break
        }
    }

    private func weigh(_ outputs: [Output]) -> Int {
        outputs.reduce(0) { $0 + weight($1) }
    }

    private mutating func insert(
        _ content: Content, after previous: Int, in group: Int
    ) -> Int {
        count(content)
        let next = previous == Self.none ? head : nodes[previous].next
        let node = Node(content: content, previous: previous, next: next, group: group)
        let index: Int
        if let reused = free.popLast() {
            index = reused
            nodes[index] = node
        } else {
            index = nodes.count
            nodes.append(node)
        }
        if previous == Self.none { head = index } else { nodes[previous].next = index }
        if next != Self.none { nodes[next].previous = index }
        return index
    }

    private mutating func remove(_ index: Int) {
        let node = nodes[index]
        if node.previous == Self.none {
            head = node.next
        } else {
            nodes[node.previous].next = node.next
        }
        if node.next != Self.none { nodes[node.next].previous = node.previous }
        nodes[index].content = .running
        free.append(index)
    }

    private mutating func mergeNext(_ index: Int) {
        let next = nodes[index].next
        guard next != Self.none else { return }
        mergePrevious(next)
    }

    /// Joins a finished node to a finished one before it.
    private mutating func mergePrevious(_ index: Int) {
        let previous = nodes[index].previous
        guard previous != Self.none, case .done(let later) = nodes[index].content,
            case .done(var outputs) = nodes[previous].content
        else { return }
        nodes[previous].content = .running
        outputs.append(contentsOf: later)
        nodes[previous].content = .done(outputs)
        remove(index)
    }

    var waitingUnits: [Unit] {
        var units: [Unit] = []
        var at = head
        while at != Self.none {
            switch nodes[at].content {
            case .waiting(let unit), .ending(let unit, _): units.append(unit)
            case .running, .done: break
            }
            at = nodes[at].next
        }
        return units
    }

    var hasReadyOutput: Bool {
        guard head != Self.none, case .done = nodes[head].content else { return false }
        return true
    }

    /// Removes what is finished at the head and gives its outputs; empty when the head is not
    /// finished.
    mutating func takeReady() -> [Output] {
        var ready: [Output] = []
        while head != Self.none, case .done(let outputs) = nodes[head].content {
            heldWeight -= weigh(outputs)
            remove(head)
            ready.append(contentsOf: outputs)
        }
        return ready
    }

    /// Removes every finished node, gaps or not.
    mutating func takeAllDone() -> [Output] {
        var outputs: [Output] = []
        var at = head
        while at != Self.none {
            let next = nodes[at].next
            if case .done(let done) = nodes[at].content {
                outputs.append(contentsOf: done)
                remove(at)
            }
            at = next
        }
        heldWeight = 0
        return outputs
    }
}
