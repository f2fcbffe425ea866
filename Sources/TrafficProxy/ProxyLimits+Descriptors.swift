extension ProxyLimits {
    /// The descriptors left for everything but clients and servers: listeners, the loops themselves, the admin API,
    /// scrapes, the store. A quarter of few descriptors, since even then someone has to be able to ask what is wrong.
    private static let mostReserved = 256

    /// The same within what the process may open: half of the rest for clients, half for servers, dealt to the loops.
    /// A client that is accepted then always finds a descriptor for its server; the others wait in the backlog.
    public func fitting(descriptors: Int, loops: Int) -> ProxyLimits {
        let reserved = min(descriptors / 4, Self.mostReserved)
        let share = max((descriptors - reserved) / 2 / max(loops, 1), 1)
        var fitted = self
        fitted.maxConnections = min(maxConnections, share)
        fitted.maxUpstreams = min(maxUpstreams, share)
        return fitted
    }
}
