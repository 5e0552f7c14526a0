/// How many workers a run has.
package struct WorkPolicy: Sendable {
    /// Fixed by the operator; nil to follow the storage.
    package var fixed: Int?
    package var cores: Int
    /// More do not help: each asks cold storage for a whole batch of small files at a time.
    package var limit = 16

    package init(fixed: Int?, cores: Int) {
        self.fixed = fixed
        self.cores = max(1, cores)
    }

    /// A warm cache wants a worker per core.
    package var first: Int { fixed ?? cores }

    /// Names looked at together, so that all workers' open files stay within the limit.
    package func batchSize(descriptors: Int) -> Int {
        let workers = max(fixed ?? limit, 1)
        return min(64, max(1, (descriptors - 256) / (2 * workers)))
    }

    /// All workers when the processors idle because every one of them waits for storage: storage
    /// likes company. Processors that others keep busy look alike, but then nobody waits.
    ///
    /// - Parameters:
    ///   - busyShare: processor time used per core and second since the last question.
    ///   - waits: how often a worker waited for something since then.
    package func wanted(workers: Int, idle: Int, busyShare: Double, waits: Int) -> Int {
        guard fixed == nil, idle == 0, workers < limit, busyShare < 0.6, waits >= workers else {
            return workers
        }
        return limit
    }
}
