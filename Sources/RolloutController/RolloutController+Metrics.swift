import Analysis
import PolicyModel
import PrometheusText
import RolloutEngine
import Vocabulary

extension RolloutController {
    /// Writes the controller's part of the agent's own metrics.
    public func writeMetrics(into w: inout ExpositionWriter) {
        let runtimes = serviceNames.compactMap { services[$0] }
        writeTraffic(runtimes, into: &w)
        writeRollouts(runtimes, into: &w)
        writeChecks(runtimes, into: &w)
        w.family("canaryd_evaluations_total", .counter, "Evaluations of rollouts.")
        w.sample("canaryd_evaluations_total", value: counters.evaluations)
        w.family("canaryd_evaluation_seconds_total", .counter, "Time that evaluations took.")
        w.sample("canaryd_evaluation_seconds_total", value: counters.evaluationSeconds)
        w.family(
            "canaryd_unlogged_requests_total", .counter, "Requests that ended while the observation log was full.")
        w.sample("canaryd_unlogged_requests_total", value: counters.unlogged)
        w.family("canaryd_split_publications_total", .counter, "Times that a new plan was handed to the data plane.")
        w.sample("canaryd_split_publications_total", value: counters.publications)
        w.family("canaryd_store_writes_total", .counter, "Transactions by result.")
        w.sample("canaryd_store_writes_total", [("result", "ok")], value: counters.writes)
        w.sample("canaryd_store_writes_total", [("result", "failed")], value: counters.failedWrites)
        w.family("canaryd_events_total", .counter, "Events by kind; decisions are among them.")
        for runtime in runtimes {
            for kind in EventKind.allCases {
                w.sample(
                    "canaryd_events_total", [("service", runtime.service.name), ("kind", kind.rawValue)],
                    value: runtime.eventCounts[kind] ?? 0)
            }
        }
    }

    private func writeTraffic(_ runtimes: [ServiceRuntime], into w: inout ExpositionWriter) {
        func each(_ body: ([(String, String)], VersionTotals) -> Void) {
            for runtime in runtimes {
                for version in runtime.countedVersions {
                    let totals = runtime.totals[version] ?? VersionTotals()
                    body([("service", runtime.service.name), ("version", version)], totals)
                }
            }
        }
        w.family("canaryd_requests_total", .counter, "Relayed requests by outcome, judged or not.")
        each { labels, totals in
            for outcome in Outcome.allCases where outcome != .open {
                w.sample(
                    "canaryd_requests_total", labels + [("outcome", outcome.label)], value: totals.outcomes[outcome])
            }
        }
        w.family("canaryd_request_duration_seconds", .histogram, "Time from a request's first byte to its end.")
        each { labels, totals in
            w.histogram(
                "canaryd_request_duration_seconds", labels, bounds: VersionTotals.bounds, counts: totals.buckets,
                sum: totals.seconds)
        }
        w.family(
            "canaryd_keyless_requests_total", .counter, "Requests without the key by which the service assigns arms.")
        each { w.sample("canaryd_keyless_requests_total", $0, value: $1.keyless) }
        w.family("canaryd_matched_requests_total", .counter, "Requests whose arm a header chose; never judged.")
        each { w.sample("canaryd_matched_requests_total", $0, value: $1.matched) }
        w.family(
            "canaryd_rescued_requests_total", .counter, "Requests that this version failed and the baseline served.")
        each { w.sample("canaryd_rescued_requests_total", $0, value: $1.rescued) }
        w.family("canaryd_failed_requests_total", .counter, "Requests that the proxy failed or cut, by its reason.")
        for runtime in runtimes {
            let failed = runtime.failures.failedRequests(
                versions: runtime.countedVersions, reasons: plane.failureReasons)
            for (key, count) in failed {
                w.sample(
                    "canaryd_failed_requests_total",
                    [("service", runtime.service.name), ("version", key.version), ("reason", key.reason)], value: count)
            }
        }
        w.family(
            "canaryd_surplus_connections_total", .counter,
            "Connections that were closed because the server sent bytes that no request had asked for.")
        for runtime in runtimes {
            for (version, count) in runtime.failures.surplusConnections(versions: runtime.countedVersions) {
                w.sample(
                    "canaryd_surplus_connections_total", [("service", runtime.service.name), ("version", version)],
                    value: count)
            }
        }
    }

