import CLinuxEngine
import Glibc
import HTTPEngine
import PolicyModel

/// A service's routing data for one loop: plain data without strings. The table owns the memory that it points to.
struct ServicePlan {
    var name: Bytes
    var slot: UInt32
    var split: TrafficSplit
    var hasCandidate: Bool
    var baseline: ArmPlan
    var candidate: ArmPlan
    var sticky: Sticky
    var stickyName: Bytes
    /// True if the key is in a reserved field, which is accepted from trusted clients only.
    var stickyNeedsTrust: Bool
    var matches: UnsafeMutablePointer<MatchPlan>
    var matchCount: Int
    var methods: UnsafeMutablePointer<Bytes>
    var methodCount: Int
    var paths: UnsafeMutablePointer<Bytes>
    var pathCount: Int
    var rescue: RescuePlan?
    /// The share of the baseline's judged requests that is mirrored, in basis points; 0 without a candidate.
    var mirrorShare: UInt64
    /// The timeouts in nanoseconds.
    var connectTimeout: Int64
    var responseTimeout: Int64
    var idleTimeout: Int64
    var limits: LimitPlan
    var hasLimits: Bool
    var headers: HeaderRules
    /// The number of requests that use this record.
    var inFlight = 0
    /// The number of mirrored requests that use this record.
    var mirrored = 0

    enum Sticky: UInt8 { case none, header, cookie }
}

/// The rules for which of the candidate's failed requests are sent to the baseline.
struct RescuePlan {
    var methods: UnsafeMutablePointer<Bytes>
    var methodCount: Int
    var paths: UnsafeMutablePointer<Bytes>
    var pathCount: Int
    /// True if judged requests are safe to send twice, in addition to those with a listed method or path.
    var takesJudged: Bool
    var maxBody: Int64
}

struct MatchPlan {
    var name: Bytes
    var value: Bytes
    var arm: Arm
    var needsTrust: Bool
}

private struct RoutePlan {
    /// The host in lower case; empty for any host.
    var host: Bytes
    var path: Bytes
    var service: UnsafeMutablePointer<ServicePlan>
}

/// A published plan in the form that one loop reads. It is built on the loop, never changes, and is freed when no
/// request uses it any more.
final class RouteTable {
    private(set) var services: [UnsafeMutablePointer<ServicePlan>] = []
    private var routes: [ListenAddress: (UnsafeMutablePointer<RoutePlan>, Int)] = [:]
    private var memory: [UnsafeMutableRawPointer] = []
    private(set) var servers: [UnsafeMutablePointer<Server>] = []
    /// The arms with the data that only reports need.
    private(set) var arms: [ArmEntry] = []

    struct ArmEntry {
        var slot: UInt32
        var arm: Arm
        var plan: UnsafeMutablePointer<ArmPlan>
        /// The keys of the arm's servers, in their order.
        var keys: [ServerKey]
    }

    /// - Parameter server: returns the loop's record of a server, which it creates if needed.
    init(_ plan: RoutingPlan, gauges: ServiceGauges, server: (ServerKey) -> UnsafeMutablePointer<Server>) {
        var byListener: [ListenAddress: [RoutePlan]] = [:]
        for service in plan.services {
            let pointer = allocate(ServicePlan.self, 1)
            pointer.initialize(to: makeService(service, gauges.of(service.name), server))
            services.append(pointer)
            note(service, pointer)
            let route = RoutePlan(
                host: bytes(service.route.host.map(lowercase) ?? ""), path: bytes(service.route.path),
                service: pointer)
            for address in service.listen { byListener[address, default: []].append(route) }
        }
        for (address, list) in byListener {
            // Routes with a host come first, then those with longer paths, so the first that matches is the most
            // specific.
            let sorted = list.sorted {
                ($0.host.count == 0 ? 0 : 1, $0.path.count) > ($1.host.count == 0 ? 0 : 1, $1.path.count)
            }
            let pointer = allocate(RoutePlan.self, sorted.count)
            pointer.initialize(from: sorted, count: sorted.count)
            routes[address] = (pointer, sorted.count)
        }
    }

    deinit { for pointer in memory { pointer.deallocate() } }

    var isUnused: Bool { services.allSatisfy { $0.pointee.inFlight == 0 && $0.pointee.mirrored == 0 } }

    /// The routes of a listener. The listener keeps them, so that requests need no look-up by address.
    func routes(of address: ListenAddress) -> ListenerRoutes {
        guard let (pointer, count) = routes[address] else { return ListenerRoutes() }
        return ListenerRoutes(first: UnsafeRawPointer(pointer), count: count)
    }

