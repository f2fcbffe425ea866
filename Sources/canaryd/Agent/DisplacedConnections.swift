/// The numbers of connections without a request that were closed to make room for new ones, since the start.
struct DisplacedConnections {
    /// The count for the listeners of services.
    var services: UInt64 = 0
    /// The count for the admin and the feedback socket.
    var api: UInt64 = 0
    /// The count for the listener that Prometheus scrapes.
    var metrics: UInt64 = 0

    var bySocket: [(socket: String, count: UInt64)] {
        [("services", services), ("api", api), ("metrics", metrics)]
    }

    /// The differences between these numbers and earlier ones.
    func since(_ earlier: DisplacedConnections) -> DisplacedConnections {
        DisplacedConnections(
            services: services &- earlier.services, api: api &- earlier.api, metrics: metrics &- earlier.metrics)
    }
}