    private func writeRollouts(_ runtimes: [ServiceRuntime], into w: inout ExpositionWriter) {
        w.family("canaryd_candidate_weight_ratio", .gauge, "The candidate's share of traffic, 0 to 1.")
        for runtime in runtimes {
            w.sample(
                "canaryd_candidate_weight_ratio", [("service", runtime.service.name)],
                value: runtime.state.split.candidate.fraction)
        }
        w.family("canaryd_split_generation", .gauge, "Grows with each change of the split.")
        for runtime in runtimes {
            w.sample(
                "canaryd_split_generation", [("service", runtime.service.name)], value: runtime.state.generation)
        }
        w.family("canaryd_phase", .gauge, "1 for the phase that the service is in.")
        for runtime in runtimes {
            let phase = runtime.state.rollout?.phase.name ?? "idle"
            for name in ["idle", "waiting", "warmup", "step", "proving", "ready", "baking"] {
                w.sample(
                    "canaryd_phase", [("service", runtime.service.name), ("phase", name)], value: name == phase ? 1 : 0)
            }
        }
        w.family("canaryd_held", .gauge, "1 while the rollout is held, by reason.")
        for runtime in runtimes {
            for reason in HoldReason.allCases {
                w.sample(
                    "canaryd_held", [("service", runtime.service.name), ("reason", reason.rawValue)],
                    value: runtime.state.rollout?.holdReason == reason ? 1 : 0)
            }
        }
        w.family("canaryd_frozen", .gauge, "1 while the service is frozen.")
        for runtime in runtimes {
            w.sample(
                "canaryd_frozen", [("service", runtime.service.name)], value: runtime.state.freeze == nil ? 0 : 1)
        }
        w.family(
            "canaryd_needs_person", .gauge, "1 while the rollout continues only after somebody runs this command.")
        for runtime in runtimes {
            let needed = runtime.state.needsPerson?.action
            for action in PersonAction.allCases {
                w.sample(
                    "canaryd_needs_person", [("service", runtime.service.name), ("action", action.rawValue)],
                    value: action == needed ? 1 : 0)
            }
        }
        w.family("canaryd_paused", .gauge, "1 while the rollout is paused, by cause.")
        for runtime in runtimes {
            for cause in PauseCause.allCases {
                w.sample(
                    "canaryd_paused", [("service", runtime.service.name), ("cause", cause.rawValue)],
                    value: runtime.state.rollout?.pause?.cause == cause ? 1 : 0)
            }
        }
        w.family(
            "canaryd_servers", .gauge,
            "Servers of an arm: all, those that can be given requests, and those in each bad state.")
        for runtime in runtimes {
            for arm in Arm.allCases {
                guard let version = runtime.version(arm) else { continue }
                let labels = [("service", runtime.service.name), ("version", version.name)]
                let known = version.servers.count
                w.sample("canaryd_servers", labels + [("state", "declared")], value: known)
                w.sample(
                    "canaryd_servers", labels + [("state", "reachable")], value: runtime.health[arm]?.reachable ?? known
                )
                let states = runtime.health[arm]?.states ?? []
                for condition in ServerCondition.allCases where condition != .healthy {
                    w.sample(
                        "canaryd_servers", labels + [("state", condition.rawValue)],
                        value: states.count { $0.condition == condition })
                }
            }
        }
        w.family("canaryd_server_up", .gauge, "1 while the server is healthy, as the data plane sees it.")
        for runtime in runtimes {
            for arm in Arm.allCases {
                guard let version = runtime.version(arm), let states = runtime.health[arm]?.states else { continue }
                for (server, state) in zip(version.servers, states) {
                    let labels = [("service", runtime.service.name), ("version", version.name)]
                    w.sample(
                        "canaryd_server_up", labels + [("server", server.description)],
                        value: state.isHealthy ? 1 : 0)
                }
            }
        }
        w.family("canaryd_feedback_rows_total", .counter, "Feedback rows by result.")
        for runtime in runtimes {
            let counts = runtime.join.counts
            for (result, n) in [
                ("joined", counts.joined), ("duplicate", counts.duplicate), ("ambiguous", counts.ambiguous),
                ("unmatched", counts.unmatched), ("late", counts.late), ("noRollout", counts.noRollout),
                ("noCheck", counts.noCheck),
            ] {
                w.sample(
                    "canaryd_feedback_rows_total", [("service", runtime.service.name), ("result", result)], value: n)
            }
        }
        w.family("canaryd_state_durable", .gauge, "0 while a change is in force that could not be written.")
        for runtime in runtimes {
            w.sample(
                "canaryd_state_durable", [("service", runtime.service.name)], value: runtime.ledger.isDurable ? 1 : 0)
        }
    }

