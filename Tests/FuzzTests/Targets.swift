extension FuzzTarget {
    /// What every driver feeds: the one list there is.
    package static let all: [FuzzTarget] = [
        manifest, plan, baseline, journal, undoFile, rottenUndoFile, result, update, runFile,
        filter, escaper, mountTable, fstab, kernelLog, keptKernelLine, recording, probeAnswer,
        quantity, importedList, marker,
    ]
}