    private func makeService(
        _ service: RoutedService, _ gauge: Gauge, _ server: (ServerKey) -> UnsafeMutablePointer<Server>
    ) -> ServicePlan {
        let traffic = service.traffic
        let (sticky, name): (ServicePlan.Sticky, String) =
            switch traffic.sticky {
            case .none: (.none, "")
            case .header(let name): (.header, lowercase(name))
            case .cookie(let name): (.cookie, name)
            }
        let matches = array(
            traffic.match.map {
                MatchPlan(
                    name: bytes(lowercase($0.header)), value: bytes($0.equals), arm: $0.to, needsTrust: $0.needsTrust)
            })
        let methods = array(service.judged.methods.map(bytes))
        let paths = array(service.judged.paths.map(bytes))
        return ServicePlan(
            name: bytes(service.name), slot: service.slot, split: service.split, hasCandidate: service.candidate != nil,
            baseline: makeArm(service.baseline, traffic, isLastResort: true, server),
            candidate: makeArm(service.candidate ?? service.baseline, traffic, isLastResort: false, server),
            sticky: sticky, stickyName: bytes(name),
            stickyNeedsTrust: sticky == .header && ReservedFields.contains(name), matches: matches,
            matchCount: traffic.match.count,
            methods: methods, methodCount: service.judged.methods.count, paths: paths,
            pathCount: service.judged.paths.count,
            rescue: traffic.rescue.map { makeRescue($0, judged: service.judged) },
            mirrorShare: service.candidate == nil ? 0 : UInt64(traffic.mirror?.share.basisPoints ?? 0),
            connectTimeout: traffic.timeouts.connect.nanoseconds,
            responseTimeout: traffic.timeouts.response.nanoseconds, idleTimeout: traffic.timeouts.idle.nanoseconds,
            limits: LimitPlan(traffic.limits, gauge), hasLimits: traffic.limits != TrafficLimits(),
            headers: traffic.headers)
    }

    private func makeRescue(_ rescue: Rescue, judged: JudgedRequests) -> RescuePlan {
        let paths = rescue.paths ?? []
        return RescuePlan(
            methods: array(rescue.methods.map(bytes)), methodCount: rescue.methods.count,
            paths: array(paths.map(bytes)), pathCount: paths.count,
            takesJudged: rescue.paths == nil && !judged.paths.isEmpty, maxBody: Int64(rescue.maxBody))
    }

    private func keys(_ version: RoutedVersion, _ traffic: TrafficRules) -> [ServerKey] {
        version.servers.map {
            ServerKey(
                endpoint: $0, healthCheck: version.healthCheck, outliers: traffic.outlierDetection,
                upstream: version.upstream)
        }
    }

    private func makeArm(
        _ version: RoutedVersion, _ traffic: TrafficRules, isLastResort: Bool,
        _ server: (ServerKey) -> UnsafeMutablePointer<Server>
    ) -> ArmPlan {
        let found = keys(version, traffic).map(server)
        servers += found
        return ArmPlan(
            servers: array(found), count: found.count, versionLine: bytes("x-canary-version: \(version.name)\r\n"),
            isLastResort: isLastResort, reusesConnections: version.upstream.reuse)
    }

    private func note(_ service: RoutedService, _ plan: UnsafeMutablePointer<ServicePlan>) {
        let baseline = withUnsafeMutablePointer(to: &plan.pointee.baseline) { $0 }
        let candidate = withUnsafeMutablePointer(to: &plan.pointee.candidate) { $0 }
        arms.append(
            ArmEntry(
                slot: service.slot, arm: .baseline, plan: baseline, keys: keys(service.baseline, service.traffic)))
        guard let version = service.candidate else { return }
        arms.append(
            ArmEntry(slot: service.slot, arm: .candidate, plan: candidate, keys: keys(version, service.traffic)))
    }

    private func allocate<Value>(_ type: Value.Type, _ count: Int) -> UnsafeMutablePointer<Value> {
        let pointer = UnsafeMutablePointer<Value>.allocate(capacity: max(count, 1))
        memory.append(UnsafeMutableRawPointer(pointer))
        return pointer
    }

    private func array<Value>(_ values: [Value]) -> UnsafeMutablePointer<Value> {
        let pointer = allocate(Value.self, values.count)
        pointer.initialize(from: values, count: values.count)
        return pointer
    }

    private func bytes(_ text: String) -> Bytes {
        let utf8 = Array(text.utf8)
        return Bytes(start: array(utf8), count: utf8.count)
    }

    private func lowercase(_ text: String) -> String { String(decoding: text.utf8.map(asciiLowercase), as: UTF8.self) }
}

/// The routes of one listener, the most specific first.
struct ListenerRoutes {
    fileprivate(set) var first: UnsafeRawPointer?
    fileprivate(set) var count = 0

    init() {}

    fileprivate init(first: UnsafeRawPointer, count: Int) {
        self.first = first
        self.count = count
    }

    /// Finds the service of a request by its host without port and its path without query; nil if none matches.
    /// `OPTIONS *` counts as the path `/`.
    func find(host: UnsafeBufferPointer<UInt8>, path: UnsafeBufferPointer<UInt8>) -> UnsafeMutablePointer<ServicePlan>?
    {
        guard let first else { return nil }
        let routes = first.assumingMemoryBound(to: RoutePlan.self)
        for i in 0..<count where matches(routes[i], host, path) { return routes[i].service }
        return nil
    }

    private func matches(
        _ route: RoutePlan, _ host: UnsafeBufferPointer<UInt8>, _ path: UnsafeBufferPointer<UInt8>
    ) -> Bool {
        if route.host.count > 0 {
            guard host.count == route.host.count else { return false }
            for i in 0..<host.count where asciiLowercase(host[i]) != route.host.start[i] { return false }
        }
        let prefix = route.path
        if prefix.count == 1 { return true }
        guard path.count >= prefix.count, memcmp(path.baseAddress!, prefix.start, prefix.count) == 0 else {
            return false
        }
        return path.count == prefix.count || path[prefix.count] == 0x2f || prefix.start[prefix.count - 1] == 0x2f
    }
}