    /// The value that is exported for a stored one, in which `.greatestFiniteMagnitude` stands for infinity, because
    /// JSON has none.
    private static func exported(_ value: Double) -> Double {
        value.magnitude < .greatestFiniteMagnitude ? value : value < 0 ? -.infinity : .infinity
    }

    private func writeChecks(_ runtimes: [ServiceRuntime], into w: inout ExpositionWriter) {
        func each(_ body: ([(String, String)], CheckResult) -> Void) {
            for runtime in runtimes {
                for result in runtime.observer.evaluation?.results ?? [] {
                    body(
                        [("service", runtime.service.name), ("policy", result.policy), ("check", result.check)], result)
                }
            }
        }
        func eachMeasurement(_ body: ([(String, String)], Measurement) -> Void) {
            each { labels, result in
                for m in result.measurements { body(labels + [("subject", m.subject)], m) }
            }
        }
        func eachEvidence(_ body: ([(String, String)], _ value: Double, _ threshold: Double) -> Void) {
            each { labels, result in
                guard let evidence = result.evidence else { return }
                body(labels + [("for", "revert")], evidence.value, evidence.revertAt)
                body(labels + [("for", "promotion")], evidence.proof, evidence.promoteAt)
            }
        }
        w.family(
            "canaryd_check_value", .gauge,
            "The value that is compared with the bound: a ratio, seconds, or as exported.")
        eachMeasurement { if let value = $1.value { w.sample("canaryd_check_value", $0, value: Self.exported(value)) } }
        w.family("canaryd_check_threshold", .gauge, "The bound with which the value is compared.")
        eachMeasurement { w.sample("canaryd_check_threshold", $0, value: Self.exported($1.bound)) }
        w.family(
            "canaryd_check_difference", .gauge,
            "Ends of the 95 % interval of the candidate's value less the baseline's.")
        eachMeasurement { labels, m in
            guard let difference = m.difference else { return }
            w.sample("canaryd_check_difference", labels + [("end", "low")], value: Self.exported(difference.low))
            w.sample("canaryd_check_difference", labels + [("end", "high")], value: Self.exported(difference.high))
        }
        w.family(
            "canaryd_check_evidence", .gauge,
            "ln of the evidence of the sequential judge, for a revert and for a promotion; 0 is none.")
        eachEvidence { labels, value, _ in w.sample("canaryd_check_evidence", labels, value: value) }
        w.family(
            "canaryd_check_evidence_threshold", .gauge, "ln of the evidence at which the check fails or is proven.")
        eachEvidence { labels, _, threshold in w.sample("canaryd_check_evidence_threshold", labels, value: threshold) }
        w.family("canaryd_check_failures", .gauge, "Failed measurements in this rollout.")
        each { w.sample("canaryd_check_failures", $0, value: $1.failures) }
        w.family("canaryd_check_verdict", .gauge, "1 for the check's verdict.")
        each { labels, result in
            for verdict in Verdict.allCases {
                w.sample(
                    "canaryd_check_verdict", labels + [("verdict", verdict.rawValue)],
                    value: verdict == result.verdict ? 1 : 0)
            }
        }
    }
}
