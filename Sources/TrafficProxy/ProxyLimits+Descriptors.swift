extension ProxyLimits {
    /// The largest number of descriptors that are reserved for everything but clients and servers: listeners, the loops
    /// themselves, the admin API, scrapes, the store. If there are few descriptors, a quarter of them is reserved, so
    /// that the admin API always works.
    private static let mostReserved = 256

    /// Reduces the limits to the descriptors that the process may open. Half of the unreserved ones are for clients and
    /// half for servers, divided among the loops, so that there is a descriptor for the server of every accepted
    /// client. Other clients wait in the backlog.
    public func fitting(descriptors: Int, loops: Int) -> ProxyLimits {
        let reserved = min(descriptors / 4, Self.mostReserved)
        let share = max((descriptors - reserved) / 2 / max(loops, 1), 1)
        var fitted = self
        fitted.maxConnections = min(maxConnections, share)
        fitted.maxUpstreams = min(maxUpstreams, share)
        return fitted
    }
}
