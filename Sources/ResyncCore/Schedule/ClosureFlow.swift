/// Finds the closed set with the largest sum of gains by a maximal flow (Picard 1976): a set that
/// has, with each of its members, all that the member comes after.
///
/// Gains flow from each to what it comes after, without limit, and back as far as they came, until
/// losses have swallowed what can reach them. The flow is a preflow (Karzanov 1974): what is left
/// may lie anywhere.
struct ClosureFlow {
    /// What is left of a gain, or, below 0, of a loss.
    private(set) var excess: [Int128]
    /// Edges: from one that comes after another, and to that one. Those of a member are in a row.
    private var from: [Int] = []
    private var to: [Int] = []
    private var flows: [Int128]
    private var firstOut = [0]
    /// Edges to a member, in a row.
    private var into: [Int]
    private var firstInto: [Int]

    init(gains: [Int128], after: [[Int]]) {
        excess = gains
        firstInto = Array(repeating: 0, count: gains.count + 1)
        for (member, others) in after.enumerated() {
            for other in others {
                from.append(member)
                to.append(other)
                firstInto[other + 1] += 1
            }
            firstOut.append(to.count)
        }
        for member in gains.indices { firstInto[member + 1] += firstInto[member] }
        into = to
        flows = to.map { _ in 0 }
        var next = firstInto
        for (edge, other) in to.enumerated() {
            into[next[other]] = edge
            next[other] += 1
        }
    }

    mutating func run() {
        var levels: [Int] = []
        while true {
            // The shortest ways to a loss, as Dinic (1970) does.
            let losses = excess.indices.filter { excess[$0] < 0 }
            let visited = spread(from: losses, isBackward: true, &levels)
            var isDone = true
            for member in visited.reversed() where excess[member] > 0 {
                if levels[member] > 0 { isDone = false }
                push(member, levels)
            }
            if isDone { return }
        }
    }

    /// Hands on what is left at one member, a step nearer to a loss.
    private mutating func push(_ member: Int, _ levels: [Int]) {
        let level = levels[member] - 1
        // A loss that is filled need not wait for the next round if there is one next to it.
        for edge in firstOut[member]..<firstOut[member + 1]
        where levels[to[edge]] == level || (level < 0 && excess[to[edge]] < 0) {
            flows[edge] += excess[member]
            excess[to[edge]] += excess[member]
            excess[member] = 0
            return
        }
        for edge in into[firstInto[member]..<firstInto[member + 1]]
        where excess[member] > 0 && levels[from[edge]] == level {
            let amount = min(excess[member], flows[edge])
            flows[edge] -= amount
            excess[from[edge]] += amount
            excess[member] -= amount
        }
    }

    /// All that more could flow to from some members.
    func spread(from start: [Int]) -> [Int] {
        var levels: [Int] = []
        return spread(from: start, isBackward: false, &levels)
    }

    /// - Parameters:
    ///   - isBackward: all from which more could flow to them instead.
    ///   - levels: gets the number of steps to each; -2, next to no level, where there is no way.
    private func spread(from start: [Int], isBackward: Bool, _ levels: inout [Int]) -> [Int] {
        levels = Array(repeating: -2, count: excess.count)
        for member in start { levels[member] = 0 }
        var visited = start
        var next = 0
        while next < visited.count {
            let member = visited[next]
            let level = levels[member] + 1
            for edge in firstOut[member]..<firstOut[member + 1]
            where levels[to[edge]] < 0 && (!isBackward || flows[edge] > 0) {
                levels[to[edge]] = level
                visited.append(to[edge])
            }
            for edge in into[firstInto[member]..<firstInto[member + 1]]
            where levels[from[edge]] < 0 && (isBackward || flows[edge] > 0) {
                levels[from[edge]] = level
                visited.append(from[edge])
            }
            next += 1
        }
        return visited
    }
}
