import Analysis
import Testing

@testable import TrafficProxy

/// An exchange as a table: every event in every state in which it can come.
@Suite(.timeLimit(.minutes(15))) struct ExchangeTests {
    typealias State = Exchange.State

    private enum Event: CaseIterable {
        case connected, disconnected, interim, tooManyInterim, interimWentOut, response, responseGoesOut, responseEnded
        case proxyResponds, serverEnded, failed, requestBroken, expired, switched, rescued, ended
    }

    /// The next state, and the action where the event returns one.
    private struct Outcome: Equatable, CustomStringConvertible {
        var state: State
        var action: ExchangeAction?

        var description: String { action.map { "\(state), \($0)" } ?? "\(state)" }
    }

    /// The expected outcome for a request with a complete body that is not rescued; nil if the event cannot occur in
    /// this state.
    private static func expected(_ state: State, _ event: Event) -> Outcome? {
        let isWaiting = state == .requesting || state == .interimSent
        switch event {
        case .connected: return Outcome(state: state == .connecting ? .requesting : state)
        case .disconnected: return Outcome(state: state == .requesting ? .connecting : state)
        case .interim: return isWaiting ? Outcome(state: state) : nil
        case .tooManyInterim: return isWaiting ? Outcome(state: state, action: .respond(.tooManyInterim)) : nil
        case .interimWentOut: return Outcome(state: state == .requesting ? .interimSent : state)
        case .response:
            guard isWaiting else { return nil }
            return Outcome(state: state == .requesting ? .responding : .relaying)
        case .responseGoesOut: return Outcome(state: state == .responding ? .relaying : state)
        case .responseEnded: return state == .responding || state == .relaying ? Outcome(state: .finishing) : nil
        case .proxyResponds: return Outcome(state: .finishing)
        case .serverEnded:
            switch state {
            case .requesting, .interimSent: return Outcome(state: state, action: .respond(.upstreamClosed))
            case .responding: return Outcome(state: state, action: .respond(.responseCut))
            case .relaying: return Outcome(state: state, action: .truncate)
            case .idle, .connecting, .finishing, .tunnel: return nil
            }
        case .failed, .requestBroken:
            let error: ProxyError = event == .failed ? .connectFailed : .badBody
            switch state {
            case .connecting, .requesting, .interimSent, .responding:
                return Outcome(state: state, action: .respond(error))
            case .relaying: return Outcome(state: state, action: .truncate)
            case .idle, .finishing, .tunnel: return nil
            }
        case .expired:
            switch state {
            case .idle, .finishing, .tunnel: return Outcome(state: state, action: .drop(.clientTimeout))
            case .connecting: return Outcome(state: state, action: .connectTimedOut)
            case .requesting, .interimSent, .responding:
                return Outcome(state: state, action: .respond(.responseTimeout))
            case .relaying: return Outcome(state: state, action: .truncate)
            }
        case .switched: return isWaiting ? Outcome(state: .tunnel) : nil
        case .rescued: return Outcome(state: .connecting)
        case .ended: return state == .finishing || state == .tunnel ? Outcome(state: .idle) : nil
        }
    }

    private static func exchange(in state: State, request: Exchange.RequestState = .complete) -> Exchange {
        var x = Exchange(startedAt: 1_000, request: request, isHead: false, isIdempotent: true, asksForUpgrade: false)
        switch state {
        case .idle: return Exchange()
        case .connecting: return x
        case .finishing:
            x.proxyResponds(.noServer)
            return x
        case .requesting, .interimSent, .responding, .relaying, .tunnel: x.connected()
        }
        if state == .tunnel { x.switched() }
        if state == .interimSent { x.interimWentOut() }
        if state == .responding || state == .relaying { _ = x.response(status: 200, KeptRequest()) }
        if state == .relaying { x.responseGoesOut() }
        #expect(x.state == state)
        return x
    }

    private static func apply(_ event: Event, to x: inout Exchange, kept: KeptRequest = KeptRequest()) -> Outcome {
        var action: ExchangeAction?
        switch event {
        case .connected: x.connected()
        case .disconnected: x.disconnected()
        case .interim: action = x.interimResponse(limit: 1, now: 5, kept)
        case .tooManyInterim: action = x.interimResponse(limit: 0, now: 5, kept)
        case .interimWentOut: x.interimWentOut()
        case .response: action = x.response(status: 200, kept)
        case .responseGoesOut: x.responseGoesOut()
        case .responseEnded: x.responseEnded()
        case .proxyResponds: x.proxyResponds(.noServer)
        case .serverEnded: action = x.serverEnded(isReused: false, sent: 1, received: 0, kept)
        case .failed: action = x.failed(.connectFailed, .connectFailure, kept)
        case .requestBroken: action = x.requestBroken(kept)
        case .expired: action = x.expired(owesOutput: false, serverBlocks: false, kept)
        case .switched: x.switched()
        case .rescued: x.rescued()
        case .ended: x.ended()
        }
        return Outcome(state: x.state, action: action)
    }

    @Test("every event in every state", arguments: State.allCases, Event.allCases)
    private func table(state: State, event: Event) {
        guard let expected = Self.expected(state, event) else { return }
        var x = Self.exchange(in: state)
        #expect(Self.apply(event, to: &x) == expected)
    }

    @Test("a failed request goes to the baseline while nothing of a response is out", arguments: State.allCases)
    func rescue(state: State) {
        let kept = KeptRequest(isHeld: true, isUnsent: false, isWhole: true, hasBaseline: true)
        var x = Self.exchange(in: state)
        guard x.isUnderWay else { return }
        x.retry.rescue = .replayable
        let isOut = state == .interimSent || state == .relaying
        let action = x.failed(.responseTimeout, .timeout, kept)
        #expect((action == .rescue) == !isOut, "\(action)")
        #expect(x.outcome == .timeout)
        guard action == .rescue else { return }
        x.arm = .candidate
        x.flags = [.judged]
        x.rescued()
        #expect(x.state == .connecting && x.arm == .baseline && x.isRescued && x.flags.isEmpty)
        // The second failure is final.
        #expect(x.failed(.noServer, .connectFailure, kept) == .respond(.noServer))
    }

    @Test("a candidate's 5xx is rescued, its 4xx is not", arguments: [200, 404, 499, 500, 503, 599])
    func rescuedStatus(status: Int) {
        let kept = KeptRequest(isHeld: true, isUnsent: false, isWhole: true, hasBaseline: true)
        var x = Self.exchange(in: .requesting)
        x.retry.rescue = .replayable
        #expect(x.response(status: status, kept) == (status >= 500 ? .rescue : nil))
        // A rescued request has no status for the client yet: it will be that of the baseline's response.
        #expect(x.status == (status >= 500 ? 0 : UInt16(status)) && x.serverStatus == UInt16(status))
    }

    @Test("a stale connection costs another attempt; a connection that ends otherwise is a 502")
    func stale() {
        let kept = KeptRequest(isHeld: true)
        var stale = Self.exchange(in: .requesting)
        #expect(stale.serverEnded(isReused: true, sent: 9, received: 0, kept) == .retry)
        #expect(stale.outcome == .success && stale.error == nil)
        for (isReused, received) in [(false, 0), (true, 5)] as [(Bool, Int64)] {
            var x = Self.exchange(in: .requesting)
            let action = x.serverEnded(isReused: isReused, sent: 9, received: received, kept)
            #expect(action == .respond(.upstreamClosed))
            #expect(x.outcome == (received == 0 ? .connectFailure : .truncated))
        }
        // After a response's head no other server may be asked.
        var cut = Self.exchange(in: .responding)
        #expect(cut.serverEnded(isReused: true, sent: 9, received: 5, kept) == .respond(.responseCut))
    }

    @Test("a client that waits for 100 Continue gets one, then has the body's time, then is refused")
    func continues() {
        var x = Self.exchange(in: .requesting, request: .awaitsContinue)
        #expect(x.expired(owesOutput: false, serverBlocks: false, KeptRequest()) == .sendContinue)
        #expect(x.request == .receiving)
        #expect(x.expired(owesOutput: false, serverBlocks: false, KeptRequest()) == .respond(.bodyTimeout))
        #expect(x.outcome == .clientTimeout)
    }

    @Test("a server that does not take the body is the one that is late")
    func serverBlocks() {
        var x = Self.exchange(in: .requesting, request: .receiving)
        #expect(x.expired(owesOutput: false, serverBlocks: true, KeptRequest()) == .respond(.responseTimeout))
        #expect(x.outcome == .timeout)
    }

    @Test("a client that does not read is dropped, in every state", arguments: State.allCases)
    func unread(state: State) {
        var x = Self.exchange(in: state)
        #expect(x.expired(owesOutput: true, serverBlocks: false, KeptRequest()) == .drop(.clientTimeout))
    }

    @Test("interim responses are limited per second")
    func interim() {
        var x = Self.exchange(in: .requesting)
        let second: Int64 = 1_000_000_000
        for now in [10, 10, 10] as [Int64] {
            #expect(x.interimResponse(limit: 3, now: now * second, KeptRequest()) == nil)
        }
        #expect(x.interimResponse(limit: 3, now: 12 * second, KeptRequest()) == nil)
        for _ in 0..<2 { _ = x.interimResponse(limit: 3, now: 12 * second, KeptRequest()) }
        #expect(x.interimResponse(limit: 3, now: 12 * second, KeptRequest()) == .respond(.tooManyInterim))
    }

    @Test("an observation has valid times, whatever the clock says")
    func observation() {
        let plan = PlanFixture()
        var x = Self.exchange(in: .requesting)
        #expect(x.observation(plan.service, at: 900).total == 0)
        x.firstByte(at: 2_001_000)
        x.firstByte(at: 9_000_000)
        let seen = x.observation(plan.service, at: 3_001_000)
        #expect(seen.firstByte == 2_000 && seen.total == 3_000)
        #expect(x.observation(plan.service, at: .max - 1).total == .max)
    }
}

