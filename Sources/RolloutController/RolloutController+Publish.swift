import PolicyModel
import RolloutEngine

extension RolloutController {
    func publishIfNeeded() { if needsPublication { publish() } }

    /// Hands the plan for the states in force to the data plane, and the scrape targets to the metric source.
    func publish() {
        needsPublication = false
        let plan = RoutingPlan(services: serviceNames.compactMap { services[$0].flatMap { plans.route($0) } })
        // A candidate's servers may be new to the data plane.
        do {
            try plane.prepare(plan)
            for service in plan.services { _ = services[service.name]?.recordPreparation(failure: nil) }
        } catch {
            prepareEach(plan)
        }
        plane.publish(plan)
        counters.publications += 1
        updateScrapeTargets()
    }

    /// Prepares the data plane for each service alone, so that a listener that cannot be opened affects no other
    /// service.
    private func prepareEach(_ plan: RoutingPlan) {
        for service in plan.services {
            guard let runtime = services[service.name] else { continue }
            do {
                try plane.prepare(RoutingPlan(services: [service]))
                _ = runtime.recordPreparation(failure: nil)
            } catch {
                if runtime.recordPreparation(failure: "\(error)") { raiseAlarm("\(error)", runtime) }
            }
        }
    }

    /// Sets the scrape targets: the servers of the serving version and of the candidate of each service.
    private func updateScrapeTargets() {
        var targets: [MetricTarget] = []
        for name in serviceNames {
            guard let runtime = services[name] else { continue }
            for arm in Arm.allCases {
                guard let version = runtime.version(arm), let source = version.metrics else { continue }
                let servers = version.servers.compactMap { plans.endpoint($0) }
                runtime.setServers(servers, of: arm, version: version.name)
                targets += servers.map {
                    MetricTarget(
                        service: name, version: version.name, server: $0, source: source,
                        series: runtime.observer.queries)
                }
            }
        }
        metrics.setTargets(targets)
    }
}
