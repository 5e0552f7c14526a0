import Fuzzing
import Glibc
import Synchronization

/// libFuzzer's own entry (compiler-rt, FuzzerInterface.h): gives back what `main` is to return.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ feed: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

private let chosen = Mutex<FuzzTarget?>(nil)

/// `resync-fuzz TARGET CORPUS [libFuzzer's options]`: feeds one target of the list with what
/// libFuzzer makes of the inputs in a folder, to which the target's samples are added.
///
/// SwiftPM makes this name `main`, before libFuzzer's own is asked for.
@_cdecl("resync_fuzz_main")
public func start(
    _ count: CInt, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
) -> CInt {
    let words = CommandLine.arguments
    guard words.count > 2, let target = FuzzTarget.all.first(where: { $0.name == words[1] })
    else {
        print("usage: resync-fuzz TARGET CORPUS [OPTION ...]; targets:")
        for target in FuzzTarget.all { print(target.name) }
        return 64
    }
    chosen.withLock { $0 = target }
    for (number, sample) in target.foreignSamples.enumerated() {
        let file = fopen("\(words[2])/sample-\(number)", "w")
        guard let file else { return 73 }
        fwrite(sample, 1, sample.count, file)
        fclose(file)
    }
    // What follows the program's name are the corpus and libFuzzer's options.
    arguments[1] = arguments[0]
    var left = count - 1
    var rest = arguments + 1
    return runDriver(&left, &rest, feed)
}

/// The name is libFuzzer's.
@_cdecl("LLVMFuzzerTestOneInput")
public func feed(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let target = chosen.withLock(\.self) else { return 0 }
    do {
        try target.feed(foreign: Array(UnsafeBufferPointer(start: start, count: count)))
    } catch {
        preconditionFailure("\(error)")
    }
    return 0
}