@Suite(.timeLimit(.minutes(15))) struct RetryPolicyTests {
    @Test("there are four attempts")
    func attempts() {
        var retry = RetryPolicy()
        #expect((0..<5).map { _ in retry.begin() } == [true, true, true, true, false])
        #expect(retry.attempts == 4)
    }

    @Test("only a stale connection is worth another try, and only for what may be sent twice")
    func stale() {
        let held = KeptRequest(isHeld: true)
        for isIdempotent in [false, true] {
            for isReused in [false, true] {
                for sent in [0, 5] as [Int64] {
                    for received in [0, 5] as [Int64] {
                        for isHeld in [false, true] {
                            var retry = RetryPolicy()
                            retry.isIdempotent = isIdempotent
                            let may = retry.maySendAgain(
                                isReused: isReused, sent: sent, received: received, isHeld ? held : KeptRequest())
                            let expected = isReused && received == 0 && isHeld && (sent == 0 || isIdempotent)
                            #expect(may == expected)
                        }
                    }
                }
            }
        }
    }

    @Test("the baseline gets only what the rescue rule allows, and nothing while it is down")
    func rescue() {
        let unsent = KeptRequest(isHeld: true, isUnsent: true, hasBaseline: true)
        let whole = KeptRequest(isHeld: true, isWhole: true, hasBaseline: true)
        var retry = RetryPolicy()
        #expect(!retry.mayRescue(.connectFailure, unsent))
        retry.rescue = .unsent
        #expect(retry.mayRescue(.connectFailure, unsent))
        #expect(!retry.mayRescue(.connectFailure, whole))
        #expect(!retry.mayRescue(.success, unsent) && !retry.mayRescue(.clientError, unsent))
        #expect(!retry.mayRescue(.connectFailure, KeptRequest(isHeld: true, isUnsent: true)))
        retry.connectionWasStale()
        #expect(!retry.mayRescue(.connectFailure, unsent))
        retry.rescue = .replayable
        #expect(retry.mayRescue(.timeout, whole))
        retry.rescued()
        #expect(!retry.mayRescue(.timeout, whole) && retry.attempts == 0)
    }
}

@Suite(.timeLimit(.minutes(15))) struct TunnelStateTests {
    @Test("a direction closes once, when its sender has ended and nothing waits for its receiver")
    func close() {
        var state = TunnelState(toServer: .ended)
        var closes = state.close(clientOwed: true, serverOwed: true)
        #expect(!closes.toServer && !closes.toClient && state.toServer == .ended)
        closes = state.close(clientOwed: true, serverOwed: false)
        #expect(closes.toServer && !closes.toClient && state.toServer == .closed)
        closes = state.close(clientOwed: false, serverOwed: false)
        #expect(!closes.toServer && !closes.toClient && !state.isOver)
        state.toClient = .ended
        closes = state.close(clientOwed: true, serverOwed: false)
        #expect(!closes.toServer && !closes.toClient && !state.isOver)
        closes = state.close(clientOwed: false, serverOwed: false)
        #expect(!closes.toServer && closes.toClient && state.isOver)
    }
}
