import ResyncCore
import ResyncEngine
import ResyncStorage
import Synchronization

/// Has a verification that nobody waits for begin slowly, and take care of the devices.
final class Ramp: Sendable {
    private struct State: Sendable {
        var ramp: RateRamp
        var latency: DeviceLatency
        /// By the monotonic clock.
        var nextTurn: Double
        /// Of the last change of the rate: a disk that stays slow is told of once.
        var sentence = ""
    }

    private let state: Mutex<State>

    /// - Parameter paths: of the stores.
    init(_ ramp: RateRamp, of paths: [[UInt8]]) {
        let table = mountTable() ?? MountTable([])
        var latency = DeviceLatency(of: paths.map { realPath($0) ?? $0 }, in: table)
        _ = latency.next()
        state = Mutex(
            State(ramp: ramp, latency: latency, nextTurn: monotonicSeconds() + RateRamp.turn))
    }

    /// What a run is to do by now.
    ///
    /// - Parameter given: what a person has ordered, which counts more.
    func order(_ given: PaceOrder) -> PaceOrder {
        state.withLock { state in
            let now = monotonicSeconds()
            if now >= state.nextTurn {
                state.nextTurn = now + RateRamp.turn
                let before = state.ramp.rate
                state.ramp.take(latency: state.latency.next())
                if state.ramp.rate != before { state.sentence = state.ramp.sentence }
            }
            guard given.readLimit == nil, state.ramp.cause != nil else { return given }
            var order = given
            order.readLimit = state.ramp.rate
            if !given.isPaused { order.sentence = state.sentence }
            return order
        }
    }
}

extension RateRamp {
    /// Without its end; empty where there is nothing to say.
    fileprivate var sentence: String {
        switch cause {
        case .beginning, nil: ""
        case .slow(let seconds, let usually):
            "reading at \(sizeText(rate))/s: requests take \(durationText(seconds)), usually "
                + durationText(usually)
        }
    }
}
